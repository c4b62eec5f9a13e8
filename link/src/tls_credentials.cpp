// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/tls_credentials.hpp"

#include <sys/stat.h>
#include <time.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <system_error>

#include "openssl.hpp"

namespace understudy::link::tls {
namespace {

constexpr std::size_t file_bytes_max = 1 << 20;

/// gRPC's threads outlive main, and may be in a handshake: OpenSSL must not take itself down under them at exit.
[[maybe_unused]] const int stays_at_exit = OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr);

Result<std::string> read_file(const std::string& path, const char* what) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    const auto problem = std::error_code(errno, std::generic_category());
    const bool denied = problem == std::errc::permission_denied;
    return failure(std::string(what) + " " + path + " cannot be read: " + problem.message() +
                       (denied ? "; a daemon without rights over others reads its own files only: chown it"
                               : "; `understudy pki issue` makes one, or write the path of your own"),
                   denied ? Errc::Refused : Errc::NotFound);
  }
  std::string text(file_bytes_max + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > file_bytes_max) { return failure(path + " is too large for a PEM file", Errc::BadInput); }
  return text;
}

/// What an asn1 time is, in seconds since 1970.
std::int64_t seconds_of(const ASN1_TIME* time) {
  tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) { return 0; }
  return timegm(&parts);
}

std::string name_of(const X509_NAME* name) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253);
  return text_of(bio.get());
}

std::string hex_of(const unsigned char* bytes, std::size_t size) {
  static constexpr const char* digits = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < size; ++i) {
    text += digits[bytes[i] >> 4];
    text += digits[bytes[i] & 15];
  }
  return text;
}

/// A certificate that names more than one of us names nobody.
std::optional<Identity> identity_of(X509& certificate) {
  std::optional<Identity> found;
  const std::unique_ptr<GENERAL_NAMES, Freed<&GENERAL_NAMES_free>> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const auto* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) { continue; }
    const auto* uri = name->d.uniformResourceIdentifier;
    const auto identity = parse_uri(std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                                                static_cast<std::size_t>(ASN1_STRING_length(uri))));
    if (!identity) { continue; }
    if (found) { return std::nullopt; }
    found = identity.value();
  }
  return found;
}

struct FreeStack {
  void operator()(STACK_OF(X509) * stack) const { sk_X509_free(stack); }
};

std::string who(const Certificate& certificate) {
  return certificate.identity ? describe(*certificate.identity) : "\"" + certificate.subject + "\"";
}

}  // namespace

std::string openssl_problem() {
  std::array<char, 256> text{};
  const auto code = ERR_peek_last_error();
  ERR_clear_error();
  if (code == 0) { return "no reason given"; }
  ERR_error_string_n(code, text.data(), text.size());
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : text.data();
}

