// SPDX-License-Identifier: Apache-2.0
/// The limit: a map in the memory of this process. It keeps nothing for another process, a mirror or after a death.
#include <boost/unordered/unordered_flat_map.hpp>
#include <new>

#include "engine.hpp"
#include "fixed_key.hpp"

namespace understudy::bench {
namespace {

/// Counts what the map takes.
template <class T>
struct CountingAllocator {
  using value_type = T;
  std::size_t* taken;
  explicit CountingAllocator(std::size_t* counter) : taken(counter) {}
  template <class U>
  CountingAllocator(const CountingAllocator<U>& other) : taken(other.taken) {}  // NOLINT(google-explicit-constructor)
  T* allocate(std::size_t count) {
    *taken += count * sizeof(T);
    return static_cast<T*>(::operator new(count * sizeof(T)));
  }
  void deallocate(T* at, std::size_t count) {
    *taken -= count * sizeof(T);
    ::operator delete(at);
  }
  bool operator==(const CountingAllocator&) const = default;
};

template <std::size_t Words>
class FlatMap final : public Engine {
  using Key = FixedKey<Words>;
  using Map = boost::unordered_flat_map<Key, FixedValue, FixedHash<Words>, std::equal_to<>,
                                        CountingAllocator<std::pair<const Key, FixedValue>>>;

 public:
  /// Sized for its records from the start, as a table of the region is.
  explicit FlatMap(const EngineSettings& settings)
      : map_(settings.records, FixedHash<Words>(), std::equal_to<>(),
             CountingAllocator<std::pair<const Key, FixedValue>>(&taken_)) {}

  void insert(const Stretch& stretch) override { update(stretch); }
  void update(const Stretch& stretch) override {
    stretch.for_each(
        [this](Bytes key, Bytes value) { map_.insert_or_assign(fixed<Key>(key), fixed<FixedValue>(value)); });
  }
  void update_batched(const Stretch& stretch) override { update(stretch); }
  void churn(const Stretch& old, const Stretch& fresh) override {
    old.for_each_beside(fresh, [this](Bytes gone, Bytes key, Bytes value) {
      map_.erase(fixed<Key>(gone));
      map_.insert_or_assign(fixed<Key>(key), fixed<FixedValue>(value));
    });
  }
  std::size_t get(const Stretch& stretch) override {
    std::size_t found = 0;
    FixedValue held{};
    for (std::size_t i = stretch.first; i < stretch.first + stretch.count; ++i) {
      const auto key = fixed<Key>(stretch.work.key(i));
      const auto at = map_.find(key);
      if (at == map_.end()) { continue; }
      held = at->second;
      found += std::size_t{held[0] == key[0]};
    }
    return found;
  }
  std::size_t get_batched(const Stretch& stretch) override { return get(stretch); }
  std::size_t scan() override {
    std::size_t records = 0;
    for (const auto& [key, value] : map_) { records += std::size_t{key[0] == value[0]}; }
    return records;
  }
  [[nodiscard]] Memory memory() const override { return {static_cast<double>(taken_), 0}; }

 private:
  std::size_t taken_ = 0;
  Map map_;
};

}  // namespace

std::unique_ptr<Engine> make_flat_map(const EngineSettings& settings) {
  if (settings.key_bytes == 8) { return std::make_unique<FlatMap<1>>(settings); }
  return std::make_unique<FlatMap<2>>(settings);
}

}  // namespace understudy::bench
