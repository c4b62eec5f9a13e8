// SPDX-License-Identifier: Apache-2.0
#include "place/role_place.hpp"

#include <unistd.h>

#include <boost/asio/post.hpp>

#include "place/region_schema.hpp"
#include "understudy/common/log.hpp"
#include "understudy/net/announce.hpp"
#include "understudy/net/interfaces.hpp"
#include "understudy/net/namespace.hpp"
#include "understudy/net/nft.hpp"

namespace understudy::place {

namespace {
constexpr auto application_ready_deadline = std::chrono::seconds(10);
constexpr auto application_active_deadline = std::chrono::seconds(2);
constexpr int announcements_max = 6;
constexpr int drain_rounds_max = 64;
constexpr auto table_look_interval = std::chrono::seconds(1);
constexpr auto announcement_interval = std::chrono::milliseconds(200);

const std::string* interface_of(const std::vector<std::pair<std::string, std::string>>& ports,
                                const std::string& port) {
  for (const auto& [name, interface] : ports) {
    if (name == port) { return &interface; }
  }
  return nullptr;
}
}  // namespace

Status exempt_from_tracking(const IpAddress& maintenance_address) {
  auto nft = net::Nft::open();
  if (!nft) { return nft.error(); }
  const std::string family = maintenance_address.is_v4() ? "ip" : "ip6";
  const auto address = maintenance_address.to_string();
  return nft->run(
      "table inet understudy_maintenance\n"
      "delete table inet understudy_maintenance\n"
      "table inet understudy_maintenance {\n"
      "  chain incoming { type filter hook prerouting priority raw; " +
      family + " daddr " + address +
      " notrack; }\n"
      "  chain outgoing { type filter hook output priority raw; " +
      family + " saddr " + address +
      " notrack; }\n"
      "}\n");
}

RolePlace::RolePlace(boost::asio::io_context& io, link::RoleSpec spec, PlaceOptions options,
                     RolePlaceCallbacks callbacks)
    : io_(io),
      spec_(std::move(spec)),
      options_(std::move(options)),
      callbacks_(std::move(callbacks)),
      announcements_(io),
      look_at_tables_(io) {}

RolePlace::~RolePlace() { stop_writing(); }

net::FlowFilter RolePlace::flow_filter() const {
  net::FlowFilter filter;
  filter.excluded = options_.excluded;
  return filter;
}

Status RolePlace::configure_port(net::Links& links, const link::PortSpec& port, const std::string& interface) {
  if (auto done = links.set_quiet(interface); !done) { return done; }
  const auto state = links.state(interface);
  if (!state) { return state.error(); }
  if (state->mac != port.mac) {  // an interface that serves already is left alone (a restarted agent)
    if (auto done = links.set_mac(interface, port.mac); !done) { return done; }
  }
  for (const auto& address : port.addresses) {
    if (auto done = links.add_address(interface, address); !done) { return done; }
  }
  bool ipv6 = false;
  bool link_local = false;
  for (const auto& address : port.addresses) {
    ipv6 = ipv6 || !address.address.is_v4();
    link_local = link_local || address.address.is_link_local();
  }
  if (ipv6 && !link_local) {
    // Without any, Linux asks for no IPv6 neighbour of what it forwards: what was preloaded fails ten seconds later.
    if (auto done = links.add_address(interface, net::link_local_of(port.mac)); !done) { return done; }
  }
  return state->up ? Status{} : links.set_up(interface, true);
}

Status RolePlace::configure() {
  auto scope = net::NamespaceScope::enter(options_.namespace_path);
  if (!scope) { return scope.error(); }
  auto links = net::Links::open();
  if (!links) { return links.error(); }
  if (!spec_.ruleset.empty()) {  // first, since connection tracking begins with it
    auto nft = net::Nft::open();
    if (!nft) { return nft.error(); }
    if (auto done = nft->load(spec_.ruleset); !done) { return done; }
  }
  for (const auto& [name, value] : spec_.sysctls) {
    if (auto done = net::set_sysctl(name, value); !done) { return done; }
  }
  for (const auto& port : spec_.ports) {
    const auto* interface = interface_of(options_.ports, port.name);
    if (interface == nullptr) {
      return failure("role " + spec_.id.value + " has port \"" + port.name + "\" on network \"" + port.network +
                         "\", which this place does not have",
                     Errc::BadInput);
    }
    if (auto done = configure_port(*links, port, *interface); !done) { return done; }
  }
  for (const auto& route : spec_.routes) {
    if (auto done = links->set_route(route.destination, route.gateway); !done) { return done; }
  }
  return {};
}

bool RolePlace::has_region_file() const {
  return shm::Region::inspect(options_.region_path, region_size(), region_offset()) != shm::RegionState::Absent;
}

Status RolePlace::open_region() {
  auto opened = open_role_region(options_.region_path, shm::Access::ReadWrite, region_size(), region_offset(), spec_);
  if (!opened) { return opened.error(); }
  region_.emplace(std::move(opened).value());
  return {};
}

/// What the file itself tells otherwise.
std::optional<std::uint64_t> RolePlace::region_size() const {
  return options_.is_device || region_offset() != 0 ? std::optional(spec_.region_bytes) : std::nullopt;
}

/// A guest's device is all region; the host's file may have an nvdimm's info block before it.
std::uint64_t RolePlace::region_offset() const {
  return options_.is_device ? 0 : shm::region_offset(options_.region_path, spec_.region_bytes);
}

void RolePlace::start_application(std::function<void(Status)> done) {
  if (spec_.application.command.empty()) {
    done({});
    return;
  }
  if (application_ && application_->status().running) {
    application_->wait_ready(application_ready_deadline, std::move(done));
    return;
  }
  app::ApplicationOptions options;
  options.name = spec_.id.value;
  options.command = spec_.application.command;
  options.network_namespace = options_.namespace_path;
  options.run_dir = options_.run_dir;
  options.log_path = options_.run_dir + "/" + spec_.id.value + ".application.log";
  options.region_path = options_.region_path;
  options.region_bytes = spec_.region_bytes;
  options.region_offset = region_offset();
  options.store = spec_.application.store;
  application_ = std::make_unique<app::Supervisor>(
      io_, options,
      app::Supervisor::Callbacks{[this](const app::ApplicationExit& exit) {
                                   if (!exit.expected) { callbacks_.on_application_exit(exit.describe()); }
                                 },
                                 [this](const app::ApplicationStatus& status) { hear_fitness(status.unfit); }});
  if (auto started = application_->start(); !started) {
    done(started);
    return;
  }
  application_->wait_ready(application_ready_deadline, std::move(done));
}

Status RolePlace::begin_writing(Term term) {
  stop_writing();  // of an earlier try: the store refuses a second writer, also one of our own
  auto store = region_->store(net::net_store_name);
  if (!store) { return store.error(); }
  auto writer = store->become_writer(term);
  if (!writer) { return writer.error(); }
  writer_.emplace(std::move(writer).value());
  writer_->never_wait();  // the sender runs on this thread, which also refreshes leases
  sink_ = std::make_unique<net::StoreSink>(*writer_);
  auto scope = net::NamespaceScope::enter(options_.namespace_path);
  if (!scope) { return scope.error(); }
  auto ports = net::PortMap::resolve(options_.ports);
  if (!ports) { return ports.error(); }
  net::CollectorOptions options;
  options.flows = flow_filter();
  auto collector = net::Collector::open(std::move(ports).value(), options);
  if (!collector) { return collector.error(); }
  collector_.emplace(std::move(collector).value());
  watch_tables();  // from before the dump: what finds no room in it is told
  if (auto dumped = collector_->dump(*sink_); !dumped) { return dumped; }
  for (const int fd : collector_->fds()) {
    if (fd < 0) { continue; }
    events_.push_back(std::make_unique<boost::asio::posix::stream_descriptor>(io_, dup(fd)));
  }
  watch_all();
  look_at_sink({});
  return {};
}

void RolePlace::hear_fitness(const std::string& unfit) {
  if (std::exchange(unfit_, unfit) != unfit && callbacks_.on_unfit) { callbacks_.on_unfit(unfit); }
}

/// A table that is full is told while the role is served here, the application's tables too.
void RolePlace::watch_tables() {
  const Instant now{std::chrono::steady_clock::now().time_since_epoch()};
  for (const auto& news : full_tables_.look(*region_, now)) { callbacks_.on_alarm(news.sentence, news.topic); }
  look_at_tables_.expires_after(table_look_interval);
  look_at_tables_.async_wait([this, alive = std::weak_ptr(alive_)](const boost::system::error_code& error) {
    if (!error && !alive.expired() && sink_) { watch_tables(); }
  });
}

void RolePlace::watch_all() {
  watching_ = std::make_shared<int>(0);
  for (auto& events : events_) { watch(*events); }
}

void RolePlace::watch(boost::asio::posix::stream_descriptor& descriptor) {
  descriptor.async_wait(
      boost::asio::posix::stream_descriptor::wait_read,
      [this, &descriptor, watching = std::weak_ptr(watching_)](const boost::system::error_code& error) {
        if (error || watching.expired() || !collector_) { return; }
        drain();
        if (!watching.expired()) { watch(descriptor); }
      });
}

void RolePlace::drain() {
  // Bounded: a kernel that tells events faster than they are taken must not keep the loop for ever.
  for (int rounds = 0; collector_ && rounds < drain_rounds_max; ++rounds) {
    const auto more = collector_->drain(*sink_);
    look_at_sink(more ? Status{} : Status(more.error()));
    if (!more || !*more) { break; }
  }
  if (callbacks_.on_changes) { callbacks_.on_changes(); }
}

void RolePlace::run_dry() {
  if (collector_) { look_at_sink(collector_->run_dry(*sink_)); }
  if (callbacks_.on_changes) { callbacks_.on_changes(); }
}

void RolePlace::look_at_sink(const Status& collected) {
  if (!collected) {
    callbacks_.on_alarm("the collector of kernel state failed: " + log::describe(collected.error()), "");
  }
  if (sink_->health().ok()) { return; }
  callbacks_.on_alarm("the kernel's state is not recorded any more: " + log::describe(sink_->health().error()), "");
  stop_writing();
}

void RolePlace::hold_still() {
  watching_.reset();
  for (auto& events : events_) {
    boost::system::error_code ignored;
    events->cancel(ignored);
  }
  run_dry();
}

void RolePlace::go_on() {
  if (!collector_ || watching_) { return; }
  drain();
  watch_all();
}

void RolePlace::stop_writing() {
  look_at_tables_.cancel();
  watching_.reset();
  for (auto& events : events_) {
    boost::system::error_code ignored;
    events->close(ignored);
  }
  // Handlers on their way refer to the descriptors: those live until the handlers have run.
  for (auto& events : events_) {
    boost::asio::post(io_, [kept = std::shared_ptr(std::move(events))] {});
  }
  events_.clear();
  collector_.reset();
  sink_.reset();
  writer_.reset();
}

void RolePlace::activate(Term term, std::function<void(Status)> done) {
  if (!application_) {
    done({});
    return;
  }
  application_->activate(term, application_active_deadline, std::move(done));
}

void RolePlace::stop_application(std::function<void(Status)> done) {
  if (!application_) {
    done({});
    return;
  }
  application_->stop(std::move(done));
}

void RolePlace::announce() { announce_once(announcements_max); }

void RolePlace::announce_once(int left) {
  {
    auto scope = net::NamespaceScope::enter(options_.namespace_path);
    if (!scope) {
      callbacks_.on_alarm(log::describe(scope.error()), "");
      return;
    }
    for (const auto& port : spec_.ports) {
      const auto* interface = interface_of(options_.ports, port.name);
      if (interface == nullptr) { continue; }
      std::vector<IpAddress> addresses;
      for (const auto& prefix : port.addresses) { addresses.push_back(prefix.address); }
      if (auto sent = net::announce(*interface, port.mac, addresses); !sent) {
        callbacks_.on_alarm("announcing " + port.name + " failed: " + log::describe(sent.error()), "");
      }
    }
  }
  if (left <= 1) { return; }
  announcements_.expires_after(announcement_interval);
  announcements_.async_wait([this, left, alive = std::weak_ptr(alive_)](const boost::system::error_code& error) {
    if (!error && !alive.expired()) { announce_once(left - 1); }
  });
}

}  // namespace understudy::place
