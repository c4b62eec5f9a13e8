// SPDX-License-Identifier: Apache-2.0
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <stdexcept>
#include <thread>

#include "loopback.hpp"
#include "stopwatch.hpp"
#include "understudy/link/pki.hpp"
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
constexpr std::uint64_t ring_bytes = 256 << 20;
constexpr std::size_t backlog_bytes = 200 << 20;  // fits whole, with what an earlier run left
constexpr std::size_t blob_from = 4 << 10;
constexpr std::size_t looked_at = 64;  // records that are compared after a run
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

shm::Region make_region(const std::string& path, const Mirrored& table) {
  const auto kind = table.value_bytes >= blob_from ? shm::TableKind::Blob : shm::TableKind::Hashed;
  const auto bytes = static_cast<std::uint32_t>(table.value_bytes);
  const shm::RegionSchema schema = {
      {{"bench", {{"records", std::uint32_t{key_bytes}, bytes, table.records, kind}}, ring_bytes}}};
  return checked(shm::Region::create(path, checked(shm::Region::size_needed(schema)), schema));
}

/// Values that differ from change to change without being written anew each time: windows of one run of noise.
class Values {
 public:
  explicit Values(std::size_t bytes) : bytes_(bytes), noise_(bytes / 8 + windows) {
    for (std::size_t i = 0; i < noise_.size(); ++i) { noise_[i] = scatter(i); }
  }
  [[nodiscard]] Bytes value(std::size_t change) const {
    return std::as_bytes(std::span(noise_)).subspan(8 * (change % windows), bytes_);
  }

 private:
  static constexpr std::size_t windows = 251;
  std::size_t bytes_;
  std::vector<std::uint64_t> noise_;
};

/// Both ends' certificates, as `understudy pki` makes them.
struct Bearers {
  link::tls::Credentials active;
  link::tls::Credentials mirror;
  Bearers() {
    const auto validity = link::tls::valid_for(1, ::time(nullptr));
    const auto ca = checked(link::tls::make_ca("bench", validity));
    const auto issue = [&](link::tls::Kind kind, const std::string& name, const std::string& role) {
      const auto made = checked(link::tls::issue(ca, {kind, "bench", name, role}, validity));
      return link::tls::Credentials{ca.certificate, made.certificate, made.key};
    };
    active = issue(link::tls::Kind::Blade, "blade-1", "");
    mirror = issue(link::tls::Kind::Mirror, "blade-2", "role-1");
  }
};

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
  Mirrored table;
  Work work;
  Values values;
  shm::Region active;
  shm::Region mirror;
  shm::Store store;
  shm::StoreWriter writer;
  std::size_t next = 0;
  Loop sending;
  Loop receiving;
  std::unique_ptr<repl::ReplicationSender> sender;
  std::unique_ptr<repl::ReplicationReceiver> receiver;

  Impl(const std::string& directory, const Mirrored& of)
      : paths{directory + "/active." + std::to_string(::getpid()), directory + "/mirror." + std::to_string(::getpid())},
        table(of),
        work(Work::picks(key_bytes, of.records, std::size_t{1} << 20, 3)),
        values(of.value_bytes),
        active(make_region(paths[0], of)),
        mirror(make_region(paths[1], of)),
        store(checked(active.store("bench"))),
        writer(checked(store.become_writer(Term{1}))) {
    fill(Work::insertion(key_bytes, of.records), of.records);
    // While the backlog is written nothing is heard of the sender: that is part of the measurement, not a failure.
    repl::SenderOptions sender_options;
    sender_options.role = RoleId{"role-1"};
    sender_options.term = Term{1};
    sender_options.address = checked(IpAddress::parse("127.0.0.1"));
    sender_options.port = 0;
    sender_options.silence = sender_options.stall = limit;
    repl::ReceiverTarget target;
    target.term = Term{1};
    if (of.tls) {
      const Bearers bearers;
      sender_options.credentials = [active = bearers.active] { return active; };
      target.credentials = bearers.mirror;
      target.blade = BladeId{"blade-1"};
    }
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
      target.active = sender_options.address;
      target.port = sender->port();
      checked(receiver->configure(target));
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
      checked(writer.put(0, from.key(next % from.count()), values.value(next)));
    }
  }
  [[nodiscard]] std::vector<std::byte> get(const shm::Store& from, Bytes key) const {
    std::vector<std::byte> value(table.value_bytes);
    if (table.value_bytes >= blob_from) {
      checked(from.get_blob(0, key, value));
    } else {
      checked(from.get(0, key, value));
    }
    return value;
  }
  /// The last changes are in the mirror as they are in the active.
  void compare() const {
    const auto held = checked(mirror.store("bench"));
    check(held.committed() == store.committed(), "the mirror is not where the active is");
    for (std::size_t i = 1; i <= looked_at; ++i) {
      const Bytes key = work.key((next - i) % work.count());
      check(get(held, key) == get(store, key), "a record of the mirror differs");
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

std::size_t changes_for(std::size_t bytes, std::size_t most) {
  return std::min<std::size_t>(most, backlog_bytes / shm::layout::entry_bytes(key_bytes, bytes));
}

Replication::Replication(const std::string& directory, const Mirrored& table)
    : impl_(std::make_unique<Impl>(directory, table)) {}
Replication::~Replication() = default;

Carried Replication::carry(std::size_t changes) {
  auto& impl = *impl_;
  Stopwatch watch;
  Carried carried;
  impl.receiving.run([&] { carried.receiver_cpu = thread_cpu(); });
  impl.sending.run([&] {
    impl.fill(impl.work, changes);
    carried.sender_cpu = thread_cpu();
    watch = Stopwatch();
    impl.sender->poke();
  });
  impl.wait_acknowledged();
  carried.seconds = watch.seconds();
  impl.receiving.run([&] { carried.receiver_cpu = thread_cpu() - carried.receiver_cpu; });
  impl.sending.run([&] { carried.sender_cpu = thread_cpu() - carried.sender_cpu; });
  impl.compare();
  carried.bytes = changes * shm::layout::entry_bytes(key_bytes, impl.table.value_bytes);
  return carried;
}

}  // namespace understudy::bench
