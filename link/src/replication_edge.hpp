// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What the state machines of both ends ask of what is around them. They themselves have no socket, clock, thread or
/// log: MirrorLink (sender) and ReceiverCore (receiver) get frames, "written", "closed" and the time, and answer by
/// these calls.
///
///   ReplicationSender ──► MirrorLink ──┐                  ┌── FrameConnection, asio's timers, a thread for the scan
///                                      ├──► these calls ◄─┤
///   ReplicationReceiver ► ReceiverCore ┘                  └── the simulator's streams and virtual time

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "understudy/common/result.hpp"
#include "understudy/link/replication_frame.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::link::replication {

using Time = std::chrono::steady_clock::time_point;

/// Calls what it was made with, once after each set(), unless it was set anew or cancelled before.
class Timer {
 public:
  virtual ~Timer() = default;
  virtual void set(Time at) = 0;
  virtual void cancel() = 0;
};

/// One connection: frames in, batches of frames out, in order. Calls its handlers as replication_connection.hpp says.
class Wire {
 public:
  /// on_closed's word when the peer itself ended the stream.
  static constexpr const char* in_order = "end of stream";
  struct Handlers {
    std::function<Status(const Frame&)> on_frame;  ///< a failure closes the connection with its message
    std::function<void()> on_read_done = [] {};
    std::function<void()> on_written = [] {};
    std::function<void(const std::string& why)> on_closed;
  };
  virtual ~Wire() = default;
  virtual void set_handlers(Handlers handlers) = 0;
  virtual void start() = 0;
  [[nodiscard]] virtual bool writing() const = 0;
  virtual void write(std::vector<EncodedFrame> batch) = 0;  ///< not while writing()
  /// From inside on_frame, which takes long: as far as the peer can be told at once, else nothing is said.
  virtual void say_now(EncodedFrame frame) = 0;
  [[nodiscard]] virtual std::vector<std::byte> spare() = 0;
  virtual void write_and_close(EncodedFrame frame) = 0;
  virtual void close() = 0;
  [[nodiscard]] virtual Time last_received() const = 0;
  virtual void forgive_silence() = 0;
  [[nodiscard]] virtual std::size_t waiting_bytes() const = 0;
  [[nodiscard]] virtual std::size_t partial_bytes() const = 0;
};

/// The records of a store as a snapshot, collected while the store goes on changing (replication_scan.hpp).
class Scan {
 public:
  struct Taken {
    std::vector<std::vector<std::byte>> pieces;  ///< payloads of SnapshotRecords frames
    Sequence mark;
    bool finished = false;  ///< these are the last ones
    Status status;
  };
  virtual ~Scan() = default;
  /// Everything collected so far.
  virtual Taken take() = 0;
};

class Edge {
 public:
  enum class Level { Debug, Info, Warn };
  virtual ~Edge() = default;
  [[nodiscard]] virtual Time now() const = 0;
  [[nodiscard]] virtual std::unique_ptr<Timer> make_timer(std::function<void()> due) = 0;
  virtual void tell(Level level, const std::string& what) = 0;
  virtual void tell(const Error& error) = 0;
};

class SenderEdge : public Edge {
 public:
  [[nodiscard]] virtual std::unique_ptr<Scan> scan(shm::Store store, Sequence after, std::size_t piece_bytes) = 0;
};

class ReceiverEdge : public Edge {
 public:
  using Connected = std::function<void(Result<std::shared_ptr<Wire>>)>;
  /// To the active that is to be followed; the wire is not started yet.
  virtual void connect(Connected done) = 0;
  virtual void stop_connecting() = 0;
  /// Soon, and not from inside this call.
  virtual void post(std::function<void()> action) = 0;
  [[nodiscard]] virtual std::uint32_t random() = 0;
};

}  // namespace understudy::link::replication
