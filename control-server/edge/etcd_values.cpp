// SPDX-License-Identifier: Apache-2.0
#include "edge/etcd_values.hpp"

#include <openssl/evp.h>

#include <charconv>

namespace understudy::control::etcd {

namespace json = boost::json;

namespace {

/// The smallest key that is above every one that begins with `prefix`.
std::string end_of(std::string prefix) {
  UNDERSTUDY_ASSERT(!prefix.empty() && static_cast<unsigned char>(prefix.back()) != 0xff);
  ++prefix.back();
  return prefix;
}

std::string text_of(const json::object& object, const char* name) {
  const auto* found = object.if_contains(name);
  return found != nullptr && found->is_string() ? std::string(found->as_string()) : std::string();
}

}  // namespace

std::string encode_base64(const std::string& bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

Result<std::string> decode_base64(const std::string& text) {
  std::string bytes(3 * (text.size() / 4 + 1), '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (size < 0 || text.size() % 4 != 0) {
    return failure("etcd's answer has a value that is no base64", Errc::Damaged);
  }
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  bytes.resize(static_cast<std::size_t>(size) - std::min(padding, static_cast<std::size_t>(size)));
  return bytes;
}

json::object range_one(const std::string& key) { return {{"key", encode_base64(key)}}; }
json::object range_all(const std::string& prefix) {
  return {{"key", encode_base64(prefix)}, {"range_end", encode_base64(end_of(prefix))}};
}
json::object range_from(const std::string& first, const std::string& prefix) {
  return {{"key", encode_base64(first)}, {"range_end", encode_base64(end_of(prefix))}};
}
json::object put(const std::string& key, const std::string& value, std::int64_t lease) {
  json::object body{{"key", encode_base64(key)}, {"value", encode_base64(value)}};
  if (lease != 0) { body["lease"] = std::to_string(lease); }
  return {{"request_put", std::move(body)}};
}

json::object equals(const std::string& key, const std::string& target, std::int64_t number) {
  const char* name = target == "CREATE" ? "create_revision" : target == "MOD" ? "mod_revision" : "lease";
  return {{"key", encode_base64(key)},
          {"target", target},
          {"result", "EQUAL"},
          {std::string(name), std::to_string(number)}};
}
json::object transaction(json::array compare, json::array success, json::array failure) {
  return {{"compare", std::move(compare)}, {"success", std::move(success)}, {"failure", std::move(failure)}};
}

std::int64_t number_of(const json::value& answer, const char* name) {
  const auto* object = answer.if_object();
  const auto* found = object != nullptr ? object->if_contains(name) : nullptr;
  if (found == nullptr || !found->is_string()) { return 0; }
  const auto& text = found->as_string();
  std::int64_t number = 0;
  const auto* end = text.data() + text.size();
  return std::from_chars(text.data(), end, number) == std::from_chars_result{end, std::errc{}} ? number : 0;
}

std::int64_t revision_of(const json::value& answer) {
  const auto* object = answer.if_object();
  const auto* header = object != nullptr ? object->if_contains("header") : nullptr;
  return header != nullptr ? number_of(*header, "revision") : 0;
}

bool succeeded(const json::value& answer) {
  const auto* object = answer.if_object();
  const auto* found = object != nullptr ? object->if_contains("succeeded") : nullptr;
  return found != nullptr && found->is_bool() && found->as_bool();
}

Result<std::vector<KeyValue>> key_values(const json::value& range) {
  std::vector<KeyValue> found;
  const auto* object = range.if_object();
  if (object == nullptr) { return failure("etcd's answer is no range", Errc::Damaged); }
  const auto* list = object->if_contains("kvs");
  if (list == nullptr) { return found; }  // what is empty is left out
  if (!list->is_array()) { return failure("etcd's answer is no range", Errc::Damaged); }
  for (const auto& one : list->as_array()) {
    if (!one.is_object()) { return failure("etcd's answer is no range", Errc::Damaged); }
    const auto key = decode_base64(text_of(one.as_object(), "key"));
    const auto value = decode_base64(text_of(one.as_object(), "value"));
    if (!key) { return key.error(); }
    if (!value) { return value.error(); }
    found.push_back({key.value(), value.value(), number_of(one, "create_revision"), number_of(one, "mod_revision"),
                     number_of(one, "lease")});
  }
  return found;
}

Result<std::vector<KeyValue>> key_values(const json::value& transaction, std::size_t index) {
  const auto* object = transaction.if_object();
  const auto* list = object != nullptr ? object->if_contains("responses") : nullptr;
  const auto* operations = list != nullptr ? list->if_array() : nullptr;
  if (operations == nullptr || operations->size() <= index || !(*operations)[index].is_object()) {
    return failure("etcd's answer lacks what was asked in a transaction", Errc::Damaged);
  }
  const auto* range = (*operations)[index].as_object().if_contains("response_range");
  if (range == nullptr) { return failure("etcd's answer lacks what was asked in a transaction", Errc::Damaged); }
  return key_values(*range);
}

}  // namespace understudy::control::etcd
