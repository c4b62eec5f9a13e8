// SPDX-License-Identifier: Apache-2.0
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "loopback.hpp"
#include "stopwatch.hpp"

namespace understudy::bench {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Context = std::unique_ptr<SSL_CTX, Freed<&SSL_CTX_free>>;
using Ssl = std::unique_ptr<SSL, Freed<&SSL_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<&EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<&X509_free>>;

void check(bool holds, const char* what) {
  if (!holds) { throw std::runtime_error(std::string("raw TLS: ") + what); }
}

/// The first of replication's (link/src/tls_session.cpp).
constexpr const char* cipher = "TLS_CHACHA20_POLY1305_SHA256";

Context context(const SSL_METHOD* method) {
  Context made(SSL_CTX_new(method));
  check(made != nullptr && SSL_CTX_set_min_proto_version(made.get(), TLS1_3_VERSION) == 1 &&
            SSL_CTX_set_ciphersuites(made.get(), cipher) == 1,
        "no context");
  SSL_CTX_set_num_tickets(made.get(), 0);
  return made;
}

/// A server with a certificate that it has signed itself: who the ends are makes no difference to the bytes.
Context server_context() {
  Context made = context(TLS_server_method());
  const Key key(EVP_EC_gen("P-256"));
  const Certificate certificate(X509_new());
  check(key && certificate, "no key");
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), key.get());
  check(X509_sign(certificate.get(), key.get(), EVP_sha256()) > 0 &&
            SSL_CTX_use_certificate(made.get(), certificate.get()) == 1 &&
            SSL_CTX_use_PrivateKey(made.get(), key.get()) == 1,
        "no certificate");
  return made;
}

Ssl over(const Context& context, tcp::socket& socket) {
  Ssl ssl(SSL_new(context.get()));
  check(ssl != nullptr && SSL_set_fd(ssl.get(), socket.native_handle()) == 1, "no session");
  return ssl;
}

}  // namespace

Carried carry_raw_tls(std::size_t bytes) {
  asio::io_context io;
  tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
  tcp::socket from(io);
  from.connect(acceptor.local_endpoint());
  tcp::socket to = acceptor.accept();
  for (auto* socket : {&from, &to}) { socket->set_option(tcp::no_delay(true)); }
  const Context server = server_context();
  const Context client = context(TLS_client_method());
  const Ssl sending = over(server, from);
  const Ssl receiving = over(client, to);
  std::thread handshake([&] { SSL_accept(sending.get()); });
  const bool met = SSL_connect(receiving.get()) == 1;
  handshake.join();
  check(met && SSL_is_init_finished(sending.get()) == 1, "the ends do not come together");

  double sender_cpu = 0;
  const double receiver_began = thread_cpu();
  const Stopwatch watch;
  std::thread sender([&] {
    const std::vector<std::byte> block(block_bytes, std::byte{0x55});
    for (std::size_t sent = 0; sent < bytes;) {
      const int wrote = SSL_write(sending.get(), block.data(), static_cast<int>(std::min(block.size(), bytes - sent)));
      if (wrote <= 0) { return; }  // the other end notices
      sent += static_cast<std::size_t>(wrote);
    }
    sender_cpu = thread_cpu();
  });
  std::vector<std::byte> room(256 << 10);
  std::size_t received = 0;
  while (received < bytes) {
    const int read = SSL_read(receiving.get(), room.data(), static_cast<int>(room.size()));
    if (read <= 0) { break; }
    received += static_cast<std::size_t>(read);
  }
  sender.join();
  check(received == bytes, "the stream ended early");
  return {watch.seconds(), received, sender_cpu, thread_cpu() - receiver_began};
}

}  // namespace understudy::bench
