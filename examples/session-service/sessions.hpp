// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The sessions in the region: does requests as the store's writer.
///
/// Invariants
///   - A session, its last request number and its chunks change in one transaction: frozen anywhere, the next
///     writer finds a change with its number and result, or neither.
///   - Everything that a reply tells is committed at or before its `tells_up_to`.
///   - Nothing is kept outside the region: becoming the writer costs the same for one session and for a million.

#include <optional>
#include <string>

#include "request.hpp"
#include "tables.hpp"
#include "understudy/shm/region.hpp"

namespace session_service {

struct Outcome {
  std::string reply;                            ///< without its newline
  understudy::Sequence tells_up_to;             ///< the reply may go out when the mirror has this
  std::optional<std::string> no_longer_writer;  ///< somebody else is; the request was not done, there is no reply
};

class Sessions {
 public:
  /// Becomes the writer of `store` under `term`. BadInput: the store has other tables than this version.
  static understudy::Result<Sessions> attach(const understudy::shm::Store& store, understudy::Term term);

  Outcome perform(const Request& request);

  [[nodiscard]] const understudy::shm::Store& store() const { return store_; }
  [[nodiscard]] understudy::Term term() const { return term_; }

  /// The same tables as this version's, whatever their capacity.
  static understudy::Status check(const understudy::shm::Store& store);

 private:
  Sessions(understudy::shm::Store store, understudy::shm::StoreWriter writer, understudy::Term term);

  std::string do_request(const Request& request);
  std::string login(const Request& request);
  std::string count_up(const Request& request, SessionValue value);
  std::string store_blob(const Request& request, SessionValue value);
  std::string log_out(const Request& request, const SessionValue& value);
  std::string fetch(const Request& request, const SessionValue& value);
  std::optional<std::string> answer_again(const Request& request, const SessionValue& value) const;

  understudy::Result<std::optional<SessionValue>> find(std::uint64_t session) const;
  understudy::Status write_session(std::uint64_t session, const SessionValue& value);
  understudy::Status write_blob(const Request& request, const SessionValue& value, std::uint32_t old_bytes);
  understudy::Status remove(const Request& request, const SessionValue& value);
  std::string store_failed(const Request& request, const understudy::Error& error);

  understudy::shm::Store store_;
  understudy::shm::StoreWriter writer_;
  understudy::Term term_;
  std::uint64_t session_capacity_ = 0;
  std::uint64_t chunk_capacity_ = 0;
  std::optional<std::string> lost_;
};

/// The id that client and LOGIN's number make; different for different pairs but for one chance in 2^64.
[[nodiscard]] std::uint64_t session_id(std::uint64_t client, std::uint64_t number);

}  // namespace session_service
