// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/pki.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "openssl.hpp"
#include "understudy/common/config_checks.hpp"

namespace understudy::link::tls {
namespace {

constexpr std::int64_t clock_slack_s = 300;
constexpr std::int64_t day_s = 86'400;
constexpr int serial_bits = 127;  // RFC 5280 section 4.1.2.2: positive, at most 20 octets

std::string key_pem(EVP_PKEY* key) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return text_of(bio.get());
}

std::string certificate_pem(X509* certificate) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), certificate);
  return text_of(bio.get());
}

bool set_serial(X509* certificate) {
  const std::unique_ptr<BIGNUM, Freed<&BN_free>> number(BN_new());
  return BN_rand(number.get(), serial_bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool set_name(X509_NAME* name, const std::string& chassis, const std::string& common) {
  const auto add = [&](const char* field, const std::string& text) {
    return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(text.c_str()),
                                      -1, -1, 0) == 1;
  };
  return add("O", chassis) && add("CN", common.substr(0, 64));  // RFC 5280's ub-common-name
}

bool add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Freed<&X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

/// A certificate of `key` with serial number and validity, not signed yet.
X509Ptr draft(EVP_PKEY* key, Validity validity, const std::string& chassis, const std::string& common) {
  X509Ptr certificate(X509_new());
  auto* raw = certificate.get();
  const bool done = X509_set_version(raw, X509_VERSION_3) == 1 && set_serial(raw) &&
                    ASN1_TIME_set(X509_getm_notBefore(raw), validity.not_before) != nullptr &&
                    ASN1_TIME_set(X509_getm_notAfter(raw), validity.not_after) != nullptr &&
                    X509_set_pubkey(raw, key) == 1 && set_name(X509_get_subject_name(raw), chassis, common);
  return done ? std::move(certificate) : nullptr;
}

/// What a certificate may be used for (RFC 5280 section 4.2.1.12): who only calls cannot pose as a server.
const char* usage_of(Kind kind) {
  switch (kind) {
    case Kind::ControlServer:
      return "serverAuth";
    case Kind::Blade:
      return "serverAuth,clientAuth";
    case Kind::Operator:
    case Kind::Viewer:
    case Kind::Mirror:
      break;
  }
  return "clientAuth";
}

std::string system_text() { return std::strerror(errno); }  // NOLINT(concurrency-mt-unsafe): glibc's is

/// Made aside with its final mode, synced, renamed.
Status write_whole(const std::string& path, const std::string& text, mode_t mode) {
  const auto aside = path + ".new";
  (void)unlink(aside.c_str());
  const int fd = open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
  if (fd < 0) { return failure(aside + " cannot be made: " + system_text()); }
  bool good = fchmod(fd, mode) == 0 && write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
              fsync(fd) == 0;
  good = close(fd) == 0 && good;
  if (good && rename(aside.c_str(), path.c_str()) == 0) { return {}; }
  const auto why = system_text();
  (void)unlink(aside.c_str());
  return failure(path + " cannot be written: " + why);
}

Result<PkiFile> write_pair(const PkiFile& files, const Issued& issued, bool force) {
  std::error_code error;
  for (const auto& path : {files.certificate, files.key}) {
    if (!force && std::filesystem::exists(std::filesystem::symlink_status(path, error))) {
      return failure(path + " is there already; `understudy pki renew` renews it, --force replaces it", Errc::Refused);
    }
  }
  const auto folder = std::filesystem::path(files.key).parent_path();
  std::filesystem::create_directories(folder, error);
  if (error) { return failure("directory " + folder.string() + " cannot be made: " + error.message()); }
  if (auto done = write_whole(files.key, issued.key, 0600); !done) { return done.error(); }
  if (auto done = write_whole(files.certificate, issued.certificate, 0644); !done) { return done.error(); }
  return files;
}

Result<std::string> read_text(const std::string& path, const std::string& advice) {
  std::ifstream file(path, std::ios::binary);
  if (!file) { return failure(path + " cannot be read; " + advice, Errc::NotFound); }
  return std::string(std::istreambuf_iterator<char>(file), {});
}

Result<Issued> read_ca(const std::string& directory) {
  const std::string advice = "`understudy pki init` makes a chassis's CA, --directory names where it is";
  auto certificate = read_text(directory + "/ca.crt", advice);
  if (!certificate) { return certificate.error(); }
  if (auto safe = check_key_file(directory + "/ca.key"); !safe) { return safe.error(); }
  auto key = read_text(directory + "/ca.key", advice);
  if (!key) { return key.error(); }
  return Issued{std::move(certificate).value(), std::move(key).value()};
}

/// Whether the CA's key has signed the first certificate of `pem`. Its time may be over.
bool has_issued(const Issued& ca, const std::string& pem) {
  const auto issuers = certificates_of(ca.certificate);
  const auto issued = certificates_of(pem);
  const bool good = !issuers.empty() && !issued.empty() &&
                    X509_check_issued(issuers.front().get(), issued.front().get()) == X509_V_OK &&
                    X509_verify(issued.front().get(), X509_get0_pubkey(issuers.front().get())) == 1;
  ERR_clear_error();
  return good;
}

/// The chassis stands in the CA's name.
Result<std::string> chassis_of(X509* ca) {
  std::string text(65, '\0');
  const int size = X509_NAME_get_text_by_NID(X509_get_subject_name(ca), NID_organizationName, text.data(), 65);
  text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  if (!text.empty() && is_config_name(text)) { return text; }
  return failure("the CA's name has no chassis (O=NAME): it was not made by `understudy pki init`", Errc::BadInput);
}

}  // namespace

