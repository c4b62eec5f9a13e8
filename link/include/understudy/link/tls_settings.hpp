// SPDX-License-Identifier: Apache-2.0
#pragma once
/// [tls] of group.toml and blade.toml:
///
///   [tls]
///   ca = "/etc/understudy/ca.crt"               # whom to trust
///   certificate = "/etc/understudy/blade.crt"   # who this daemon is
///   key = "/etc/understudy/blade.key"           # mode 0600
///   mirrors = "/etc/understudy/mirrors"         # blade.toml only: ROLE.crt and ROLE.key of each mirror
///   warn_days = 30                              # an alarm when a certificate has fewer days left
///
/// or plain_text = true and nothing else. A file with neither is refused: nobody speaks plain text by omission.

#include <string>
#include <vector>

#include "understudy/common/config.hpp"
#include "understudy/link/tls_credentials.hpp"

namespace understudy::link::tls {

struct Settings {
  Wire wire;
  std::string mirrors;  ///< directory; empty with plain_text and in group.toml
  int warn_days = 30;

  /// The credentials of one of this blade's mirrors.
  [[nodiscard]] CredentialFiles mirror_files(const std::string& role) const {
    return {wire.files.ca, mirrors + "/" + role + ".crt", mirrors + "/" + role + ".key"};
  }
};

/// Of the mirror of `role` on `blade`, for its guest. BadInput: the file is somebody else's; nobody's key goes to a
/// guest but its own (rule 25).
Result<Credentials> read_mirror_credentials(const Settings& settings, const std::string& blade, const std::string& role,
                                            std::int64_t now);

enum class Whose { ControlServer, Blade };

/// The table as written. `on_this_machine`: also that the files are there, good now, and those of `name` (a blade's;
/// a control-server's name is free).
Settings read_settings(ConfigTable& root, Whose whose, const std::string& name, bool on_this_machine);

/// A sentence for each certificate that has at most `warn_days` left or cannot be used, mirrors included.
std::vector<std::string> certificate_alarms(const Settings& settings, std::int64_t now);

/// The same of one mirror's certificate, and the CA's.
std::vector<std::string> mirror_alarms(const Settings& settings, const std::string& role, std::int64_t now);

inline constexpr const char* plain_text_alarm =
    "plain_text = true: the wires are not encrypted and nobody on the maintenance network has to prove who it is";

}  // namespace understudy::link::tls
