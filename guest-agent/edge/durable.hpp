// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What outlives the guest-agent in its guest (D13): that this guest went past the take-over, under which term and with
/// which configuration. On a tmpfs, so a reboot of the guest empties it, as it must.
///
///   mirror.json   the configuration, written while there is time
///   serving       the term; the takeover writes only this
///   tried         the term of a takeover that went past the handover and failed: from there on the region is its
///   whole         the term of the active whose copy was synced here; whether it is overwritten again, the region tells

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
  explicit Durable(const std::string& directory)
      : mirror_path_(directory + "/mirror.json"),
        serving_path_(directory + "/serving"),
        tried_path_(directory + "/tried"),
        whole_path_(directory + "/whole") {}

  /// Nothing: this guest does not serve; half a file is nothing.
  [[nodiscard]] std::optional<ServingMark> serving() const;
  /// With every configuration, before remember_serving() can be asked for.
  Status hold(const link::RunMirror& mirror) const;
  Status remember_serving(Term term) const;
  /// The takeover failed: `serving` becomes `tried`.
  void forget_serving() const;
  [[nodiscard]] std::optional<Term> tried() const;
  [[nodiscard]] std::optional<Term> whole() const;
  Status remember_whole(Term term) const;

 private:
  std::string mirror_path_;
  std::string serving_path_;
  std::string tried_path_;
  std::string whole_path_;
};

}  // namespace understudy::guest
