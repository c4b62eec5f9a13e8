// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A chassis's own certificates. Keys are EC P-256; every certificate is signed by the chassis's CA and names one
/// identity (tls_identity.hpp). Files:
///
///   DIR/ca.crt, ca.key                      DIR/operator/NAME.crt, .key     DIR/mirror/BLADE/ROLE.crt, .key
///   DIR/control-server/NAME.crt, .key       DIR/viewer/NAME.crt, .key
///   DIR/blade/BLADE.crt, .key
///
/// Invariants: a key file is made with mode 0600 and is never there with another; nothing that exists is overwritten
/// unless asked; a file is there as a whole or not at all (made aside, synced, renamed).

#include <cstdint>
#include <string>
#include <vector>

#include "understudy/common/result.hpp"
#include "understudy/link/tls_credentials.hpp"

namespace understudy::link::tls {

struct Validity {
  std::int64_t not_before = 0;  ///< seconds since 1970
  std::int64_t not_after = 0;
};
/// From a few minutes before `now`, for clocks that go behind, for so many days.
[[nodiscard]] Validity valid_for(int days, std::int64_t now);

/// In memory, for what is kept by others.
struct Issued {
  std::string certificate;
  std::string key;
};
Result<Issued> make_ca(const std::string& chassis, Validity validity);
/// Signed by `ca`; with the key `kept_key` (PEM), or with a new one when it is empty.
Result<Issued> issue(const Issued& ca, const Identity& identity, Validity validity, const std::string& kept_key = "");

struct PkiFile {
  std::string certificate;
  std::string key;
};
/// Where an identity's files lie below `directory`.
[[nodiscard]] PkiFile files_of(const std::string& directory, const Identity& identity);

/// Refused: there is one already and `force` was not given.
Result<PkiFile> pki_init(const std::string& directory, const std::string& chassis, Validity validity, bool force);
Result<PkiFile> pki_issue(const std::string& directory, Kind kind, const std::string& name, const std::string& role,
                          Validity validity, bool force);
/// Replaces the certificate of the file by one of the same identity that is valid anew; the key beside it (.key) is
/// kept, or replaced as well.
Result<PkiFile> pki_renew(const std::string& directory, const std::string& certificate, Validity validity,
                          bool new_key);

}  // namespace understudy::link::tls
