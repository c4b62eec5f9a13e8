// SPDX-License-Identifier: Apache-2.0
#include "replication_connection.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>

namespace understudy::link::replication {

namespace {
/// A peer that works through a long backlog without a word looks dead: it speaks in between.
constexpr auto busy_max = std::chrono::milliseconds(20);
/// With the record that the session may hold already (16 KiB) less than the decoder has room for beyond one frame.
constexpr std::size_t wire_bytes = 96 << 10;
/// One call of the kernel for a batch; Asio by itself would write 64 KiB at a time.
std::size_t write_bytes_max(const boost::system::error_code& error, std::size_t) { return error ? 0 : 1 << 20; }
constexpr std::size_t spare_bytes_min = 4 << 10;
constexpr std::size_t spare_bytes_max = 256 << 10;
constexpr const char* cut = "the connection was cut";

std::vector<EncodedFrame> batch_of(std::vector<std::byte> bytes) {
  std::vector<EncodedFrame> batch;
  batch.push_back({std::move(bytes), {}});
  return batch;
}

/// The head of TLS's first record, where a frame should begin (RFC 8446 section 5.1).
bool speaks_tls(std::span<const std::byte> bytes) {
  return bytes.size() >= 2 && bytes[0] == std::byte{22} && bytes[1] == std::byte{3};
}
}  // namespace

void FrameConnection::start() {
  prepare_stream(stream_);
  last_received_ = Clock::now();
  if (session_) {
    from_wire_.resize(wire_bytes);
    if (const auto begun = session_->begin(); !begun) { refuse(begun.error().message); }
    flush();
  }
  read();
}

void FrameConnection::read() {
  const auto room = session_ ? std::span(from_wire_) : decoder_.prepare();
  stream_.async_read_some(boost::asio::buffer(room.data(), room.size()),
                          [self = shared_from_this()](const boost::system::error_code& error, std::size_t size) {
                            if (self->closed_) { return; }
                            if (error) {
                              const bool eof = error == boost::asio::error::eof;
                              self->fail(!eof ? error.message() : self->session_ ? cut : in_order);
                              return;
                            }
                            self->on_bytes(size);
                          });
}

void FrameConnection::on_bytes(std::size_t size) {
  last_received_ = Clock::now();
  if (!session_) {
    if (!std::exchange(heard_, true) && speaks_tls(decoder_.prepare().first(size))) {
      refuse("the peer speaks TLS, and this side plain text");
      return fail(*end_);
    }
    decoder_.commit(size);
    return take_frames();
  }
  decrypt(size);
  flush();
  if (secured_) { return take_frames(); }
  if (end_) { return fail(*end_); }
  read();
}

/// All of it at once, so that nothing lies in the session that waiting_bytes() would not see.
void FrameConnection::decrypt(std::size_t size) {
  session_->feed(std::span(from_wire_).first(size));
  while (!end_) {
    const auto room = decoder_.prepare();
    UNDERSTUDY_ASSERT(!room.empty());
    const auto got = session_->read(room);
    if (got && !secured_ && session_->established()) {
      if (const auto trusted = secure(); !trusted) { return; }
    }
    if (!got) {
      refuse(got.error().message);
    } else if (session_->ended()) {
      end_ = in_order;
    } else if (got.value() == 0) {
      return;
    } else {
      decoder_.commit(got.value());
    }
  }
}

Status FrameConnection::secure() {
  auto trusted = on_secured_(session_->peer());
  if (!trusted) {
    refuse(trusted.error().message);
    return trusted;
  }
  secured_ = true;
  if (!batch_.empty()) { encrypt(); }
  return trusted;
}

void FrameConnection::take_frames() {
  taking_ = false;
  const auto began = Clock::now();
  while (!closed_ && !last_words_) {
    const auto next = decoder_.next();
    if (!next && !refuse_version()) { return fail(next.error().message); }
    if (!next || !next.value()) { break; }
    const auto handlers = handlers_;
    const auto done = handlers->on_frame(*next.value());
    if (!done && !closed_) { return fail(done.error().message); }
    if (closed_ || last_words_ || Clock::now() - began < busy_max) { continue; }
    taking_ = true;
    handlers->on_read_done();
    boost::asio::post(stream_.get_executor(), [self = shared_from_this()] {
      if (!self->closed_) { self->take_frames(); }
    });
    return;
  }
  if (closed_) { return; }
  if (last_words_) {
    decoder_.reset();
  } else {
    const auto handlers = handlers_;
    handlers->on_read_done();
  }
  if (closed_) { return; }
  if (end_) { return fail(*end_); }
  read();
}

bool FrameConnection::refuse_version() {
  const auto theirs = decoder_.other_version();
  auto word = theirs ? on_other_version_(*theirs) : std::nullopt;
  if (!word) { return false; }
  write_and_close(std::move(*word));
  return true;
}

void FrameConnection::write(std::vector<EncodedFrame> batch) {
  if (closed_ || write_failed_ || batch.empty()) { return; }
  UNDERSTUDY_ASSERT(batch_.empty());
  batch_ = std::move(batch);
  if (session_) {
    if (secured_) { encrypt(); }
    return;
  }
  buffers_.clear();
  for (const auto& frame : batch_) {
    buffers_.push_back(boost::asio::buffer(frame.header));
    if (!frame.payload.empty()) { buffers_.push_back(boost::asio::buffer(frame.payload)); }
  }
  boost::asio::async_write(
      stream_, buffers_, write_bytes_max,
      [self = shared_from_this()](const boost::system::error_code& error, std::size_t) { self->written(error); });
}

std::vector<std::byte> FrameConnection::spare() {
  if (spare_.empty()) { return {}; }
  auto memory = std::move(spare_.back());
  spare_.pop_back();
  return memory;
}

void FrameConnection::written(const boost::system::error_code& error) {
  // Given back to the system and asked for again, large pieces would cost more than what is done with them.
  spare_.clear();
  for (auto& frame : batch_) {
    if (frame.payload.capacity() >= spare_bytes_min && frame.payload.capacity() <= spare_bytes_max) {
      spare_.push_back(std::move(frame.payload));
    }
  }
  batch_.clear();
  encrypted_ = false;
  if (closed_) { return; }
  if (last_words_) { return close(); }
  if (error) {
    write_failed_ = true;  // reading finds the end
    return;
  }
  const auto handlers = handlers_;
  handlers->on_written();
}

void FrameConnection::encrypt() {
  std::vector<std::span<const std::byte>> pieces;
  for (const auto& frame : batch_) {
    pieces.push_back(std::as_bytes(std::span(frame.header)));
    pieces.emplace_back(frame.payload);
  }
  encrypted_ = true;
  if (!session_->write(pieces)) { write_failed_ = true; }
  flush();
}

/// One write at a time; what comes meanwhile goes with the next.
void FrameConnection::flush() {
  if (!to_wire_.empty() || closed_) { return; }
  to_wire_ = session_->take_output(std::move(to_wire_));
  if (!to_wire_.empty()) { send_to_wire(); }
}

void FrameConnection::send_to_wire() {
  boost::asio::async_write(stream_, boost::asio::buffer(to_wire_), write_bytes_max,
                           [self = shared_from_this()](const boost::system::error_code& error, std::size_t) {
                             self->to_wire_.clear();
                             if (!error) { self->flush(); }
                             if (self->to_wire_.empty() && (self->encrypted_ || error)) { self->written(error); }
                           });
}

/// The event loop waits for whoever calls this. What the socket does not take of it goes when the loop comes to its
/// turn.
void FrameConnection::say_now(EncodedFrame frame) {
  if (closed_ || write_failed_ || last_words_ || writing() || !to_wire_.empty() || (session_ && !secured_)) { return; }
  std::vector<std::byte> bytes = std::move(frame.header);
  bytes.insert(bytes.end(), frame.payload.begin(), frame.payload.end());
  if (session_) {
    const std::array<std::span<const std::byte>, 1> pieces{bytes};
    if (!session_->write(pieces)) {
      write_failed_ = true;
      return;
    }
    bytes = session_->take_output();
  }
  const auto sent = ::send(stream_.native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  bytes.erase(bytes.begin(), bytes.begin() + std::max<std::ptrdiff_t>(sent, 0));
  if (bytes.empty() || (sent <= 0 && !session_)) { return; }
  if (!session_) { return write(batch_of(std::move(bytes))); }
  to_wire_ = std::move(bytes);
  send_to_wire();
}

/// Last words of TLS (an alert, or that the stream ends here) as far as the socket takes them at once.
void FrameConnection::send_now() {
  if (!to_wire_.empty()) { return; }  // the middle of a record is on its way
  if (secured_ && !write_failed_) { session_->say_end(); }
  const auto bytes = session_->take_output();
  if (!bytes.empty()) {
    (void)::send(stream_.native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  }
}

void FrameConnection::write_and_close(EncodedFrame frame) {
  if (closed_) { return; }
  if (writing() || write_failed_) { return close(); }  // the peer reads slowly anyhow; it will see the end
  last_words_ = true;
  std::vector<EncodedFrame> batch;
  batch.push_back(std::move(frame));
  write(std::move(batch));
}

void FrameConnection::close() {
  if (session_ && !closed_ && stream_.is_open()) { send_now(); }
  closed_ = true;
  boost::system::error_code ignored;
  stream_.shutdown(Stream::shutdown_both, ignored);
  stream_.close(ignored);
}

std::size_t FrameConnection::waiting_bytes() const {
  boost::system::error_code error;
  const auto bytes = stream_.available(error);
  return error ? 0 : bytes + (taking_ ? 1 : 0);
}

void FrameConnection::refuse(const std::string& why) {
  end_ = why;
  refused_ = true;
}

void FrameConnection::fail(const std::string& why) {
  if (closed_) { return; }
  const auto told = last_words_;
  close();
  const auto handlers = handlers_;
  if (!told) { handlers->on_closed(why); }
}

}  // namespace understudy::link::replication
