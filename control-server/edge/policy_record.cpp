// SPDX-License-Identifier: Apache-2.0
#include "edge/policy_record.hpp"

#include "understudy/common/log.hpp"

namespace understudy::control {
namespace {
constexpr std::string_view kOver = " over ";
}

std::string policy_record(link::MovementPolicy chosen, link::MovementPolicy in_file) {
  return link::to_string(chosen) + std::string(kOver) + link::to_string(in_file);
}

Result<std::optional<link::MovementPolicy>> read_policy(StateStore& store, link::MovementPolicy in_file) {
  const auto kept = store.kept(kPolicyKey);
  if (!kept) { return kept.error(); }
  const auto found = kept->find("");
  if (found == kept->end()) { return std::optional<link::MovementPolicy>(); }
  const auto& text = found->second;
  const auto over = text.find(kOver);
  const auto chosen = link::parse_movement_policy(text.substr(0, over));
  const auto before = link::parse_movement_policy(over == std::string::npos ? "" : text.substr(over + kOver.size()));
  if (!chosen || !before) {
    log::error("the state store's \"{}\" is no record of a movement policy: the file's counts", text);
    return std::optional<link::MovementPolicy>();
  }
  if (before.value() == in_file) { return std::optional(chosen.value()); }
  log::info("an operator's movement policy {} is over: the file's was changed since, from {} to {}",
            link::to_string(chosen.value()), link::to_string(before.value()), link::to_string(in_file));
  return std::optional<link::MovementPolicy>();
}

}  // namespace understudy::control
