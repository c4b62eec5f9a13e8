// SPDX-License-Identifier: Apache-2.0
#pragma once
/// An application's side of the failover: it learns what it is to do, and tells when it does it. The same binary
/// runs on an active, in a mirror and on the standby's host and never asks which.
///
///                      on_activate(term) ... active(term)
///      StandingBy ─────────────────────────────────────────► Active
///        ▲   ▲ lost_writer(), on_stand_by                    │    ▲
///        │   └───────────────────────────────────────────────┤    │ on_activate(same term): the movement
///        │                                        on_quiesce │    │ was rolled back
///        │                                                   ▼    │
///        └─────────────────────────────────────────────── Quiescing ... quiesced()
///                         on_stop, from every state: Stopping
///
/// Two surroundings:
///   with an agent (UNDERSTUDY_AGENT names its Unix socket): orders come from there, standing by until one comes.
///       The agent may be killed and restarted: the application keeps its state, serves on and connects again.
///   alone (UNDERSTUDY_AGENT unset): a region file of its own, made when absent; active at the first dispatch(). Nobody
///       hears failed(), lost_writer() and unfit() then, and nobody raises an alarm when a table is full: the
///       application tells it itself (shm::FullTables in understudy/shm/full_tables.hpp).
///
/// Threads: one thread uses a Lifecycle. Nothing in here waits: poll fd(), then call dispatch().

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "understudy/common/result.hpp"
#include "understudy/common/types.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::app {

/// What the application is to do.
enum class Duty : std::uint8_t {
  StandingBy,  ///< reads at most: somebody else writes the store
  Active,      ///< the store's writer, serves
  Quiescing,   ///< takes nothing new, finishes what is under way
  Stopping,    ///< ends
};
[[nodiscard]] const char* to_string(Duty duty);

/// The store that an application is built for, and, when it runs alone, the region that it makes.
struct Embedded {
  std::string region_path;       ///< unless UNDERSTUDY_REGION names another
  shm::StoreSchema store;        ///< alone the only one; its name unless UNDERSTUDY_STORE names another
  std::uint64_t size_bytes = 0;  ///< a power of two; 0: the smallest that fits
};

class Lifecycle {
 public:
  /// BadInput: a variable is missing or not what it should be; nothing was changed. An agent that is not
  /// there (yet) is no error: the application stands by and tries again.
  static Result<Lifecycle> from_environment(const Embedded& embedded);
  Lifecycle(Lifecycle&&) noexcept;
  Lifecycle& operator=(Lifecycle&&) noexcept;
  ~Lifecycle();

  /// Called from dispatch() only. An absent callback: quiesce and stand_by count as done at once.
  struct Callbacks {
    std::function<void(Term)> on_activate;  ///< become the writer under the term, then call active(term)
    std::function<void()> on_quiesce;       ///< finish what is under way, then call quiesced()
    std::function<void()> on_stand_by;      ///< give up writing; done when it returns
    std::function<void()> on_stop;          ///< end soon; the agent's signals follow
  };
  void set_callbacks(Callbacks callbacks);

  [[nodiscard]] int fd() const;  ///< readable when dispatch() has something to do; the same for ever
  void dispatch();               ///< bounded work; never blocks

  [[nodiscard]] Duty duty() const;
  [[nodiscard]] Term term() const;       ///< the last one this application was active under; 0 = none
  [[nodiscard]] bool has_agent() const;  ///< false: alone
  [[nodiscard]] bool connected() const;  ///< to the agent, at this moment

  /// Declares, before ready(), that a movement may freeze this application only after its quiesced(): one whose
  /// deadline passes first is rolled back. Without it the freeze is forced, since a store survives any instant (an
  /// arena does not: what is not checkpointed is lost).
  void needs_quiescing();

  /// The application's reports. Each is sent now, or with the next connection to the agent.
  void ready();                                 ///< standing by and able to become active
  void active(Term term);                       ///< serves under `term`
  void quiesced();                              ///< nothing is under way any more
  void lost_writer(const std::string& reason);  ///< a put was Refused: stands by again
  void failed(const std::string& reason);       ///< could not do the last order; stays as it is

  /// Serves on, and knows that another place would serve better: a card, a disk or a sensor of this blade is out of its
  /// bounds. Said until fit(), or until this process ends. Whether the role goes elsewhere is decided by others.
  void unfit(const std::string& reason);
  void fit();

  [[nodiscard]] const std::string& region_path() const;
  [[nodiscard]] const std::string& store_name() const;
  /// The store in a fresh mapping. Standing by, open it ReadOnly; the writer needs ReadWrite. Fails as Region::open
  /// does. With an agent the region is made from group.toml, and in a mirror the guest can write anything into it: its
  /// tables are compared with Embedded::store's, in order, by name, kind and sizes of keys and values, and the arena by
  /// being there. Others are OtherSchema: Damaged, the message names what differs. Capacities and sizes are the group's
  /// to choose. An Embedded::store without tables asks for no comparison: then every size is the region's word.
  [[nodiscard]] Result<shm::Store> open_store(shm::Access access) const;

 private:
  struct Impl;
  explicit Lifecycle(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace understudy::app
