// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/bfd_service.hpp"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "bfd_sequence_file.hpp"
#include "bfd_sockets.hpp"
#include "understudy/common/boot_clock.hpp"
#include "understudy/common/log.hpp"

namespace understudy::link::bfd {

namespace {

constexpr int ttl_required = 255;
/// Datagrams taken from one socket before time is looked at again: a flood must not stop the timers.
constexpr int drain_max = 1024;
constexpr Duration interval_min = std::chrono::milliseconds(1);
constexpr Duration sleep_max = std::chrono::seconds(1);
constexpr Duration refusal_pause = std::chrono::minutes(1);

/// Held for microseconds by callers of any priority; the holder inherits that of the BFD thread waiting for it.
class PriorityInheritingMutex {
 public:
  PriorityInheritingMutex() {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(&mutex_, &attributes);
    pthread_mutexattr_destroy(&attributes);
  }
  PriorityInheritingMutex(const PriorityInheritingMutex&) = delete;
  PriorityInheritingMutex& operator=(const PriorityInheritingMutex&) = delete;
  ~PriorityInheritingMutex() { pthread_mutex_destroy(&mutex_); }
  void lock() { UNDERSTUDY_ASSERT(pthread_mutex_lock(&mutex_) == 0); }
  void unlock() { UNDERSTUDY_ASSERT(pthread_mutex_unlock(&mutex_) == 0); }

 private:
  pthread_mutex_t mutex_;
};

void become_real_time(int priority) {
  if (priority <= 0) { return; }
  sched_param parameters{};
  parameters.sched_priority = priority;
  const int error = pthread_setschedparam(pthread_self(), SCHED_FIFO, &parameters);
  static std::atomic<bool> warned{false};
  if (error != 0 && !warned.exchange(true)) {
    log::warn("BFD runs without real-time priority, detection may be late under load: {}", std::strerror(error));
  }
}

/// What this process has mapped by now, of it what is or comes into memory. Not what it maps later: regions are large,
/// and the memory of a new session is locked with lock_session().
void lock_memory() {
  static std::atomic<bool> warned{false};
  if (mlockall(MCL_CURRENT | MCL_ONFAULT) != 0 && !warned.exchange(true)) {
    log::warn("BFD runs with memory that may be swapped out, detection may be late under load: {}",
              std::strerror(errno));
  }
}

void lock_session(const void* memory, std::size_t size) { (void)mlock(memory, size); }  // warned of at the start

/// From the section being there to the digest in it.
bool is_refusal(Discard discard) {
  return discard >= Discard::AuthenticationUnexpected && discard <= Discard::AuthenticationFailed;
}

}  // namespace

struct BfdService::Impl {
  struct Local {
    IpAddress address;
    FileDescriptor receiver;
  };
  struct Peer {
    Session session;
    SocketAddress destination;
    FileDescriptor sender;
    std::uint32_t* last_sequence = nullptr;  ///< kept over a restart; null: it is not
    PeerCounters counters;
    Instant refusal_due;  ///< not told before
  };
  using Lock = std::lock_guard<PriorityInheritingMutex>;

  Options options;
  Callback callback;
  Refused refused;
  std::vector<Local> locals;
  FileDescriptor wake;

  mutable PriorityInheritingMutex mutex;  ///< guards what follows
  std::map<IpAddress, Peer> peers;
  ServiceCounters counters;
  std::mt19937 random{std::random_device{}()};
  bool stopping = false;
  std::optional<SequenceFile> sequences;
  std::vector<PeerEvent> events;  ///< collected under the mutex, told without it
  std::vector<std::pair<IpAddress, Discard>> refusals;

  std::mutex telling;  ///< held while callbacks run, so that remove_peer can wait for them
  std::thread thread;

  const Local* local_for(const IpAddress& peer) const {
    for (const auto& local : locals) {
      if (local.address.family == peer.family) { return &local; }
    }
    return nullptr;
  }

  void wake_up() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = write(wake.get(), &one, sizeof one);  // full counter: awake already
  }

  std::uint32_t new_discriminator() {
    for (;;) {
      const auto candidate = static_cast<std::uint32_t>(random());
      bool taken = candidate == 0;
      for (const auto& [address, peer] : peers) { taken = taken || peer.session.local_discriminator() == candidate; }
      if (!taken) { return candidate; }
    }
  }

  /// Where the last used number of a peer is kept; null: nowhere.
  std::uint32_t* kept_sequence(const IpAddress& peer) {
    if (options.sequence_file.empty()) { return nullptr; }
    std::string problem = "its file is full";
    if (!sequences) {
      auto opened = SequenceFile::open(options.sequence_file, this_boot(), sequence_of_clock());
      if (opened) {
        sequences = std::move(opened).value();
      } else {
        problem = opened.error().message;
      }
    }
    auto* kept = sequences ? sequences->slot_of(peer) : nullptr;
    if (kept == nullptr) {
      log::warn(
          "BFD to {}: its sequence number does not outlive this daemon, so that the peer will refuse the next one "
          "for twice the detection time: {}",
          peer.to_string(), problem);
    }
    return kept;
  }

