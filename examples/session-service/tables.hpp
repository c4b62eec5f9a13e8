// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What the session service keeps in its store. Bytes as they lie in the region: a change here is another schema.
///
///   sessions   session id -> user, counter, the last change and its result (so that a retry gets the same reply)
///   chunks     (session id, index) -> 256 bytes of the session's blob; a blob of n bytes has ceil(n / 256) chunks
///
/// A session and its chunks change in one transaction.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include "understudy/shm/schema.hpp"

namespace session_service {

inline constexpr std::size_t max_blob_bytes = 4096;
inline constexpr std::size_t chunk_bytes = 256;
inline constexpr std::size_t max_user_bytes = 31;

struct SessionKey {
  std::uint64_t session;
};

struct SessionValue {
  std::uint64_t client;        ///< the only one that may use the session
  std::uint64_t login_number;  ///< request number of its LOGIN
  std::uint64_t counter;       ///< what COUNT counts
  std::uint64_t last_number;   ///< request number of the last change
  std::uint64_t last_result;   ///< what its reply told: the counter, or the bytes stored
  std::uint32_t last_command;  ///< of request.hpp's Command; a retry with another command is a bad request
  std::uint32_t blob_bytes;    ///< 0 to max_blob_bytes
  std::array<char, 32> user;   ///< zero-terminated
};
static_assert(sizeof(SessionValue) == 80 && std::has_unique_object_representations_v<SessionValue>);

struct ChunkKey {
  std::uint64_t session;
  std::uint64_t index;
};
struct ChunkValue {
  std::array<std::byte, chunk_bytes> bytes;  ///< zero after the blob's end
};
static_assert(sizeof(ChunkKey) == 16 && sizeof(ChunkValue) == chunk_bytes);

/// How much fits. Two chunks a session on the average; one session may use 16.
struct Capacity {
  std::uint64_t sessions = 4096;
  std::uint64_t chunks = 8192;
};

inline understudy::shm::StoreSchema store_schema(const std::string& name, Capacity capacity) {
  return {name,
          {{"sessions", sizeof(SessionKey), sizeof(SessionValue), capacity.sessions},
           {"chunks", sizeof(ChunkKey), sizeof(ChunkValue), capacity.chunks}},
          std::uint64_t{1} << 20};
}

/// The lines of a group's configuration that give a role this application.
inline std::string describe_store(const std::string& program, std::uint16_t port,
                                  const understudy::shm::StoreSchema& schema) {
  std::string text = "[role.application]\nname = \"session-service\"\ncommand = [\"" + program + "\", \"--port\", \"" +
                     std::to_string(port) + "\"]\nstore = \"" + schema.name +
                     "\"\njournal_kib = " + std::to_string(schema.journal_bytes >> 10) + "\n";
  for (const auto& table : schema.tables) {
    text += "[[role.application.table]]\nname = \"" + table.name +
            "\"\nkey_bytes = " + std::to_string(table.key_bytes) +
            "\nvalue_bytes = " + std::to_string(table.value_bytes) + "\ncapacity = " + std::to_string(table.capacity) +
            "\n";
  }
  return text;
}

}  // namespace session_service
