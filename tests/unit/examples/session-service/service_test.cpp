// SPDX-License-Identifier: Apache-2.0
// The session service end to end: its own process, UDP and TCP, IPv4 and IPv6, over loopback.
// Covers: examples/session-service/socket.cpp, examples/session-service/tcp.cpp, examples/session-service/udp.cpp
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <memory>

#include "service_process.hpp"
#include "support/eventually.hpp"
#include "support/supervisor_bench.hpp"
#include "tables.hpp"
#include "understudy/shm/layout.hpp"
#include "understudy/shm/region.hpp"

namespace session_service {
namespace {

namespace us = understudy;
using us::test::eventually;
using namespace std::chrono_literals;

class SessionService : public testing::Test {
 protected:
  SessionService() : port_(free_port()) {
    char name[] = "/tmp/understudy-session-service-XXXXXX";
    directory_ = ::mkdtemp(name);
  }
  ~SessionService() override {
    service_.kill();
    std::filesystem::remove_all(directory_);
  }
  [[nodiscard]] std::string region_path() const { return directory_ + "/region"; }
  void start(const std::vector<std::string>& more = {}) {
    service_.start(port_, region_path(), more);
    ASSERT_EQ(wait_until_serving(port_).substr(0, 6), "1 1 OK");
  }
  us::shm::Store store() {
    return us::shm::Region::open(region_path(), us::shm::Access::ReadWrite).value().store("sessions").value();
  }
  Client udp(const std::string& host = "127.0.0.1") { return {Transport::Udp, host, port_}; }
  Client tcp(const std::string& host = "127.0.0.1") { return {Transport::Tcp, host, port_}; }
  static std::string log_in(Client& client, const std::string& name) {
    const auto reply = client.ask(name + " 1 LOGIN " + name);
    EXPECT_TRUE(reply.starts_with(name + " 1 OK ") || reply.starts_with(name + " 1 EXPOSED ")) << reply;
    return reply.substr(reply.rfind(' ') + 1);
  }

