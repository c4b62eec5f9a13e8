// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Values that the group's and the roles' tables of group.toml share, each told with its line when it cannot be right.

#include <map>
#include <set>
#include <string>

#include "understudy/common/config.hpp"
#include "understudy/common/net_types.hpp"

namespace understudy::control {

/// Who uses each value that must be unique in the file.
class Claims {
 public:
  void claim(ConfigTable& table, const std::string& key, const std::string& kind, const std::string& value,
             const std::string& owner);
  /// One that another may have claimed before.
  void share(const std::string& kind, const std::string& value, const std::string& owner) {
    claims_.emplace(kind + " " + value, owner);
  }

 private:
  std::map<std::string, std::string> claims_;
};

/// Empty when it is missing (told by the table) or wrong.
template <class Value>
Value parse_value(ConfigTable& table, const std::string& key, const std::string& text) {
  const auto parsed = Value::parse(text);
  if (parsed) { return parsed.value(); }
  if (!text.empty()) { table.problem(key, "\"" + key + "\": " + parsed.error().message); }
  return {};
}

/// Of a table with a driver: a key of another driver than the one in use would be read by nobody, and the group be
/// without what its file seems to say. Refused, unless `driver` is none of them (told elsewhere).
void refuse_others_keys(ConfigTable& table, const std::string& name, const std::string& driver,
                        const std::map<std::string, std::set<std::string>>& keys_of);

std::string read_name(ConfigTable& table, const std::string& key, const std::string& expected);

/// Addresses that one host alone can have.
void check_host(ConfigTable& table, const std::string& key, const IpAddress& address);
void check_host(ConfigTable& table, const std::string& key, const IpPrefix& prefix);
void check_host(ConfigTable& table, const std::string& key, const MacAddress& mac);

}  // namespace understudy::control
