// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Requests and answers of etcd's JSON gateway: keys and values are base64, 64-bit numbers are strings.

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "understudy/common/result.hpp"

namespace understudy::control::etcd {

struct KeyValue {
  std::string key;
  std::string value;
  std::int64_t create_revision = 0;
  std::int64_t mod_revision = 0;
  std::int64_t lease = 0;
};

std::string encode_base64(const std::string& bytes);
/// Damaged: not base64.
Result<std::string> decode_base64(const std::string& text);

boost::json::object range_one(const std::string& key);
/// Every key that begins with `prefix`.
boost::json::object range_all(const std::string& prefix);
/// From `first` (included) on among the keys that begin with `prefix`.
boost::json::object range_from(const std::string& first, const std::string& prefix);
boost::json::object put(const std::string& key, const std::string& value, std::int64_t lease = 0);

/// `target`: "CREATE", "MOD" or "LEASE"; 0 of the first two: the key is not there.
boost::json::object equals(const std::string& key, const std::string& target, std::int64_t number);
boost::json::object transaction(boost::json::array compare, boost::json::array success, boost::json::array failure);

/// 0 when it is missing or no number.
std::int64_t number_of(const boost::json::value& answer, const char* name);
std::int64_t revision_of(const boost::json::value& answer);
bool succeeded(const boost::json::value& answer);
/// Of a range's answer. Damaged: not one.
Result<std::vector<KeyValue>> key_values(const boost::json::value& range);
/// Of the range that is operation `index` of a transaction's branch that was taken.
Result<std::vector<KeyValue>> key_values(const boost::json::value& transaction, std::size_t index);

}  // namespace understudy::control::etcd
