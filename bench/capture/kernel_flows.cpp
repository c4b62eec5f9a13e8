// SPDX-License-Identifier: Apache-2.0
#include "kernel_flows.hpp"

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>

#include "understudy/net/collector.hpp"
#include "understudy/net/installer.hpp"
#include "understudy/net/store_sink.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::bench {
namespace {

void check(bool holds, const std::string& what) {
  if (!holds) { throw std::runtime_error("capture: " + what); }
}
void checked(const Status& status) { check(status.ok(), status ? "" : status.error().message); }
template <class T>
T checked(Result<T> result) {
  check(result.ok(), result ? "" : result.error().message);
  return std::move(result).value();
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

Captured usage_of_this_thread() {
  rusage used{};
  check(::getrusage(RUSAGE_THREAD, &used) == 0, "getrusage failed");
  return {seconds(used.ru_utime), seconds(used.ru_utime) + seconds(used.ru_stime), 0};
}

/// An established TCP connection from 10.x.y.z, of which each number has its own.
std::pair<net::FlowKey, net::FlowValue> flow(std::uint32_t number) {
  net::FlowKey key;
  const std::uint32_t client = htonl(0x0a000000U | (number >> 12));
  const std::uint32_t server = htonl(0xc0000201U);  // 192.0.2.1
  std::memcpy(key.source.data(), &client, sizeof client);
  std::memcpy(key.destination.data(), &server, sizeof server);
  key.source_port = htons(static_cast<std::uint16_t>(1024 + (number & 0xfff)));
  key.destination_port = htons(443);
  key.family = 4;
  key.protocol = IPPROTO_TCP;
  net::FlowValue value;
  value.reply_source = key.destination;
  value.reply_destination = key.source;
  value.reply_source_port = key.destination_port;
  value.reply_destination_port = key.source_port;
  value.status = IPS_CONFIRMED | IPS_SEEN_REPLY | IPS_ASSURED;
  value.timeout_seconds = 3600;
  value.tcp_state = TCP_CONNTRACK_ESTABLISHED;
  return {key, value};
}

class NetStore {
 public:
  NetStore(std::string path, std::size_t flows_max)
      : path_(std::move(path)), region_(make(path_, flows_max)), store_(checked(region_.store(net::net_store_name))) {}
  ~NetStore() { ::unlink(path_.c_str()); }
  NetStore(const NetStore&) = delete;
  NetStore& operator=(const NetStore&) = delete;
  shm::Store& store() { return store_; }

 private:
  static shm::Region make(const std::string& path, std::size_t flows_max) {
    const shm::RegionSchema schema{{net::net_store_schema(flows_max)}};
    return checked(shm::Region::create(path, checked(shm::Region::size_needed(schema)), schema));
  }
  std::string path_;
  shm::Region region_;
  shm::Store store_;
};

net::Collector open_in_new_namespace() {
  check(::unshare(CLONE_NEWNET) == 0, std::string("a network namespace needs root: ") + std::strerror(errno));
  net::CollectorOptions options;
  options.event_buffer_bytes = options.event_buffer_bytes_max;
  return checked(net::Collector::open({}, options));
}

}  // namespace

struct KernelFlows::Impl {
  net::Collector collector = open_in_new_namespace();
  net::Installer installer = checked(net::Installer::open({}, {}));
  NetStore collected;
  shm::StoreWriter writer;
  net::StoreSink sink;
  std::uint32_t next = 0;

  Impl(const std::string& directory, std::size_t flows_max)
      : collected(directory + "/collected." + std::to_string(::getpid()), flows_max),
        writer(checked(collected.store().become_writer(Term{1}))),
        sink(writer) {}

  void drain() {
    while (checked(collector.drain(sink))) {}
  }
};

KernelFlows::KernelFlows(const std::string& directory, std::size_t flows_max)
    : impl_(std::make_unique<Impl>(directory, flows_max)) {}
KernelFlows::~KernelFlows() = default;

Captured KernelFlows::capture(std::size_t flows) {
  auto& impl = *impl_;
  for (std::size_t i = 0; i < flows; ++i) {
    const auto [key, value] = flow(impl.next++);
    const shm::JournalEntry entry{Sequence{1}, net::FlowTable, shm::JournalEntry::Op::Put, shm::as_bytes_of(key),
                                  shm::as_bytes_of(value)};
    checked(impl.installer.apply(entry));
  }
  checked(impl.installer.flush());
  check(impl.installer.report().refused == 0, impl.installer.report().first_refusal);

  const auto counters = impl.collector.counters();
  const std::uint64_t written = impl.sink.counters().written;
  const Captured before = usage_of_this_thread();
  impl.drain();
  const Captured after = usage_of_this_thread();
  check(impl.collector.counters().overruns == counters.overruns, "the kernel's event queue overran");
  check(impl.sink.counters().written - written == flows, std::to_string(impl.sink.counters().written - written) +
                                                             " of " + std::to_string(flows) + " flows were written");
  return {after.user_seconds - before.user_seconds, after.total_seconds - before.total_seconds,
          static_cast<std::size_t>(impl.collector.counters().events - counters.events)};
}

}  // namespace understudy::bench