  std::uint16_t port_;
  std::string directory_;
  ServiceProcess service_;
};

TEST_F(SessionService, CountsOverUdpAndTcpOnBothFamilies) {
  start();
  int clients = 0;
  for (const auto transport : {Transport::Udp, Transport::Tcp}) {
    for (const auto* host : {"127.0.0.1", "::1"}) {
      const auto name = std::string("a") + std::to_string(clients++);
      Client client(transport, host, port_);
      ASSERT_TRUE(client.connected());
      const auto id = log_in(client, name);
      EXPECT_EQ(client.ask(name + " 2 COUNT " + id), name + " 2 OK 1");
      EXPECT_EQ(client.ask(name + " 3 COUNT " + id), name + " 3 OK 2");
      EXPECT_EQ(client.ask(name + " 3 COUNT " + id), name + " 3 OK 2") << "a retry";
      EXPECT_EQ(client.ask(name + " 4 READ " + id), name + " 4 OK 2 0 " + name);
    }
  }
}

TEST_F(SessionService, StoresNothingAndFourKilobytesAndRefusesMore) {
  start();
  for (const auto transport : {Transport::Udp, Transport::Tcp}) {
    const std::string name = transport == Transport::Udp ? "a" : "b";
    Client client(transport, "127.0.0.1", port_);
    const auto id = log_in(client, name);
    const std::string whole(8192, 'e');
    EXPECT_EQ(client.ask(name + " 2 STORE " + id + " -"), name + " 2 OK 0");
    EXPECT_EQ(client.ask(name + " 3 FETCH " + id), name + " 3 OK -");
    EXPECT_EQ(client.ask(name + " 4 STORE " + id + " " + whole), name + " 4 OK 4096");
    EXPECT_EQ(client.ask(name + " 5 FETCH " + id), name + " 5 OK " + whole);
    EXPECT_EQ(client.ask(name + " 6 STORE " + id + " " + whole + "ee").substr(0, 15), name + " 6 ERR too-big");
    EXPECT_EQ(client.ask(name + " 7 READ " + id), name + " 7 OK 0 4096 " + name);
  }
}

TEST_F(SessionService, AnswersFromTheAddressThatWasAsked) {
  start();
  auto client = udp("127.0.0.2");  // connected: a reply from 127.0.0.1 would not arrive
  EXPECT_EQ(client.ask("1 1 STATUS").substr(0, 6), "1 1 OK");
}

TEST_F(SessionService, KeepsItsSessionsWhenItIsKilledAndStartedAgain) {
  start();
  std::string id;
  {
    auto client = udp();
    id = log_in(client, "a");
    EXPECT_EQ(client.ask("a 2 COUNT " + id), "a 2 OK 1");
    EXPECT_EQ(client.ask("a 3 STORE " + id + " c0ffee"), "a 3 OK 3");
  }
  for (int i = 0; i < 3; ++i) {
    service_.kill();
    start();
    auto client = tcp();
    EXPECT_EQ(client.ask("a 3 STORE " + id + " c0ffee"), "a 3 OK 3") << "a retry, answered by the next process";
    EXPECT_EQ(client.ask("a 4 READ " + id), "a 4 OK 1 3 a");
    EXPECT_EQ(client.ask("a 5 FETCH " + id), "a 5 OK c0ffee");
  }
}

TEST_F(SessionService, HoldsThousandsOfSessionsAndSaysWhenItIsFull) {
  start({"--sessions", "3000"});
  auto client = tcp();
  for (int i = 1; i <= 3000; ++i) {
    const auto reply = client.ask("a " + std::to_string(i) + " LOGIN user" + std::to_string(i));
    ASSERT_EQ(reply.find("a " + std::to_string(i) + " OK "), 0U) << reply;
  }
  EXPECT_EQ(client.ask("a 3001 LOGIN more").substr(0, 15), "a 3001 ERR full");
  EXPECT_EQ(client.ask("a 3002 STATUS"), "a 3002 OK 1 3000 3000");
}

TEST_F(SessionService, AnAnswerWaitsUntilTheMirrorHasTheChange) {
  start();
  auto client = udp();
  const auto id = log_in(client, "a");
  auto region = store();
  const auto before = region.committed();
  ASSERT_TRUE(region.set_mirrored({true, before}));
  ASSERT_TRUE(client.send("a 2 COUNT " + id));
  ASSERT_TRUE(eventually([&] { return region.committed() > before; })) << "the change is made at once";
  EXPECT_FALSE(client.receive(150ms)) << "and not told before the mirror has it";
  ASSERT_TRUE(client.send("a 3 READ " + id));
  EXPECT_FALSE(client.receive(50ms)) << "nor is what a read would tell of it";
  ASSERT_TRUE(region.set_mirrored({true, region.committed()}));
  EXPECT_EQ(client.receive(), "a 2 OK 1");
  EXPECT_EQ(client.receive(), "a 3 OK 1 0 a");
}

TEST_F(SessionService, AnAnswerGoesWhenTheRoleBecomesExposed) {
  start();
  auto client = tcp();
  const auto id = log_in(client, "a");
  auto region = store();
  const auto before = region.committed();
  ASSERT_TRUE(region.set_mirrored({true, before}));
  ASSERT_TRUE(client.send("a 2 COUNT " + id));
  ASSERT_TRUE(eventually([&] { return region.committed() > before; }));
  ASSERT_TRUE(region.set_mirrored({false, before}));
  EXPECT_EQ(client.receive(), "a 2 OK 1");
}

TEST_F(SessionService, AChangeThatIsNeverMirroredIsToldSoAndItsRetryIsNotCountedTwice) {
  start();
  auto client = udp();
  const auto id = log_in(client, "a");
  auto region = store();
  ASSERT_TRUE(region.set_mirrored({true, region.committed()}));
  EXPECT_EQ(client.ask("a 2 COUNT " + id).substr(0, 20), "a 2 ERR not-mirrored");
  ASSERT_TRUE(client.send("a 2 COUNT " + id));
  ASSERT_TRUE(region.set_mirrored({true, region.committed()}));
  EXPECT_EQ(client.receive(), "a 2 OK 1");
}

TEST_F(SessionService, ALineThatIsTooLongEndsItsTcpConnectionOnly) {
  start();
  auto client = tcp();
  auto other = tcp();
  ASSERT_TRUE(client.send(std::string(17 * 1024, 'x')));
  const auto reply = client.receive();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->substr(0, 19), "- 0 ERR bad-request");
  EXPECT_FALSE(client.receive());
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(other.ask("1 1 STATUS").substr(0, 6), "1 1 OK");
  EXPECT_EQ(udp().ask(std::string(17 * 1024, 'x')).substr(0, 19), "- 0 ERR bad-request");
}

TEST_F(SessionService, ASecondProcessOnTheSameRegionEndsAndDisturbsNobody) {
  start();
  ServiceProcess second;
  second.start(free_port(), region_path());
  const int status = second.wait();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) != 0);
  EXPECT_EQ(udp().ask("1 1 STATUS").substr(0, 6), "1 1 OK");
}

TEST_F(SessionService, AloneItEndsWhenItsStoreHasANewerWriter) {
  start();
  auto client = udp();
  const auto id = log_in(client, "a");
  {
    // What the host does to a guest's store: in one kernel the file lock would refuse a second writer.
    const int fd = ::open(region_path().c_str(), O_RDWR | O_CLOEXEC);
    us::shm::layout::RegionHeader header{};
    ASSERT_EQ(::pread(fd, &header, sizeof(header), 0), static_cast<ssize_t>(sizeof(header)));
    const std::uint64_t term = 7;
    ASSERT_EQ(::pwrite(fd, &term, sizeof(term), static_cast<off_t>(header.stores[0].control_offset)), 8);
    ::close(fd);
  }
  ASSERT_TRUE(client.send("a 2 COUNT " + id));
  const int status = service_.wait();
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 1);
}

