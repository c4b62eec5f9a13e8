// SPDX-License-Identifier: Apache-2.0
/// Regions: made in a new file (new_file.hpp), or formatted where memory is.
///
/// Order of the formatting: the old magic goes first, then everything is zeroed and described, the new magic comes
/// last. A file gets its name only after that.
#include <sys/random.h>

#include <bit>

#include "new_file.hpp"
#include "opening.hpp"

namespace understudy::shm {
namespace {

Result<RegionPlan> checked_plan(const RegionSchema& schema, std::uint64_t size_bytes) {
  if (auto checked = check_schema(schema); !checked) { return checked.error(); }
  auto plan = plan_region(schema);
  if (!plan) { return plan.error(); }
  if (auto checked = check_size(size_bytes, *plan); !checked) { return checked.error(); }
  return plan;
}

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  if (::getrandom(&seed, sizeof seed, 0) != sizeof seed) { seed = 0x5bd1e9955bd1e995; }
  return seed | 1;
}

/// Writes an empty region. `zeroed`: the memory is known to be zero.
void write_empty(std::byte* memory, const RegionSchema& schema, const RegionPlan& plan, std::uint64_t size_bytes,
                 bool zeroed) {
  auto* first = reinterpret_cast<Word*>(memory);
  words::invalidate(first, 0);
  if (!zeroed) {
    for (std::uint64_t word = 1; word < plan.bytes / 8; ++word) { words::store(first + word, 0); }
  }
  for (const auto& store : plan.stores) {
    auto* control = reinterpret_cast<layout::StoreControl*>(memory + store.control_offset);
    words::store(&control->commit.ends[1].sequence, layout::invalid_sequence);
  }
  const auto header = describe(schema, plan, size_bytes, random_seed());
  words::store_bytes(first + 1, std::as_bytes(std::span(&header, 1)).subspan(sizeof(Word)));
  words::publish(first, layout::region_magic);
}

Opened format_source(const Source& source, std::uint64_t size_bytes, const RegionSchema& schema, bool zeroed) {
  auto plan = checked_plan(schema, size_bytes);
  if (!plan) { return {RegionState::Unreadable, nullptr, plan.error()}; }
  if (auto size = size_to_map(source); !size) { return {RegionState::Unreadable, nullptr, size.error()}; }
  {
    auto mapping = map_source(source, Access::ReadWrite, size_bytes);
    if (!mapping) { return {RegionState::Unreadable, nullptr, mapping.error()}; }
    write_empty((*mapping)->address(), schema, *plan, size_bytes, zeroed);
  }
  return open_checked(source, Access::ReadWrite, {});
}

Opened create_file(const std::string& path, std::uint64_t size_bytes, const RegionSchema& schema, std::uint64_t offset,
                   Existing existing) {
  const auto refused = [](const Error& error) { return Opened{RegionState::Unreadable, nullptr, error}; };
  if (auto plan = checked_plan(schema, size_bytes); !plan) { return refused(plan.error()); }
  auto file = NewFile::allocate(path, offset + size_bytes);
  if (!file) { return refused(file.error()); }
  auto source = open_source(file->fd(), Access::ReadWrite, size_bytes, offset);
  if (!source) { return refused(source.error()); }
  source->name = path;
  auto made = format_source(*source, size_bytes, schema, true);
  if (made.state != RegionState::Good) { return made; }
  if (auto named = file->give_name(existing); !named) { return refused(named.error()); }
  made.impl->mapping->prefault();
  return made;
}

}  // namespace

Result<Region> Region::create(const std::string& path, std::uint64_t size_bytes, const RegionSchema& schema,
                              std::uint64_t offset) {
  const auto made = create_file(path, size_bytes, schema, offset, Existing::Replaced);
  return handed_out(made.impl, made.error);
}

Result<Region> Region::create_new(const std::string& path, std::uint64_t size_bytes, const RegionSchema& schema,
                                  std::uint64_t offset) {
  const auto made = create_file(path, size_bytes, schema, offset, Existing::Stays);
  return handed_out(made.impl, made.error);
}

Result<Region> Region::format(const std::string& path, std::uint64_t size_bytes, const RegionSchema& schema,
                              std::uint64_t offset) {
  if (auto plan = checked_plan(schema, size_bytes); !plan) { return plan.error(); }
  auto source = open_source(path, Access::ReadWrite, size_bytes, offset);
  if (!source) { return source.error(); }
  const auto made = format_source(*source, size_bytes, schema, false);
  return handed_out(made.impl, made.error);
}

Result<Region> Region::format(int fd, std::uint64_t size_bytes, const RegionSchema& schema, std::uint64_t offset) {
  if (auto plan = checked_plan(schema, size_bytes); !plan) { return plan.error(); }
  auto source = open_source(fd, Access::ReadWrite, size_bytes, offset);
  if (!source) { return source.error(); }
  const auto made = format_source(*source, size_bytes, schema, false);
  return handed_out(made.impl, made.error);
}

}  // namespace understudy::shm
