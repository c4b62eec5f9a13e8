// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Tells an operator of tables that refused puts because they were full (Store::refused_full). The writer may be a
/// program that tells nobody; whoever watches its region does it with this. Under an agent the agent does, once a
/// second, and its alarm is the control-server's event. An application that runs alone is watched by nobody: it looks
/// itself, now and then, and writes what it is told into its log.
///
///   for (const auto& news : full.look(region, boot_now())) {
///     log(news.sentence.empty() ? news.topic + " has room again" : news.sentence);
///   }

#include <chrono>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "understudy/shm/region.hpp"

namespace understudy::shm {

class FullTables {
 public:
  struct News {
    std::string topic;     ///< one for each table
    std::string sentence;  ///< empty: it is not full any more
  };

  /// One for each table that refused something since the last look, at most one for a table in `pause`, and one when it
  /// has room again. What was refused before the first look is an earlier writer's, and told only of a table that is
  /// full still.
  std::vector<News> look(const Region& region, Instant now, Duration pause = std::chrono::minutes(1)) {
    std::vector<News> news;
    std::size_t number = 0;
    for (const auto& schema : region.schema().stores) {
      const auto store = region.store(schema.name);
      for (TableIndex table = 0; table < schema.tables.size(); ++table, ++number) {
        if (!store) { continue; }
        const std::string topic = "table-" + std::to_string(number);
        const std::uint64_t refused = store->refused_full(table);
        const auto [at, first] = told_.try_emplace({schema.name, table}, Told{refused, now - pause});
        Told& told = at->second;
        if (told.stands && refused == told.refused && store->count(table) < store->capacity(table)) {
          told.stands = false;
          news.push_back({topic, ""});
        }
        const bool full_still = first && refused != 0 && store->count(table) >= store->capacity(table);
        if (!full_still && (first || refused == told.refused || now - told.at < pause)) { continue; }
        news.push_back({topic, sentence(schema, *store, table, full_still ? refused : refused - told.refused)});
        told = {refused, now, true};
      }
    }
    return news;
  }

 private:
  static std::string sentence(const StoreSchema& schema, const Store& store, TableIndex table, std::uint64_t refused) {
    return "table \"" + schema.tables[table].name + "\" of store \"" + schema.name + "\" is full: it holds " +
           std::to_string(store.count(table)) + " of " + std::to_string(store.capacity(table)) +
           " records and refused " + std::to_string(refused) + " puts; " + advice(schema.tables[table], store, table);
  }
  static const char* advice(const TableSchema& schema, const Store& store, TableIndex table) {
    return schema.can_grow() && store.capacity(table) == schema.capacity
               ? "its writer can rebuild it larger"
               : "give it more capacity in the group's configuration";
  }

  struct Told {
    std::uint64_t refused = 0;
    Instant at;
    bool stands = false;
  };
  std::map<std::pair<std::string, TableIndex>, Told> told_;
};

}  // namespace understudy::shm
