// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Collector: what the kernel of the role's namespace knows, as changes of records.
///
///     rtnetlink events ──┐                       ┌─ route(...)
///     (route, neigh,     ├─► drain() ─► decode ──┼─ neighbor(...)   ─► ChangeSink (StoreSink: the region)
///      link)             │                       └─ flow(...)
///     ctnetlink events ──┘        dump(): begin_dump() … everything … end_dump()
///
/// Order at a new place (rule 10): open() subscribes, dump() tells all there is between begin and end so that the sink
/// can drop records of what no longer exists, then drain() whenever a descriptor is readable. An overrun of the
/// kernel's event queue (ENOBUFS) loses events: drain() enlarges the buffer and dumps again by itself.
/// Not seen: multipath and nexthop-object routes (counted), flows that a flowtable has offloaded.
///
/// One thread at a time. A Collector that dies leaves nothing behind.

#include <array>
#include <cstdint>
#include <memory>

#include "understudy/common/result.hpp"
#include "understudy/net/codec.hpp"
#include "understudy/net/port_map.hpp"
#include "understudy/net/records.hpp"

namespace understudy::net {

/// What a dump covers: after an overrun or a link change only the part that may be wrong is told again.
struct DumpScope {
  bool routes_and_neighbors = true;
  bool flows = true;
};

/// Takes the changes. A null value means gone.
class ChangeSink {
 public:
  virtual ~ChangeSink() = default;
  virtual void route(const RouteKey& key, const RouteValue* value) = 0;
  virtual void neighbor(const NeighborKey& key, const NeighborValue* value) = 0;
  virtual void flow(const FlowChange& change) = 0;
  /// Everything of `scope` that exists is told between these two; what was not told is gone. A begin without an end
  /// before the next begin was a dump that failed.
  virtual void begin_dump(DumpScope /*scope*/) {}
  virtual void end_dump() {}
};

struct CollectorOptions {
  FlowFilter flows;
  bool collect_flows = true;  ///< off on kernels without conntrack
  int event_buffer_bytes = 8 * 1024 * 1024;
  int event_buffer_bytes_max = 128 * 1024 * 1024;
};

struct CollectorCounters {
  std::uint64_t events = 0;
  std::uint64_t changes = 0;  ///< events that passed the filters
  std::uint64_t dumps = 0;
  std::uint64_t overruns = 0;
  std::uint64_t routes_not_representable = 0;
};

class Collector {
 public:
  /// In the calling thread's namespace. Also sets net.netfilter.nf_conntrack_events = 1 there: in its default (2) a
  /// flow that began while nobody listened never sends an event again.
  static Result<Collector> open(PortMap ports, CollectorOptions options);
  Collector(Collector&&) noexcept;
  Collector& operator=(Collector&&) noexcept;
  ~Collector();

  /// Poll these for reading; the second is -1 without conntrack. They stay the same for the collector's life.
  [[nodiscard]] std::array<int, 2> fds() const;

  Status dump(ChangeSink& sink);

  /// Takes at most about `events_max` queued events without waiting. True: there may be more.
  Result<bool> drain(ChangeSink& sink, std::size_t events_max = 4096);

  /// Takes every event that the kernel had queued when this was called, however many: a marker in each queue tells
  /// where that ends. Events that come meanwhile are not waited for.
  Status run_dry(ChangeSink& sink);

  [[nodiscard]] const CollectorCounters& counters() const;

 private:
  struct Impl;
  explicit Collector(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace understudy::net
