// SPDX-License-Identifier: Apache-2.0
#include "store_model.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <string_view>

#include "image_check.hpp"
#include "table.hpp"
#include "understudy/shm/layout.hpp"

namespace understudy::shm::crash {
namespace {

std::size_t digest_of(TableIndex table, Bytes key, std::optional<Bytes> value) {
  std::string all(value ? "put" : "erase");
  all += static_cast<char>(table);
  all.append(reinterpret_cast<const char*>(key.data()), key.size());
  if (value) { all.append(reinterpret_cast<const char*>(value->data()), value->size()); }
  return std::hash<std::string>()(all);
}

std::string text_of(const Model& model) {
  std::string text = "committed " + std::to_string(model.committed) + " of";
  for (const auto& table : model.tables) { text += " " + std::to_string(table.size()); }
  return text;
}

/// An entry that begins so far behind the newest end is never gone: half a ring is kept whatever is under way.
bool must_be_there(std::uint64_t begin, std::uint64_t end_max, std::uint64_t ring_bytes) {
  return end_max - begin <= ring_bytes / 2;
}

template <class Note>
void check_scan(const Store& store, TableIndex table, const Model& found, const Note& note) {
  const auto& wanted = found.tables[table];
  std::map<Octets, Octets> content;
  const auto scanned = store.scan(table, {}, [&](const Store::Record& record) {
    const Octets key(record.key.begin(), record.key.end());
    if (!content.emplace(key, Octets(record.value.begin(), record.value.end())).second) { note("a key twice"); }
    if (record.sequence.value > found.committed) { note("a record from behind the commit point"); }
    return true;
  });
  if (!scanned) { note(scanned.error().message); }
  if (content != wanted) {
    note("table " + std::to_string(table) + " holds " + std::to_string(content.size()) + " records, not its " +
         std::to_string(wanted.size()));
  }
  auto next = wanted.begin();
  const auto ordered = store.scan_ordered(table, [&](const Store::Record& record) {
    if (next == wanted.end() || !std::ranges::equal(record.key, next->first) ||
        !std::ranges::equal(record.value, next->second)) {
      note("not in order, or not its records");
      return false;
    }
    ++next;
    return true;
  });
  if (!ordered) { note("in order: " + ordered.error().message); }
  if (store.count(table) != wanted.size()) { note("count is " + std::to_string(store.count(table))); }
}

/// One key at a time.
template <class Note>
void check_gets(const Store& store, TableIndex table, const std::vector<Octets>& keys, const Model& found,
                const Note& note) {
  const TableSchema& described = store.schema().tables[table];
  Octets value(described.value_bytes);
  for (const Octets& key : keys) {
    const auto wanted = found.tables[table].find(key);
    const bool there = wanted != found.tables[table].end();
    std::size_t bytes = described.value_bytes;
    bool got = false;
    if (described.kind == TableKind::Blob) {
      const auto size = store.get_blob(table, key, value);
      got = size.ok();
      bytes = got ? *size : 0;
    } else {
      got = store.get(table, key, value).ok();
    }
    if (got != there || (got && !std::ranges::equal(Bytes(value).first(bytes), wanted->second))) {
      note("get of a key of table " + std::to_string(table) + " is not what a scan finds");
    }
  }
}

/// All of them with one call.
template <class Note>
void check_get_many(const Store& store, TableIndex table, const std::vector<Octets>& keys, const Model& found,
                    const Note& note) {
  const TableSchema& described = store.schema().tables[table];
  Octets all;
  for (const Octets& key : keys) { all.insert(all.end(), key.begin(), key.end()); }
  Octets values(keys.size() * described.value_bytes);
  std::vector<std::uint8_t> there(keys.size());
  std::vector<std::uint32_t> lengths(keys.size(), described.value_bytes);
  if (described.kind == TableKind::Blob) {
    if (auto got = store.get_blobs(table, all, values, lengths); !got) { return note(got.error().message); }
    for (std::size_t i = 0; i < keys.size(); ++i) { there[i] = lengths[i] == Store::absent ? 0 : 1; }
  } else if (auto got = store.get_many(table, all, values, there); !got) {
    return note(got.error().message);
  }
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto wanted = found.tables[table].find(keys[i]);
    const bool is_there = wanted != found.tables[table].end();
    const bool same =
        is_there == (there[i] != 0) &&
        (!is_there || std::ranges::equal(Bytes(values).subspan(i * described.value_bytes, lengths[i]), wanted->second));
    if (!same) { note("a key of table " + std::to_string(table) + " among many is not what a scan finds"); }
  }
}

/// Fresh followers, of all, of the newer half of the ring, and of the last changes.
template <class Note>
void check_journal(const Store& store, const Model& found, std::uint64_t end_max, const Image& image,
                   Violations& violations, const Note& note) {
  std::vector<std::uint64_t> from{0, found.committed - std::min<std::uint64_t>(found.committed, 3)};
  const auto half = std::ranges::find_if(
      found.log, [&](const JournalLine& line) { return must_be_there(line.begin, end_max, image.ring_bytes); });
  from.push_back(static_cast<std::uint64_t>(half - found.log.begin()));
  for (const std::uint64_t after : from) {
    JournalReader reader(store, Sequence{after});
    const std::size_t known = violations.size();
    auto at = std::optional(after);
    while (at && *at < found.committed) { at = check_follower(reader, found, image, end_max, 16 << 10, violations); }
    if (violations.size() > known) { return note("... of a follower from " + std::to_string(after)); }
  }
}

}  // namespace

