// SPDX-License-Identifier: Apache-2.0
#include "edge/leader_file.hpp"

#include <boost/json.hpp>
#include <filesystem>

#include "edge/guests/child_process.hpp"
#include "understudy/common/log.hpp"
#include "understudy/link/json_fields.hpp"

namespace understudy::host {
namespace {

constexpr std::size_t file_bytes_max = 4096;

std::string path_in(const std::string& run_dir) { return run_dir + "/leader.json"; }

Result<link::HeardLeader> parse(const std::string& path) {
  const auto text = read_small_file(path, file_bytes_max);
  if (!text) { return text.error(); }
  boost::system::error_code wrong;
  const auto value = boost::json::parse(*text, wrong);
  if (wrong) { return failure(path + " is not JSON: " + wrong.message(), Errc::Damaged); }
  link::JsonFields fields(value, path);
  link::HeardLeader heard{fields.string("state_id"), fields.number("token")};
  if (auto done = fields.finish(); !done) { return done.error(); }
  return heard;
}

}  // namespace

Status write_heard_leader(const std::string& run_dir, const link::HeardLeader& heard) {
  const boost::json::object value{{"state_id", heard.state_id}, {"token", heard.token}};
  return write_file_atomically(path_in(run_dir), boost::json::serialize(value) + "\n");
}

link::HeardLeader read_heard_leader(const std::string& run_dir) {
  std::error_code ignored;
  if (!std::filesystem::exists(path_in(run_dir), ignored)) { return {}; }
  auto heard = parse(path_in(run_dir));
  if (heard) { return *std::move(heard); }
  log::error("which leader was heard last is lost: {}", heard.error().message);
  return {};
}

}  // namespace understudy::host