TEST_F(SessionService, DescribesItsStoreForAGroupsConfiguration) {
  const auto text = describe_store("/usr/bin/session-service", 7500, store_schema("sessions", {}));
  for (const auto* line :
       {"[role.application]\n", "command = [\"/usr/bin/session-service\", \"--port\", \"7500\"]\n",
        "store = \"sessions\"\n", "[[role.application.table]]\n", "key_bytes = 8\n", "value_bytes = 80\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line;
  }
}

/// The same binary under an agent.
class SupervisedSessionService : public SessionService, protected us::test::SupervisorBench {
 protected:
  SupervisedSessionService() {
    const us::shm::RegionSchema schema{{store_schema("sessions", {})}};
    bytes_ = us::shm::Region::size_needed(schema).value();
    EXPECT_TRUE(us::shm::Region::create(region_path(), bytes_, schema));
    make();
  }
  ~SupervisedSessionService() override {
    supervisor_->kill_now();
    run_until([&] { return !supervisor_->status().running; });
  }
  void make() {
    us::app::ApplicationOptions options;
    options.name = "session-service";
    options.command = {SESSION_SERVICE, "--port", std::to_string(port_)};
    options.run_dir = directory_;
    options.region_path = region_path();
    options.region_bytes = bytes_;
    options.store = "sessions";
    supervisor_ = std::make_unique<us::app::Supervisor>(io_, options, us::app::Supervisor::Callbacks{});
    ASSERT_TRUE(supervisor_->start());
  }

  std::uint64_t bytes_ = 0;
};

TEST_F(SupervisedSessionService, IsSilentUntilItIsActive) {
  ASSERT_TRUE(ready());
  auto client = udp();
  auto connection = tcp();
  ASSERT_TRUE(client.send("1 1 STATUS"));
  ASSERT_TRUE(connection.send("1 1 STATUS"));
  EXPECT_FALSE(client.receive(100ms));
  EXPECT_FALSE(connection.receive(50ms));
  EXPECT_FALSE(connection.ended());
  ASSERT_TRUE(activate(4));
  EXPECT_EQ(client.ask("1 2 STATUS"), "1 2 OK 4 0 4096") << "and the datagram from before is not answered";
  EXPECT_EQ(connection.receive(), "1 1 OK 4 0 4096") << "a connection waits in the backlog";
}

TEST_F(SupervisedSessionService, IsSilentAfterAQuiesceAndServesAgainAfterARollback) {
  ASSERT_TRUE(activate(2));
  auto client = udp();
  const auto id = log_in(client, "a");
  EXPECT_EQ(client.ask("a 2 COUNT " + id), "a 2 EXPOSED 1");
  auto connection = tcp();
  EXPECT_EQ(connection.ask("1 1 STATUS").substr(0, 11), "1 1 EXPOSED");
  ASSERT_TRUE(quiesce());
  EXPECT_FALSE(connection.receive(5s));
  EXPECT_TRUE(connection.ended());
  ASSERT_TRUE(client.send("a 3 COUNT " + id));
  EXPECT_FALSE(client.receive(100ms));
  ASSERT_TRUE(activate(2));
  EXPECT_EQ(client.ask("a 4 COUNT " + id), "a 4 EXPOSED 2") << "what came while it was quiesced was not counted";
  EXPECT_EQ(tcp().ask("1 1 STATUS").substr(0, 11), "1 1 EXPOSED");
}

TEST_F(SupervisedSessionService, ServesOnWhileItsAgentIsAway) {
  ASSERT_TRUE(activate(2));
  auto client = udp();
  const auto id = log_in(client, "a");
  supervisor_.reset();
  EXPECT_EQ(client.ask("a 2 COUNT " + id), "a 2 EXPOSED 1");
  make();
  EXPECT_TRUE(supervisor_->adopted());
  ASSERT_TRUE(run_until([&] { return supervisor_->status().connected; }));
  EXPECT_EQ(supervisor_->status().duty, us::app::Duty::Active);
  EXPECT_EQ(client.ask("a 3 COUNT " + id), "a 3 EXPOSED 2");
}

TEST_F(SupervisedSessionService, StandsByAgainWhenItsStoreHasANewerWriter) {
  ASSERT_TRUE(activate(2));
  auto client = udp();
  const auto id = log_in(client, "a");
  const int fd = ::open(region_path().c_str(), O_RDWR | O_CLOEXEC);
  us::shm::layout::RegionHeader header{};
  ASSERT_EQ(::pread(fd, &header, sizeof(header), 0), static_cast<ssize_t>(sizeof(header)));
  const std::uint64_t term = 5;
  ASSERT_EQ(::pwrite(fd, &term, sizeof(term), static_cast<off_t>(header.stores[0].control_offset)), 8);
  ::close(fd);
  ASSERT_TRUE(client.send("a 2 COUNT " + id));
  ASSERT_TRUE(run_until([&] { return supervisor_->status().duty == us::app::Duty::StandingBy; }));
  EXPECT_NE(supervisor_->status().reason, "");
  EXPECT_FALSE(client.receive(50ms)) << "the change was not made, so it is not answered";
  EXPECT_FALSE(activate(4)) << "a term below the store's";
  ASSERT_TRUE(activate(6));
  EXPECT_EQ(client.ask("a 3 COUNT " + id), "a 3 EXPOSED 1");
}

}  // namespace
}  // namespace session_service
