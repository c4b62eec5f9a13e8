// SPDX-License-Identifier: Apache-2.0
/// Regions: found and checked. What is mapped, and from what, is in mapping.cpp; how they are made in creating.cpp.
///
/// Absent is only what has no name: whoever makes a region when it is absent would replace one that could not be looked
/// at (a permission, the last descriptor, address space), and with it what it holds. That is Unreadable.
#include "understudy/shm/region.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "opening.hpp"

namespace understudy::shm {

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

namespace {

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

}  // namespace

Opened open_checked(const Source& source, Access access, const Wanted& wanted) {
  const auto& path = source.name;
  auto size = size_to_map(source);
  if (!size) {
    return {size.error().code == Errc::Damaged ? RegionState::Damaged : RegionState::Unreadable, nullptr, size.error()};
  }
  if (*size < layout::region_bytes_min) {
    return refused(RegionState::Foreign, path + " is foreign: it is smaller than any region");
  }
  auto mapping = map_source(source, access, *size);
  if (!mapping) { return {RegionState::Unreadable, nullptr, mapping.error()}; }

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

namespace {

/// Memory that may not be a region's is something else's.
Opened no_source(const Error& error) {
  switch (error.code) {
    case Errc::NotFound:
      return {RegionState::Absent, nullptr, error};
    case Errc::Refused:
      return {RegionState::Foreign, nullptr, error};
    default:
      return {RegionState::Unreadable, nullptr, error};
  }
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

}  // namespace

Result<Region> Region::handed_out(std::shared_ptr<Region_impl> impl, const Error& error) {
  if (!impl) { return error; }
  return Region(std::move(impl));
}

void Region::prefault() const { impl_->mapping->prefault(); }

Result<Region> Region::open(const std::string& path, Access access, std::optional<std::uint64_t> size_bytes,
                            std::uint64_t offset, const Wanted& wanted, RegionState* found) {
  const auto opened = open_named(path, access, size_bytes, offset, wanted);
  if (found != nullptr) { *found = opened.state; }
  return handed_out(opened.impl, opened.error);
}

Result<Region> Region::open(int fd, Access access, std::optional<std::uint64_t> size_bytes, std::uint64_t offset,
                            const Wanted& wanted, RegionState* found) {
  const auto opened = open_described(fd, access, size_bytes, offset, wanted);
  if (found != nullptr) { *found = opened.state; }
  return handed_out(opened.impl, opened.error);
}

RegionState Region::inspect(const std::string& path, std::optional<std::uint64_t> size_bytes, std::uint64_t offset,
                            const Wanted& wanted) {
  return open_named(path, Access::ReadOnly, size_bytes, offset, wanted).state;
}

RegionState Region::inspect(int fd, std::optional<std::uint64_t> size_bytes, std::uint64_t offset,
                            const Wanted& wanted) {
  return open_described(fd, Access::ReadOnly, size_bytes, offset, wanted).state;
}

const char* to_string(RegionState state) {
  static constexpr std::array names{
      "absent", "foreign",   "of another layout version", "of another schema", "damaged", "stale term",
      "good",   "unreadable"};
  return names.at(static_cast<std::size_t>(state));
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
      store->growable |= table.can_grow() ? 1U << t : 0U;
      store->slabs.emplace_back(reinterpret_cast<Word*>(base + placed.slabs_offset), placed.slab_count,
                                placed.slab_bytes, table.value_bytes);
    }
    store->choose_gets();
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
