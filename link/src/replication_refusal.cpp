// SPDX-License-Identifier: Apache-2.0
/// Whom a sender does not take for its mirror: another role's, another term's, one whose region cannot hold what is
/// committed here.
#include <algorithm>

#include "replication_mirror_link.hpp"

namespace understudy::link::replication {

namespace {

constexpr const char* what_to_do =
    ". The mirror's region needs the sizes of the active's (journal_kib of the store): make the one with the older "
    "sizes "
    "anew";

std::string kib(std::uint64_t bytes) { return std::to_string((bytes + 1023) >> 10) + " KiB"; }

std::string both_sizes(const shm::StoreSchema& ours, std::uint64_t theirs) {
  return "the mirror's journal of store \"" + ours.name + "\" has " + kib(theirs) + ", the active's " +
         kib(ours.journal_bytes);
}

std::optional<Refusal> smaller_journal(const std::vector<shm::Store>& stores, const Hello& hello,
                                       const std::vector<StoreCounters>& counters) {
  for (std::size_t i = 0; i < std::min(stores.size(), counters.size()); ++i) {
    const auto& schema = stores[i].schema();
    const auto takes = takes_at_most(schema, hello.stores[i]);
    if (!takes || counters[i].too_large <= *takes) { continue; }
    return Refusal{RefusalReason::SmallerJournal,
                   does_not_fit(schema, hello.stores[i].journal_bytes, counters[i].too_large)};
  }
  return std::nullopt;
}

}  // namespace

std::optional<Refusal> refusal_of(const SendingOptions& options, const std::vector<shm::Store>& stores,
                                  const FrameHeader& header, const Hello& hello,
                                  const std::vector<StoreCounters>& counters) {
  if (hello.role != options.role || header.role_digest != digest_of(options.role)) {
    return Refusal{RefusalReason::WrongRole, "this is " + options.role.value + ", not " + hello.role.value};
  }
  const auto terms = "the active's term is " + std::to_string(options.term.value) + ", the mirror's " +
                     std::to_string(header.term.value);
  if (header.term < options.term) { return Refusal{RefusalReason::StaleMirror, terms}; }
  if (header.term > options.term) { return Refusal{RefusalReason::StaleActive, terms}; }
  bool same = hello.stores.size() == stores.size();
  for (std::size_t i = 0; same && i < stores.size(); ++i) {
    const auto& schema = stores[i].schema();
    same = hello.stores[i].store == schema.name && hello.stores[i].schema_digest == digest_of(schema);
  }
  if (!same) {
    return Refusal{RefusalReason::OtherStores,
                   "the mirror's region has other stores or tables, or other sizes of them; both regions are made from "
                   "the role's [[role]] in group.toml: make the older one anew"};
  }
  return smaller_journal(stores, hello, counters);
}

std::optional<std::uint64_t> takes_at_most(const shm::StoreSchema& ours, const ResumePoint& theirs) {
  const std::uint64_t takes = transaction_bytes_of(ours, theirs.journal_bytes);
  const bool all = theirs.journal_bytes == 0 || takes >= transaction_bytes_of(ours, ours.journal_bytes);
  return all ? std::nullopt : std::optional(takes);
}

std::string does_not_fit(const shm::StoreSchema& ours, std::uint64_t journal_bytes, std::uint64_t bytes) {
  return both_sizes(ours, journal_bytes) + ": a transaction of " + kib(bytes) +
         ", which was committed here, does not fit there" + what_to_do;
}

std::string smaller_journals(const std::vector<shm::Store>& stores, const Hello& hello) {
  std::string told;
  for (std::size_t i = 0; i < stores.size(); ++i) {
    const auto takes = takes_at_most(stores[i].schema(), hello.stores[i]);
    if (!takes) { continue; }
    told += (told.empty() ? "" : "; ") + both_sizes(stores[i].schema(), hello.stores[i].journal_bytes) +
            ": it is followed, until a transaction of more than " + kib(*takes) +
            " is committed, which would not fit there";
  }
  return told.empty() ? told : told + what_to_do;
}

Refusal refusal_of_version(std::uint8_t theirs, const std::string& address, const BladeId& mirror_blade) {
  const auto who = mirror_blade.empty() ? "the mirror's blade" : mirror_blade.value;
  const auto text = "the mirror at " + address + " speaks version " + std::to_string(theirs) +
                    " of replication, its active versions " + std::to_string(version_oldest) + " to " +
                    std::to_string(version_now) + ": the role has no mirror until ";
  return {RefusalReason::Damaged,
          text + (theirs > version_now
                      ? "the programs of the blade that serves it are updated (actives first, then their standby)"
                      : "the programs of " + who + " and the image of its guests are updated")};
}

}  // namespace understudy::link::replication
