// SPDX-License-Identifier: Apache-2.0
/// What one would build from Boost.Interprocess: an unordered map in shared memory under an interprocess_mutex. A death
/// that holds the mutex locks it for ever; nothing of it can be followed by a mirror.
#include <unistd.h>

#include <boost/interprocess/allocators/allocator.hpp>
#include <boost/interprocess/managed_mapped_file.hpp>
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <boost/interprocess/sync/scoped_lock.hpp>
#include <boost/unordered_map.hpp>

#include "engine.hpp"
#include "fixed_key.hpp"
#include "stopwatch.hpp"

namespace understudy::bench {
namespace {

namespace bip = boost::interprocess;

/// Room enough for its nodes; the file is sparse, so what is not used is not taken.
std::size_t segment_bytes(std::size_t records) { return records * 160 + (16 << 20); }

template <std::size_t Words>
class Interprocess final : public Engine {
  using Key = FixedKey<Words>;
  using Segment = bip::managed_mapped_file;
  using Allocator = bip::allocator<std::pair<const Key, FixedValue>, Segment::segment_manager>;
  using Map = boost::unordered_map<Key, FixedValue, FixedHash<Words>, std::equal_to<>, Allocator>;
  using Lock = bip::scoped_lock<bip::interprocess_mutex>;

 public:
  explicit Interprocess(const EngineSettings& settings)
      : path_(settings.path),
        segment_(bip::create_only, path_.c_str(), segment_bytes(settings.records)),
        mutex_(*segment_.construct<bip::interprocess_mutex>("mutex")()),
        map_(*segment_.construct<Map>("map")(settings.records, FixedHash<Words>(), std::equal_to<>(),
                                             Allocator(segment_.get_segment_manager()))) {}
  ~Interprocess() override { ::unlink(path_.c_str()); }

  void insert(const Stretch& stretch) override { update(stretch); }
  void update(const Stretch& stretch) override {
    stretch.for_each([this](Bytes key, Bytes value) {
      const Lock lock(mutex_);
      map_.insert_or_assign(fixed<Key>(key), fixed<FixedValue>(value));
    });
  }
  void update_batched(const Stretch& stretch) override {
    stretch.in_batches([this](const Stretch& part) {
      const Lock lock(mutex_);
      part.for_each(
          [this](Bytes key, Bytes value) { map_.insert_or_assign(fixed<Key>(key), fixed<FixedValue>(value)); });
    });
  }
  void churn(const Stretch& old, const Stretch& fresh) override {
    old.for_each_beside(fresh, [this](Bytes gone, Bytes key, Bytes value) {
      {
        const Lock lock(mutex_);
        map_.erase(fixed<Key>(gone));
      }
      const Lock lock(mutex_);
      map_.insert_or_assign(fixed<Key>(key), fixed<FixedValue>(value));
    });
  }
  std::size_t get(const Stretch& stretch) override {
    std::size_t found = 0;
    for (std::size_t i = stretch.first; i < stretch.first + stretch.count; ++i) {
      const Lock lock(mutex_);
      found += look(map_, fixed<Key>(stretch.work.key(i)));
    }
    return found;
  }
  std::size_t get_batched(const Stretch& stretch) override {
    std::size_t found = 0;
    stretch.in_batches([&](const Stretch& part) {
      const Lock lock(mutex_);
      for (std::size_t i = part.first; i < part.first + part.count; ++i) {
        found += look(map_, fixed<Key>(part.work.key(i)));
      }
    });
    return found;
  }
  std::size_t scan() override {
    const Lock lock(mutex_);
    std::size_t records = 0;
    for (const auto& [key, value] : map_) { records += std::size_t{key[0] == value[0]}; }
    return records;
  }
  bool attach(Bytes key, double& seconds) override {
    const Stopwatch watch;
    Segment segment(bip::open_only, path_.c_str());
    auto* mutex = segment.find<bip::interprocess_mutex>("mutex").first;
    auto* map = segment.find<Map>("map").first;
    if (mutex == nullptr || map == nullptr) { throw std::runtime_error("interprocess: the map is not there"); }
    const Lock lock(*mutex);
    const bool found = look(*map, fixed<Key>(key)) == 1;
    seconds = watch.seconds();
    return found;
  }
  [[nodiscard]] Memory memory() const override {
    return {static_cast<double>(segment_.get_size() - segment_.get_free_memory()), 0};
  }

 private:
  static std::size_t look(const Map& map, const Key& key) {
    const auto at = map.find(key);
    if (at == map.end()) { return 0; }
    const FixedValue held = at->second;
    return held[0] == key[0] ? 1 : 0;
  }

  std::string path_;
  Segment segment_;
  bip::interprocess_mutex& mutex_;
  Map& map_;
};

}  // namespace

std::unique_ptr<Engine> make_interprocess(const EngineSettings& settings) {
  ::unlink(settings.path.c_str());
  if (settings.key_bytes == 8) { return std::make_unique<Interprocess<1>>(settings); }
  return std::make_unique<Interprocess<2>>(settings);
}

}  // namespace understudy::bench
