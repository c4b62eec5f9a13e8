// SPDX-License-Identifier: Apache-2.0
#pragma once
/// `understudy pki`: a chassis's own certificates (docs/OPERATIONS.md). Exit status as in commands.hpp.

#include <memory>

namespace CLI {
class App;
}

namespace understudy::cli {

/// Adds `pki init|issue|renew|show` below `app`.
class PkiCommands {
 public:
  explicit PkiCommands(CLI::App& app);
  ~PkiCommands();
  PkiCommands(const PkiCommands&) = delete;
  PkiCommands& operator=(const PkiCommands&) = delete;

  /// One of them was asked for.
  [[nodiscard]] bool parsed() const;
  int run() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace understudy::cli
