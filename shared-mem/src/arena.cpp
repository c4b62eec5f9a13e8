// SPDX-License-Identifier: Apache-2.0
/// Checkpoints: changed pages of the live area as one transaction of the store.
#include "understudy/shm/arena.hpp"

#include <algorithm>
#include <bit>

#include "writer.hpp"
#include "written_pages.hpp"

namespace understudy::shm {
namespace {

constexpr std::uint64_t pages_for(std::uint64_t bytes) { return (bytes + layout::page_bytes - 1) / layout::page_bytes; }
constexpr std::uint64_t page_entry_bytes = layout::entry_bytes(sizeof(std::uint64_t), layout::page_bytes);

}  // namespace

std::uint64_t arena_journal_bytes(std::uint64_t arena_bytes) {
  return std::bit_ceil(std::max(2 * pages_for(arena_bytes) * page_entry_bytes, layout::journal_bytes_min));
}

StoreSchema with_arena(StoreSchema store, std::uint64_t bytes) {
  const std::uint64_t pages = pages_for(bytes);
  if (pages == 0) { return store; }
  store.arena_bytes = pages * layout::page_bytes;
  store.journal_bytes = std::max(store.journal_bytes, arena_journal_bytes(bytes));
  store.tables.push_back(arena_table(pages));
  return store;
}

struct Arena::Impl {
  StoreWriter::Impl* writer;
  const LiveArea* live;
  std::shared_ptr<int> attached = std::make_shared<int>(0);  ///< the writer knows it; nothing: detached
  std::optional<WrittenPages> written{};                     ///< nothing: every page is compared
  std::string why_compared{};
  bool accepts_mixed = false;
  std::vector<std::uint64_t> candidates{};  ///< written since the last checkpoint that succeeded

  void collect_candidates();
  [[nodiscard]] std::vector<std::uint64_t> changed_pages();
  Result<Sequence> commit_pages(const std::vector<std::uint64_t>& pages);
};

Arena::Arena(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Arena::Arena(Arena&&) noexcept = default;
Arena& Arena::operator=(Arena&&) noexcept = default;
Arena::~Arena() = default;

Result<Arena> Arena::attach(StoreWriter& writer, FindChanges find, MixedPages mixed) {
  auto& to = *writer.impl_;
  const auto& live = to.store.impl_->live;
  const std::string& name = to.store.schema().name;
  if (!live) { return failure("store \"" + name + "\" has no arena", Errc::NotFound); }
  if (auto ours = to.check_ours(); !ours) { return ours.error(); }
  if (to.sync != 0) { return failure("store \"" + name + "\" is not synced", Errc::Refused); }
  if (!to.attached.expired()) {
    return failure(
        "the arena of store \"" + name +
            "\" is attached already, by the same writer: to attach it again would take back what was written "
            "in it since the last checkpoint; detach or destroy the first one",
        Errc::Refused);
  }
  if (mixed == MixedPages::Refused && live->is_mixed()) {
    return failure(
        "the arena of store \"" + name +
            "\" is a mixture of pages of several checkpoints: somebody forced this copy to serve before its "
            "sync was finished. What its containers refer to may not be there. The store's tables can be used; "
            "attach the arena as mixed only to begin an empty one in it, or to look what can be saved",
        Errc::Damaged);
  }
  live->restore(to.committed);
  live->forget();
  auto impl = std::make_unique<Impl>(Impl{&to, &*live});
  impl->accepts_mixed = mixed == MixedPages::Accepted;
  to.attached = impl->attached;
  auto watching =
      find == FindChanges::Automatic ? WrittenPages::watch(live->memory()) : Result<WrittenPages>(failure("as told"));
  if (watching) {
    impl->written.emplace(std::move(watching).value());
  } else {
    impl->why_compared = watching.error().message;
  }
  return Arena(std::move(impl));
}

std::span<std::byte> Arena::memory() const { return impl_->attached ? impl_->live->memory() : std::span<std::byte>(); }
bool Arena::empty() const { return impl_->writer->records[impl_->live->table_index()] == 0; }

std::string Arena::method() const {
  return impl_->written ? "write protection (userfaultfd)" : "comparison (" + impl_->why_compared + ")";
}

void Arena::Impl::collect_candidates() {
  if (written) {
    const auto taken = written->take(candidates);
    if (taken) { return; }
    why_compared = taken.error().message;
    written.reset();
  }
  candidates.resize(live->page_count());
  for (std::uint64_t page = 0; page < candidates.size(); ++page) { candidates[page] = page; }
}

/// In ascending order, each once: what a mirror accepts as one large transaction.
std::vector<std::uint64_t> Arena::Impl::changed_pages() {
  collect_candidates();
  std::ranges::sort(candidates);
  const auto same = std::ranges::unique(candidates);
  candidates.erase(same.begin(), same.end());
  std::vector<std::uint64_t> changed;
  std::ranges::copy_if(candidates, std::back_inserter(changed),
                       [&](std::uint64_t page) { return !live->is_checkpointed(page, writer->committed); });
  return changed;
}

Result<Sequence> Arena::Impl::commit_pages(const std::vector<std::uint64_t>& pages) {
  const std::uint64_t bytes = pages.size() * page_entry_bytes;
  if (bytes > writer->journal.ring_bytes() / 2) {
    return failure("the checkpoint has " + std::to_string(pages.size()) + " changed pages, which need a journal of " +
                       std::to_string(std::bit_ceil(2 * bytes)) + " bytes; store \"" + writer->store.schema().name +
                       "\" has " + std::to_string(writer->journal.ring_bytes()) + ", and " +
                       std::to_string(arena_journal_bytes(live->memory().size())) + " is always enough",
                   Errc::Full);
  }
  if (writer->committed > layout::sequence_max - pages.size()) {
    return failure("no sequence numbers left", Errc::Full);
  }
  if (!writer->may_go_on(bytes)) { return writer->not_ours(); }
  std::vector<Change> changes;
  changes.reserve(pages.size());
  std::uint64_t sequence = writer->committed;
  for (const std::uint64_t& page : pages) {
    changes.push_back({++sequence, layout::op_put, false, live->table_index(), as_bytes_of(page), live->page(page)});
  }
  changes.back().ends_transaction = true;
  writer->note_own_term();
  if (auto done = writer->commit_all(changes); !done) { return done.error(); }
  return Sequence{writer->committed};
}

Result<Sequence> Arena::checkpoint() {
  auto& writer = *impl_->writer;
  if (!impl_->attached) { return failure("the arena is detached", Errc::BadInput); }
  if (writer.in_transaction) { return failure("a transaction is open", Errc::BadInput); }
  if (auto ours = writer.check_ours(); !ours) { return ours.error(); }
  const auto pages = impl_->changed_pages();
  if (!pages.empty()) {
    if (auto committed = impl_->commit_pages(pages); !committed) { return committed; }
  }
  impl_->candidates.clear();
  if (impl_->accepts_mixed && impl_->live->is_mixed()) { impl_->live->note_mixed(false); }  // the application's word
  return Sequence{writer.committed};
}

Result<Sequence> Arena::detach() {
  auto at = checkpoint();
  if (!at) { return at; }
  impl_->attached.reset();
  impl_->written.reset();
  impl_->live->note_exact(at->value);
  return at;
}

}  // namespace understudy::shm
