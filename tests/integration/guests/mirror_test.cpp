// SPDX-License-Identifier: Apache-2.0
/// A mirror's whole life against a real active: replication and BFD over a tap, its kernel, its application.
///
///   this process, in a network namespace of its own             QEMU
///     ReplicationSender, BfdService at 192.168.1.2 ── us-mnt ── tap ── mirror-1 (192.168.1.41)
///     us-ext, us-int: bridges, the service networks  ────────── taps ── its service ports
/// Covers: guest-agent/edge/agent.cpp, guest-agent/edge/agent_configure.cpp, guest-agent/edge/agent_restore.cpp,
/// guest-agent/edge/host_channel.cpp, host-agent/place/role_place.cpp

#include <arpa/inet.h>
#include <sched.h>

#include "guest_fixture.hpp"
#include "tables.hpp"
#include "understudy/link/bfd_service.hpp"
#include "understudy/link/replication_sender.hpp"
#include "understudy/net/interfaces.hpp"
#include "understudy/net/records.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::test {
namespace {

using namespace std::chrono_literals;
namespace channel = link::guest;

constexpr Term active_term{7};
constexpr const char* bfd_key = "group-key";
constexpr std::uint64_t region_bytes = std::uint64_t{16} << 20;

net::AddressBytes bytes_of(const char* text) { return IpAddress::parse(text).value().bytes; }

/// A UDP flow from the intranet, translated to the role's external address.
std::pair<net::FlowKey, net::FlowValue> nat_flow(std::uint16_t port) {
  net::FlowKey key;
  key.source = bytes_of("10.50.1.2");
  key.destination = bytes_of("10.23.4.1");
  key.source_port = htons(port);
  key.destination_port = htons(9000);
  key.family = 4;
  key.protocol = IPPROTO_UDP;
  net::FlowValue value;
  value.reply_source = key.destination;
  value.reply_destination = bytes_of("10.23.4.121");
  value.reply_source_port = key.destination_port;
  value.reply_destination_port = key.source_port;
  value.status =
      0x1 << 1 | 0x1 << 2 | 0x1 << 3 | 0x1 << 4 | 0x1 << 7;  // seen reply, assured, confirmed, snat, snat done
  value.timeout_seconds = 120;
  return {key, value};
}

class MirrorTest : public GuestFixture {
 protected:
  void SetUp() override {
    GuestFixture::SetUp();
    ASSERT_EQ(unshare(CLONE_NEWNET), 0) << "needs root";
    plumb();
    make_regions();
    serve_as_active();
  }
  void TearDown() override {
    guest_.reset();
    bfd_.reset();
    sender_.reset();
    GuestFixture::TearDown();
  }

  void plumb() {
    auto links = net::Links::open();
    ASSERT_TRUE(links);
    for (const std::string name : {"mnt", "ext", "int"}) {
      ASSERT_TRUE(links->create_bridge("us-" + name));
      ASSERT_TRUE(links->create_tap(name + "-tap"));
      ASSERT_TRUE(links->set_quiet("us-" + name));
      ASSERT_TRUE(links->set_quiet(name + "-tap"));
      ASSERT_TRUE(links->set_master(name + "-tap", "us-" + name));
      ASSERT_TRUE(links->set_up(name + "-tap", true));
      ASSERT_TRUE(links->set_up("us-" + name, true));
    }
    ASSERT_TRUE(links->set_up("lo", true));
    ASSERT_TRUE(links->add_address("us-mnt", IpPrefix::parse("192.168.1.2/24").value()));
  }

  /// The active's region, empty but for one flow, under `term`.
  void make_active_region(Term term, std::uint16_t port) {
    writer_.reset();
    auto active = shm::Region::create(directory_ + "/active-region", region_bytes, schema());
    ASSERT_TRUE(active) << active.error().message;
    active_region_.emplace(*std::move(active));
    auto store = active_region_->store(net::net_store_name);
    ASSERT_TRUE(store);
    auto writer = store->become_writer(term);
    ASSERT_TRUE(writer);
    writer_.emplace(*std::move(writer));
    put_flow(port);
  }
  static shm::RegionSchema schema() {
    return {{net::net_store_schema(1024), session_service::store_schema("sessions", {64, 128})}};
  }

  void make_regions() {
    const auto offset = device_ == host::RegionDevice::Nvdimm ? shm::nvdimm_info_bytes : 0;
    auto mirror = shm::Region::create(region_path(), region_bytes, schema(), offset);
    ASSERT_TRUE(mirror) << mirror.error().message;
    make_active_region(active_term, 40001);
  }

