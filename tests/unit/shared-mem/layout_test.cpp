// SPDX-License-Identifier: Apache-2.0
/// The golden layout. Guest and host, old and new programs meet in these bytes: whoever changes a line below changes
/// layout_version with it.
#include "understudy/shm/layout.hpp"

#include <gtest/gtest.h>

#include <sstream>

#include "region_fixture.hpp"

namespace understudy::shm {
namespace {

using namespace layout;

TEST(Layout, IsTheOneOfItsVersion) {
  std::ostringstream told;
  told << "version " << layout_version << "\n"
       << "RegionHeader " << sizeof(RegionHeader) << " at 0: magic " << offsetof(RegionHeader, magic) << " version "
       << offsetof(RegionHeader, layout_version) << " bytes " << offsetof(RegionHeader, region_bytes) << " seed "
       << offsetof(RegionHeader, hash_seed) << " stores " << offsetof(RegionHeader, stores) << "\n"
       << "StoreDescription " << sizeof(StoreDescription) << " arena " << offsetof(StoreDescription, arena_bytes)
       << " tables " << offsetof(StoreDescription, tables) << "\n"
       << "TableDescription " << sizeof(TableDescription) << ": kind " << offsetof(TableDescription, kind)
       << " capacity " << offsetof(TableDescription, capacity) << " grown "
       << offsetof(TableDescription, grown_slot_count) << " slab " << offsetof(TableDescription, slab_bytes) << "\n"
       << "StoreControl " << sizeof(StoreControl) << ": writer " << offsetof(StoreControl, writer) << " commit "
       << offsetof(StoreControl, commit) << " mirror " << offsetof(StoreControl, mirror) << " history "
       << offsetof(StoreControl, history) << " counts " << offsetof(StoreControl, counts) << " anchors "
       << offsetof(StoreControl, anchors) << " tables " << offsetof(StoreControl, tables) << " arena "
       << offsetof(StoreControl, arena) << "\n"
       << "WriterLine: term " << offsetof(WriterLine, term) << " epoch " << offsetof(WriterLine, epoch) << " waited "
       << offsetof(WriterLine, waited_us) << "\n"
       << "MirrorLine: mirrored " << offsetof(MirrorLine, mirrored) << " throttle " << offsetof(MirrorLine, throttle)
       << "\n"
       << "CommitLine: committed " << offsetof(CommitLine, committed) << " sync " << offsetof(CommitLine, sync)
       << " reserved_end " << offsetof(CommitLine, reserved_end) << " purged " << offsetof(CommitLine, purged_up_to)
       << " ends " << offsetof(CommitLine, ends) << "\n"
       << "entry 8/24: " << entry_bytes(8, 24) << " entry 5/13: " << entry_bytes(5, 13)
       << " erase 8: " << entry_bytes(8, 0) << "\n"
       << "slab of 1: " << slab_bytes(1) << " of 64 KiB: " << slab_bytes(64 << 10) << " slabs for 1: " << slabs_for(1)
       << " for 1000: " << slabs_for(1000) << " ref 3/5: " << blob_ref(3, 5) << "\n"
       << "head of 5, erased, live, copy 1: " << head_of(5, kind_erased, kind_live, 1) << " free: " << head_free
       << " highest sequence: " << sequence_max << "\n"
       << "slot words 8/24: " << slot_words(8, 24) << " 16/8: " << slot_words(16, 8) << " 16/24: " << slot_words(16, 24)
       << " page: " << slot_words(0, 4096) << " slots for 1: " << slots_for(1) << " for 1000: " << slots_for(1000)
       << " for 10M: " << slots_for(10'000'000) << "\n";
  EXPECT_EQ(told.str(),
            "version 3\n"
            "RegionHeader 17472 at 0: magic 0 version 8 bytes 16 seed 24 stores 64\n"
            "StoreDescription 2176 arena 56 tables 128\n"
            "TableDescription 128: kind 40 capacity 48 grown 80 slab 96\n"
            "StoreControl 4096: writer 0 commit 64 mirror 128 history 192 counts 1280 anchors 1792 tables 2816 "
            "arena 3072\n"
            "WriterLine: term 0 epoch 8 waited 16\n"
            "MirrorLine: mirrored 0 throttle 8\n"
            "CommitLine: committed 0 sync 8 reserved_end 16 purged 24 ends 32\n"
            "entry 8/24: 56 entry 5/13: 48 erase 8: 32\n"
            "slab of 1: 64 of 64 KiB: 65600 slabs for 1: 65 for 1000: 1314 ref 3/5: 12884901893\n"
            "head of 5, erased, live, copy 1: 179 free: 30 highest sequence: 576460752303422463\n"
            "slot words 8/24: 8 16/8: 8 16/24: 9 page: 1025 slots for 1: 256 for 1000: 2048 for 10M: 16777216\n");
}

TEST(Layout, JournalEntriesHaveTheseBytes) {
  RegionFile file;
  auto region = Region::create(file.path(), small_region_bytes, small_schema()).value();
  auto writer = region.store("state").value().become_writer(Term{1}).value();
  const std::string key = "alpha";
  const std::string value = "thirteen byte";
  ASSERT_TRUE(writer.put(names, std::as_bytes(std::span(key)), std::as_bytes(std::span(value))).ok());
  const auto bytes = JournalReader(writer.store(), Sequence{0}).read(4096).value().bytes;
  std::string told;
  for (const auto byte : bytes) {
    char hex[3];
    std::snprintf(hex, sizeof hex, "%02x", std::to_integer<unsigned>(byte));
    told += hex;
  }
  EXPECT_EQ(told,
            "0100000000000000"                    // sequence
            "26c00d9b05000100"                    // CRC-32C, key bytes, table 1
            "0d00000000010000"                    // value bytes, put, ends the transaction
            "616c706861000000"                    // key
            "746869727465656e2062797465000000");  // value
}

}  // namespace
}  // namespace understudy::shm
