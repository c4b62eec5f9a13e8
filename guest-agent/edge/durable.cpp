// SPDX-License-Identifier: Apache-2.0
#include "edge/durable.hpp"

#include <boost/json.hpp>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "understudy/link/spec_json.hpp"

namespace understudy::guest {

namespace json = boost::json;

namespace {

Status replace(const std::string& path, const std::string& text) {
  const std::string partial = path + ".partial";
  std::ofstream file(partial, std::ios::trunc);
  file << text << std::flush;
  std::error_code error;
  std::filesystem::rename(partial, path, error);
  if (!file || error) { return failure(path + " cannot be written: " + error.message()); }
  return {};
}

std::optional<std::string> read(const std::string& path) {
  std::ifstream file(path);
  if (!file) { return std::nullopt; }
  return std::string{std::istreambuf_iterator<char>(file), {}};
}

std::optional<Term> read_term(const std::string& path) {
  const auto text = read(path);
  if (!text) { return std::nullopt; }
  Term term;
  const auto [end, bad] = std::from_chars(text->data(), text->data() + text->size(), term.value);
  if (bad != std::errc{} || end != text->data() + text->size()) { return std::nullopt; }
  return term;
}

}  // namespace

std::optional<ServingMark> Durable::serving() const {
  const auto term = read_term(serving_path_);
  const auto text = read(mirror_path_);
  if (!term || !text) { return std::nullopt; }
  ServingMark mark;
  mark.term = *term;
  json::error_code error;
  const auto value = json::parse(*text, error);
  if (error) { return std::nullopt; }
  auto mirror = link::run_mirror_from_json(value);
  if (!mirror) { return std::nullopt; }
  mark.mirror = *std::move(mirror);
  return mark;
}

Status Durable::hold(const link::RunMirror& mirror) const {
  return replace(mirror_path_, json::serialize(json::value(link::to_json(mirror))));
}

Status Durable::remember_serving(Term term) const { return replace(serving_path_, std::to_string(term.value)); }

void Durable::forget_serving() const {
  std::error_code error;
  std::filesystem::rename(serving_path_, tried_path_, error);
  if (error) { std::filesystem::remove(serving_path_, error); }
}

std::optional<Term> Durable::tried() const { return read_term(tried_path_); }

std::optional<Term> Durable::whole() const { return read_term(whole_path_); }
Status Durable::remember_whole(Term term) const { return replace(whole_path_, std::to_string(term.value)); }

}  // namespace understudy::guest
