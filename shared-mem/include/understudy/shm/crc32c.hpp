// SPDX-License-Identifier: Apache-2.0
#pragma once
/// CRC-32C (Castagnoli), with the processor's instruction where there is one.

#include <cstddef>
#include <cstdint>
#include <span>

namespace understudy::shm {

/// `so_far` is the result over the bytes before, 0 at the start.
[[nodiscard]] std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t so_far = 0);

/// Of a journal entry (layout.hpp): whole words, at least 16 bytes, and those of its own checksum, 8 to 11, taken as 0.
[[nodiscard]] std::uint32_t crc32c_of_entry(std::span<const std::byte> entry);

/// crc32c() without the instruction; for processors that lack it, and to check the other one against.
[[nodiscard]] std::uint32_t crc32c_by_table(std::span<const std::byte> bytes, std::uint32_t so_far = 0);

/// Has this processor the instruction?
extern const bool crc32c_has_instruction;

}  // namespace understudy::shm