  /// The number is written down first: killed in between, the next one is skipped and none is used twice.
  static bool transmit(const Peer& peer, const EncodedPacket& packet) {
    if (peer.last_sequence != nullptr) { *peer.last_sequence = peer.session.transmit_sequence(); }
    return send(peer.sender.get(), peer.destination, packet.bytes());
  }

  void perform(const IpAddress& address, Peer& peer, const Session::Output& output, Instant now) {
    if (output.packet) { ++(transmit(peer, *output.packet) ? peer.counters.sent : peer.counters.send_failed); }
    if (output.change) { events.push_back({address, *output.change, now}); }
    if (is_refusal(output.discard) && now >= peer.refusal_due) {
      refusals.emplace_back(address, output.discard);
      peer.refusal_due = now + refusal_pause;
    }
  }

  void drain(const Local& local) {
    std::array<std::byte, 512> buffer;
    for (int i = 0; i < drain_max; ++i) {
      const auto datagram = receive(local.receiver.get(), buffer);
      if (!datagram) { return; }
      const auto found = peers.find(datagram->from);
      if (found == peers.end()) {
        ++counters.unknown_peer;
      } else if (datagram->ttl != ttl_required) {
        ++counters.wrong_ttl;
      } else {
        Peer& peer = found->second;
        const Instant now = boot_now();
        const auto output = peer.session.on_packet(now, std::span(buffer).first(datagram->size));
        ++peer.counters.received;
        ++peer.counters.discarded[static_cast<std::size_t>(output.discard)];
        perform(found->first, peer, output, now);
      }
    }
  }

  /// One turn: what waits first, then time (rule 2). Returns how long to sleep, or nothing to end.
  std::optional<Duration> turn() {
    const Lock lock(mutex);
    if (stopping) { return std::nullopt; }
    for (const auto& local : locals) { drain(local); }
    Duration sleep = sleep_max;
    for (auto& [address, peer] : peers) {
      const Instant now = boot_now();
      if (now >= peer.session.next_deadline()) { perform(address, peer, peer.session.on_tick(now), now); }
      sleep = std::min(sleep, peer.session.next_deadline() - boot_now());
    }
    return std::max(sleep, Duration{0});
  }

  void tell() {
    const std::lock_guard telling_lock(telling);
    std::vector<PeerEvent> now_told;
    std::vector<std::pair<IpAddress, Discard>> now_refused;
    {
      const Lock lock(mutex);
      now_told.swap(events);
      now_refused.swap(refusals);
    }
    for (const auto& event : now_told) { callback(event); }
    for (const auto& [peer, why] : now_refused) {
      if (refused) { refused(peer, why); }
    }
  }

  void run() {
    pthread_setname_np(pthread_self(), "bfd");
    become_real_time(options.real_time_priority);
    if (options.lock_memory) { lock_memory(); }
    std::vector<pollfd> waits{{wake.get(), POLLIN, 0}};
    for (const auto& local : locals) { waits.push_back({local.receiver.get(), POLLIN, 0}); }
    while (const auto sleep = turn()) {
      tell();
      const timespec timeout{sleep->count() / 1'000'000'000, sleep->count() % 1'000'000'000};
      ppoll(waits.data(), waits.size(), &timeout, nullptr);
      std::uint64_t drained = 0;
      [[maybe_unused]] const auto size = read(wake.get(), &drained, sizeof drained);
    }
  }

  void forget(std::map<IpAddress, Peer>::iterator at) {
    const auto output = at->second.session.set_admin_down(boot_now(), true);
    if (output.packet) { transmit(at->second, *output.packet); }
    std::erase_if(events, [&](const PeerEvent& event) { return event.peer == at->first; });
    peers.erase(at);
  }
};