void Model::apply(const Edits& edits) {
  for (const Edit& edit : edits) {
    ++committed;
    const std::uint64_t begin = end();
    const std::size_t bytes = layout::entry_bytes(edit.key.size(), edit.value ? edit.value->size() : 0);
    log.push_back({digest_of(edit.table, edit.key, edit.value), begin, begin + bytes});
    if (edit.value) {
      tables[edit.table][edit.key] = *edit.value;
    } else {
      tables[edit.table].erase(edit.key);
      purged = committed;
    }
  }
}

Model Model::after(const Edits& edits) const {
  Model next = *this;
  next.apply(edits);
  return next;
}

Octets value_bytes(std::size_t bytes, std::uint64_t seed) {
  Octets value(bytes);
  std::mt19937_64 random(seed);
  for (std::size_t at = 0; at < bytes; at += 8) {
    const std::uint64_t word = random();
    std::memcpy(value.data() + at, &word, std::min<std::size_t>(8, bytes - at));
  }
  return value;
}

std::vector<Octets> neighbours(const std::string& path, TableIndex table, std::size_t count,
                               const std::function<Octets(std::uint64_t)>& make) {
  layout::RegionHeader header{};
  std::ifstream(path, std::ios::binary).read(reinterpret_cast<char*>(&header), sizeof header);
  const auto& described = header.stores[0].tables[table];
  const Table as_described(nullptr, described.slot_count, described.key_bytes, described.value_bytes, header.hash_seed);
  constexpr std::uint64_t slots_shared = 8;
  std::vector<Octets> keys;
  for (std::uint64_t n = 0; keys.size() < count; ++n) {
    Octets key = make(n);
    if ((as_described.home(KeyWords(key)) & (described.slot_count - 1)) < slots_shared) {
      keys.push_back(std::move(key));
    }
  }
  return keys;
}

Status write(StoreWriter& writer, const Edits& edits) {
  if (edits.size() > 1) {
    if (auto begun = writer.begin(); !begun) { return begun; }
  }
  for (const Edit& edit : edits) {
    const auto done = edit.value ? writer.put(edit.table, edit.key, *edit.value) : writer.erase(edit.table, edit.key);
    if (!done) { return done.error(); }
  }
  if (edits.size() > 1) {
    if (auto committed = writer.commit(); !committed) { return committed.error(); }
  }
  return {};
}

Edits random_edits(std::mt19937_64& random, const Model& model, const Pools& pools, std::size_t most,
                   const std::vector<std::size_t>& room,
                   const std::function<std::size_t(TableIndex, std::uint64_t)>& bytes_of) {
  auto tables = model.tables;
  Edits edits;
  const std::size_t wanted = random() % 2 == 0 ? random() % most + 1 : 1;
  for (int tries = 0; edits.size() < wanted && tries < 1000; ++tries) {
    const auto table = static_cast<TableIndex>(random() % pools.size());
    if (pools[table].empty()) { continue; }
    const Octets& key = pools[table][random() % pools[table].size()];
    const bool used =
        std::ranges::any_of(edits, [&](const Edit& edit) { return edit.table == table && edit.key == key; });
    if (used) { continue; }
    const bool there = tables[table].contains(key);
    if (there && random() % 2 == 0) {
      edits.push_back({table, key, std::nullopt});
      tables[table].erase(key);
    } else if (there || tables[table].size() < room[table]) {
      const std::uint64_t seed = random();
      edits.push_back({table, key, value_bytes(bytes_of(table, seed), seed)});
      tables[table][key] = {};
    }
  }
  return edits;
}

