// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A set of interface names in a table, and reading the table back.

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "understudy/net/nft.hpp"

namespace understudy::net {

struct ChainReadBack {
  std::string name;
  std::string device;
  bool policy_drop = false;
  std::vector<std::string> sets_dropped;  ///< sets whose members a rule of the chain drops
  std::vector<std::string> sets_accepted;
};
struct TableReadBack {
  std::vector<ChainReadBack> chains;
  std::vector<std::string> elements;  ///< of the set that was asked for
  [[nodiscard]] const ChainReadBack* chain(const std::string& name) const;
};

class NftSet {
 public:
  /// `chains_with_policy_drop`: what must be there for the set to mean anything.
  NftSet(Nft nft, std::string family, std::string table, std::string set,
         std::vector<std::string> chains_with_policy_drop);

  Status add(const std::vector<std::string>& names);
  /// Afresh, whatever was there; permanent without a duration.
  Status put(const std::string& name, std::optional<std::chrono::milliseconds> duration);
  Status refresh(const std::string& name, std::chrono::milliseconds duration);  ///< Expired when not in the set
  Status remove(const std::vector<std::string>& names);  ///< absent ones count as removed; fails without the set
  Result<TableReadBack> read_back();
  /// Checks the chains too.
  Result<std::vector<std::string>> members();

  Nft& nft() { return nft_; }
  [[nodiscard]] const std::string& table() const { return table_; }  ///< "bridge understudy_gate"

 private:
  [[nodiscard]] std::string element(const char* verb, const std::vector<std::string>& names,
                                    std::optional<std::chrono::milliseconds> duration = {}) const;
  Nft nft_;
  std::string table_;
  std::string set_;
  std::vector<std::string> chains_;
};

/// BadInput: not an interface's name, or one that could not stand in a rule.
Status check_interface_name(const std::string& name);
std::string quoted_list(const std::vector<std::string>& names);  ///< "a", "b"

}  // namespace understudy::net
