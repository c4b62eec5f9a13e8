// SPDX-License-Identifier: Apache-2.0
#pragma once
/// One end of one TLS 1.3 connection (RFC 8446) without a socket: bytes of the wire in, bytes of the wire out.
///
///   socket ──feed()──► records ──read()──► plain text          take_output() ──► socket
///                                          plain text ──write()──► records ──────┘
///
/// Invariants
///  - Both ends have a certificate, signed by a CA of theirs and valid now; nothing is read before that is known.
///  - Plain text comes out in order and authentic. The wire's end is no end of the stream: ended() tells whether the
///    peer said so itself (close_notify), so that a connection that was cut never looks like one that was finished.
///  - No session tickets, no resumption, no early data; sending keys are renewed long before a cipher's limit.
///
/// One thread at a time.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "understudy/link/tls_credentials.hpp"

namespace understudy::link::tls {

enum class End { Client, Server };

struct SessionOptions {
  /// Records under one sending key. AES-GCM allows 2^24.5 (RFC 8446 section 5.5); the others allow more.
  std::uint64_t records_per_key = std::uint64_t{1} << 22;
  std::string protocol{};  ///< offered by ALPN (RFC 7301); empty: none
};

class Session {
 public:
  /// BadInput or Refused: the credentials cannot be used.
  static Result<std::unique_ptr<Session>> open(End end, const Credentials& credentials,
                                               const SessionOptions& options = {});
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Bytes from the socket. The span must live until read() has returned 0 or failed.
  void feed(std::span<const std::byte> wire);
  /// Plain text; 0: more of the wire is needed (or ended()). Does the handshake on its way: look at take_output() and
  /// established() afterwards. A failure is the end: a sentence says what is wrong and on which side.
  Result<std::size_t> read(std::span<std::byte> room);
  /// Begins the handshake of a client, after which take_output() has its first words.
  Status begin();

  [[nodiscard]] bool established() const;
  /// Who the peer is. Only when established().
  [[nodiscard]] const Certificate& peer() const;
  /// Who we are.
  [[nodiscard]] const Certificate& own() const;
  /// The peer said that nothing comes any more.
  [[nodiscard]] bool ended() const;
  [[nodiscard]] const char* cipher() const;

  /// Only when established(). Pieces are joined, so that small ones share a record.
  Status write(std::span<const std::span<const std::byte>> pieces);
  /// Our last word: nothing may be written after it.
  void say_end();

  /// What must go to the socket, and is forgotten here. `memory`: of an earlier output, used again for the next one.
  [[nodiscard]] std::vector<std::byte> take_output(std::vector<std::byte> memory = {});

 private:
  struct Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace understudy::link::tls
