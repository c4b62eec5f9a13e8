// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The guest's view of a region: bytes, into which it may write anything at any moment.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>

namespace understudy::shm::hostile {

class Scribbler {
 public:
  Scribbler(const std::string& path, std::uint64_t bytes) : size_(bytes) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ::close(fd);
    if (at == MAP_FAILED) { std::abort(); }
    bytes_ = static_cast<std::uint8_t*>(at);
  }
  ~Scribbler() { ::munmap(bytes_, size_); }
  Scribbler(const Scribbler&) = delete;
  Scribbler& operator=(const Scribbler&) = delete;

  [[nodiscard]] std::uint8_t* bytes() const { return bytes_; }

  /// One word or byte between `first` and `last`.
  void scribble(std::mt19937_64& random, std::uint64_t first, std::uint64_t last) {
    const std::uint64_t at = (first + random() % (last - first)) & ~std::uint64_t{7};
    static constexpr std::uint64_t nasty[] = {0,          1,   3, ~0ULL, ~0ULL - 1, 1ULL << 63, (1ULL << 62) - 1,
                                              0x7fffffff, 4096};
    const std::uint64_t value = random() % 2 == 0 ? nasty[random() % std::size(nasty)] : random();
    switch (random() % 3) {
      case 0:
        __atomic_store_n(reinterpret_cast<std::uint64_t*>(bytes_ + at), value, __ATOMIC_RELAXED);
        break;
      case 1:
        __atomic_store_n(bytes_ + at + random() % 8, static_cast<std::uint8_t>(random()), __ATOMIC_RELAXED);
        break;
      default:
        __atomic_fetch_add(reinterpret_cast<std::uint64_t*>(bytes_ + at), value & 0xff, __ATOMIC_RELAXED);
    }
  }

 private:
  std::uint64_t size_;
  std::uint8_t* bytes_ = nullptr;
};

}  // namespace understudy::shm::hostile
