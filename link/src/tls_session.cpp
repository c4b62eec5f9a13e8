// SPDX-License-Identifier: Apache-2.0
#include "tls_session.hpp"

#include <openssl/ssl.h>

#include <algorithm>
#include <cstring>

#include "openssl.hpp"

namespace understudy::link::tls {
namespace {

using ContextPtr = std::unique_ptr<SSL_CTX, Freed<&SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, Freed<&SSL_free>>;

// The slower end decides, and that is a mirror on a processor that QEMU emulates. There, records of 256 bytes and of
// 16 KiB: 32 and 61 MB/s with ChaCha20, 19 and 52 MB/s with AES-128-GCM, whose instructions are emulated one by one.
constexpr const char* ciphers = "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384";
constexpr std::size_t record_bytes = 16 * 1024;  // SSL3_RT_MAX_PLAIN_LENGTH

/// What an alert of the peer or an own finding means to a person.
std::string meaning(unsigned long code, long verified) {
  if (verified != X509_V_OK) {
    return std::string("the peer's certificate is refused here: ") + X509_verify_cert_error_string(verified);
  }
  switch (ERR_GET_REASON(code)) {
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
      return "the peer refuses our certificate: it trusts another CA";
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
      return "the peer refuses our certificate: it has expired, or the clocks differ";
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
      return "the peer refuses our certificate";
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      return "a certificate is needed and none was shown";
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_UNKNOWN_PROTOCOL:
      return "the peer does not speak TLS: is it set to plain_text?";
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
      return "the peer does not speak TLS 1.3";
    default:
      break;
  }
  const char* reason = ERR_reason_error_string(code);
  return std::string("TLS: ") + (reason != nullptr ? reason : "no reason given");
}

}  // namespace

struct Session::Impl {
  ContextPtr context;
  SslPtr ssl;
  SessionOptions options;
  std::span<const std::byte> incoming;
  std::vector<std::byte> outgoing;
  Certificate own;
  std::optional<Certificate> peer;
  bool ended = false;
  std::uint64_t records = 0;  ///< under the present sending key

  Result<std::size_t> failed(int result) {
    const auto kind = SSL_get_error(ssl.get(), result);
    if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) { return std::size_t{0}; }
    if (kind == SSL_ERROR_ZERO_RETURN) {
      ended = true;
      return std::size_t{0};
    }
    const auto code = ERR_peek_error();
    ERR_clear_error();
    return failure(meaning(code, SSL_get_verify_result(ssl.get())), Errc::Refused);
  }

  /// The handshake is over: from now on it is known who speaks.
  Status know_peer() {
    if (peer || SSL_is_init_finished(ssl.get()) != 1) { return {}; }
    const X509Ptr certificate(SSL_get1_peer_certificate(ssl.get()));
    if (!certificate || SSL_get_verify_result(ssl.get()) != X509_V_OK) {
      return failure("the peer has shown no certificate", Errc::Refused);
    }
    auto told = describe_certificate(*certificate);
    if (!told.identity) {
      return failure("the peer's certificate (\"" + told.subject + "\") names nobody of a chassis", Errc::Refused);
    }
    peer = std::move(told);
    return {};
  }

  Status write_record(const std::byte* data, std::size_t size) {
    ERR_clear_error();
    const int written = SSL_write(ssl.get(), data, static_cast<int>(size));
    if (written != static_cast<int>(size)) {
      const auto why = failed(written);
      return why ? failure("TLS: a record was not taken") : why.error();
    }
    if (++records < options.records_per_key) { return {}; }
    records = 0;
    if (SSL_key_update(ssl.get(), SSL_KEY_UPDATE_NOT_REQUESTED) != 1) {
      return failure("TLS: the sending key cannot be renewed: " + openssl_problem());
    }
    return {};
  }
};

namespace {

// OpenSSL reads from and writes to our buffers by a BIO of our own: a memory BIO would copy everything once more.
template <class Impl>
struct Bridge {
  static Impl* of(BIO* bio) { return static_cast<Impl*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* to, int size) {
    auto& incoming = of(bio)->incoming;
    BIO_clear_retry_flags(bio);
    if (incoming.empty()) {
      BIO_set_retry_read(bio);
      return -1;
    }
    const auto count = std::min(incoming.size(), static_cast<std::size_t>(size));
    std::memcpy(to, incoming.data(), count);
    incoming = incoming.subspan(count);
    return static_cast<int>(count);
  }
  static int write(BIO* bio, const char* from, int size) {
    auto& outgoing = of(bio)->outgoing;
    const auto* bytes = reinterpret_cast<const std::byte*>(from);
    outgoing.insert(outgoing.end(), bytes, bytes + size);
    return size;
  }
  static long control(BIO* /*bio*/, int command, long /*number*/, void* /*pointer*/) {
    return command == BIO_CTRL_FLUSH ? 1 : 0;
  }
  static BIO_METHOD* method() {
    static BIO_METHOD* const made = [] {
      auto* fresh = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "understudy");
      BIO_meth_set_read(fresh, read);
      BIO_meth_set_write(fresh, write);
      BIO_meth_set_ctrl(fresh, control);
      return fresh;
    }();
    return made;
  }
};

