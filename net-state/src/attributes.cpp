// SPDX-License-Identifier: Apache-2.0
#include "attributes.hpp"

namespace understudy::net {

Attributes::Attributes(const void* bytes, std::size_t length) {
  const auto* position = static_cast<const char*>(bytes);
  while (length >= sizeof(nlattr)) {  // each round takes at least 4 bytes
    const auto* attribute = reinterpret_cast<const nlattr*>(position);
    if (attribute->nla_len < sizeof(nlattr) || attribute->nla_len > length) { return; }
    const std::size_t type = mnl_attr_get_type(attribute);
    if (type < table_.size()) { table_[type] = attribute; }
    const std::size_t step = netlink_aligned(attribute->nla_len);
    if (step >= length) { return; }
    position += step;
    length -= step;
  }
}

Attributes Attributes::of_message(const nlmsghdr* message, std::size_t header_bytes) {
  const std::size_t payload = mnl_nlmsg_get_payload_len(message);
  const std::size_t offset = netlink_aligned(header_bytes);
  if (payload < offset) { return Attributes(nullptr, 0); }
  return Attributes(static_cast<const char*>(mnl_nlmsg_get_payload(message)) + offset, payload - offset);
}

Attributes Attributes::nested(int type) const {
  const nlattr* const found = at(type);
  if (found == nullptr) { return Attributes(nullptr, 0); }
  return Attributes(mnl_attr_get_payload(found), mnl_attr_get_payload_len(found));
}

std::optional<AddressBytes> Attributes::address(int type, std::uint8_t family) const {
  const nlattr* const found = at(type);
  if (found == nullptr || mnl_attr_get_payload_len(found) != address_bytes(family)) { return {}; }
  AddressBytes bytes{};
  std::memcpy(bytes.data(), mnl_attr_get_payload(found), address_bytes(family));
  return bytes;
}

const char* Attributes::text(int type) const {
  const nlattr* const found = at(type);
  if (found == nullptr) { return nullptr; }
  const auto* bytes = static_cast<const char*>(mnl_attr_get_payload(found));
  return std::memchr(bytes, 0, mnl_attr_get_payload_len(found)) != nullptr ? bytes : nullptr;
}

}  // namespace understudy::net