std::optional<std::uint64_t> check_follower(JournalReader& follower, const Model& model, const Image& image,
                                            std::uint64_t end_max, std::size_t max_bytes, Violations& violations) {
  const std::uint64_t from = follower.position().value;
  const auto wrong = [&](const std::string& what) {
    violations.push_back("a follower behind " + std::to_string(from) + ": " + what);
    return std::nullopt;
  };
  auto chunk = follower.read(max_bytes);
  if (!chunk) { return wrong(chunk.error().message); }
  if (chunk->state == JournalReader::State::Nothing) {
    return from == model.committed ? std::nullopt : wrong("nothing follows");
  }
  if (chunk->state == JournalReader::State::Lapped) {
    const bool may = from < model.committed && !must_be_there(model.log[from].begin, end_max, image.ring_bytes);
    return may ? std::nullopt : wrong("lapped, and it cannot have been");
  }
  std::uint64_t sequence = from;
  bool same = true;
  const auto walked = for_each_entry(chunk->bytes, [&](const JournalEntry& entry) {
    const auto value = entry.op == JournalEntry::Op::Put ? std::optional(entry.value) : std::nullopt;
    same = same && entry.sequence.value == ++sequence && sequence <= model.committed &&
           model.log[sequence - 1].digest == digest_of(static_cast<TableIndex>(entry.table), entry.key, value);
  });
  if (!walked) { return wrong(walked.error().message); }
  if (!same) { return wrong("what never was"); }
  return sequence;
}

const Model* check_image(const std::string& path, const Model& before, const Model& then, const Image& image,
                         Violations& violations) {
  const auto note = [&](const std::string& what) {
    violations.push_back(what + "; before: " + text_of(before) + ", after: " + text_of(then));
  };
  auto region = Region::open(path, Access::ReadOnly);
  if (!region) {
    note(region.error().message);
    return nullptr;
  }
  const std::size_t known = violations.size();
  const Store store = region->store("state").value();
  const std::uint64_t committed = store.committed().value;
  if (committed != before.committed && committed != then.committed) {
    note("committed is " + std::to_string(committed));
    return nullptr;
  }
  const Model& found = committed == then.committed ? then : before;
  for (TableIndex table = 0; table < found.tables.size(); ++table) {
    check_scan(store, table, found, note);
    check_gets(store, table, image.pools[table], found, note);
    check_get_many(store, table, image.pools[table], found, note);
  }
  check_journal(store, found, then.end(), image, violations, note);
  if (store.purged_up_to().value < found.purged) { note("a deletion that a scan does not tell counts as told"); }
  return violations.size() == known ? &found : nullptr;
}

void check_next_writer(const std::string& path, const Model& found, const Edits& in_flight, const Image& image,
                       Violations& violations, const std::function<void(bool)>& taking_over) {
  auto region = Region::open(path, Access::ReadWrite);
  if (!region) { return violations.push_back(region.error().message); }
  if (taking_over) { taking_over(true); }
  auto writer = region->store("state").value().become_writer(Term{1000});
  if (taking_over) { taking_over(false); }
  if (!writer) { return violations.push_back("next writer: " + writer.error().message); }
  if (writer->store().purged_up_to() > writer->committed()) {
    return violations.push_back("a deletion that was taken back counts as purged");
  }
  const auto& tables = writer->store().schema().tables;
  Model model = found;
  std::vector<Edits> more;
  for (auto edit = in_flight.rbegin(); edit != in_flight.rend(); ++edit) {
    if (model.tables[edit->table].contains(edit->key)) { more.push_back({{edit->table, edit->key, std::nullopt}}); }
    const bool blob = tables[edit->table].kind == TableKind::Blob;
    const std::size_t bytes = blob ? 9 : tables[edit->table].value_bytes;
    more.push_back({{edit->table, edit->key, value_bytes(bytes, edit->key.size() + 1)}});
  }
  Edits together;  // a change of each table
  for (TableIndex table = 0; table < tables.size(); ++table) {
    if (in_flight.empty()) {
      const bool can = tables[table].can_grow();
      if (auto done = can ? writer->rebuild(table) : Status(); !done) {
        return violations.push_back("next writer: " + done.error().message);
      }
    }
    if (image.pools[table].empty()) { continue; }
    const Octets& key = image.pools[table].back();
    const std::size_t bytes = tables[table].kind == TableKind::Blob ? 1 : tables[table].value_bytes;
    together.push_back({table, key, value_bytes(bytes, 4711)});
  }
  more.push_back(together);
  for (const Edits& edits : more) {
    const bool fits = std::ranges::all_of(edits, [&](const Edit& edit) {
      const auto& records = model.tables[edit.table];
      return !edit.value || records.contains(edit.key) || records.size() < writer->store().capacity(edit.table);
    });
    if (!fits) { continue; }
    if (auto done = write(*writer, edits); !done) {
      return violations.push_back("next writer: " + done.error().message);
    }
    model = model.after(edits);
    if (taking_over && check_image(path, model, model, image, violations) == nullptr) { break; }
  }
  if (check_image(path, model, model, image, violations) == nullptr) {
    violations.push_back("... after the next writer wrote");
  }
}

}  // namespace understudy::shm::crash
