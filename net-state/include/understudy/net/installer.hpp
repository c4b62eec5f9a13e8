// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Installer: records become kernel state of a place that does not serve yet.
///
///     region ── install_all(store) ──► kernel of the mirror, or of the namespace that a movement prepares
///            ── apply(entry)… flush() ──►      (following the journal)
///            ── compare(store) ──► installed = applied?
///            ── settle(store) ──► once the place serves: real remaining times instead of the hold
///
/// Flows are sent in batches and created or replaced. Flow conflicts are settled in waves: create all; ask for those
/// that exist; update those with the same tuples, delete and create the others.
/// While it follows (hold_seconds), entries are given a long life: no packet refreshes them here, and a record that
/// dies at the active is erased through the journal. Without it a UDP flow that lives for an hour at the active would
/// be gone here after two minutes.
/// What the kernel refuses is counted and the first text kept: an alarm, not a stop (rule 9).
///
/// Records may come from a hostile region: what cannot be encoded counts as refused. One thread at a time.

#include <cstdint>
#include <memory>
#include <string>

#include "understudy/common/result.hpp"
#include "understudy/net/codec.hpp"
#include "understudy/net/port_map.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::net {

struct InstallerOptions {
  std::uint32_t timeout_floor_seconds = 30;  ///< no flow is installed with less
  std::uint32_t hold_seconds = 24 * 3600;    ///< floor while following; 0 for a place that serves at once
  FlowFilter flows;                          ///< for compare(): the same as the collector's
};

struct InstallReport {
  std::uint64_t installed = 0;
  std::uint64_t erased = 0;
  std::uint64_t refused = 0;
  std::string first_refusal;  ///< empty: none
};

/// Kernel against store, for what the filters keep.
struct InstallDifference {
  std::uint64_t same = 0;
  std::uint64_t missing = 0;  ///< in the store, not in the kernel
  std::uint64_t different = 0;
  std::uint64_t surplus = 0;  ///< in the kernel, not in the store
  std::string first;          ///< names the first record that is missing or different
};

class Installer {
 public:
  /// In the calling thread's namespace. Also sets nf_conntrack_events = 1 there, so that installed flows send events
  /// to the collector that starts here later.
  static Result<Installer> open(PortMap ports, InstallerOptions options);
  Installer(Installer&&) noexcept;
  Installer& operator=(Installer&&) noexcept;
  ~Installer();

  /// Installs every record of a store "net". Records of the kernel that the store does not have stay. Fails only when
  /// the store or the socket does.
  Status install_all(const shm::Store& store);

  /// Takes one change of a store "net". Flows wait in a batch until it is full or flush(): call flush() at the end of
  /// each chunk.
  Status apply(const shm::JournalEntry& entry);
  Status flush();

  /// Once this place serves: flows get the remaining time of their record. May run under traffic.
  Status settle(const shm::Store& store);

  Result<InstallDifference> compare(const shm::Store& store);

  [[nodiscard]] const InstallReport& report() const;

 private:
  struct Impl;
  explicit Installer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace understudy::net
