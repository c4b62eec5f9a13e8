// SPDX-License-Identifier: Apache-2.0
// Rule 12: what the mirror's kernel was sent before its gate closed is in its records when it is frozen. Bridge, gate,
// tap and the guest's kernel are real; the rx ring is the test's, so that it can hold what a busy guest holds.
/// Covers: guest-agent/edge/nic_markers.cpp, guest-agent/edge/quiesce.cpp, host-agent/edge/tap_markers.cpp,
/// net-state/src/marker.cpp
#include "edge/quiesce.hpp"
#include "edge/tap_markers.hpp"
#include "standby_bench.hpp"
#include "understudy/net/installer.hpp"
#include "virtio_wire.hpp"

namespace understudy::host {
namespace {

constexpr std::uint16_t service_port = 4000;
constexpr auto patience = std::chrono::seconds(10);
const auto nic_mac = [] { return net::test::mac("02:00:00:00:02:01"); };

std::uint16_t checksum(std::vector<std::uint8_t> bytes) {
  if (bytes.size() % 2 != 0) { bytes.push_back(0); }
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 2) { sum += static_cast<std::uint32_t>(bytes[i] << 8 | bytes[i + 1]); }
  while (sum >> 16 != 0) { sum = (sum & 0xffff) + (sum >> 16); }
  return static_cast<std::uint16_t>(~sum);
}
void append(std::vector<std::uint8_t>& to, const std::vector<std::uint8_t>& bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}
void put16(std::vector<std::uint8_t>& bytes, std::size_t at, std::uint16_t value) {
  bytes[at] = static_cast<std::uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<std::uint8_t>(value);
}

/// The first datagram of a flow, as a client's NIC sends it.
std::vector<std::uint8_t> first_datagram(const IpAddress& from, const IpAddress& to) {
  const bool v4 = from.is_v4();
  const std::ptrdiff_t address_bytes = v4 ? 4 : 16;
  std::vector<std::uint8_t> addresses(from.bytes.begin(), from.bytes.begin() + address_bytes);
  addresses.insert(addresses.end(), to.bytes.begin(), to.bytes.begin() + address_bytes);
  std::vector<std::uint8_t> udp{0x0f, 0xa1, 0, 0, 0, 12, 0, 0, 'f', 'l', 'o', 'w'};
  put16(udp, 2, service_port);
  std::vector<std::uint8_t> summed = addresses;
  append(summed, {0, IPPROTO_UDP, 0, 12});
  append(summed, udp);
  put16(udp, 6, checksum(summed));
  std::vector<std::uint8_t> header{0x60, 0, 0, 0, 0, 12, IPPROTO_UDP, 64};
  if (v4) { header = {0x45, 0, 0, 32, 0, 1, 0, 0, 64, IPPROTO_UDP, 0, 0}; }
  append(header, addresses);
  if (v4) { put16(header, 10, checksum(header)); }
  const auto to_mac = nic_mac();
  std::vector<std::uint8_t> frame(to_mac.bytes.begin(), to_mac.bytes.end());
  append(frame, {0x02, 0, 0, 0, 0x77, 0x01});
  append(frame, v4 ? std::vector<std::uint8_t>{0x08, 0x00} : std::vector<std::uint8_t>{0x86, 0xdd});
  append(frame, header);
  append(frame, udp);
  return frame;
}

void send_frame(const std::string& interface, const std::vector<std::uint8_t>& frame) {
  const net::test::Socket socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = static_cast<int>(::if_nametoindex(interface.c_str()));
  to.sll_halen = 6;
  ASSERT_EQ(::sendto(socket.fd(), frame.data(), frame.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to),
            static_cast<ssize_t>(frame.size()));
}

class MarkerTest : public StandbyBench {
 protected:
  void SetUp() override {
    StandbyBench::SetUp();
    if (IsSkipped() || HasFatalFailure()) { return; }
    spec_ = role_with({});
    spec_.ports[0].addresses.push_back(net::test::prefix("fd00:1:2::1/64"));
    spec_.ruleset = "table inet filter { chain input { type filter hook input priority 0; ct state new accept; }; }";
    const auto bridge = network_->bridge_of("external");
    ASSERT_TRUE(bridge.ok()) << bridge.error().message;
    ASSERT_OK(network_->links().create_tap("m2-ext"));
    ASSERT_OK(network_->links().set_quiet("m2-ext"));
    ASSERT_OK(network_->join("m2-ext", *bridge));
    guest_ = std::make_unique<net::test::TestNamespace>("guest");
    ASSERT_OK(guest_->links().create_tap("eth0"));
    wire_ = std::make_unique<VirtioWire>(io_, "m2-ext", *guest_, "eth0");
    make_place();
  }
  void TearDown() override {
    quiesce_.reset();
    place_.reset();
    wire_.reset();
    guest_.reset();
    StandbyBench::TearDown();
  }
  void make_place() {
    ASSERT_OK(shm::Region::create(region_path(), spec_.region_bytes, place::region_schema(spec_)));
    place::PlaceOptions options;
    options.namespace_path = guest_->path();
    options.ports = {{"ext", "eth0"}};
    options.run_dir = config_.run_dir;
    options.region_path = region_path();
    place::RolePlaceCallbacks callbacks;
    callbacks.on_alarm = [](const std::string& text, const std::string& /*topic*/) { ADD_FAILURE() << text; };
    place_ = std::make_unique<place::RolePlace>(io_, spec_, options, callbacks);
    ASSERT_OK(place_->configure());
    ASSERT_OK(place_->open_region());
    ASSERT_OK(place_->begin_writing(Term{2}));
    quiesce_ = std::make_unique<guest::Quiesce>(io_, *place_);
    ASSERT_OK(guest_->in([&] { return quiesce_->open(); }));
    ASSERT_OK(network_->gate().open("m2-ext"));
    std::vector<std::uint8_t> anything(60, 0xff);  // to all, of a type that is nobody's
    std::copy_n(nic_mac().bytes.begin(), 5, anything.begin() + 6);
    bool came = false;
    wire_->drop(
        [&](const VirtioWire::Frame& frame) { return (came = came || frame[22] == 0xff) && frame[22] == 0xff; });
    ASSERT_TRUE(run_until([&] {
      send_frame("ext0-peer", anything);
      return came;
    })) << "the bridge does not forward";
    wire_->drop({});
  }

