// SPDX-License-Identifier: Apache-2.0
#include "replication_connection.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>

namespace understudy::link::replication {

namespace {
/// A peer that works through a long backlog without a word looks dead: it speaks in between.
constexpr auto busy_max = std::chrono::milliseconds(20);
}  // namespace

void FrameConnection::start() {
  prepare_stream(stream_);
  last_received_ = Clock::now();
  read();
}

void FrameConnection::read() {
  const auto room = decoder_.prepare();
  stream_.async_read_some(boost::asio::buffer(room.data(), room.size()),
                          [self = shared_from_this()](const boost::system::error_code& error, std::size_t size) {
                            if (self->closed_) { return; }
                            if (error) {
                              self->fail(error == boost::asio::error::eof ? "end of stream" : error.message());
                              return;
                            }
                            self->on_bytes(size);
                          });
}

void FrameConnection::on_bytes(std::size_t size) {
  last_received_ = Clock::now();
  decoder_.commit(size);
  take_frames();
}

void FrameConnection::take_frames() {
  taking_ = false;
  const auto began = Clock::now();
  while (!closed_ && !last_words_) {
    const auto next = decoder_.next();
    if (!next) { return fail(next.error().message); }
    if (!next.value()) { break; }
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
  if (!closed_) { read(); }
}

void FrameConnection::write(std::vector<EncodedFrame> batch) {
  if (closed_ || write_failed_ || batch.empty()) { return; }
  UNDERSTUDY_ASSERT(batch_.empty());
  batch_ = std::move(batch);
  buffers_.clear();
  for (const auto& frame : batch_) {
    buffers_.push_back(boost::asio::buffer(frame.header));
    if (!frame.payload.empty()) { buffers_.push_back(boost::asio::buffer(frame.payload)); }
  }
  boost::asio::async_write(stream_, buffers_,
                           [self = shared_from_this()](const boost::system::error_code& error, std::size_t) {
                             self->batch_.clear();
                             if (self->closed_) { return; }
                             if (self->last_words_) { return self->close(); }
                             if (error) {
                               self->write_failed_ = true;  // reading finds the end
                               return;
                             }
                             const auto handlers = self->handlers_;
                             handlers->on_written();
                           });
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

void FrameConnection::fail(const std::string& why) {
  if (closed_) { return; }
  const auto told = last_words_;
  close();
  const auto handlers = handlers_;
  if (!told) { handlers->on_closed(why); }
}

}  // namespace understudy::link::replication
