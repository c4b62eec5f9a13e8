// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Conntrack events of a network namespace of this process's own on their way into a store "net".

#include <cstddef>
#include <memory>
#include <string>

namespace understudy::bench {

struct Captured {
  double user_seconds = 0;   ///< of the collecting thread, outside the kernel
  double total_seconds = 0;  ///< with the kernel's part
  std::size_t events = 0;
};

class KernelFlows {
 public:
  /// Enters a new namespace: needs root. Throws std::runtime_error.
  KernelFlows(const std::string& directory, std::size_t flows_max);
  ~KernelFlows();
  KernelFlows(const KernelFlows&) = delete;
  KernelFlows& operator=(const KernelFlows&) = delete;

  /// The kernel gets `flows` new flows, whose events wait in the collector's socket; then they are collected.
  Captured capture(std::size_t flows);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace understudy::bench
