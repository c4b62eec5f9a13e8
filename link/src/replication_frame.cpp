// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/replication_frame.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "replication_bytes.hpp"
#include "understudy/shm/crc32c.hpp"
#include "understudy/shm/layout.hpp"

namespace understudy::link::replication {

namespace {

constexpr std::uint32_t magic = 0x52505355;  // "USPR" as it lies on the wire
constexpr std::size_t crc_offset = 12;
constexpr std::size_t read_room_min = 128 << 10;
constexpr std::size_t buffer_bytes_max = header_bytes + payload_bytes_max + read_room_min;

Error damaged(const std::string& what) { return failure("replication stream: " + what, Errc::Damaged); }

std::uint32_t checksum(FrameType type, std::span<const std::byte> header, std::span<const std::byte> payload) {
  std::array<std::byte, header_bytes> copy;
  std::copy(header.begin(), header.end(), copy.begin());
  std::fill_n(copy.begin() + crc_offset, 4, std::byte{0});
  const std::uint32_t of_header = shm::crc32c(copy);
  return type == FrameType::Journal ? of_header : shm::crc32c(payload, of_header);
}

struct Fnv {
  std::uint64_t value = 0xcbf29ce484222325;
  void add(std::span<const std::byte> bytes) {
    for (const auto byte : bytes) { value = (value ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3; }
  }
  void add(const std::string& text) {
    add(static_cast<std::uint64_t>(text.size()));
    add(std::as_bytes(std::span(text)));
  }
  void add(std::uint64_t number) {
    std::array<std::byte, 8> bytes;
    for (std::size_t i = 0; i < 8; ++i) { bytes[i] = static_cast<std::byte>(number >> (8 * i) & 0xff); }
    add(bytes);
  }
};

bool is_known(std::uint8_t type) {
  return type >= static_cast<std::uint8_t>(FrameType::Hello) && type <= static_cast<std::uint8_t>(FrameType::Grant);
}

}  // namespace

std::uint64_t digest_of(const RoleId& role) {
  Fnv fnv;
  fnv.add(role.value);
  return fnv.value;
}

std::uint64_t digest_of(const shm::StoreSchema& schema) {
  Fnv fnv;
  fnv.add(schema.name);
  fnv.add(schema.arena_bytes);
  for (const auto& table : schema.tables) {
    fnv.add(table.name);
    fnv.add(table.key_bytes);
    fnv.add(table.value_bytes);
    fnv.add(table.capacity);
    fnv.add(static_cast<std::uint64_t>(table.kind));
    fnv.add(std::max(table.capacity, table.capacity_max));
  }
  return fnv.value;
}

std::uint64_t transaction_bytes_of(const shm::StoreSchema& schema, std::uint64_t journal_bytes) {
  // A checkpoint is bounded by the ring alone.
  const bool checkpoints = schema.arena_bytes != 0;
  return checkpoints ? journal_bytes / 2 : std::min(journal_bytes / 2, shm::layout::transaction_bytes_max);
}

EncodedFrame encode(const FrameHeader& header, std::vector<std::byte> payload) {
  UNDERSTUDY_ASSERT(payload.size() <= payload_bytes_max);
  ByteWriter writer;
  writer.number(magic);
  writer.number(header.version);
  writer.number(static_cast<std::uint8_t>(header.type));
  writer.number(header.store);
  writer.number(static_cast<std::uint32_t>(payload.size()));
  writer.number(std::uint32_t{0});
  writer.number(header.term.value);
  writer.number(header.role_digest);
  writer.number(header.first.value);
  EncodedFrame frame{writer.take(), std::move(payload)};
  const auto crc = checksum(header.type, frame.header, frame.payload);
  for (std::size_t i = 0; i < 4; ++i) { frame.header[crc_offset + i] = static_cast<std::byte>(crc >> (8 * i) & 0xff); }
  return frame;
}

std::span<std::byte> FrameDecoder::prepare() {
  if (begin_ == end_) { begin_ = end_ = 0; }
  if (buffer_.size() - end_ < read_room_min && begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  // Memory grows with bytes that really came, not with a length that somebody claims.
  if (buffer_.size() - end_ < read_room_min) {
    buffer_.resize(std::clamp(buffer_.size() * 2, 2 * read_room_min, buffer_bytes_max));
  }
  return std::span(buffer_).subspan(end_);
}

void FrameDecoder::commit(std::size_t bytes) {
  UNDERSTUDY_ASSERT(bytes <= buffer_.size() - end_);
  end_ += bytes;
}

Result<std::optional<Frame>> FrameDecoder::next() {
  const auto waiting = std::span<const std::byte>(buffer_).subspan(begin_, end_ - begin_);
  if (waiting.size() < header_bytes) { return std::optional<Frame>{}; }
  ByteReader reader(waiting.first(header_bytes));
  if (reader.number<std::uint32_t>() != magic) { return damaged("a frame does not begin with the magic"); }
  const auto frame_version = reader.number<std::uint8_t>();
  if (frame_version < version_oldest || frame_version > version_now) {
    other_version_ = frame_version;
    return damaged("version " + std::to_string(frame_version) + ", and this side speaks " +
                   std::to_string(version_oldest) + " to " + std::to_string(version_now));
  }
  const auto type = reader.number<std::uint8_t>();
  if (!is_known(type)) { return damaged("frame of unknown type " + std::to_string(type)); }
  Frame frame;
  frame.header.version = frame_version;
  frame.header.type = static_cast<FrameType>(type);
  frame.header.store = reader.number<std::uint16_t>();
  if (frame.header.store >= stores_max) { return damaged("frame of store " + std::to_string(frame.header.store)); }
  const auto payload_size = reader.number<std::uint32_t>();
  if (payload_size > payload_bytes_max) { return damaged("frame of " + std::to_string(payload_size) + " bytes"); }
  const auto crc = reader.number<std::uint32_t>();
  frame.header.term.value = reader.number<std::uint64_t>();
  frame.header.role_digest = reader.number<std::uint64_t>();
  frame.header.first.value = reader.number<std::uint64_t>();
  if (waiting.size() < header_bytes + payload_size) { return std::optional<Frame>{}; }
  frame.payload = waiting.subspan(header_bytes, payload_size);
  if (checksum(frame.header.type, waiting.first(header_bytes), frame.payload) != crc) {
    return damaged("checksum does not fit");
  }
  begin_ += header_bytes + payload_size;
  return std::optional<Frame>{frame};
}

}  // namespace understudy::link::replication
