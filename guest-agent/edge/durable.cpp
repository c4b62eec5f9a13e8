// SPDX-License-Identifier: Apache-2.0
#include "edge/durable.hpp"

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "understudy/link/json_fields.hpp"
#include "understudy/link/spec_json.hpp"

namespace understudy::guest {

namespace json = boost::json;

std::optional<ServingMark> Durable::serving() const {
  std::ifstream file(path_);
  if (!file) { return std::nullopt; }
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  json::error_code error;
  const auto value = json::parse(text, error);
  if (error) { return std::nullopt; }
  link::JsonFields fields(value, path_);
  ServingMark mark;
  mark.term.value = fields.number("term");
  const auto* found = fields.find("mirror");
  auto mirror = found == nullptr ? Result<link::RunMirror>(failure("no mirror")) : link::run_mirror_from_json(*found);
  if (!mirror || !fields.finish()) { return std::nullopt; }
  mark.mirror = *std::move(mirror);
  return mark;
}

Status Durable::remember(const ServingMark& mark) const {
  const std::string partial = path_ + ".partial";
  const json::value value{{"term", mark.term.value}, {"mirror", link::to_json(mark.mirror)}};
  std::ofstream file(partial, std::ios::trunc);
  file << json::serialize(value) << std::flush;
  std::error_code error;
  std::filesystem::rename(partial, path_, error);
  if (!file || error) { return failure(path_ + " cannot be written: " + error.message()); }
  return {};
}

void Durable::forget() const {
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

}  // namespace understudy::guest
