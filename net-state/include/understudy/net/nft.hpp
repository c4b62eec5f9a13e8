// SPDX-License-Identifier: Apache-2.0
#pragma once
/// nftables by libnftables. A text of commands is one transaction: all of it or none of it.

#include <memory>
#include <string>

#include "understudy/common/result.hpp"

namespace understudy::net {

/// Keep one for long: making and freeing it may take 15 ms when rules were just removed, using it takes under 1 ms.
class Nft {
 public:
  /// For the namespace at `namespace_path`; empty: the calling thread's.
  static Result<Nft> open(const std::string& namespace_path = {});
  Nft(Nft&&) noexcept;
  Nft& operator=(Nft&&) noexcept;
  ~Nft();

  /// Errors: NotFound the kernel knows no such table, set or element; Refused it exists; BadInput not understood.
  Status run(const std::string& commands);

  /// Loads a role's rule set in place of the one that was loaded under the same tables: tables named in `ruleset`
  /// must be emptied by itself (`table inet nat; delete table inet nat; table inet nat {...}`).
  Status load(const std::string& ruleset) { return run(ruleset); }

  /// "list table bridge understudy_gate" as JSON text, read anew from the kernel by each call: elements whose time has
  /// run out are not in it.
  Result<std::string> list_json(const std::string& list_command);

 private:
  struct Impl;
  explicit Nft(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Whether nftables would take the rule set in a file, tried without effect in an empty network namespace.
/// BadInput, one line: "PATH:LINE:COLUMNS: " and what it objects to. A user who may not make a namespace learns of
/// wrong syntax only.
Status check_ruleset(const std::string& path);

}  // namespace understudy::net
