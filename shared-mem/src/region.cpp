// SPDX-License-Identifier: Apache-2.0
/// Regions: made, found, checked. What is mapped, and from what, is in mapping.cpp.
///
/// Order of the formatting: the old magic goes first, then everything is zeroed and described, the new magic comes
/// last. A region file of create() gets its name only after that, so a name always leads to a whole region.
#include "understudy/shm/region.hpp"

#include <sys/random.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "mapping.hpp"
#include "region_impl.hpp"

namespace understudy::shm {
namespace {

Status check_size(std::uint64_t size_bytes, const RegionPlan& plan) {
  if (!std::has_single_bit(size_bytes) || size_bytes < layout::region_bytes_min) {
    return failure("region size " + std::to_string(size_bytes) + " is not a power of two of 1 MiB or more",
                   Errc::BadInput);
  }
  if (plan.bytes > size_bytes) {
    return failure(
        "the schema needs " + std::to_string(plan.bytes) + " bytes, the region has " + std::to_string(size_bytes),
        Errc::BadInput);
  }
  return {};
}

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

/// What opening found; `impl` when it is Good.
struct Opened {
  RegionState state = RegionState::Damaged;
  std::shared_ptr<Region_impl> impl;
  Error error;
};

Opened refused(RegionState state, std::string message, Errc code = Errc::Damaged) {
  return {state, nullptr, failure(std::move(message), code)};
}

/// A store written last by an owner before the one that the caller knows.
std::optional<std::string> stale_store(const Region_impl& region, Term lowest) {
  for (std::size_t s = 0; s < region.plan.stores.size(); ++s) {
    const auto* control =
        reinterpret_cast<const layout::StoreControl*>(region.mapping->address() + region.plan.stores[s].control_offset);
    const std::uint64_t term = words::load_acquire(&control->writer.term);
    if (term < lowest.value) {
      return "store \"" + region.schema.stores[s].name + "\" was last written under term " + std::to_string(term) +
             ", and " + std::to_string(lowest.value) + " is the lowest to accept";
    }
  }
  return std::nullopt;
}

Opened open_checked(const Source& source, Access access, const Wanted& wanted) {
  const auto& path = source.name;
  auto size = size_to_map(source);
  if (!size) {
    return {size.error().code == Errc::Damaged ? RegionState::Damaged : RegionState::Absent, nullptr, size.error()};
  }
  if (*size < layout::region_bytes_min) {
    return refused(RegionState::Foreign, path + " is foreign: it is smaller than any region");
  }
  auto mapping = map_source(source, access, *size);
  if (!mapping) { return {RegionState::Absent, nullptr, mapping.error()}; }

  layout::RegionHeader header;
  words::load_bytes(std::as_writable_bytes(std::span(&header, 1)),
                    reinterpret_cast<const Word*>((*mapping)->address()));
  if (header.magic != layout::region_magic) {
    return refused(RegionState::Foreign, path + " is foreign: it does not begin as a region does");
  }
  if (header.layout_version != layout::layout_version) {
    return refused(RegionState::OtherLayoutVersion, path + " has layout version " +
                                                        std::to_string(header.layout_version) + ", not " +
                                                        std::to_string(layout::layout_version));
  }
  if (header.header_bytes != sizeof header || description_checksum(header) != header.description_crc32c) {
    return refused(RegionState::Damaged, path + " is damaged: the checksum of its description does not fit");
  }
  auto schema = read_schema(header);
  if (!schema) {
    return refused(RegionState::OtherSchema,
                   path + " has a schema that no program of this version writes: " + schema.error().message);
  }
  auto plan = plan_region(*schema);
  if (!plan || header.region_bytes > *size || !check_size(header.region_bytes, *plan)) {
    return refused(RegionState::Damaged, path + " is damaged: it has " + std::to_string(*size) +
                                             " bytes and describes " + std::to_string(header.region_bytes));
  }
  auto impl = std::make_shared<Region_impl>();
  *impl = {path, access, std::move(*schema), std::move(*plan), header.hash_seed, std::move(*mapping)};
  if (wanted.schema && *wanted.schema != impl->schema) {
    return refused(RegionState::OtherSchema, path + " has another schema than the one that is wanted");
  }
  if (const auto stale = stale_store(*impl, wanted.lowest_term)) {
    return refused(RegionState::StaleTerm, path + " is stale: " + *stale, Errc::Refused);
  }
  return {RegionState::Good, std::move(impl), {}};
}

/// A source that could not be opened is absent, one that may not be a region's memory is something else's.
Opened no_source(const Error& error) {
  return {error.code == Errc::Refused ? RegionState::Foreign : RegionState::Absent, nullptr, error};
}

Opened open_named(const std::string& path, Access access, std::optional<std::uint64_t> size_bytes, std::uint64_t offset,
                  const Wanted& wanted) {
  auto source = open_source(path, access, size_bytes, offset);
  if (!source) { return no_source(source.error()); }
  return open_checked(*source, access, wanted);
}

Opened open_described(int fd, Access access, std::optional<std::uint64_t> size_bytes, std::uint64_t offset,
                      const Wanted& wanted) {
  auto source = open_source(fd, access, size_bytes, offset);
  if (!source) { return no_source(source.error()); }
  return open_checked(*source, access, wanted);
}

Opened format_source(const Source& source, std::uint64_t size_bytes, const RegionSchema& schema, bool zeroed) {
  auto plan = checked_plan(schema, size_bytes);
  if (!plan) { return {RegionState::Absent, nullptr, plan.error()}; }
  if (auto size = size_to_map(source); !size) { return {RegionState::Absent, nullptr, size.error()}; }
  {
    auto mapping = map_source(source, Access::ReadWrite, size_bytes);
    if (!mapping) { return {RegionState::Absent, nullptr, mapping.error()}; }
    write_empty((*mapping)->address(), schema, *plan, size_bytes, zeroed);
  }
  return open_checked(source, Access::ReadWrite, {});
}

}  // namespace

Result<Region> Region::handed_out(std::shared_ptr<Region_impl> impl, const Error& error) {
  if (!impl) { return error; }
  return Region(std::move(impl));
}

namespace {
/// What a process that was killed in create() has left holds its whole memory. One that still works there fails, and
/// says so: two that create the same region at once are a mistake of their own.
void remove_unfinished(const std::string& path) {
  const std::filesystem::path region(path);
  const std::string begin = region.filename().string() + ".new.";
  const auto folder = region.has_parent_path() ? region.parent_path() : std::filesystem::path(".");
  std::error_code ignored;
  for (const auto& found : std::filesystem::directory_iterator(folder, ignored)) {
    if (found.path().filename().string().starts_with(begin)) { ::unlink(found.path().c_str()); }
  }
}
}  // namespace

Result<Region> Region::create(const std::string& path, std::uint64_t size_bytes, const RegionSchema& schema,
                              std::uint64_t offset) {
  if (auto plan = checked_plan(schema, size_bytes); !plan) { return plan.error(); }
  const std::string unnamed = path + ".new." + std::to_string(::getpid());
  remove_unfinished(path);
  if (auto allocated = allocate_file(unnamed, offset + size_bytes); !allocated) { return allocated.error(); }
  auto source = open_source(unnamed, Access::ReadWrite, size_bytes, offset);
  if (!source) {
    ::unlink(unnamed.c_str());
    return source.error();
  }
  if (const auto made = format_source(*source, size_bytes, schema, true); made.state != RegionState::Good) {
    ::unlink(unnamed.c_str());
    return made.error;
  }
  if (::rename(unnamed.c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::unlink(unnamed.c_str());
    return failure("cannot name the new region " + path + ": " + std::strerror(error));
  }
  auto region = open(path, Access::ReadWrite, size_bytes, offset);
  if (region) { region->prefault(); }
  return region;
}

void Region::prefault() const { impl_->mapping->prefault(); }

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

Result<Region> Region::open(const std::string& path, Access access, std::optional<std::uint64_t> size_bytes,
                            std::uint64_t offset, const Wanted& wanted) {
  const auto opened = open_named(path, access, size_bytes, offset, wanted);
  return handed_out(opened.impl, opened.error);
}

Result<Region> Region::open(int fd, Access access, std::optional<std::uint64_t> size_bytes, std::uint64_t offset,
                            const Wanted& wanted) {
  const auto opened = open_described(fd, access, size_bytes, offset, wanted);
  return handed_out(opened.impl, opened.error);
}

RegionState Region::inspect(const std::string& path, std::optional<std::uint64_t> size_bytes, std::uint64_t offset,
                            const Wanted& wanted) {
  return open_named(path, Access::ReadOnly, size_bytes, offset, wanted).state;
}

Result<std::uint64_t> Region::size_needed(const RegionSchema& schema) {
  if (auto checked = check_schema(schema); !checked) { return checked.error(); }
  auto plan = plan_region(schema);
  if (!plan) { return plan.error(); }
  return std::max(std::bit_ceil(plan->bytes), layout::region_bytes_min);
}

RegionSchema Region::schema() const { return impl_->schema; }
const std::string& Region::path() const { return impl_->path; }

Result<Store> Region::store(const std::string& name) const {
  for (std::size_t s = 0; s < impl_->schema.stores.size(); ++s) {
    const auto& schema = impl_->schema.stores[s];
    if (schema.name != name) { continue; }
    const auto& plan = impl_->plan.stores[s];
    std::byte* base = impl_->mapping->address();
    auto store = std::make_shared<Store::Impl>();
    store->region = impl_;
    store->index = s;
    store->control = reinterpret_cast<layout::StoreControl*>(base + plan.control_offset);
    store->journal = Journal(store->control, reinterpret_cast<Word*>(base + plan.journal_offset), schema.journal_bytes);
    for (std::size_t t = 0; t < schema.tables.size(); ++t) {
      const auto& table = schema.tables[t];
      const auto& placed = plan.tables[t];
      store->tables.emplace_back(reinterpret_cast<Word*>(base + placed.slots_offset), placed.slot_count,
                                 table.key_bytes, table.value_bytes, impl_->hash_seed, table.kind);
      store->larger.emplace_back(reinterpret_cast<Word*>(base + placed.grown_slots_offset), placed.grown_slot_count,
                                 table.key_bytes, table.value_bytes, impl_->hash_seed, table.kind);
      store->small |= std::uint32_t{store->tables.back().is_small()} << t;
      store->growable |= table.can_grow() ? 1U << t : 0U;
      store->slabs.emplace_back(reinterpret_cast<Word*>(base + placed.slabs_offset), placed.slab_count,
                                placed.slab_bytes, table.value_bytes);
    }
    if (schema.arena_bytes != 0) {
      const TableIndex pages = Store(store).table(arena_table_name).value();  // check_schema() saw it
      store->live.emplace(store->control->arena, reinterpret_cast<Word*>(base + plan.arena_offset), pages,
                          store->tables[pages]);
    }
    return Store(std::move(store));
  }
  return failure("region " + impl_->path + " has no store \"" + name + "\"", Errc::NotFound);
}

}  // namespace understudy::shm
