// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <stdexcept>
#include <thread>

#include "loopback.hpp"
#include "stopwatch.hpp"
#include "understudy/link/replication_receiver.hpp"
#include "understudy/link/replication_sender.hpp"
#include "understudy/shm/layout.hpp"
#include "understudy/shm/region.hpp"
#include "workload.hpp"

namespace understudy::bench {
namespace {

namespace asio = boost::asio;
namespace repl = link::replication;
using namespace std::chrono_literals;

constexpr std::size_t key_bytes = 8;
constexpr std::uint64_t ring_bytes = 256 << 20;  // the whole backlog fits
constexpr auto limit = 60s;
constexpr auto look = 100us;  // between two looks at the acknowledgement

void check(bool holds, const std::string& what) {
  if (!holds) { throw std::runtime_error("replication: " + what); }
}
void checked(const Status& status) { check(status.ok(), status ? "" : status.error().message); }
template <class T>
T checked(Result<T> result) {
  check(result.ok(), result ? "" : result.error().message);
  return std::move(result).value();
}

shm::Region make_region(const std::string& path, std::size_t records) {
  const shm::RegionSchema schema = {
      {{"bench", {{"records", std::uint32_t{key_bytes}, std::uint32_t{value_bytes}, records}}, ring_bytes}}};
  return checked(shm::Region::create(path, checked(shm::Region::size_needed(schema)), schema));
}

/// An io_context with its thread.
class Loop {
 public:
  asio::io_context io;
  ~Loop() { stop(); }
  /// Runs `work` in the thread and waits for it.
  void run(const std::function<void()>& work) {
    std::promise<void> done;
    asio::post(io, [&] {
      try {
        work();
        done.set_value();
      } catch (...) { done.set_exception(std::current_exception()); }
    });
    done.get_future().get();
  }
  void stop() {
    io.stop();
    if (thread_.joinable()) { thread_.join(); }
  }

 private:
  asio::executor_work_guard<asio::io_context::executor_type> guard_ = asio::make_work_guard(io);
  std::thread thread_{[this] { io.run(); }};
};

}  // namespace

struct Replication::Impl {
  std::string paths[2];
  Work work;
  shm::Region active;
  shm::Region mirror;
  shm::Store store;
  shm::StoreWriter writer;
  std::size_t next = 0;
  Loop sending;
  Loop receiving;
  std::unique_ptr<repl::ReplicationSender> sender;
  std::unique_ptr<repl::ReplicationReceiver> receiver;

  Impl(const std::string& directory, std::size_t records)
      : paths{directory + "/active." + std::to_string(::getpid()), directory + "/mirror." + std::to_string(::getpid())},
        work(Work::picks(key_bytes, records, std::size_t{1} << 20, 3)),
        active(make_region(paths[0], records)),
        mirror(make_region(paths[1], records)),
        store(checked(active.store("bench"))),
        writer(checked(store.become_writer(Term{1}))) {
    fill(Work::insertion(key_bytes, records), records);
    // While the backlog is written nothing is heard of the sender: that is part of the measurement, not a failure.
    repl::SenderOptions sender_options;
    sender_options.role = RoleId{"role-1"};
    sender_options.term = Term{1};
    sender_options.address = checked(IpAddress::parse("127.0.0.1"));
    sender_options.port = 0;
    sender_options.silence = sender_options.stall = limit;
    sending.run([&] {
      sender = std::make_unique<repl::ReplicationSender>(sending.io, sender_options, active,
                                                         [](repl::SenderPhase, const std::string&) {});
      checked(sender->start());
    });
    repl::ReceiverOptions receiver_options;
    receiver_options.role = RoleId{"role-1"};
    receiver_options.silence = limit;
    receiving.run([&] {
      receiver = std::make_unique<repl::ReplicationReceiver>(receiving.io, receiver_options, mirror,
                                                             repl::ReceiverCallbacks{});
      checked(receiver->configure({sender_options.address, sender->port(), Term{1}}));
    });
    wait_acknowledged();
  }
  ~Impl() {
    receiving.run([this] { receiver.reset(); });
    sending.run([this] { sender.reset(); });
    for (const auto& path : paths) { ::unlink(path.c_str()); }
  }

  void fill(const Work& from, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i, ++next) {
      checked(writer.put(0, from.key(next % from.count()), from.value(next % from.count())));
    }
  }
  void wait_acknowledged() const {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    for (;;) {
      const auto mirrored = store.mirrored();
      if (mirrored.protected_by_mirror && mirrored.acknowledged == store.committed()) { return; }
      check(std::chrono::steady_clock::now() < deadline, "the mirror did not catch up");
      std::this_thread::sleep_for(look);
    }
  }
};

Replication::Replication(const std::string& directory, std::size_t records)
    : impl_(std::make_unique<Impl>(directory, records)) {}
Replication::~Replication() = default;

Carried Replication::carry(std::size_t changes) {
  auto& impl = *impl_;
  Stopwatch watch;
  impl.sending.run([&] {
    impl.fill(impl.work, changes);
    watch = Stopwatch();
    impl.sender->poke();
  });
  impl.wait_acknowledged();
  return {watch.seconds(), changes * shm::layout::entry_bytes(key_bytes, value_bytes)};
}

}  // namespace understudy::bench
