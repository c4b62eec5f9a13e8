// SPDX-License-Identifier: Apache-2.0
/// Whom a sender does not take for its mirror: another role's, another term's, one whose region cannot hold what is
/// committed here.
#include "replication_mirror_link.hpp"

namespace understudy::link::replication {

namespace {

/// A transaction that does not fit would end the mirror's connection, and its next one, for ever.
std::optional<Refusal> smaller_journal(const std::vector<shm::Store>& stores, const Hello& hello) {
  for (std::size_t i = 0; i < stores.size(); ++i) {
    const auto& schema = stores[i].schema();
    const std::uint64_t theirs = hello.stores[i].journal_bytes;
    const std::uint64_t largest = transaction_bytes_of(schema, schema.journal_bytes);
    if (transaction_bytes_of(schema, theirs) >= largest) { continue; }
    const auto kib = [](std::uint64_t bytes) { return std::to_string(bytes >> 10) + " KiB"; };
    return Refusal{RefusalReason::SmallerJournal,
                   "the mirror's journal of store \"" + schema.name + "\" has " + kib(theirs) + ", the active's " +
                       kib(schema.journal_bytes) + ": a transaction of up to " + kib(largest) +
                       ", which may be committed here, would not fit there. The mirror's region needs the sizes of the "
                       "active's (journal_kib of the store): make the one with the older sizes anew"};
  }
  return std::nullopt;
}

}  // namespace

std::optional<Refusal> refusal_of(const SendingOptions& options, const std::vector<shm::Store>& stores,
                                  const FrameHeader& header, const Hello& hello) {
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
  return smaller_journal(stores, hello);
}

}  // namespace understudy::link::replication
