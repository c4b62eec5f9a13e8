// SPDX-License-Identifier: Apache-2.0
#include "flow_writer.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace understudy::net {

std::string describe(const FlowKey& key) {
  const auto text = [&](const AddressBytes& bytes, std::uint16_t port) {
    const IpAddress address{key.family, bytes};
    const std::string at = address.to_string();
    return (key.family == 6 ? "[" + at + "]" : at) + ":" + std::to_string(ntohs(port));
  };
  const std::string protocol = key.protocol == IPPROTO_TCP   ? "tcp"
                               : key.protocol == IPPROTO_UDP ? "udp"
                                                             : "protocol " + std::to_string(key.protocol);
  return protocol + " " + text(key.source, key.source_port) + " -> " + text(key.destination, key.destination_port);
}

// NetlinkBatch refers to the member socket_, so the order of the members matters and FlowWriter does not move.
FlowWriter::FlowWriter(NetlinkSocket socket, InstallReport& report, std::uint32_t timeout_floor_seconds)
    : socket_(std::move(socket)), batch_(socket_), report_(report), timeout_floor_seconds_(timeout_floor_seconds) {}

void FlowWriter::refuse(const Change& change, const std::string& why) {
  ++report_.refused;
  if (report_.first_refusal.empty()) { report_.first_refusal = "flow " + describe(change.key) + ": " + why; }
}

Status FlowWriter::put(const FlowKey& key, const FlowValue& value) {
  return queue({key, value, Op::Put, std::max(value.timeout_seconds, timeout_floor_seconds_)});
}

Status FlowWriter::erase(const FlowKey& key) { return queue({key, {}, Op::Erase, 0}); }

Status FlowWriter::set_timeout(const FlowKey& key, const FlowValue& value, std::uint32_t floor_seconds) {
  return queue({key, value, Op::Timeout, std::max(value.timeout_seconds, floor_seconds)});
}

/// An erase must reach the kernel before a younger flow of the same key: the entry there may have other tuples.
bool FlowWriter::takes_the_place(Op younger, Op earlier) {
  return younger != Op::Timeout && (earlier == Op::Put || younger == Op::Erase);
}

Status FlowWriter::queue(const Change& change) {
  if (!is_encodable(change.key, change.value)) {
    refuse(change, "not a record that can be installed");
    return {};
  }
  if (const auto held = pending_at_.find(change.key); held != pending_at_.end()) {
    Change& earlier = pending_[held->second];
    if (takes_the_place(change.op, earlier.op)) {
      earlier = change;
      return {};
    }
    if (const auto sent = flush(); !sent) { return sent; }
  }
  if (pending_.size() == NetlinkBatch::messages_max) {
    if (const auto sent = flush(); !sent) { return sent; }
  }
  pending_at_.emplace(change.key, pending_.size());
  pending_.push_back(change);
  return {};
}

Status FlowWriter::send_wave(FlowMessage what, const std::vector<Change>& changes,
                             const std::function<void(std::size_t, int)>& refused,
                             const std::function<void(std::size_t, const nlmsghdr*)>& answer) {
  for (const Change& change : changes) {
    batch_.add(encode_flow(batch_.next(), what, change.key, change.value, change.timeout_seconds));
  }
  return batch_.send(refused, answer);
}

Status FlowWriter::flush() {
  if (pending_.empty()) { return {}; }
  std::vector<Change> conflicts;
  std::vector<Change> changes = std::move(pending_);
  pending_.clear();
  pending_at_.clear();
  for (const Change& change : changes) {
    FlowMessage what = FlowMessage::Create;
    if (change.op == Op::Erase) { what = FlowMessage::Delete; }
    if (change.op == Op::Timeout) { what = FlowMessage::Timeout; }
    batch_.add(encode_flow(batch_.next(), what, change.key, change.value, change.timeout_seconds));
    ++(change.op == Op::Erase ? report_.erased : report_.installed);
  }
  const auto sent = batch_.send([&](std::size_t index, int error) {
    const Change& change = changes[index];
    --(change.op == Op::Erase ? report_.erased : report_.installed);
    if (change.op == Op::Put && error == EEXIST) {
      conflicts.push_back(change);
    } else if (change.op == Op::Put || error != ENOENT) {  // gone already is what an erase wants
      refuse(change, std::strerror(error));
    }
  });
  if (!sent || conflicts.empty()) { return sent; }
  return settle_conflicts(conflicts);
}

Status FlowWriter::settle_conflicts(const std::vector<Change>& conflicts) {
  std::vector<bool> same_tuples(conflicts.size(), false);
  const FlowFilter everything;
  const auto asked = send_wave(
      FlowMessage::Get, conflicts, [](std::size_t, int) {},
      [&](std::size_t index, const nlmsghdr* message) {
        const auto found = decode_flow(message, everything);
        const FlowValue& wanted = conflicts[index].value;
        same_tuples[index] = found && found->value.reply_source == wanted.reply_source &&
                             found->value.reply_destination == wanted.reply_destination &&
                             found->value.reply_source_port == wanted.reply_source_port &&
                             found->value.reply_destination_port == wanted.reply_destination_port;
      });
  if (!asked) { return asked; }
  std::vector<Change> updates;
  std::vector<Change> replacements;
  for (std::size_t i = 0; i < conflicts.size(); ++i) {
    (same_tuples[i] ? updates : replacements).push_back(conflicts[i]);
  }
  report_.installed += updates.size();
  const auto updated = send_wave(FlowMessage::Update, updates, [&](std::size_t index, int) {
    --report_.installed;  // EBUSY: its status cannot shrink, this is a new connection on old ports
    replacements.push_back(updates[index]);
  });
  if (!updated) { return updated; }
  return replace(replacements);
}

Status FlowWriter::replace(const std::vector<Change>& changes) {
  const auto deleted = send_wave(FlowMessage::Delete, changes, [](std::size_t, int) {});
  if (!deleted) { return deleted; }
  report_.installed += changes.size();
  return send_wave(FlowMessage::Create, changes, [&](std::size_t index, int error) {
    --report_.installed;
    refuse(changes[index], error == EEXIST ? "another flow holds its translated tuple" : std::strerror(error));
  });
}

}  // namespace understudy::net
