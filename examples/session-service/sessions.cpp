// SPDX-License-Identifier: Apache-2.0
#include "sessions.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace session_service {

namespace us = understudy;
using us::shm::as_bytes_of;

namespace {

constexpr us::shm::TableIndex sessions_table = 0;  ///< as store_schema() orders them; check() makes sure
constexpr us::shm::TableIndex chunks_table = 1;

std::uint64_t chunks_for(std::size_t bytes) { return (bytes + chunk_bytes - 1) / chunk_bytes; }

std::uint64_t mix(std::uint64_t x) {  // SplitMix64's finalizer: a bijection that spreads every bit
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

std::string user_of(const SessionValue& value) {
  return {value.user.data(), ::strnlen(value.user.data(), value.user.size())};
}

}  // namespace

std::uint64_t session_id(std::uint64_t client, std::uint64_t number) {
  return mix(mix(client + 0x9e3779b97f4a7c15U) + number);
}

us::Status Sessions::check(const us::shm::Store& store) {
  const auto wanted = store_schema(store.schema().name, {}).tables;
  const auto& found = store.schema().tables;
  const bool same =
      std::equal(found.begin(), found.end(), wanted.begin(), wanted.end(), [](const auto& a, const auto& b) {
        return a.name == b.name && a.key_bytes == b.key_bytes && a.value_bytes == b.value_bytes;
      });
  if (!same) {
    return us::failure(
        "the store \"" + store.schema().name + "\" has other tables than this session-service; see --describe-store",
        us::Errc::BadInput);
  }
  return {};
}

Sessions::Sessions(us::shm::Store store, us::shm::StoreWriter writer, us::Term term)
    : store_(std::move(store)), writer_(std::move(writer)), term_(term) {
  session_capacity_ = store_.schema().tables[sessions_table].capacity;
  chunk_capacity_ = store_.schema().tables[chunks_table].capacity;
}

us::Result<Sessions> Sessions::attach(const us::shm::Store& store, us::Term term) {
  if (auto same = check(store); !same) { return same.error(); }
  auto writer = store.become_writer(term);
  if (!writer) { return writer.error(); }
  return Sessions(store, std::move(writer).value(), term);
}

Outcome Sessions::perform(const Request& request) {
  Outcome outcome;
  outcome.reply = do_request(request);
  outcome.no_longer_writer = std::exchange(lost_, std::nullopt);
  outcome.tells_up_to = store_.committed();
  return outcome;
}

std::string Sessions::do_request(const Request& request) {
  if (request.command == Command::Status) {
    return ok(request, std::to_string(term_.value) + " " + std::to_string(store_.count(sessions_table)) + " " +
                           std::to_string(session_capacity_));
  }
  if (request.command == Command::Login) { return login(request); }
  const auto found = find(request.session);
  if (!found) { return error(request, "failed", found.error().message); }
  const auto& value = *found;
  if (!value && request.command == Command::Logout) { return ok(request, ""); }
  if (!value) { return error(request, "no-session", "there is no session " + session_text(request.session)); }
  if (value->client != request.client) {
    return error(request, "other-client", "the session belongs to another client");
  }
  switch (request.command) {
    case Command::Read:
      return ok(request,
                std::to_string(value->counter) + " " + std::to_string(value->blob_bytes) + " " + user_of(*value));
    case Command::Fetch:
      return fetch(request, *value);
    case Command::Count:
    case Command::Store:
    case Command::Logout:
      break;
    case Command::Login:
    case Command::Status:
      break;  // done above
  }
  if (auto again = answer_again(request, *value)) { return *again; }
  if (request.command == Command::Count) { return count_up(request, *value); }
  if (request.command == Command::Store) { return store_blob(request, *value); }
  return log_out(request, *value);
}

/// The reply to a change that was made already, or that came too late.
std::optional<std::string> Sessions::answer_again(const Request& request, const SessionValue& value) const {
  if (request.number > value.last_number) { return std::nullopt; }
  if (request.number < value.last_number) {
    return error(request, "old-request", "the session's last change has number " + std::to_string(value.last_number));
  }
  if (value.last_command != static_cast<std::uint32_t>(request.command)) {
    return error(request, "bad-request", "this number was used for another command");
  }
  return ok(request, std::to_string(value.last_result));
}

std::string Sessions::login(const Request& request) {
  const auto session = session_id(request.client, request.number);
  const auto found = find(session);
  if (!found) { return error(request, "failed", found.error().message); }
  if (const auto& value = *found) {
    if (value->client == request.client && value->login_number == request.number && user_of(*value) == request.user) {
      return ok(request, session_text(session));
    }
    return error(request, "bad-request", "this number was used for another login");
  }
  if (store_.count(sessions_table) >= session_capacity_) {
    return error(request, "full", "all " + std::to_string(session_capacity_) + " sessions are in use");
  }
  SessionValue value{};
  value.client = request.client;
  value.login_number = value.last_number = request.number;
  value.last_command = static_cast<std::uint32_t>(Command::Login);
  std::copy(request.user.begin(), request.user.end(), value.user.begin());
  if (auto written = write_session(session, value); !written) { return store_failed(request, written.error()); }
  return ok(request, session_text(session));
}

std::string Sessions::count_up(const Request& request, SessionValue value) {
  value.last_result = ++value.counter;
  value.last_number = request.number;
  value.last_command = static_cast<std::uint32_t>(Command::Count);
  if (auto written = write_session(request.session, value); !written) { return store_failed(request, written.error()); }
  return ok(request, std::to_string(value.counter));
}

std::string Sessions::store_blob(const Request& request, SessionValue value) {
  const auto size = request.blob.size();
  if (size > max_blob_bytes) {
    return error(request, "too-big", "a session holds at most " + std::to_string(max_blob_bytes) + " bytes");
  }
  const auto old_bytes = value.blob_bytes;
  if (store_.count(chunks_table) - chunks_for(old_bytes) + chunks_for(size) > chunk_capacity_) {
    return error(request, "full", "no room for " + std::to_string(size) + " bytes");
  }
  value.blob_bytes = static_cast<std::uint32_t>(size);
  value.last_result = size;
  value.last_number = request.number;
  value.last_command = static_cast<std::uint32_t>(Command::Store);
  if (auto written = write_blob(request, value, old_bytes); !written) { return store_failed(request, written.error()); }
  return ok(request, std::to_string(size));
}

std::string Sessions::log_out(const Request& request, const SessionValue& value) {
  if (auto removed = remove(request, value); !removed) { return store_failed(request, removed.error()); }
  return ok(request, "");
}

std::string Sessions::fetch(const Request& request, const SessionValue& value) {
  if (value.blob_bytes > max_blob_bytes) { return error(request, "failed", "the session's size is damaged"); }
  std::vector<std::byte> blob(value.blob_bytes);
  for (std::uint64_t index = 0; index < chunks_for(blob.size()); ++index) {
    const ChunkKey key{request.session, index};
    ChunkValue chunk{};
    const auto got = store_.get(chunks_table, as_bytes_of(key), std::as_writable_bytes(std::span(&chunk, 1)));
    if (!got) { return error(request, "failed", got.error().message); }
    const auto begin = index * chunk_bytes;
    std::memcpy(blob.data() + begin, chunk.bytes.data(), std::min(chunk_bytes, blob.size() - begin));
  }
  return ok(request, hex(blob));
}

/// Only NotFound means that there is none: whoever takes another error for it writes a new session over the old one.
us::Result<std::optional<SessionValue>> Sessions::find(std::uint64_t session) const {
  const SessionKey key{session};
  SessionValue value{};
  const auto got = store_.get(sessions_table, as_bytes_of(key), std::as_writable_bytes(std::span(&value, 1)));
  if (got) { return std::optional(value); }
  if (got.error().code == us::Errc::NotFound) { return std::optional<SessionValue>(); }
  return got.error();
}

us::Status Sessions::write_session(std::uint64_t session, const SessionValue& value) {
  const SessionKey key{session};
  const auto put = writer_.put(sessions_table, as_bytes_of(key), as_bytes_of(value));
  return put ? us::Status{} : us::Status{put.error()};
}

us::Status Sessions::write_blob(const Request& request, const SessionValue& value, std::uint32_t old_bytes) {
  if (auto begun = writer_.begin(); !begun) { return begun; }
  const auto chunks = chunks_for(request.blob.size());
  for (std::uint64_t index = 0; index < chunks; ++index) {
    const ChunkKey key{request.session, index};
    const auto begin = index * chunk_bytes;
    ChunkValue chunk{};
    std::memcpy(chunk.bytes.data(), request.blob.data() + begin, std::min(chunk_bytes, request.blob.size() - begin));
    if (auto put = writer_.put(chunks_table, as_bytes_of(key), as_bytes_of(chunk)); !put) { return put.error(); }
  }
  for (std::uint64_t index = chunks; index < chunks_for(old_bytes); ++index) {
    const ChunkKey key{request.session, index};
    if (auto erased = writer_.erase(chunks_table, as_bytes_of(key)); !erased) { return erased.error(); }
  }
  if (auto written = write_session(request.session, value); !written) { return written; }
  const auto committed = writer_.commit();
  return committed ? us::Status{} : us::Status{committed.error()};
}

us::Status Sessions::remove(const Request& request, const SessionValue& value) {
  if (auto begun = writer_.begin(); !begun) { return begun; }
  for (std::uint64_t index = 0; index < chunks_for(std::min<std::size_t>(value.blob_bytes, max_blob_bytes)); ++index) {
    const ChunkKey key{request.session, index};
    if (auto erased = writer_.erase(chunks_table, as_bytes_of(key)); !erased) { return erased.error(); }
  }
  const SessionKey key{request.session};
  if (auto erased = writer_.erase(sessions_table, as_bytes_of(key)); !erased) { return erased.error(); }
  const auto committed = writer_.commit();
  return committed ? us::Status{} : us::Status{committed.error()};
}

/// Refused: somebody else is the writer. Otherwise the request alone failed, and nothing of it stays.
std::string Sessions::store_failed(const Request& request, const us::Error& problem) {
  static_cast<void>(writer_.rollback());  // says so when no transaction is open, which is well
  if (problem.code == us::Errc::Refused) {
    lost_ = problem.message;
    return {};
  }
  return error(request, "failed", problem.message);
}

}  // namespace session_service
