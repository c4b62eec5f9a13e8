// SPDX-License-Identifier: Apache-2.0
// A table that grows when it is full: more orders come in than the table was made for. Its readers go on meanwhile, and
// a mirror's table grows by itself. shared-mem/DESIGN.md ("A table rebuilt larger") shows what lies between the marks.
//   growing-table FILE ORDERS
#include <cstdint>
#include <cstdlib>
#include <iostream>

#include "understudy/shm/typed_table.hpp"

namespace shm = understudy::shm;

struct OrderId {
  std::uint64_t number;
};
struct Order {
  std::uint64_t customer;
  std::uint64_t cents;
};
using Orders = shm::BoundTable<OrderId, Order>;

// [grow]
understudy::Result<understudy::Sequence> put_order(shm::StoreWriter& writer, const Orders& orders, OrderId id,
                                                   const Order& order) {
  auto put = orders.put(writer, id, order);
  if (put || put.error().code != understudy::Errc::Full) { return put; }
  const auto room = orders.capacity();
  if (auto grown = orders.rebuild(writer); !grown) { return grown.error(); }  // nothing reserved, or another writer
  if (orders.capacity() == room) { return put; }  // it has grown before: now it is full indeed
  return orders.put(writer, id, order);
}
// [grow]

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: growing-table FILE ORDERS\n";
    return 2;
  }
  const shm::TypedTable<OrderId, Order> table("orders", 1000, 100'000);  // 1,000 at first, room for 100,000
  const shm::RegionSchema schema{{{"shop", {table.schema()}, 256 * 1024}}};
  const auto region = shm::Region::create(argv[1], shm::Region::size_needed(schema).value(), schema);
  if (!region) {
    std::cerr << region.error().message << '\n';
    return 1;
  }
  const auto store = region->store("shop").value();
  auto writer = store.become_writer(understudy::Term{1}).value();
  const auto orders = table.in(store).value();
  const auto wanted = std::strtoull(argv[2], nullptr, 10);
  for (std::uint64_t i = 0; i < wanted; ++i) {
    if (auto put = put_order(writer, orders, OrderId{i}, Order{i % 7, 100 * i}); !put) {
      std::cerr << put.error().message << '\n';
      return 1;
    }
  }
  std::cout << orders.count() << " orders, room for " << orders.capacity() << '\n';
}
