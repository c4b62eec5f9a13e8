// SPDX-License-Identifier: Apache-2.0
#include "edge/held_file.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>

#include "edge/guests/child_process.hpp"
#include "understudy/link/json_fields.hpp"
#include "understudy/link/spec_json.hpp"

namespace understudy::host {
namespace {

namespace json = boost::json;
constexpr std::size_t file_bytes_max = std::size_t{8} << 20;  // a role's rule set and routes, twice
constexpr std::string_view prefix = "held-";
constexpr std::string_view given_up_prefix = "given-up-";
constexpr std::string_view suffix = ".json";

std::string path_of(const std::string& run_dir, std::string_view kind, const std::string& role) {
  return run_dir + "/" + std::string(kind) + role + std::string(suffix);
}

Result<json::value> parse_file(const std::string& path) {
  auto text = read_small_file(path, file_bytes_max);
  if (!text) { return text.error(); }
  json::error_code error;
  auto value = json::parse(*text, error);
  if (error) { return failure(path + " is not JSON: " + error.message(), Errc::Damaged); }
  return value;
}

Result<RoleStage> stage_of(const std::string& word) {
  for (int i = 0; i <= static_cast<int>(RoleStage::Moving); ++i) {
    const auto stage = static_cast<RoleStage>(i);
    if (word == to_string(stage)) { return stage; }
  }
  return failure("\"" + word + "\" is no stage of a role", Errc::Damaged);
}

json::value lease_to_json(const std::optional<link::ArmLease>& lease) {
  if (!lease) { return nullptr; }
  return json::object{{"term", lease->term.value},
                      {"id", lease->id},
                      {"length_ms", lease->length_ms},
                      {"element_ms", lease->element_ms}};
}

std::optional<link::ArmLease> lease_from_json(link::JsonFields& record) {
  const auto* value = record.find("lease");  // none before there were any
  if (value == nullptr || value->is_null()) { return std::nullopt; }
  link::JsonFields fields(*value, "lease");
  link::ArmLease lease;
  lease.term = Term{fields.number("term")};
  lease.id = fields.number("id");
  lease.length_ms = fields.number32("length_ms");
  lease.element_ms = fields.number32("element_ms");
  record.take(fields.finish());
  return lease;
}

/// None: of another boot.
Result<std::optional<HeldRecord>> parse(const std::string& path, const std::string& boot_id) {
  const auto value = parse_file(path);
  if (!value) { return value.error(); }
  link::JsonFields fields(*value, path);
  const auto boot = fields.string("boot_id");
  auto stage = stage_of(fields.string("stage"));
  HeldRecord record;
  record.term = Term{fields.number("term")};
  record.move_term = Term{fields.number("move_term")};
  record.moved = fields.boolean("moved");
  if (fields.find("spent") != nullptr) { record.spent = Term{fields.number("spent")}; }  // none before it was told
  if (fields.find("spoiled") != nullptr) { record.spoiled = fields.boolean("spoiled"); }
  if (fields.find("highest") != nullptr) { record.highest = Term{fields.number("highest")}; }  // likewise
  record.lease = lease_from_json(fields);
  const auto* bundle = fields.find("spec");
  const auto* mirror = fields.find("mirror");
  if (bundle == nullptr || mirror == nullptr) { fields.problem("spec or mirror is missing"); }
  if (auto done = fields.finish(); !done) { return done.error(); }
  if (boot != boot_id) { return std::optional<HeldRecord>(); }
  if (!stage) { return stage.error(); }
  auto spec = link::role_spec_from_json(*bundle);
  if (!spec) { return spec.error(); }
  record.stage = *stage;
  record.spec = *std::move(spec);
  if (record.lease) { record.lease->role = record.spec.id; }
  if (!mirror->is_null()) {
    auto order = link::run_mirror_from_json(*mirror);
    if (!order) { return order.error(); }
    record.mirror = *std::move(order);
  }
  return std::optional(std::move(record));
}

/// None: of another boot.
Result<std::optional<GivenUp>> parse_given_up(const std::string& path, const std::string& boot_id) {
  const auto value = parse_file(path);
  if (!value) { return value.error(); }
  link::JsonFields fields(*value, path);
  const auto boot = fields.string("boot_id");
  const GivenUp left{RoleId{fields.string("role")}, Term{fields.number("highest")}};
  if (auto done = fields.finish(); !done) { return done.error(); }
  return boot == boot_id ? std::optional(left) : std::nullopt;
}

std::vector<std::string> paths_of(const std::string& run_dir, std::string_view kind) {
  std::vector<std::string> paths;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(run_dir, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(kind) && name.ends_with(suffix)) { paths.push_back(entry.path().string()); }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

template <class Record, class Parse>
void read_all(const std::vector<std::string>& paths, const std::string& boot_id, const Parse& parse_one,
              std::vector<Record>& into, std::vector<std::string>& problems) {
  for (const auto& path : paths) {
    auto record = parse_one(path, boot_id);
    std::error_code ignored;
    if (!record) {
      problems.push_back(record.error().message);
    } else if (record.value()) {
      into.push_back(*std::move(record).value());
    } else {
      std::filesystem::remove(path, ignored);
    }
  }
}

}  // namespace

Status write_held(const std::string& run_dir, const std::string& boot_id, const HeldRecord& record) {
  json::object value{{"boot_id", boot_id},
                     {"stage", to_string(record.stage)},
                     {"term", record.term.value},
                     {"move_term", record.move_term.value},
                     {"moved", record.moved},
                     {"spec", link::to_json(record.spec)},
                     {"spent", record.spent.value},
                     {"spoiled", record.spoiled},
                     {"highest", record.highest.value},
                     {"lease", lease_to_json(record.lease)},
                     {"mirror", nullptr}};
  if (record.mirror) { value["mirror"] = link::to_json(*record.mirror); }
  return write_file_atomically(path_of(run_dir, prefix, record.spec.id.value), json::serialize(value) + "\n");
}

Status give_up_held(const std::string& run_dir, const std::string& boot_id, const GivenUp& left) {
  const json::object value{{"boot_id", boot_id}, {"role", left.role.value}, {"highest", left.highest.value}};
  const auto path = path_of(run_dir, given_up_prefix, left.role.value);
  if (auto written = write_file_atomically(path, json::serialize(value) + "\n"); !written) { return written; }
  std::error_code ignored;
  std::filesystem::remove(path_of(run_dir, prefix, left.role.value), ignored);
  return {};
}

HeldFiles read_held(const std::string& run_dir, const std::string& boot_id) {
  HeldFiles found;
  read_all(paths_of(run_dir, prefix), boot_id, parse, found.records, found.problems);
  read_all(paths_of(run_dir, given_up_prefix), boot_id, parse_given_up, found.given_up, found.problems);
  return found;
}

}  // namespace understudy::host
