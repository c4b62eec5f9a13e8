// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What the replication state machines of both ends have around them here instead of sockets, timers and a thread
/// (link/src/replication_edge.hpp): a simulated stream that carries their bytes, and a machine's own clock.
///
///   write(batch) ──► one piece, or two cut at any byte ──► Stream: in order, held back, or lost ──► FrameDecoder
///                                                          ──► on_frame for each, on_read_done; the writer: on_written
///
/// A socket's buffer takes one batch: whoever writes may write again when the other kernel's daemon has read it. Either
/// daemon may die between two frames, and between the two pieces of a batch.

#include <memory>
#include <vector>

#include "replication_edge.hpp"
#include "tamper.hpp"
#include "world.hpp"

namespace understudy::sim {

[[nodiscard]] inline link::replication::Time time_of(const Machine& machine) {
  return link::replication::Time(machine.clock().since_boot);
}

/// One item of the queue at most, however often it is set anew to a later moment.
class SimTimer final : public link::replication::Timer {
 public:
  SimTimer(Process& process, Action due) : state_(std::make_shared<State>(process, std::move(due))) {}
  ~SimTimer() override { cancel(); }
  SimTimer(const SimTimer&) = delete;
  SimTimer& operator=(const SimTimer&) = delete;
  void set(link::replication::Time at) override;
  void cancel() override { state_->at.reset(); }

 private:
  struct State {
    State(Process& of, Action what) : process(of), due(std::move(what)) {}
    Process& process;
    Action due;
    std::optional<link::replication::Time> at;
    std::optional<link::replication::Time> queued;  ///< the item that counts
    std::uint64_t items = 0;
  };
  static void queue(const std::shared_ptr<State>& state);
  static void run(const std::shared_ptr<State>& state);
  std::shared_ptr<State> state_;
};

/// The parts of an Edge that are the same at both ends.
template <class Base>
class SimEdge : public Base {
 public:
  SimEdge(World& world, Process& process) : world_(world), process_(process) {}
  [[nodiscard]] link::replication::Time now() const override { return time_of(process_.machine()); }
  [[nodiscard]] std::unique_ptr<link::replication::Timer> make_timer(std::function<void()> due) override {
    return std::make_unique<SimTimer>(process_, std::move(due));
  }
  void tell(link::replication::Edge::Level /*level*/, const std::string& what) override {
    if (world_.tracing()) { world_.trace(process_.machine().name, what); }
  }
  void tell(const Error& error) override { world_.trace(process_.machine().name, error.message); }

 protected:
  World& world_;
  Process& process_;
};

class SimWire final : public link::replication::Wire, public std::enable_shared_from_this<SimWire> {
 public:
  struct Owner {
    Process* process = nullptr;
    unsigned site = 0;
    std::function<bool()> dies = [] { return false; };  ///< between two frames
    std::function<void()> after_read = [] {};           ///< what the daemon does besides, whenever it has read
  };
  struct Both {
    std::shared_ptr<SimWire> sender;
    std::shared_ptr<SimWire> receiver;
  };
  static Both connect(World& world, Owner sender, Owner receiver);

  SimWire(World& world, Owner owner, unsigned end);
  ~SimWire() override;
  SimWire(const SimWire&) = delete;
  SimWire& operator=(const SimWire&) = delete;

  void set_handlers(Handlers handlers) override { handlers_ = std::make_shared<const Handlers>(std::move(handlers)); }
  void start() override { last_received_ = time_of(owner_.process->machine()); }
  [[nodiscard]] bool writing() const override { return writing_; }
  void write(std::vector<link::replication::EncodedFrame> batch) override;
  void say_now(link::replication::EncodedFrame /*frame*/) override {}  // nothing takes long here
  [[nodiscard]] std::vector<std::byte> spare() override { return {}; }
  void write_and_close(link::replication::EncodedFrame frame) override;
  void close() override;
  [[nodiscard]] link::replication::Time last_received() const override { return last_received_; }
  void forgive_silence() override { last_received_ = time_of(owner_.process->machine()); }
  [[nodiscard]] std::size_t waiting_bytes() const override { return 0; }
  [[nodiscard]] std::size_t partial_bytes() const override { return decoder_->partial_bytes(); }

  /// A frame that a planted bug has held back.
  void take_late(const link::replication::Frame& frame);
  void set_tamper(std::shared_ptr<Tamper> tamper) { tamper_ = std::move(tamper); }

 private:
  void send_piece(const std::shared_ptr<std::vector<std::byte>>& bytes, std::size_t from, std::size_t to);
  void arrived(std::span<const std::byte> bytes);
  void take_frames();
  [[nodiscard]] bool take(const link::replication::Frame& frame);
  void written();
  void lost();
  void fail(const std::string& why);

  World& world_;
  const Owner owner_;
  const unsigned end_;
  std::weak_ptr<SimWire> peer_;
  std::shared_ptr<Stream> stream_;
  std::shared_ptr<const Handlers> handlers_ = std::make_shared<const Handlers>();
  std::unique_ptr<link::replication::FrameDecoder> decoder_;
  std::shared_ptr<Tamper> tamper_;
  link::replication::Time last_received_;
  bool writing_ = false;
  bool closed_ = false;
  bool last_words_ = false;
};

}  // namespace understudy::sim
