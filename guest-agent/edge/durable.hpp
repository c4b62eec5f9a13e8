// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What outlives the guest-agent in its guest (D13): that this guest went past the take-over, under which term and with
/// which configuration. On a tmpfs, so a reboot of the guest empties it, as it must.

#include <optional>
#include <string>

#include "understudy/common/result.hpp"
#include "understudy/link/messages.hpp"

namespace understudy::guest {

struct ServingMark {
  link::RunMirror mirror;
  Term term;
};

class Durable {
 public:
  explicit Durable(std::string directory) : path_(std::move(directory) + "/serving.json") {}

  /// Nothing: this guest does not serve; half a file is nothing.
  [[nodiscard]] std::optional<ServingMark> serving() const;
  Status remember(const ServingMark& mark) const;
  void forget() const;

 private:
  std::string path_;
};

}  // namespace understudy::guest