  void put_flow(std::uint16_t port) {
    const auto [key, value] = nat_flow(port);
    ASSERT_TRUE(writer_->put(net::FlowTable, shm::as_bytes_of(key), shm::as_bytes_of(value)));
  }

  void serve_as_active() {
    start_sender(active_term);
    link::bfd::BfdService::Options watching;
    watching.local_addresses = {IpAddress::parse("192.168.1.2").value()};
    auto bfd = link::bfd::BfdService::start(watching, [](const link::bfd::PeerEvent&) {});
    ASSERT_TRUE(bfd) << bfd.error().message;
    bfd_ = *std::move(bfd);
    link::bfd::PeerOptions peer;
    peer.authentication = {link::BfdAuthentication::MeticulousSha1, 7, bfd_key};
    ASSERT_TRUE(bfd_->add_peer(IpAddress::parse("192.168.1.41").value(), peer));
  }

  void start_sender(Term term) {
    link::replication::SenderOptions options;
    options.role = RoleId{"role-1"};
    options.term = term;
    options.address = IpAddress::parse("192.168.1.2").value();
    sender_ = std::make_unique<link::replication::ReplicationSender>(
        io_, options, *active_region_, [](link::replication::SenderPhase, const std::string&) {});
    ASSERT_TRUE(sender_->start());
  }

  static link::RunMirror mirror_order() {
    link::RoleSpec spec;
    spec.id = RoleId{"role-1"};
    spec.number = 1;
    spec.version = "bundle-1";
    spec.ports = {{"ext",
                   "external",
                   MacAddress::parse("02:e0:00:00:00:01").value(),
                   {IpPrefix::parse("10.23.4.121/24").value(), IpPrefix::parse("fd00:23:4::121/64").value()}},
                  {"int",
                   "intranet-1",
                   MacAddress::parse("02:e1:00:00:00:01").value(),
                   {IpPrefix::parse("10.50.1.1/24").value(), IpPrefix::parse("fe80::1/64").value()}}};
    spec.routes = {{IpPrefix::parse("0.0.0.0/0").value(), IpAddress::parse("10.23.4.1").value()}};
    spec.sysctls = {{"net.ipv4.ip_forward", "1"}, {"net.netfilter.nf_conntrack_tcp_loose", "0"}};
    spec.ruleset =
        "table ip gateway\ndelete table ip gateway\ntable ip gateway {\n chain post {\n"
        "  type nat hook postrouting priority srcnat;\n  ip saddr 10.50.1.0/24 snat to 10.23.4.121\n }\n}\n";
    spec.application.name = "session-service";
    spec.application.command = {"/usr/bin/session-service", "--port", "7500"};
    const auto store = session_service::store_schema("sessions", {64, 128});
    spec.application.store = store.name;
    spec.application.journal_bytes = store.journal_bytes;
    for (const auto& table : store.tables) {
      spec.application.tables.push_back({table.name, table.key_bytes, table.value_bytes, table.capacity});
    }
    spec.region_bytes = region_bytes;
    spec.flow_capacity = 1024;
    spec.mirror_address = IpPrefix::parse("192.168.1.41/24").value();
    spec.mirror_mac = MacAddress::parse("02:e2:00:00:00:01").value();
    return {spec,
            active_term,
            BladeId{"blade-1"},
            IpAddress::parse("192.168.1.2").value(),
            {50, 3, link::BfdAuthentication::MeticulousSha1, 7}};
  }

  void start_mirror() {
    auto wanted = options(region_bytes, false, device_);
    wanted.nics = {{"mnt", "mnt-tap", mirror_order().spec.mirror_mac},
                   {"ext", "ext-tap", mirror_order().spec.ports[0].mac},
                   {"int", "int-tap", mirror_order().spec.ports[1].mac}};
    guest_ = start(wanted);
    ASSERT_TRUE(guest_);
    ASSERT_TRUE(run_until([&] { return !hellos_.empty(); }));
    ASSERT_TRUE(guest_->send(channel::Certify{}));  // plain text
    ASSERT_TRUE(guest_->send(channel::Configure{mirror_order(), bfd_key}));
  }
  void start_synced_mirror() {
    ASSERT_NO_FATAL_FAILURE(start_mirror());
    ASSERT_TRUE(run_until([&] { return phase() == channel::GuestPhase::Synced; })) << story();
  }

