// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "image_check.hpp"
#include "store_points.hpp"
#include "understudy/shm/layout.hpp"

namespace understudy::shm::crash {

/// A region whose words a guest writes as it likes, beneath the reader under test.
class AHostileImage : public testing::Test {
 protected:
  AHostileImage(const std::string& name, std::uint64_t bytes, const RegionSchema& schema)
      : file(name), region(Region::create(file.path(), bytes, schema).value()) {
    layout::RegionHeader header;
    std::memcpy(&header, words, sizeof header);
    plan = header.stores[0];
    control = reinterpret_cast<layout::StoreControl*>(words + plan.control_offset / sizeof *words);
  }
  void TearDown() override { points::on_load = nullptr; }

  ImageFile file;
  Region region;
  Store store = region.store("state").value();
  std::uint64_t* words = const_cast<std::uint64_t*>(mapped_at(file.path()));
  layout::StoreDescription plan{};
  layout::StoreControl* control = nullptr;
};

}  // namespace understudy::shm::crash
