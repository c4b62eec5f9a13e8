// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Certificates and keys, as files and in memory. Any thread; no state.

#include <cstdint>
#include <optional>
#include <string>

#include "understudy/common/result.hpp"
#include "understudy/link/tls_identity.hpp"

namespace understudy::link::tls {

/// Paths of PEM files.
struct CredentialFiles {
  std::string ca;           ///< whom to trust; may hold several, e.g. the old and the new one
  std::string certificate;  ///< own one, then intermediate ones if there are any
  std::string key;
  bool operator==(const CredentialFiles&) const = default;
};

/// PEM texts. The key is a secret: never into a log, an argument or a file of another.
struct Credentials {
  std::string ca;
  std::string certificate;
  std::string key;
  bool operator==(const Credentials&) const = default;
};

/// How a side of a wire speaks. Plain text only when it is asked for by name.
struct Wire {
  bool plain_text = false;
  CredentialFiles files;  ///< unless plain_text
  static Wire plain() { return {true, {}}; }
};

/// What a person or a check wants to know of a certificate.
struct Certificate {
  std::optional<Identity> identity;
  std::string subject;
  std::string issuer;
  std::string serial;
  std::string fingerprint;      ///< SHA-256, hexadecimal
  bool authority = false;       ///< may sign others
  std::int64_t not_before = 0;  ///< seconds since 1970
  std::int64_t not_after = 0;
  [[nodiscard]] std::int64_t days_left(std::int64_t now) const { return (not_after - now) / 86'400; }
};

/// The first certificate of a PEM text; BadInput when there is none.
Result<Certificate> read_certificate(const std::string& pem);

/// NotFound or Refused (a key that others may read) name the file and what to do.
Result<Credentials> read_credentials(const CredentialFiles& files);

/// That a key file is a regular file which its owner alone may read.
Status check_key_file(const std::string& path);

/// Key and certificate belong together, the certificate has an identity, is signed by one of `ca`, and is valid at
/// `now` (seconds since 1970). The sentence says which of it is not so.
Result<Certificate> check_credentials(const Credentials& credentials, std::int64_t now);

/// The same of a certificate of anybody's making (etcd's), which need not name one of us: key and certificate belong
/// together, and it is valid at `now`. Who signs it is for the other end to judge.
Result<Certificate> check_pair(const std::string& certificate, const std::string& key, std::int64_t now);

/// "2026-11-27 03:00:00 UTC"
[[nodiscard]] std::string utc_text(std::int64_t seconds);

}  // namespace understudy::link::tls
