// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Who a certificate speaks for. It stands in the certificate as a URI (RFC 5280 section 4.2.1.6, subjectAltName):
///
///   understudy://CHASSIS/control-server/NAME     understudy://CHASSIS/operator/NAME
///   understudy://CHASSIS/blade/BLADE             understudy://CHASSIS/viewer/NAME
///   understudy://CHASSIS/mirror/BLADE/ROLE       the mirror of ROLE, when BLADE is the standby
///
/// Names are those of the configuration: up to 64 letters, digits, '.', '_', '-'. Pure.

#include <string>

#include "understudy/common/result.hpp"

namespace understudy::link::tls {

enum class Kind { ControlServer, Blade, Operator, Viewer, Mirror };

struct Identity {
  Kind kind = Kind::Viewer;
  std::string chassis;
  std::string name;  ///< of a mirror: the blade that runs it
  std::string role;  ///< of a mirror only
  bool operator==(const Identity&) const = default;
};

[[nodiscard]] const char* to_string(Kind kind);
/// BadInput lists the kinds.
Result<Kind> parse_kind(const std::string& text);

[[nodiscard]] std::string to_uri(const Identity& identity);
/// BadInput: what is wrong with it.
Result<Identity> parse_uri(const std::string& uri);
/// For a person: "blade blade-2", "the mirror of role-1 on blade-4".
[[nodiscard]] std::string describe(const Identity& identity);

}  // namespace understudy::link::tls