BfdService::BfdService(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

BfdService::~BfdService() { stop(); }

Result<std::unique_ptr<BfdService>> BfdService::start(const Options& options, Callback callback, Refused refused) {
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  impl->callback = std::move(callback);
  impl->refused = std::move(refused);
  for (const auto& address : options.local_addresses) {
    if (impl->local_for(address) != nullptr) {
      return failure("BFD binds one address for each family, " + address.to_string() + " is a second one",
                     Errc::BadInput);
    }
    auto receiver = open_receiver(address, options.port, options.interface);
    if (!receiver) { return receiver.error(); }
    impl->locals.push_back({address, std::move(receiver).value()});
  }
  if (impl->locals.empty()) { return failure("BFD needs a local address to bind", Errc::BadInput); }
  impl->wake = FileDescriptor(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (impl->wake.get() < 0) { return failure(std::string("BFD cannot make an eventfd: ") + std::strerror(errno)); }
  auto* runner = impl.get();
  impl->thread = std::thread([runner] { runner->run(); });
  return std::unique_ptr<BfdService>(new BfdService(std::move(impl)));
}

Status BfdService::add_peer(const IpAddress& peer, const PeerOptions& options) {
  const auto* local = impl_->local_for(peer);
  if (local == nullptr) {
    return failure("BFD has no local address to reach " + peer.to_string() + " from", Errc::BadInput);
  }
  if (options.interval < interval_min || options.multiplier == 0) {
    return failure("BFD to " + peer.to_string() + " needs an interval of at least 1 ms and a multiplier of at least 1",
                   Errc::BadInput);
  }
  if (auto usable = check_usable(options.authentication); !usable) {
    return failure("BFD to " + peer.to_string() + ": " + usable.error().message, usable.error().code);
  }
  const Impl::Lock lock(impl_->mutex);
  if (impl_->peers.contains(peer)) { return failure("BFD already watches " + peer.to_string(), Errc::Refused); }
  auto destination = socket_address(peer, impl_->options.port, impl_->options.interface);
  if (!destination) { return destination.error(); }
  auto sender = open_sender(local->address, impl_->options.interface, impl_->random);
  if (!sender) { return sender.error(); }
  SessionParameters parameters;
  parameters.local_discriminator = impl_->new_discriminator();
  parameters.desired_min_tx = options.interval;
  parameters.required_min_rx = options.interval;
  parameters.detect_multiplier = options.multiplier;
  parameters.authentication = options.authentication;
  const bool numbered = options.authentication.type != BfdAuthentication::None;
  auto* last_sequence = numbered ? impl_->kept_sequence(peer) : nullptr;
  parameters.first_sequence = (last_sequence != nullptr ? *last_sequence : sequence_of_clock()) + 1;
  auto jitter = [&random = impl_->random] { return std::uniform_real_distribution<double>(0.0, 1.0)(random); };
  const auto& added = *impl_->peers
                           .emplace(peer, Impl::Peer{Session(parameters, std::move(jitter), boot_now()),
                                                     *destination,
                                                     std::move(sender).value(),
                                                     last_sequence,
                                                     PeerCounters{},
                                                     {}})
                           .first;
  if (impl_->options.lock_memory) { lock_session(&added, sizeof added); }
  impl_->wake_up();
  return {};
}

Status BfdService::remove_peer(const IpAddress& peer) {
  {
    const Impl::Lock lock(impl_->mutex);
    const auto found = impl_->peers.find(peer);
    if (found == impl_->peers.end()) { return failure("BFD does not watch " + peer.to_string(), Errc::NotFound); }
    impl_->forget(found);
  }
  if (std::this_thread::get_id() != impl_->thread.get_id()) { const std::lock_guard wait_for_callback(impl_->telling); }
  return {};
}

Status BfdService::set_times(const IpAddress& peer, Duration interval, std::uint8_t multiplier) {
  if (interval < interval_min || multiplier == 0) {
    return failure("a BFD interval is at least 1 ms, a multiplier at least 1", Errc::BadInput);
  }
  const Impl::Lock lock(impl_->mutex);
  const auto found = impl_->peers.find(peer);
  if (found == impl_->peers.end()) { return failure("BFD does not watch " + peer.to_string(), Errc::NotFound); }
  const Instant now = boot_now();
  found->second.session.set_detect_multiplier(multiplier);
  impl_->perform(peer, found->second, found->second.session.set_intervals(now, interval, interval), now);
  impl_->wake_up();
  return {};
}

std::optional<PeerStatus> BfdService::status(const IpAddress& peer) const {
  const Impl::Lock lock(impl_->mutex);
  const auto found = impl_->peers.find(peer);
  if (found == impl_->peers.end()) { return std::nullopt; }
  const auto& session = found->second.session;
  PeerStatus status{session.state(),          session.diagnostic(),
                    session.remote_state(),   session.transmit_interval(),
                    session.detection_time(), describe(session.authentication()),
                    found->second.counters};
  status.counters.late_wakeups = session.late_wakeups();
  return status;
}

ServiceCounters BfdService::counters() const {
  const Impl::Lock lock(impl_->mutex);
  return impl_->counters;
}

std::string BfdService::describe_refusal(const IpAddress& peer, Discard why) const {
  const auto known = status(peer);
  return "BFD packets of " + peer.to_string() + " are refused: " + to_string(why) + "; this side uses " +
         (known ? known->authentication : "nothing any more") + ". Compare [bfd] and the key files of both ends";
}

void BfdService::stop() {
  {
    const Impl::Lock lock(impl_->mutex);
    impl_->stopping = true;
    while (!impl_->peers.empty()) { impl_->forget(impl_->peers.begin()); }
  }
  impl_->wake_up();
  if (impl_->thread.joinable()) { impl_->thread.join(); }
}

}  // namespace understudy::link::bfd