BioPtr bio_of(const std::string& text) { return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const auto size = BIO_get_mem_data(bio, &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

std::vector<X509Ptr> certificates_of(const std::string& pem) {
  std::vector<X509Ptr> found;
  const auto bio = bio_of(pem);
  while (auto* one = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) { found.emplace_back(one); }
  ERR_clear_error();  // the end of the text is told as one
  return found;
}

KeyPtr key_of(const std::string& pem) {
  const auto no_password = [](char*, int, int, void*) { return -1; };
  KeyPtr key(PEM_read_bio_PrivateKey(bio_of(pem).get(), nullptr, no_password, nullptr));
  ERR_clear_error();
  return key;
}

Result<StorePtr> store_of(const std::string& ca_pem) {
  const auto trusted = certificates_of(ca_pem);
  if (trusted.empty()) { return failure("the CA's file holds no certificate", Errc::BadInput); }
  StorePtr store(X509_STORE_new());
  for (const auto& one : trusted) { X509_STORE_add_cert(store.get(), one.get()); }
  return store;
}

Certificate describe_certificate(X509& certificate) {
  Certificate told;
  told.identity = identity_of(certificate);
  told.subject = name_of(X509_get_subject_name(&certificate));
  told.issuer = name_of(X509_get_issuer_name(&certificate));
  told.authority = X509_check_ca(&certificate) > 0;
  told.not_before = seconds_of(X509_get0_notBefore(&certificate));
  told.not_after = seconds_of(X509_get0_notAfter(&certificate));
  const auto* serial = X509_get0_serialNumber(&certificate);
  told.serial = hex_of(ASN1_STRING_get0_data(serial), static_cast<std::size_t>(ASN1_STRING_length(serial)));
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  X509_digest(&certificate, EVP_sha256(), digest.data(), &size);
  told.fingerprint = hex_of(digest.data(), size);
  return told;
}

Result<Certificate> read_certificate(const std::string& pem) {
  const auto found = certificates_of(pem);
  if (found.empty()) { return failure("there is no certificate in PEM form", Errc::BadInput); }
  return describe_certificate(*found.front());
}

Status check_key_file(const std::string& path) {
  struct stat found {};
  if (stat(path.c_str(), &found) != 0) { return failure("there is no key " + path, Errc::NotFound); }
  if (!S_ISREG(found.st_mode)) { return failure("the key " + path + " is no regular file", Errc::BadInput); }
  if ((found.st_mode & 077) == 0) { return {}; }
  return failure(
      "others may read or write the key " + path + "; chmod 600 it, and issue a new one if they may have done so",
      Errc::Refused);
}

Result<Credentials> read_credentials(const CredentialFiles& files) {
  Credentials credentials;
  for (const auto& [path, what, text] : {std::tuple(&files.ca, "the CA's certificate", &credentials.ca),
                                         std::tuple(&files.certificate, "the certificate", &credentials.certificate),
                                         std::tuple(&files.key, "the key", &credentials.key)}) {
    auto read = read_file(*path, what);
    if (!read) { return read.error(); }
    *text = std::move(read).value();
  }
  if (auto safe = check_key_file(files.key); !safe) { return safe.error(); }
  return credentials;
}

namespace {

Result<Certificate> check_belongs(const std::vector<X509Ptr>& own, const std::string& key_pem) {
  if (own.empty()) { return failure("the certificate's file holds no certificate in PEM form", Errc::BadInput); }
  auto told = describe_certificate(*own.front());
  const auto key = key_of(key_pem);
  if (!key) { return failure("the key's file holds no private key without a password in PEM form", Errc::BadInput); }
  if (X509_check_private_key(own.front().get(), key.get()) != 1) {
    ERR_clear_error();
    return failure("key and certificate of " + who(told) + " do not belong together", Errc::BadInput);
  }
  return told;
}

}  // namespace

Result<Certificate> check_pair(const std::string& certificate, const std::string& key, std::int64_t now) {
  auto told = check_belongs(certificates_of(certificate), key);
  if (!told || (told->not_before <= now && now <= told->not_after)) { return told; }
  return failure("the certificate of " + who(*told) + " is valid from " + utc_text(told->not_before) + " to " +
                     utc_text(told->not_after) + " only",
                 Errc::Expired);
}

Result<Certificate> check_credentials(const Credentials& credentials, std::int64_t now) {
  auto own = certificates_of(credentials.certificate);
  const auto belongs = check_belongs(own, credentials.key);
  if (!belongs) { return belongs.error(); }
  const auto& told = belongs.value();
  if (!told.identity) {
    return failure("the certificate of \"" + told.subject +
                       "\" has no URI understudy://CHASSIS/KIND/NAME among its alternative names",
                   Errc::BadInput);
  }
  auto store = store_of(credentials.ca);
  if (!store) { return store.error(); }
  const StoreContextPtr context(X509_STORE_CTX_new());
  const std::unique_ptr<STACK_OF(X509), FreeStack> between(sk_X509_new_null());
  for (std::size_t i = 1; i < own.size(); ++i) { sk_X509_push(between.get(), own[i].get()); }
  X509_STORE_CTX_init(context.get(), store.value().get(), own.front().get(), between.get());
  X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(context.get()), now);
  if (X509_verify_cert(context.get()) != 1) {
    const auto code = X509_STORE_CTX_get_error(context.get());
    ERR_clear_error();
    return failure("the certificate of " + who(told) + " is not good: " + X509_verify_cert_error_string(code) +
                       " (valid " + utc_text(told.not_before) + " to " + utc_text(told.not_after) + ", issuer \"" +
                       told.issuer + "\")",
                   code == X509_V_ERR_CERT_HAS_EXPIRED ? Errc::Expired : Errc::Refused);
  }
  return told;
}

std::string utc_text(std::int64_t seconds) {
  const time_t time = seconds;
  tm parts{};
  gmtime_r(&time, &parts);
  std::array<char, 64> text{};
  strftime(text.data(), text.size(), "%F %T UTC", &parts);
  return text.data();
}

}  // namespace understudy::link::tls
