// SPDX-License-Identifier: Apache-2.0
#pragma once
/// One replication connection: frames in, batches of frames out, on one io_context thread.
///
/// Order of calls: start(); then on_frame for each frame of a read and on_read_done once after them; on_written after
/// each batch; on_closed at most once, after which nothing is called. close() ends it without on_closed.
/// A write that fails does not end the connection: what the peer sent before it died is still read to its end.
///
/// With a TLS session the same, encrypted: on_secured comes once, when the peer has proved who it is, before any frame
/// of it; what was written until then waits. The end of the stream is told as such only when the peer said it itself
/// (close_notify); a wire that just ends is "cut". Frames that came whole before the end are handled in both cases.

#include <boost/asio/buffer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "replication_edge.hpp"
#include "replication_stream.hpp"
#include "tls_session.hpp"
#include "understudy/link/replication_frame.hpp"

namespace understudy::link::replication {

class FrameConnection final : public Wire, public std::enable_shared_from_this<FrameConnection> {
 public:
  using Clock = std::chrono::steady_clock;
  using LastWord = std::function<std::optional<EncodedFrame>(std::uint8_t version)>;
  using Secured = std::function<Status(const tls::Certificate& peer)>;

  /// Without a session it speaks plain text.
  explicit FrameConnection(Stream stream, std::unique_ptr<tls::Session> session = nullptr)
      : stream_(std::move(stream)), session_(std::move(session)) {}
  /// May be called from a handler: it takes effect with the next frame.
  void set_handlers(Handlers handlers) override { handlers_ = std::make_shared<const Handlers>(std::move(handlers)); }
  void on_secured(Secured secured) { on_secured_ = std::move(secured); }
  /// What a peer that speaks another version is told before the connection ends, without on_closed; nothing, or nobody
  /// asks: on_closed tells.
  void on_other_version(LastWord word) { on_other_version_ = std::move(word); }
  void start() override;

  [[nodiscard]] bool writing() const override { return !batch_.empty(); }
  /// Not while writing().
  void write(std::vector<EncodedFrame> batch) override;
  void say_now(EncodedFrame frame) override;
  /// Memory of a frame that was written, for another one.
  [[nodiscard]] std::vector<std::byte> spare() override;
  /// The last words: written, then the connection ends. Further reads are dropped.
  void write_and_close(EncodedFrame frame) override;
  void close() override;

  [[nodiscard]] bool closed() const { return closed_; }
  /// It ended because one end does not take the other for whom it should be, and not by chance.
  [[nodiscard]] bool refused() const { return refused_; }
  /// Null on a plain wire.
  [[nodiscard]] const tls::Session* session() const { return session_.get(); }
  [[nodiscard]] Clock::time_point last_received() const override { return last_received_; }
  void forgive_silence() override { last_received_ = Clock::now(); }
  /// Bytes that lie in the socket and were not read yet; not 0 while what was read is not worked through.
  [[nodiscard]] std::size_t waiting_bytes() const override;
  /// Bytes of a frame that is not whole.
  [[nodiscard]] std::size_t partial_bytes() const override { return decoder_.partial_bytes(); }

 private:
  void read();
  void on_bytes(std::size_t size);
  void decrypt(std::size_t size);
  Status secure();
  void encrypt();
  void flush();
  void send_to_wire();
  void send_now();
  void written(const boost::system::error_code& error);
  void take_frames();
  bool refuse_version();
  void refuse(const std::string& why);
  void fail(const std::string& why);

  Stream stream_;
  std::unique_ptr<tls::Session> session_;
  std::vector<std::byte> from_wire_;  ///< with a session only
  std::vector<std::byte> to_wire_;    ///< being sent
  bool heard_ = false;                ///< a plain peer has spoken
  bool secured_ = false;
  bool encrypted_ = false;  ///< batch_ went into the session
  bool refused_ = false;
  /// Why the stream has ended; told when the frames before it are handled.
  std::optional<std::string> end_;
  std::shared_ptr<const Handlers> handlers_;
  Secured on_secured_ = [](const tls::Certificate&) { return Status{}; };
  LastWord on_other_version_ = [](std::uint8_t) { return std::optional<EncodedFrame>(); };
  FrameDecoder decoder_;
  bool taking_ = false;  ///< more of what was read waits for its turn
  std::vector<EncodedFrame> batch_;
  std::vector<boost::asio::const_buffer> buffers_;
  std::vector<std::vector<std::byte>> spare_;  ///< of the last batch's large frames
  Clock::time_point last_received_ = Clock::now();
  bool closed_ = false;
  bool last_words_ = false;
  bool write_failed_ = false;
};

}  // namespace understudy::link::replication
