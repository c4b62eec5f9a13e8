// SPDX-License-Identifier: Apache-2.0
/// A table as it was at one committed sequence, in the order of its keys, while the writer goes on.
///
///   committed = S0 ──── scan: each record at some state from S0 on ────► committed = S1 ── journal S0+1 .. S1 or later
///
/// The journal says everything that changed while the scan ran, so that the last change of each key in it, over what
/// the scan found, is the state at the journal's last transaction. Nobody waits: a reader that was lapped tries again.
#include <algorithm>
#include <map>
#include <string_view>

#include "region_impl.hpp"

namespace understudy::shm {
namespace {

constexpr int tries_max = 5;
constexpr std::size_t chunk_bytes = 256 << 10;
/// Nothing new although it was committed: only a commit point that goes back brings this about.
constexpr int idle_max = 100;

struct Found {
  std::size_t at = 0;  ///< of the key in the bytes; the value follows
  std::uint32_t value_bytes = 0;
  std::uint64_t sequence = 0;
};
struct Changed {
  std::vector<std::byte> value;
  std::uint64_t sequence = 0;
  bool erased = false;
};

std::string_view text(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

class Collected {
 public:
  explicit Collected(std::size_t key_bytes) : key_bytes_(key_bytes) {}

  void add(const Store::Record& record) {
    found_.push_back({bytes_.size(), static_cast<std::uint32_t>(record.value.size()), record.sequence.value});
    bytes_.insert(bytes_.end(), record.key.begin(), record.key.end());
    bytes_.insert(bytes_.end(), record.value.begin(), record.value.end());
  }
  void change(const JournalEntry& entry) {
    changed_[std::string(text(entry.key))] = {
        {entry.value.begin(), entry.value.end()}, entry.sequence.value, entry.op == JournalEntry::Op::Erase};
  }
  void visit_in_order(const std::function<bool(const Store::Record&)>& visit) {
    std::sort(found_.begin(), found_.end(), [this](const Found& a, const Found& b) { return key(a) < key(b); });
    auto change = changed_.begin();
    const auto visit_changes_before = [&](const Found* limit) {
      for (; change != changed_.end() && (limit == nullptr || change->first <= key(*limit)); ++change) {
        const auto& [of, now] = *change;
        if (now.erased) { continue; }
        if (!visit({std::as_bytes(std::span(of)), now.value, Sequence{now.sequence}})) { return false; }
      }
      return true;
    };
    for (const Found& record : found_) {
      if (!visit_changes_before(&record)) { return; }
      if (changed_.contains(key(record))) { continue; }  // told just before, or erased
      const Bytes all(bytes_);
      if (!visit({all.subspan(record.at, key_bytes_), all.subspan(record.at + key_bytes_, record.value_bytes),
                  Sequence{record.sequence}})) {
        return;
      }
    }
    visit_changes_before(nullptr);
  }

 private:
  [[nodiscard]] std::string_view key(const Found& record) const {
    return text(Bytes(bytes_).subspan(record.at, key_bytes_));
  }

  std::size_t key_bytes_;
  std::vector<std::byte> bytes_;
  std::vector<Found> found_;
  std::map<std::string, Changed, std::less<>> changed_;
};

/// The sequence of the state collected; Expired: lapped.
Result<Sequence> collect(const Store& store, TableIndex table, Collected& into) {
  JournalReader journal(store, store.committed());
  auto scanned = store.scan(table, {}, [&](const Store::Record& record) {
    into.add(record);
    return true;
  });
  if (!scanned) { return scanned.error(); }
  const Sequence end = store.committed();
  // Everything up to `end` was in the ring when it was committed. More than a ring of it: the commit point is not what
  // the journal follows, and may never be reached.
  std::uint64_t left = store.schema().journal_bytes;
  for (int idle = 0; journal.position() < end && idle < idle_max;) {
    auto chunk = journal.read(chunk_bytes);
    if (!chunk) { return chunk.error(); }
    if (chunk->state == JournalReader::State::Lapped) { return failure("the journal was lapped", Errc::Expired); }
    idle = chunk->state == JournalReader::State::Nothing ? idle + 1 : 0;
    if (journal.position() < end && chunk->bytes.size() >= left) {
      return failure("the journal does not reach its commit point", Errc::Expired);
    }
    left -= std::min<std::uint64_t>(left, chunk->bytes.size());
    auto walked = for_each_entry(chunk->bytes, [&](const JournalEntry& entry) {
      if (entry.table == table) { into.change(entry); }
    });
    if (!walked) { return walked.error(); }
  }
  if (journal.position() < end) { return failure("the journal was lapped", Errc::Expired); }
  return journal.position();
}

}  // namespace

Result<Sequence> Store::scan_ordered(TableIndex table, const std::function<bool(const Record&)>& visit) const {
  const auto& tables = schema().tables;
  if (table >= tables.size()) { return failure("no table " + std::to_string(table), Errc::BadInput); }
  for (int tries = 0; tries < tries_max; ++tries) {
    Collected all(tables[table].key_bytes);
    auto at = collect(*this, table, all);
    if (syncing()) {
      return failure("store \"" + schema().name + "\" is not synced: it is in no committed state", Errc::Refused);
    }
    if (!at && at.error().code == Errc::Expired) { continue; }
    if (at) { all.visit_in_order(visit); }
    return at;
  }
  return failure("table \"" + tables[table].name + "\" changes faster than it can be read: each of " +
                     std::to_string(tries_max) + " scans was lapped by the journal; a larger one helps (journal_bytes)",
                 Errc::Expired);
}

}  // namespace understudy::shm