  /// The host's and the guest's part of quiescing, as a movement orders them behind the closed gate.
  void quiesce(std::chrono::milliseconds limit) {
    const auto number = net::MarkerPort::make_number();
    markers_.send({{"ext", "m2-ext", nic_mac()}}, number, limit, [this](const Status& back) { back_ = back; });
    quiesce_->begin(number, limit, [this](const Status& quiesced) {
      quiesced_ = quiesced;
      flows_when_quiesced_ = flows();
    });
  }
  /// Of the region as the host maps it: how many of the two clients' flows are in it.
  int flows() {
    const auto region = shm::Region::open(region_path(), shm::Access::ReadOnly);
    if (!region) { return -1; }
    int found = 0;
    (void)region->store(net::net_store_name)->scan(net::FlowTable, Sequence{}, [&](const shm::Store::Record& record) {
      net::FlowKey key;
      std::memcpy(&key, record.key.data(), sizeof key);
      found += key.destination_port == htons(service_port) ? 1 : 0;
      return true;
    });
    return found;
  }
  void clients_send() {
    send_frame("ext0-peer", first_datagram(net::test::ip("10.1.2.9"), net::test::ip("10.1.2.1")));
    send_frame("ext0-peer", first_datagram(net::test::ip("fd00:1:2::9"), net::test::ip("fd00:1:2::1")));
  }
  bool both_done() { return back_.has_value() && quiesced_.has_value(); }