  template <class Event>
  [[nodiscard]] const Event* last() const {
    for (auto event = events_.rbegin(); event != events_.rend(); ++event) {
      if (const auto* found = std::get_if<Event>(&*event)) { return found; }
    }
    return nullptr;
  }
  [[nodiscard]] channel::GuestPhase phase() const {
    const auto* state = last<channel::State>();
    return state == nullptr ? channel::GuestPhase::Starting : state->phase;
  }
  template <class Event>
  bool wait_for() {
    return run_until([&] { return last<Event>() != nullptr; });
  }
  /// Everything that the guest said, for a failure's message.
  [[nodiscard]] std::string story() const {
    std::string text;
    for (const auto& event : events_) { text += channel::to_line(event); }
    return text;
  }
  host::RegionDevice device_ = host::RegionDevice::Ivshmem;
  std::optional<shm::Region> active_region_;
  std::optional<shm::StoreWriter> writer_;
  std::unique_ptr<link::replication::ReplicationSender> sender_;
  std::unique_ptr<link::bfd::BfdService> bfd_;
  std::unique_ptr<host::Guest> guest_;
};

TEST_F(MirrorTest, SyncsInstallsHotVotesTakesOverAnnouncesAndQuiesces) {
  ASSERT_NO_FATAL_FAILURE(start_synced_mirror());
  ASSERT_TRUE(run_until([&] {
    const auto* seen = last<channel::PeerSeen>();
    return seen != nullptr && seen->vote == link::Vote::Up;
  })) << story();

  // Hot: a flow committed at the active is in the mirror's region and in its kernel while it only stands by.
  put_flow(40002);
  auto mirrored = shm::Region::open(region_path(), shm::Access::ReadOnly);
  ASSERT_TRUE(mirrored) << mirrored.error().message;
  auto copy = mirrored->store(net::net_store_name);
  ASSERT_TRUE(copy);
  ASSERT_TRUE(run_until([&] { return copy->committed() == writer_->committed(); })) << story();
  EXPECT_EQ(copy->count(net::FlowTable), 2U);

  // A stale term is refused and changes nothing.
  ASSERT_TRUE(guest_->send(channel::Activate{active_term, 0}));
  ASSERT_TRUE(wait_for<channel::ActivateFailed>()) << story();

  // The active falls silent, without a word; the mirror says so and is activated.
  auto links = net::Links::open();
  ASSERT_TRUE(links);
  ASSERT_TRUE(links->set_up("us-mnt", false));
  ASSERT_TRUE(run_until([&] { return last<channel::PeerSeen>()->vote == link::Vote::Down; })) << story();
  const Term term = active_term.next();
  ASSERT_TRUE(guest_->send(channel::Activate{term, 60000}));
  ASSERT_TRUE(wait_for<channel::Ready>()) << story();
  EXPECT_EQ(last<channel::Ready>()->term, term);
  std::vector<std::string> phases;
  for (const auto& phase : last<channel::Ready>()->phases) { phases.push_back(phase.phase); }
  EXPECT_EQ(phases, (std::vector<std::string>{"drain", "install", "handover", "application"}));
  EXPECT_EQ(copy->term(), term) << "the collector is the writer of the net store now";
  EXPECT_EQ(copy->count(net::FlowTable), 2U) << "what was installed hot was found in the kernel by its dump";

  ASSERT_TRUE(guest_->send(channel::Announce{}));
  ASSERT_TRUE(wait_for<channel::Announced>()) << story();

  // A movement that is rolled back, then one that is not.
  ASSERT_TRUE(guest_->send(channel::Quiesce{}));
  ASSERT_TRUE(wait_for<channel::Quiesced>()) << story();
  const auto sequences = last<channel::Quiesced>()->sequences;
  ASSERT_EQ(sequences.size(), 2U);
  EXPECT_EQ(sequences[0].first, "net");
  EXPECT_EQ(sequences[0].second, copy->committed());
  ASSERT_TRUE(guest_->send(channel::Resume{}));
  events_.clear();  // it serves again, so it can be quiesced again
  ASSERT_TRUE(guest_->send(channel::Quiesce{}));
  ASSERT_TRUE(wait_for<channel::Quiesced>()) << story();
}

TEST_F(MirrorTest, ARestartedAgentGoesOnServingUnderItsTerm) {
  ASSERT_NO_FATAL_FAILURE(start_synced_mirror());
  const Term term = active_term.next();
  ASSERT_TRUE(guest_->send(channel::Activate{term, 60000}));
  ASSERT_TRUE(wait_for<channel::Ready>()) << story();
  const auto application = shell("pidof session-service").output;
  ASSERT_FALSE(application.empty());
  events_.clear();

  auto mirrored = shm::Region::open(region_path(), shm::Access::ReadOnly);
  ASSERT_TRUE(mirrored) << mirrored.error().message;
  auto copy = mirrored->store(net::net_store_name);
  ASSERT_TRUE(copy);
  const auto epoch = copy->epoch();
  const auto hellos = hellos_.size();
  ASSERT_EQ(shell("kill -9 " + hellos_.back().instance).status, 0);
  ASSERT_TRUE(run_until([&] { return hellos_.size() > hellos; }));
  EXPECT_EQ(hellos_.back().term, term);
  EXPECT_EQ(hellos_.back().activity, channel::Activity::Serving);
  ASSERT_TRUE(run_until([&] { return copy->epoch() > epoch; })) << "the collector is the writer again";
  EXPECT_EQ(copy->term(), term);
  EXPECT_EQ(shell("pidof session-service").output, application) << "the application went on";

  // A host-agent that was restarted repeats what it knew: nothing changes.
  events_.clear();
  ASSERT_TRUE(guest_->send(channel::Certify{}));  // plain text
  ASSERT_TRUE(guest_->send(channel::Configure{mirror_order(), bfd_key}));
  ASSERT_TRUE(guest_->send(channel::Activate{term, 60000}));
  ASSERT_TRUE(wait_for<channel::Ready>()) << story();
}

/// From the handover on the region is the newer term's, and the active's is refused by it.
TEST_F(MirrorTest, TheCopyOfATakeoverThatFailedIsTakenUpByARestartedAgent) {
  ASSERT_NO_FATAL_FAILURE(start_synced_mirror());
  sender_->stop();
  const Term term = active_term.next();
  ASSERT_EQ(shell("kill -STOP $(pidof session-service)").status, 0);
  ASSERT_TRUE(guest_->send(channel::Activate{term, 60000}));
  ASSERT_TRUE(wait_for<channel::ActivateFailed>()) << story();
  auto mirrored = shm::Region::open(region_path(), shm::Access::ReadOnly);
  ASSERT_TRUE(mirrored) << mirrored.error().message;
  auto copy = mirrored->store(net::net_store_name);
  ASSERT_TRUE(copy);
  ASSERT_EQ(copy->term(), term) << "it failed past its handover";
  ASSERT_EQ(shell("kill -CONT $(pidof session-service)").status, 0);

  const auto hellos = hellos_.size();
  ASSERT_EQ(shell("kill -9 " + hellos_.back().instance).status, 0);
  ASSERT_TRUE(run_until([&] { return hellos_.size() > hellos; }));
  EXPECT_EQ(hellos_.back().activity, channel::Activity::Idle);
  events_.clear();
  ASSERT_TRUE(guest_->send(channel::Certify{}));  // plain text
  ASSERT_TRUE(guest_->send(channel::Configure{mirror_order(), bfd_key}));
  ASSERT_TRUE(
      run_until([&] { return phase() == channel::GuestPhase::Connected || phase() == channel::GuestPhase::Failed; }));
  ASSERT_EQ(last<channel::State>()->whole_under, active_term) << story();
  ASSERT_TRUE(guest_->send(channel::Activate{term, 60000}));
  ASSERT_TRUE(wait_for<channel::Ready>()) << story();
  EXPECT_EQ(copy->count(net::FlowTable), 1U) << "what the active had";
}

TEST_F(MirrorTest, AfterAFullSnapshotTheKernelHasWhatTheActiveHasAndNothingElse) {
  ASSERT_NO_FATAL_FAILURE(start_synced_mirror());
  put_flow(40002);
  auto mirrored = shm::Region::open(region_path(), shm::Access::ReadOnly);
  ASSERT_TRUE(mirrored) << mirrored.error().message;
  auto copy = mirrored->store(net::net_store_name);
  ASSERT_TRUE(copy);
  ASSERT_TRUE(run_until([&] { return copy->committed() == writer_->committed(); })) << story();

  // Another active, with a history of its own: full replacement.
  sender_->stop();
  ASSERT_NO_FATAL_FAILURE(make_active_region(Term{20}, 40003));
  start_sender(Term{20});
  auto order = mirror_order();
  order.term = Term{20};
  events_.clear();
  ASSERT_TRUE(guest_->send(channel::Certify{}));  // plain text
  ASSERT_TRUE(guest_->send(channel::Configure{order, bfd_key}));
  ASSERT_TRUE(run_until([&] { return phase() == channel::GuestPhase::Synced; })) << story();
  EXPECT_EQ(copy->count(net::FlowTable), 1U);

  // The collector's dump at the take-over writes down all that the kernel has.
  ASSERT_TRUE(guest_->send(channel::Activate{Term{21}, 60000}));
  ASSERT_TRUE(wait_for<channel::Ready>()) << story();
  EXPECT_EQ(copy->count(net::FlowTable), 1U);
  const auto [key, value] = nat_flow(40003);
  net::FlowValue found;
  EXPECT_TRUE(copy->get(net::FlowTable, shm::as_bytes_of(key),
                        std::as_writable_bytes(std::span<net::FlowValue, 1>(&found, 1))));
}

TEST_F(MirrorTest, AnApplicationThatDiesWhileServingIsStartedAgainAndServesOn) {
  ASSERT_NO_FATAL_FAILURE(start_synced_mirror());
  const Term term = active_term.next();
  ASSERT_TRUE(guest_->send(channel::Activate{term, 60000}));
  ASSERT_TRUE(wait_for<channel::Ready>()) << story();
  auto mirrored = shm::Region::open(region_path(), shm::Access::ReadOnly);
  ASSERT_TRUE(mirrored) << mirrored.error().message;
  auto sessions = mirrored->store("sessions");
  ASSERT_TRUE(sessions);
  const auto epoch = sessions->epoch();
  ASSERT_EQ(shell("kill -9 $(pidof session-service)").status, 0);
  ASSERT_TRUE(wait_for<channel::Alarm>()) << story();
  EXPECT_TRUE(run_until([&] { return sessions->epoch() > epoch; })) << story();
  EXPECT_EQ(sessions->term(), term);
}

TEST_F(MirrorTest, WithoutACompleteCopyItIsNeverActivated) {
  sender_->stop();  // nobody to copy from
  ASSERT_NO_FATAL_FAILURE(start_mirror());
  ASSERT_TRUE(run_until([&] { return last<channel::State>() != nullptr; }));
  ASSERT_TRUE(guest_->send(channel::Activate{active_term.next(), 0}));
  ASSERT_TRUE(wait_for<channel::ActivateFailed>()) << story();
  EXPECT_EQ(last<channel::Ready>(), nullptr);
}

TEST_F(MirrorTest, AConfigurationThatDoesNotFitIsAFailureThatSaysWhy) {
  auto wanted = options(region_bytes, false);
  wanted.nics = {{"mnt", "mnt-tap", mirror_order().spec.mirror_mac}};
  guest_ = start(wanted);
  ASSERT_TRUE(guest_);
  ASSERT_TRUE(run_until([&] { return !hellos_.empty(); }));
  ASSERT_TRUE(guest_->send(channel::Certify{}));  // plain text
  ASSERT_TRUE(guest_->send(channel::Configure{mirror_order(), bfd_key}));
  ASSERT_TRUE(run_until([&] { return phase() == channel::GuestPhase::Failed; })) << story();
  EXPECT_NE(last<channel::State>()->detail.find("02:e0:00:00:00:01"), std::string::npos) << story();
}

/// The same mirror with its region in an nvdimm, which its agent finds raw and makes a device-dax.
class NvdimmTest : public MirrorTest {
 protected:
  NvdimmTest() { device_ = host::RegionDevice::Nvdimm; }
};

TEST_F(NvdimmTest, SyncsAndTakesOverInTheHostsBytesBehindTheInfoBlock) {
  ASSERT_NO_FATAL_FAILURE(start_synced_mirror());
  EXPECT_EQ(hellos_[0].memory, "device-dax /dev/dax0.0");
  EXPECT_GT(hellos_[0].load_ns, 0);

  put_flow(40002);
  auto mirrored = shm::Region::open(region_path(), shm::Access::ReadOnly, region_bytes, shm::nvdimm_info_bytes);
  ASSERT_TRUE(mirrored) << mirrored.error().message;
  auto copy = mirrored->store(net::net_store_name);
  ASSERT_TRUE(copy);
  ASSERT_TRUE(run_until([&] { return copy->committed() == writer_->committed(); })) << story();
  EXPECT_EQ(copy->count(net::FlowTable), 2U);

  const Term term = active_term.next();
  ASSERT_TRUE(guest_->send(channel::Activate{term, 60000}));
  ASSERT_TRUE(wait_for<channel::Ready>()) << story();
  EXPECT_EQ(copy->term(), term);
  auto sessions = mirrored->store("sessions");
  ASSERT_TRUE(sessions);
  EXPECT_EQ(sessions->term(), term) << "the application in the guest has the device-dax mapped, too";

  // A restarted agent finds the device-dax as it is: the file is the same one, the echo goes through.
  const auto hellos = hellos_.size();
  ASSERT_EQ(shell("kill -9 " + hellos_.back().instance).status, 0);
  ASSERT_TRUE(run_until([&] { return hellos_.size() > hellos; })) << story();
  EXPECT_EQ(hellos_.back().memory, "device-dax /dev/dax0.0");
  EXPECT_TRUE(failures_.empty()) << failures_[0];
}

}  // namespace
}  // namespace understudy::test