Status load(SSL_CTX* context, const Credentials& credentials) {
  auto own = certificates_of(credentials.certificate);
  const auto key = key_of(credentials.key);
  if (own.empty() || !key) { return failure("certificate or key is not in PEM form", Errc::BadInput); }
  if (SSL_CTX_use_certificate(context, own.front().get()) != 1 || SSL_CTX_use_PrivateKey(context, key.get()) != 1 ||
      SSL_CTX_check_private_key(context) != 1) {
    return failure("certificate and key cannot be used: " + openssl_problem(), Errc::BadInput);
  }
  for (std::size_t i = 1; i < own.size(); ++i) { SSL_CTX_add1_chain_cert(context, own[i].get()); }
  auto store = store_of(credentials.ca);
  if (!store) { return store.error(); }
  SSL_CTX_set1_cert_store(context, store.value().get());
  return {};
}

}  // namespace

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::~Session() = default;

Result<std::unique_ptr<Session>> Session::open(End end, const Credentials& credentials, const SessionOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->options.records_per_key = options.records_per_key;
  impl->context.reset(SSL_CTX_new(end == End::Client ? TLS_client_method() : TLS_server_method()));
  auto* context = impl->context.get();
  if (context == nullptr) { return failure("TLS cannot be set up: " + openssl_problem()); }
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_ciphersuites(context, ciphers);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  if (auto loaded = load(context, credentials); !loaded) { return loaded.error(); }
  impl->own = describe_certificate(*SSL_CTX_get0_certificate(context));
  impl->ssl.reset(SSL_new(context));
  if (impl->ssl && !options.protocol.empty()) {
    const auto offered = static_cast<char>(options.protocol.size()) + options.protocol;
    SSL_set_alpn_protos(impl->ssl.get(), reinterpret_cast<const unsigned char*>(offered.data()),
                        static_cast<unsigned>(offered.size()));
  }
  auto* bio = BIO_new(Bridge<Impl>::method());
  if (impl->ssl == nullptr || bio == nullptr) { return failure("TLS cannot be set up: " + openssl_problem()); }
  BIO_set_data(bio, impl.get());
  BIO_set_init(bio, 1);
  SSL_set_bio(impl->ssl.get(), bio, bio);
  if (end == End::Client) {
    SSL_set_connect_state(impl->ssl.get());
  } else {
    SSL_set_accept_state(impl->ssl.get());
  }
  return std::unique_ptr<Session>(new Session(std::move(impl)));
}

void Session::feed(std::span<const std::byte> wire) {
  UNDERSTUDY_ASSERT(impl_->incoming.empty());
  impl_->incoming = wire;
}

Status Session::begin() {
  ERR_clear_error();
  const int done = SSL_do_handshake(impl_->ssl.get());
  if (done == 1) { return {}; }
  const auto waits = impl_->failed(done);
  return waits ? Status{} : waits.error();
}

Result<std::size_t> Session::read(std::span<std::byte> room) {
  ERR_clear_error();
  if (!impl_->peer) {
    if (auto waits = begin(); !waits) { return waits.error(); }
    if (auto known = impl_->know_peer(); !known) { return known.error(); }
    if (!impl_->peer) { return std::size_t{0}; }
  }
  const int size = SSL_read(impl_->ssl.get(), room.data(), static_cast<int>(room.size()));
  if (size > 0) { return static_cast<std::size_t>(size); }
  return impl_->failed(size);
}

bool Session::established() const { return impl_->peer.has_value(); }
const Certificate& Session::peer() const { return *impl_->peer; }
const Certificate& Session::own() const { return impl_->own; }
bool Session::ended() const { return impl_->ended; }
const char* Session::cipher() const { return SSL_get_cipher_name(impl_->ssl.get()); }

Status Session::write(std::span<const std::span<const std::byte>> pieces) {
  std::vector<std::byte> record;
  for (auto piece : pieces) {
    while (!piece.empty()) {
      if (record.empty() && piece.size() >= record_bytes) {  // as it lies
        if (auto done = impl_->write_record(piece.data(), record_bytes); !done) { return done; }
        piece = piece.subspan(record_bytes);
        continue;
      }
      const auto count = std::min(piece.size(), record_bytes - record.size());
      record.insert(record.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(count));
      piece = piece.subspan(count);
      if (record.size() < record_bytes) { continue; }
      if (auto done = impl_->write_record(record.data(), record.size()); !done) { return done; }
      record.clear();
    }
  }
  return record.empty() ? Status{} : impl_->write_record(record.data(), record.size());
}

void Session::say_end() {
  ERR_clear_error();
  (void)SSL_shutdown(impl_->ssl.get());
  ERR_clear_error();
}

std::vector<std::byte> Session::take_output(std::vector<std::byte> memory) {
  memory.clear();
  return std::exchange(impl_->outgoing, std::move(memory));
}

}  // namespace understudy::link::tls
