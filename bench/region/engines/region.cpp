// SPDX-License-Identifier: Apache-2.0
/// The region itself: one store, one table, the journal included.
#include <unistd.h>

#include <array>

#include "engine.hpp"
#include "stopwatch.hpp"
#include "understudy/shm/layout.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::bench {
namespace {

constexpr std::uint64_t journal_bytes = 64 << 20;
constexpr std::size_t chunk_bytes = 1 << 20;  // of one look at the journal

template <class T>
T checked(Result<T> result) {
  if (!result) { throw std::runtime_error("region: " + result.error().message); }
  return std::move(result).value();
}

void checked(const Status& status) {
  if (!status) { throw std::runtime_error("region: " + status.error().message); }
}

/// With room for a few more: in a full table each put of a transaction has to be looked at when it is made, too.
shm::RegionSchema schema_of(const EngineSettings& settings) {
  const auto key_bytes = static_cast<std::uint32_t>(settings.key_bytes);
  const std::uint64_t capacity = settings.records + 2 * batch;
  return {{{"bench", {{"records", key_bytes, std::uint32_t{value_bytes}, capacity}}, journal_bytes}}};
}

class RegionEngine final : public Engine {
 public:
  explicit RegionEngine(const EngineSettings& settings)
      : settings_(settings),
        schema_(schema_of(settings)),
        region_(checked(shm::Region::create(settings.path, checked(shm::Region::size_needed(schema_)), schema_))),
        store_(checked(region_.store("bench"))),
        writer_(checked(store_.become_writer(Term{1}))) {}
  ~RegionEngine() override { ::unlink(settings_.path.c_str()); }

  void insert(const Stretch& stretch) override { update(stretch); }
  void update(const Stretch& stretch) override {
    stretch.for_each([this](Bytes key, Bytes value) {
      if (auto done = writer_.put(0, key, value); !done) [[unlikely]] { checked(std::move(done)); }
    });
  }
  void put_many(const Stretch& stretch) override {
    stretch.in_batches([this](const Stretch& part) {
      checked(writer_.put_many(0, part.work.keys(part.first, part.count), part.work.values(part.first, part.count)));
    });
  }
  void update_batched(const Stretch& stretch) override {
    stretch.in_batches([this](const Stretch& part) {
      checked(writer_.begin());
      part.for_each([this](Bytes key, Bytes value) {
        // A key that was picked twice belongs into the next transaction: each key once is the rule.
        if (auto done = writer_.put(0, key, value); !done) [[unlikely]] {
          checked(writer_.commit());
          checked(writer_.begin());
          checked(writer_.put(0, key, value));
        }
      });
      checked(writer_.commit());
    });
  }
  void churn(const Stretch& old, const Stretch& fresh) override {
    old.for_each_beside(fresh, [this](Bytes gone, Bytes key, Bytes value) {
      if (auto done = writer_.erase(0, gone); !done) [[unlikely]] { checked(std::move(done)); }
      if (auto done = writer_.put(0, key, value); !done) [[unlikely]] { checked(std::move(done)); }
    });
  }
  std::size_t get(const Stretch& stretch) override {
    std::size_t found = 0;
    std::array<std::byte, value_bytes> held{};
    for (std::size_t i = stretch.first; i < stretch.first + stretch.count; ++i) {
      const Bytes key = stretch.work.key(i);
      found += std::size_t{store_.get(0, key, held) && belongs(key, held)};
    }
    return found;
  }
  std::size_t get_batched(const Stretch& stretch) override {
    std::size_t right = 0;
    std::array<std::byte, batch * value_bytes> held{};
    std::array<std::uint8_t, batch> found{};
    stretch.in_batches([&](const Stretch& part) {
      checked(store_.get_many(0, part.work.keys(part.first, part.count),
                              std::span(held).first(part.count * value_bytes), std::span(found).first(part.count)));
      for (std::size_t i = 0; i < part.count; ++i) {
        right +=
            std::size_t{found[i] != 0 && belongs(part.work.key(part.first + i), Bytes(held).subspan(i * value_bytes))};
      }
    });
    return right;
  }
  std::size_t scan() override {
    std::size_t records = 0;
    checked(store_.scan(0, Sequence{0}, [&](const shm::Store::Record& record) {
      records += std::size_t{belongs(record.key, record.value)};
      return true;
    }));
    return records;
  }
  bool attach(Bytes key, double& seconds) override {
    const Stopwatch watch;
    std::array<std::byte, value_bytes> held{};
    const auto region = checked(shm::Region::open(settings_.path, shm::Access::ReadOnly));
    const bool found = checked(region.store("bench")).get(0, key, held).ok() && belongs(key, held);
    seconds = watch.seconds();
    return found;
  }
  std::size_t journal_read(std::size_t bytes, double& seconds) override {
    const std::uint64_t entries = bytes / shm::layout::entry_bytes(settings_.key_bytes, value_bytes);
    const std::uint64_t committed = store_.committed().value;
    shm::JournalReader reader(store_, Sequence{committed - std::min(committed, entries)});
    const Stopwatch watch;
    std::size_t read = 0;
    for (;;) {
      const auto chunk = checked(reader.read(chunk_bytes));
      if (chunk.state == shm::JournalReader::State::Lapped) { throw std::runtime_error("region: lapped at rest"); }
      if (chunk.state == shm::JournalReader::State::Nothing) { break; }
      read += chunk.bytes.size();
    }
    seconds = watch.seconds();
    return read;
  }
  [[nodiscard]] Memory memory() const override {
    const auto& table = schema_.stores[0].tables[0];
    const auto slots = shm::layout::slots_for(table.capacity);
    const auto slot_bytes = 8 * shm::layout::slot_words(table.key_bytes, table.value_bytes);
    return {static_cast<double>(slots * slot_bytes), static_cast<double>(checked(shm::Region::size_needed(schema_)))};
  }

 private:
  EngineSettings settings_;
  shm::RegionSchema schema_;
  shm::Region region_;
  shm::Store store_;
  shm::StoreWriter writer_;
};

}  // namespace

std::unique_ptr<Engine> make_region(const EngineSettings& settings) { return std::make_unique<RegionEngine>(settings); }

}  // namespace understudy::bench
