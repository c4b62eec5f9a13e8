// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Words of the core that whoever decides next must find in the store: each is written again and again until the store
/// has it, or a newer word about the same thing takes its place.
///
///     put ──► waiting, the last word of each thing ──► the store: written, forgotten
///                  ▲                                     │
///                  └─────────── not written: 500 ms ─────┘
///
/// Invariants: an embedded store is written before put() returns; where another store is used no decision waits for it;
/// what was put while somebody led is nobody's after stop(). One word at a time is tried again, the next one when the
/// store has taken it.

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "edge/state_store.hpp"
#include "edge/worker.hpp"

namespace understudy::control {

/// The io_context's thread only.
class PatientWrites {
 public:
  using Write = std::function<Status(StateStore&)>;

  explicit PatientWrites(boost::asio::io_context& io) : io_(io), again_(io) {}
  PatientWrites(const PatientWrites&) = delete;
  PatientWrites& operator=(const PatientWrites&) = delete;

  void use(StateStore& local);
  /// `worker` ends before we do.
  void use(std::shared_ptr<StateStore> store, Worker& worker);
  void stop();

  /// `what`: the thing that is written, for a person: "that blade-2 failed".
  void put(const std::string& what, Write write);
  /// Things that the store does not have yet.
  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }

 private:
  struct Word {
    std::uint64_t number = 0;
    Write write;
    bool failed = false;
    bool told = false;
  };
  void attempt(const std::string& what);
  void ended(const std::string& what, std::uint64_t number, const Status& done);
  void again_in(std::chrono::milliseconds time);
  void try_again();
  /// Behind the one that was tried last, so that one that is never taken keeps no other waiting.
  [[nodiscard]] std::optional<std::string> next_failed() const;

  boost::asio::io_context& io_;
  StateStore* local_ = nullptr;
  std::shared_ptr<StateStore> shared_;  ///< used on worker_ only
  Worker* worker_ = nullptr;
  std::map<std::string, Word> waiting_;
  std::uint64_t last_ = 0;
  std::string tried_;  ///< again, last
  boost::asio::steady_timer again_;
  std::shared_ptr<int> using_ = std::make_shared<int>(0);  ///< answers of an earlier store are nobody's
};

}  // namespace understudy::control
