// SPDX-License-Identifier: Apache-2.0
#include "every_call.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "checked_answers.hpp"
#include "understudy/shm/arena.hpp"

namespace understudy::shm::hostile {
namespace {

constexpr std::size_t keys_asked = 40;  // more than are looked up together
constexpr Term any_term{~std::uint64_t{0}};

void with_each_store(const Region& region, void (*each)(const Store&)) {
  for (const auto& described : region.schema().stores) {
    if (const auto store = region.store(described.name)) { each(*store); }
  }
}
void with_each_writer(const Region& region, void (*each)(StoreWriter&)) {
  for (const auto& described : region.schema().stores) {
    const auto store = region.store(described.name);
    if (!store) { continue; }
    auto writer = store->become_writer(any_term);
    if (!writer) { continue; }
    writer->never_wait();
    (void)writer->accept_unsynced();
    each(*writer);
  }
}

// --- what reads ---

void ask_the_store(const Region& region, const Shipped& /*shipped*/) {
  with_each_store(region, [](const Store& store) {
    for (TableIndex table = 0; table < store.schema().tables.size(); ++table) {
      (void)store.count(table);
      (void)store.capacity(table);
      (void)store.refused_full(table);
    }
    (void)store.history();
    (void)store.mirrored();
    (void)store.purged_up_to();
    (void)store.syncing();
    (void)store.throttled();
    (void)store.writer_waited();
    (void)store.can_become_writer(any_term);
  });
}

void get_one_by_one(const Region& region, const Shipped& /*shipped*/) {
  with_each_store(region, [](const Store& store) {
    for (TableIndex table = 0; table < store.schema().tables.size(); ++table) {
      const auto& of = store.schema().tables[table];
      Guarded<std::byte> value(of.value_bytes);
      for (std::uint64_t id = 0; id < keys_asked; ++id) {
        (void)store.get(table, keys_of(of, id, 1), value.span());
        const auto length = store.get_blob(table, keys_of(of, id, 1), value.span());
        check(!length || *length <= of.value_bytes, "get_blob tells more than there is room for");
        value.check_guards("get");
      }
    }
  });
}

void get_many(const Region& region, const Shipped& /*shipped*/) {
  with_each_store(region, [](const Store& store) {
    for (TableIndex table = 0; table < store.schema().tables.size(); ++table) {
      const auto& of = store.schema().tables[table];
      Guarded<std::byte> values(keys_asked * of.value_bytes);
      Guarded<std::uint8_t> found(keys_asked);
      const auto got = store.get_many(table, keys_of(of, 0, keys_asked), values.span(), found.span());
      values.check_guards("get_many's values");
      found.check_guards("get_many's found");
      if (!got) { continue; }
      check(std::ranges::all_of(found.span(), [](std::uint8_t is) { return is <= 1; }), "found is neither 0 nor 1");
      check(*got == static_cast<std::size_t>(std::ranges::count(found.span(), std::uint8_t{1})), "get_many's count");
    }
  });
}

void get_blobs(const Region& region, const Shipped& /*shipped*/) {
  with_each_store(region, [](const Store& store) {
    for (TableIndex table = 0; table < store.schema().tables.size(); ++table) {
      const auto& of = store.schema().tables[table];
      Guarded<std::byte> values(keys_asked * of.value_bytes);
      Guarded<std::uint32_t> lengths(keys_asked);
      const auto got = store.get_blobs(table, keys_of(of, 0, keys_asked), values.span(), lengths.span());
      values.check_guards("get_blobs' values");
      lengths.check_guards("get_blobs' lengths");
      if (!got) { continue; }
      for (const std::uint32_t length : lengths.span()) {
        check(length == Store::absent || length <= of.value_bytes, "get_blobs tells more than there is room for");
      }
    }
  });
}

void scan(const Region& region, const Shipped& /*shipped*/) {
  with_each_store(region, [](const Store& store) {
    for (TableIndex table = 0; table < store.schema().tables.size(); ++table) {
      const auto& of = store.schema().tables[table];
      for (const std::uint64_t after : {std::uint64_t{0}, std::uint64_t{40}}) {
        (void)store.scan(table, Sequence{after}, [&](const Store::Record& record) {
          check_record(of, record.key, record.value);
          return true;
        });
      }
    }
  });
}

void scan_ordered(const Region& region, const Shipped& /*shipped*/) {
  with_each_store(region, [](const Store& store) {
    for (TableIndex table = 0; table < store.schema().tables.size(); ++table) {
      std::vector<std::byte> before;
      (void)store.scan_ordered(table, [&](const Store::Record& record) {
        check_record(store.schema().tables[table], record.key, record.value);
        const std::vector<std::byte> key(record.key.begin(), record.key.end());
        check(before.empty() || before <= key, "an ordered scan goes back");
        before = key;
        return true;
      });
    }
  });
}

void read_journal(const Region& region, const Shipped& /*shipped*/) {
  with_each_store(region, [](const Store& store) {
    for (const std::uint64_t after : {std::uint64_t{0}, std::uint64_t{40}, store.committed().value}) {
      JournalReader reader(store, Sequence{after});
      for (int i = 0; i < 50; ++i) {
        const auto chunk = reader.read(after == 0 ? 4096 : 0);
        if (!chunk || chunk->state != JournalReader::State::Entries) { break; }
        (void)for_each_entry(chunk->bytes, [&](const JournalEntry& entry) { check_entry(store.schema(), entry); });
      }
    }
  });
}

// --- what writes ---

void put_and_erase(const Region& region, const Shipped& /*shipped*/) {
  with_each_writer(region, [](StoreWriter& writer) {
    const auto& tables = writer.store().schema().tables;
    const auto put = [&](TableIndex table, std::uint64_t id) {
      const auto& of = tables[table];
      const std::size_t bytes = of.kind == TableKind::Blob ? id * 37 % (of.value_bytes + 1) : of.value_bytes;
      (void)writer.put(table, keys_of(of, id, 1), std::vector<std::byte>(bytes, std::byte{9}));
    };
    for (TableIndex table = 0; table < tables.size(); ++table) {
      for (std::uint64_t id = 0; id < 30; ++id) {
        put(table, id);
        if (id % 5 == 4) { (void)writer.erase(table, keys_of(tables[table], id * 3 % 30, 1)); }
      }
      const std::vector<std::byte> values(keys_asked * tables[table].value_bytes, std::byte{3});
      (void)writer.put_many(table, keys_of(tables[table], 0, keys_asked), values);
      (void)writer.rebuild(table);
    }
    (void)writer.begin();
    for (TableIndex table = 0; table < tables.size(); ++table) {
      for (std::uint64_t id = 0; id < 5; ++id) { put(table, id); }
    }
    (void)writer.commit();
  });
}

void put_where_a_sender_asks(const Region& region, const Shipped& /*shipped*/) {
  for (const auto& described : region.schema().stores) {
    const auto store = region.store(described.name);
    if (!store) { continue; }
    auto writer = store->become_writer(any_term);
    if (!writer) { continue; }
    const auto& of = described.tables[0];
    (void)writer->put(0, keys_of(of, 1, 1), std::vector<std::byte>(of.value_bytes, std::byte{4}));
  }
}

/// What a sender ships, onto a copy that somebody else writes in as well: whole, and cut as a stream may cut it.
void apply_to(const Store& store, const std::vector<std::byte>& entries) {
  for (const std::size_t most : {entries.size(), std::size_t{700}}) {
    auto writer = store.become_writer(any_term);
    if (!writer) { return; }
    for (Bytes rest = entries; !rest.empty();) {
      const auto bytes = whole_entries(rest, most).bytes;
      if (bytes == 0) { break; }
      std::vector<JournalEntry> applied;
      Bytes unfinished;
      const auto done = writer->apply(rest.first(bytes), &applied, &unfinished);
      for (const auto& entry : applied) {
        check_entry(store.schema(), entry);
        check_within(entries, entry.key);
        check_within(entries, entry.value);
      }
      check_within(entries, unfinished);
      if (!done) { break; }
      rest = rest.subspan(bytes);
    }
    (void)writer->extend_history({{Term{1}, Sequence{1}}, {Term{2}, Sequence{7}}});
  }
}

void apply(const Region& region, const Shipped& shipped) {
  if (const auto store = region.store("state")) { apply_to(*store, shipped.state); }
  if (const auto store = region.store("heap")) { apply_to(*store, shipped.heap); }
}

void apply_a_snapshot(const Region& region, const Shipped& /*shipped*/) {
  for (const auto& described : region.schema().stores) {
    const auto store = region.store(described.name);
    if (!store) { continue; }
    auto writer = store->become_writer(any_term);
    if (!writer) { continue; }
    for (const bool full : {false, true}) {
      (void)writer->begin_sync(full);
      for (TableIndex table = 0; table < described.tables.size(); ++table) {
        const auto& of = described.tables[table];
        const std::vector<std::byte> value(of.value_bytes, std::byte{5});
        for (std::uint64_t id = 0; id < 30; ++id) {
          (void)writer->apply_snapshot_record(table, keys_of(of, id, 1), value, Sequence{id * 7 + 1});
        }
      }
      (void)writer->end_sync(Sequence{100}, {{Term{1}, Sequence{1}}}, {});
    }
  }
}

void keep_an_arena(const Region& region, const Shipped& /*shipped*/) {
  with_each_writer(region, [](StoreWriter& writer) {
    for (const FindChanges find : {FindChanges::ByComparison, FindChanges::Automatic}) {
      auto arena = Arena::attach(writer, find);
      if (!arena) { continue; }
      const auto memory = arena->memory();
      for (std::size_t at = 0; at < memory.size(); at += arena_page_bytes / 2) {
        memory[at] ^= std::byte{1};
        (void)arena->checkpoint();
      }
      (void)arena->detach();
    }
  });
}

constexpr std::array all_calls{
    Call{"AskTheStore", Access::ReadOnly, ask_the_store},
    Call{"GetOneByOne", Access::ReadOnly, get_one_by_one},
    Call{"GetMany", Access::ReadOnly, get_many},
    Call{"GetBlobs", Access::ReadOnly, get_blobs},
    Call{"Scan", Access::ReadOnly, scan},
    Call{"ScanOrdered", Access::ReadOnly, scan_ordered},
    Call{"ReadJournal", Access::ReadOnly, read_journal},
    Call{"PutAndErase", Access::ReadWrite, put_and_erase},
    Call{"PutWhereASenderAsks", Access::ReadWrite, put_where_a_sender_asks, true},
    Call{"Apply", Access::ReadWrite, apply},
    Call{"ApplyASnapshot", Access::ReadWrite, apply_a_snapshot},
    Call{"KeepAnArena", Access::ReadWrite, keep_an_arena},
};

}  // namespace

std::span<const Call> calls() { return all_calls; }

void open_and(const Call& call, const std::string& path, const Shipped& shipped) {
  const auto region = Region::open(path, call.access);
  if (region) { call.run(*region, shipped); }
}

}  // namespace understudy::shm::hostile