Validity valid_for(int days, std::int64_t now) { return {now - clock_slack_s, now + days * day_s}; }

Result<Issued> make_ca(const std::string& chassis, Validity validity) {
  if (chassis.empty() || !is_config_name(chassis)) {
    return failure("\"" + chassis + "\" is no name for a chassis; use up to 64 letters, digits, '.', '_', '-'",
                   Errc::BadInput);
  }
  const KeyPtr key(EVP_EC_gen("P-256"));
  const auto ca = key ? draft(key.get(), validity, chassis, "Understudy CA of " + chassis) : nullptr;
  auto* raw = ca.get();
  if (!ca || X509_set_issuer_name(raw, X509_get_subject_name(raw)) != 1 ||
      !add_extension(raw, raw, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !add_extension(raw, raw, NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !add_extension(raw, raw, NID_subject_key_identifier, "hash") || X509_sign(raw, key.get(), EVP_sha256()) == 0) {
    return failure("the CA cannot be made: " + openssl_problem());
  }
  return Issued{certificate_pem(raw), key_pem(key.get())};
}

Result<Issued> issue(const Issued& ca, const Identity& identity, Validity validity, const std::string& kept_key) {
  auto issuers = certificates_of(ca.certificate);
  const auto ca_key = key_of(ca.key);
  if (issuers.empty() || !ca_key || X509_check_private_key(issuers.front().get(), ca_key.get()) != 1) {
    ERR_clear_error();
    return failure("certificate and key of the CA do not belong together", Errc::BadInput);
  }
  auto* issuer = issuers.front().get();
  if (const auto checked = parse_uri(to_uri(identity)); !checked) { return checked.error(); }
  const auto last = describe_certificate(*issuer).not_after;
  if (last < validity.not_after) {
    return failure("the CA itself is valid until " + utc_text(last) + " only; give fewer --days, or make a new CA",
                   Errc::Refused);
  }
  const KeyPtr key = kept_key.empty() ? KeyPtr(EVP_EC_gen("P-256")) : key_of(kept_key);
  if (!key) { return failure("the key that is to be kept is no private key in PEM form", Errc::BadInput); }
  const auto made = draft(key.get(), validity, identity.chassis, describe(identity));
  auto* raw = made.get();
  if (!made || X509_set_issuer_name(raw, X509_get_subject_name(issuer)) != 1 ||
      !add_extension(raw, issuer, NID_basic_constraints, "critical,CA:FALSE") ||
      !add_extension(raw, issuer, NID_key_usage, "critical,digitalSignature") ||
      !add_extension(raw, issuer, NID_ext_key_usage, usage_of(identity.kind)) ||
      !add_extension(raw, issuer, NID_subject_key_identifier, "hash") ||
      !add_extension(raw, issuer, NID_authority_key_identifier, "keyid:always") ||
      !add_extension(raw, issuer, NID_subject_alt_name, "URI:" + to_uri(identity)) ||
      X509_sign(raw, ca_key.get(), EVP_sha256()) == 0) {
    return failure("the certificate cannot be made: " + openssl_problem());
  }
  return Issued{certificate_pem(raw), key_pem(key.get())};
}

PkiFile files_of(const std::string& directory, const Identity& identity) {
  auto base = directory + "/" + to_string(identity.kind) + "/" + identity.name;
  if (identity.kind == Kind::Mirror) { base += "/" + identity.role; }
  return {base + ".crt", base + ".key"};
}

Result<PkiFile> pki_init(const std::string& directory, const std::string& chassis, Validity validity, bool force) {
  auto ca = make_ca(chassis, validity);
  if (!ca) { return ca.error(); }
  return write_pair({directory + "/ca.crt", directory + "/ca.key"}, ca.value(), force);
}

Result<PkiFile> pki_issue(const std::string& directory, Kind kind, const std::string& name, const std::string& role,
                          Validity validity, bool force) {
  const auto ca = read_ca(directory);
  if (!ca) { return ca.error(); }
  const auto issuers = certificates_of(ca->certificate);
  if (issuers.empty()) { return failure(directory + "/ca.crt holds no certificate", Errc::BadInput); }
  const auto chassis = chassis_of(issuers.front().get());
  if (!chassis) { return chassis.error(); }
  const Identity identity{kind, chassis.value(), name, role};
  auto issued = issue(ca.value(), identity, validity);
  if (!issued) { return issued.error(); }
  return write_pair(files_of(directory, identity), issued.value(), force);
}

Result<PkiFile> pki_renew(const std::string& directory, const std::string& certificate, Validity validity,
                          bool new_key) {
  const auto text = read_text(certificate, "write the path of the certificate that is to be renewed");
  if (!text) { return text.error(); }
  const auto old = read_certificate(text.value());
  if (!old) { return failure(certificate + ": " + old.error().message, Errc::BadInput); }
  if (!old->identity) {
    return failure(
        certificate + " is nobody's of a chassis" + (old->authority ? ": a CA is made anew by `pki init`" : ""),
        Errc::BadInput);
  }
  const auto ca = read_ca(directory);
  if (!ca) { return ca.error(); }
  if (!has_issued(ca.value(), text.value())) {
    return failure(certificate + " was not issued by " + directory +
                       "/ca.crt: what it says of itself proves nothing; `understudy pki issue` makes a certificate",
                   Errc::Refused);
  }
  const PkiFile files{certificate, std::filesystem::path(certificate).replace_extension(".key").string()};
  std::string kept;
  if (!new_key) {
    if (auto safe = check_key_file(files.key); !safe) { return safe.error(); }
    auto key = read_text(files.key, "give --new-key to make a new one");
    if (!key) { return key.error(); }
    kept = std::move(key).value();
  }
  auto issued = issue(ca.value(), *old->identity, validity, kept);
  if (!issued) { return issued.error(); }
  // Between the two renames they do not belong together: who reads them then tries again.
  return write_pair(files, issued.value(), true);
}

}  // namespace understudy::link::tls
