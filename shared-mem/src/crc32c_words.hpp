// SPDX-License-Identifier: Apache-2.0
#pragma once
/// CRC-32C over 8-byte words that pass by one after the other, for whoever copies them anyway.

#include <cstdint>
#include <span>

#include "understudy/shm/crc32c.hpp"
#include "words.hpp"

namespace understudy::shm {

/// With the processor's instruction (SSE4.2; Intel 64 and IA-32 Manual, volume 2, CRC32). As an instruction and not an
/// intrinsic, so that it can be inlined into code for every processor; ask crc32c_has_instruction first.
#if defined(__x86_64__)
class CrcByInstruction {
 public:
  void add(Word word) { asm("crc32q %1, %0" : "+r"(crc_) : "rm"(word)); }
  [[nodiscard]] std::uint32_t result() const { return ~static_cast<std::uint32_t>(crc_); }

 private:
  std::uint64_t crc_ = 0xffffffff;
};
#endif

class CrcByTable {
 public:
  void add(Word word) { crc_ = crc32c_by_table(std::as_bytes(std::span(&word, 1)), crc_); }
  [[nodiscard]] std::uint32_t result() const { return crc_; }

 private:
  std::uint32_t crc_ = 0;
};

}  // namespace understudy::shm