  link::RoleSpec spec_;
  std::unique_ptr<net::test::TestNamespace> guest_;
  std::unique_ptr<VirtioWire> wire_;
  std::unique_ptr<place::RolePlace> place_;
  std::unique_ptr<guest::Quiesce> quiesce_;
  TapMarkers markers_{io_};
  std::optional<Status> back_;
  std::optional<Status> quiesced_;
  int flows_when_quiesced_ = -1;
};

TEST_F(MarkerTest, FlowsAcceptedJustBeforeTheBlockAreInTheRecordsThatAreFrozen) {
  wire_->stand_still();
  clients_send();
  ASSERT_TRUE(run_until([&] { return wire_->waiting() == 2; })) << "IPv4 and IPv6 lie in the rx ring";
  ASSERT_OK(network_->gate().close("m2-ext"));
  quiesce(patience);
  ASSERT_TRUE(run_until([&] { return wire_->has_marker(); }));
  io_.restart();
  io_.poll();  // a guest that would not wait has said by now that it is quiesced
  wire_->run();
  ASSERT_TRUE(run_until([&] { return both_done(); }));
  EXPECT_EQ(flows_when_quiesced_, 2);
  EXPECT_TRUE(back_->ok()) << back_->error().message;
  EXPECT_TRUE(quiesced_->ok());
  EXPECT_TRUE(quiesce_->unmarked().empty());
}

TEST_F(MarkerTest, WhatTheCollectorWasToldAndHasNotReadYetIsInTheRecordsToo) {
  wire_->inject(first_datagram(net::test::ip("10.1.2.9"), net::test::ip("10.1.2.1")));
  wire_->inject(first_datagram(net::test::ip("fd00:1:2::9"), net::test::ip("fd00:1:2::1")));
  quiesce_->begin(0, patience, [this](const Status&) { flows_when_quiesced_ = flows(); });
  EXPECT_EQ(flows_when_quiesced_, 2);
}

TEST_F(MarkerTest, AfterItsLastWordNoRecordChangesUntilItGoesOn) {
  quiesce_->begin(0, patience, [this](const Status&) { flows_when_quiesced_ = flows(); });
  ASSERT_EQ(flows_when_quiesced_, 0);
  const auto last = place_->region().store(net::net_store_name)->committed();
  wire_->inject(first_datagram(net::test::ip("10.1.2.9"), net::test::ip("10.1.2.1")));
  for (int i = 0; i < 10; ++i) {
    io_.restart();
    io_.poll();
  }
  EXPECT_EQ(place_->region().store(net::net_store_name)->committed(), last);
  quiesce_->give_up();
  EXPECT_TRUE(run_until([&] { return flows() == 1; }));
  wire_->inject(first_datagram(net::test::ip("fd00:1:2::9"), net::test::ip("fd00:1:2::1")));
  EXPECT_TRUE(run_until([&] { return flows() == 2; })) << "and it goes on";
}

TEST_F(MarkerTest, AMarkerThatAFullTapDropsIsSentAgain) {
  int dropped = 0;
  wire_->drop([&](const VirtioWire::Frame& frame) { return VirtioWire::is_marker(frame) && ++dropped == 1; });
  ASSERT_OK(network_->gate().close("m2-ext"));
  quiesce(patience);
  ASSERT_TRUE(run_until([&] { return both_done(); }));
  EXPECT_GT(dropped, 1);
  EXPECT_TRUE(back_->ok()) << back_->error().message;
  EXPECT_TRUE(quiesce_->unmarked().empty());
}

TEST_F(MarkerTest, ALostMarkerIsWaitedForABoundedTimeAndBothSidesNameItsPort) {
  wire_->drop(&VirtioWire::is_marker);
  clients_send();
  ASSERT_OK(network_->gate().close("m2-ext"));
  quiesce(std::chrono::milliseconds(50));
  ASSERT_TRUE(run_until([&] { return both_done(); }));
  EXPECT_EQ(quiesce_->unmarked(), std::vector<std::string>{"ext"});
  EXPECT_TRUE(quiesced_->ok());
  ASSERT_FALSE(back_->ok());
  EXPECT_NE(back_->error().message.find("ext"), std::string::npos) << back_->error().message;
}

TEST_F(MarkerTest, AStrangersEarlierMarkersAreNone) {
  auto stranger = net::MarkerPort::open("ext0-peer", net::MarkerPort::On::Nic);
  ASSERT_TRUE(stranger.ok()) << stranger.error().message;
  const auto before = wire_->passed();
  for (std::uint64_t number = 1; number < 50; ++number) {
    ASSERT_OK(stranger->send(net::MarkerWay::Down, nic_mac(), number));
  }
  ASSERT_TRUE(run_until([&] { return wire_->passed() >= before + 49; }));
  ASSERT_OK(network_->gate().close("m2-ext"));
  wire_->drop(&VirtioWire::is_marker);
  quiesce(std::chrono::milliseconds(50));
  ASSERT_TRUE(run_until([&] { return both_done(); }));
  EXPECT_EQ(quiesce_->unmarked(), std::vector<std::string>{"ext"});
}

}  // namespace
}  // namespace understudy::host
