// SPDX-License-Identifier: Apache-2.0
/// The lead and the state in a real etcd, of one member and of three, in a network namespace of the test's own.
/// Covers: control-server/edge/election.cpp, control-server/edge/etcd_store.cpp, control-server/edge/etcd_client.cpp
/// Covers: control-server/edge/etcd_values.cpp
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "edge/election.hpp"
#include "edge/etcd_store.hpp"
#include "edge/etcd_values.hpp"
#include "etcd_cluster.hpp"
#include "support/run_until.hpp"
#include "understudy/common/boot_clock.hpp"

namespace understudy::control {
namespace {

using namespace std::chrono_literals;

/// A control-server as far as it wants to lead.
struct Candidate {
  Candidate(boost::asio::io_context& io, const EtcdSettings& settings, const std::string& address,
            std::chrono::milliseconds patience = 0ms) {
    Election::Callbacks callbacks;
    callbacks.on_lead = [this](const Leadership& won) {
      leadership = won;
      ++times;
    };
    callbacks.on_lost = [this](const std::string& reason) {
      leadership = {};
      why = reason;
      lost_at = boot_now();
    };
    callbacks.on_view = [this](const ElectionView& seen) { view = seen; };
    election.emplace(io, settings, address, patience, std::move(callbacks));
  }
  [[nodiscard]] bool leads() const { return leadership.token != 0 && election->holds(leadership.token); }

  Leadership leadership;
  ElectionView view;
  std::string why;
  Instant lost_at;
  int times = 0;
  std::optional<Election> election;
};

/// Takes one request and keeps it until it is told to hand it on, as a line does on which nothing moves for seconds.
class LateDoor {
 public:
  LateDoor() : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const int on = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    auto at = address(kPort);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
    EXPECT_EQ(listen(listener_, 4), 0);
  }
  ~LateDoor() { close(listener_); }
  LateDoor(const LateDoor&) = delete;
  LateDoor& operator=(const LateDoor&) = delete;
  static std::string endpoint() { return "http://127.0.0.1:" + std::to_string(kPort); }
  /// To etcd at this port; its answer's first line.
  std::string hand_on(std::uint16_t port) const {
    const int from =
        accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);  // the kernel has kept it, and what was written
    std::string request(64 * 1024, '\0');
    request.resize(static_cast<std::size_t>(std::max<ssize_t>(0, recv(from, request.data(), request.size(), 0))));
    close(from);
    const int to = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    auto at = address(port);
    EXPECT_EQ(connect(to, reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
    EXPECT_EQ(send(to, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
    std::string answer(4096, '\0');
    answer.resize(static_cast<std::size_t>(std::max<ssize_t>(0, recv(to, answer.data(), answer.size(), 0))));
    close(to);
    return answer.substr(0, answer.find('\r'));
  }

 private:
  static constexpr std::uint16_t kPort = 2999;
  static sockaddr_in address(std::uint16_t port) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
  }
  const int listener_;
};

class EtcdTest : public testing::Test, protected test::Loop {
 protected:
  static void SetUpTestSuite() {
    if (geteuid() != 0) { GTEST_SKIP() << "needs root for its network namespace"; }
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    ASSERT_EQ(std::system("ip link set lo up"), 0);
  }
  void SetUp() override {
    if (geteuid() != 0) { GTEST_SKIP() << "needs root for its network namespace"; }
    std::filesystem::remove_all(folder_);
  }
  void TearDown() override {
    etcd_.reset();
    std::filesystem::remove_all(folder_);
  }
  void start_etcd(unsigned members) { etcd_.emplace(members, folder_); }

  static Ownership owned(std::uint64_t term, std::uint64_t reserved = 0) {
    return {RoleId{"role-1"},
            Term{term},
            {BladeId{"blade-" + std::to_string(term)}, PlaceKind::Mirror},
            link::StopEvidence::Isolated,
            Term{reserved}};
  }
  static std::vector<link::EventRecord> events(std::uint64_t first, std::uint64_t last) {
    std::vector<link::EventRecord> all;
    for (auto id = first; id <= last; ++id) {
      all.push_back({id, 1, link::Severity::Info, "state", RoleId{"role-1"}, BladeId{}, "", 0.5, "text \"quoted\""});
    }
    return all;
  }
  Candidate& lead(std::optional<Candidate>& candidate, const std::string& address) {
    candidate.emplace(io_, etcd_->settings(), address);
    EXPECT_TRUE(run_until([&] { return candidate->leads(); })) << candidate->view.problem;
    return *candidate;
  }

  const std::string folder_ = testing::TempDir() + "etcd_test_" + std::to_string(getpid());
  std::optional<test::EtcdCluster> etcd_;
};

TEST_F(EtcdTest, OneLeadsAndAnotherTakesOverUnderAHigherToken) {
  start_etcd(1);
  std::optional<Candidate> a;
  std::optional<Candidate> b;
  lead(a, "10.0.0.1:7400");
  b.emplace(io_, etcd_->settings(), "10.0.0.2:7400");
  ASSERT_TRUE(run_until([&] { return b->view.leader == "10.0.0.1:7400" && b->view.there.size() == 2; }));
  EXPECT_FALSE(b->leads());
  EXPECT_GT(b->view.since_ns, 1'600'000'000'000'000'000);
  const auto former = a->leadership;
  a.reset();  // gives it back
  ASSERT_TRUE(run_until([&] { return b->leads(); }, 2s)) << "a lease that was given back is not waited for";
  EXPECT_GT(b->leadership.token, former.token);
  EXPECT_EQ(b->leadership.state_id, former.state_id);
  EXPECT_EQ(former.state_id.size(), 32U);
}

TEST_F(EtcdTest, OneThatRunsOnABladeLetsTheOthersGoFirst) {
  start_etcd(1);
  std::optional<Candidate> first;
  lead(first, "10.0.0.1:7400");
  Candidate on_blade(io_, etcd_->settings(), "10.0.0.2:7400", Election::kPatienceOnBlade);
  std::optional<Candidate> other;
  ASSERT_TRUE(run_until([&] { return on_blade.view.there.size() == 2; }));
  other.emplace(io_, etcd_->settings(), "10.0.0.3:7400");
  ASSERT_TRUE(run_until([&] { return other->view.there.size() == 3; }));
  first.reset();
  ASSERT_TRUE(run_until([&] { return other->leads() || on_blade.leads(); }));
  EXPECT_TRUE(other->leads());
  other.reset();
  EXPECT_TRUE(run_until([&] { return on_blade.leads(); })) << "where nobody else is left";
}

TEST_F(EtcdTest, OneWhoseLoopStandsStillLeadsNoMore) {
  start_etcd(1);
  boost::asio::io_context hangs;
  Candidate a(hangs, etcd_->settings(), "10.0.0.1:7400");
  ASSERT_TRUE(run_until([&] {
    hangs.restart();
    hangs.poll();
    return a.leads();
  })) << a.view.problem;
  const auto former = a.leadership;
  std::optional<Candidate> b;
  lead(b, "10.0.0.2:7400");
  EXPECT_GT(b->leadership.token, former.token);
  EXPECT_FALSE(a.election->holds(former.token));
  b.reset();
  EXPECT_TRUE(run_until([&] {
    hangs.restart();
    hangs.poll();
    return a.leads();
  })) << "and again when it goes on";
}

TEST_F(EtcdTest, OneThatResignsIsNotWaitedForWhateverElseKeepsIt) {
  start_etcd(1);
  std::optional<Candidate> a;
  std::optional<Candidate> b;
  lead(a, "10.0.0.1:7400");
  a->election->resign();
  EXPECT_FALSE(a->election->holds(a->leadership.token));
  b.emplace(io_, etcd_->settings(), "10.0.0.2:7400");
  EXPECT_TRUE(run_until([&] { return b->leads(); }, 2s));
}

TEST_F(EtcdTest, ADeposedLeaderWritesNothing) {
  start_etcd(1);
  std::optional<Candidate> a;
  std::optional<Candidate> b;
  EtcdStore old(etcd_->settings(), lead(a, "10.0.0.1:7400").leadership);
  ASSERT_TRUE(old.compare_and_set(Term{0}, Term{0}, owned(1)).ok());
  ASSERT_TRUE(old.append(events(1, 3)).ok());
  a.reset();
  EtcdStore next(etcd_->settings(), lead(b, "10.0.0.2:7400").leadership);
  EXPECT_EQ(next.ownerships().value(), std::vector<Ownership>{owned(1)});
  const auto late = old.compare_and_set(Term{1}, Term{0}, owned(2));
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code, Errc::Expired) << late.error().message;
  EXPECT_EQ(old.append(events(4, 5)).error().code, Errc::Expired);
  EXPECT_EQ(next.ownerships().value(), std::vector<Ownership>{owned(1)});
  EXPECT_EQ(next.last_event_id().value(), 3U);
  const auto done = next.compare_and_set(Term{1}, Term{0}, owned(2));
  EXPECT_TRUE(done.ok()) << done.error().message;
}

TEST_F(EtcdTest, WhatIsKeptIsTheNextLeadersAndADeposedOneKeepsNothing) {
  start_etcd(1);
  std::optional<Candidate> a;
  std::optional<Candidate> b;
  EtcdStore old(etcd_->settings(), lead(a, "10.0.0.1:7400").leadership);
  const RoleId first{"role-1"};
  const RoleId second{"role-2"};
  EXPECT_TRUE(old.kept("hold-out/").value().empty());
  EXPECT_TRUE(old.protected_roles().value().empty());
  ASSERT_TRUE(old.keep("hold-out/blade-1", "failed once").ok());
  ASSERT_TRUE(old.keep("hold-out/blade-1", "failed twice").ok()) << "one value for each key";
  ASSERT_TRUE(old.keep("hold-out/blade-2", "with \"quotes\" and a \n line").ok());
  ASSERT_TRUE(old.keep("hold-outs", "another word that begins so").ok());
  ASSERT_TRUE(old.set_protected(first, true).ok() && old.set_protected(second, true).ok());
  ASSERT_TRUE(old.set_protected(second, false).ok());
  a.reset();
  EtcdStore next(etcd_->settings(), lead(b, "10.0.0.2:7400").leadership);
  const std::map<std::string, std::string> kept{{"blade-1", "failed twice"},
                                                {"blade-2", "with \"quotes\" and a \n line"}};
  EXPECT_EQ(next.kept("hold-out/").value(), kept);
  EXPECT_EQ(next.protected_roles().value(), std::set{first});
  // The former leader's last words, come too late.
  for (const auto& late :
       {old.keep("hold-out/blade-1", "late"), old.set_protected(first, false), old.set_protected(second, true)}) {
    ASSERT_FALSE(late.ok());
    EXPECT_EQ(late.error().code, Errc::Expired) << late.error().message;
  }
  EXPECT_EQ(next.kept("hold-out/").value(), kept);
  EXPECT_EQ(next.protected_roles().value(), std::set{first});
  ASSERT_TRUE(next.set_protected(first, false).ok());
  EXPECT_TRUE(next.protected_roles().value().empty());
}

/// What `--power` of the control-server's program writes by.
TEST_F(EtcdTest, WithoutALeaderAPersonsCommandIsWrittenAndWithOneItIsRefused) {
  start_etcd(1);
  EtcdStore person(etcd_->settings(), {});
  ASSERT_TRUE(person.append(events(1, 1)).ok());
  std::optional<Candidate> a;
  lead(a, "10.0.0.1:7400");
  EXPECT_EQ(person.append(events(2, 2)).error().code, Errc::Expired);
  EXPECT_EQ(person.last_event_id().value(), 1U);
}

TEST_F(EtcdTest, OverTlsBothEndsProveWhoTheyAre) {
  test::EtcdPki pki(folder_ + "/pki");
  test::EtcdPki others(folder_ + "/others");
  etcd_.emplace(1, folder_, &pki);
  std::optional<Candidate> a;
  EtcdStore store(etcd_->settings(), lead(a, "10.0.0.1:7400").leadership);
  ASSERT_TRUE(store.compare_and_set(Term{0}, Term{0}, owned(1)).ok());
  ASSERT_TRUE(store.append(events(1, 3)).ok());
  EXPECT_EQ(store.ownerships().value(), std::vector<Ownership>{owned(1)});
  const auto refused = [&](auto change) {
    auto settings = etcd_->settings();
    change(settings);
    EtcdClient client(settings);
    const auto answer = client.call("kv/range", etcd::range_one("x"));
    return answer.ok() ? "" : answer.error().message;
  };
  EXPECT_EQ(refused([](EtcdSettings&) {}), "");
  EXPECT_NE(refused([](EtcdSettings& to) { to.certificate = to.key = ""; }), "") << "who shows no certificate";
  EXPECT_NE(refused([&](EtcdSettings& to) {
              to.certificate = others.file("client.crt");
              to.key = others.file("client.key");
            }),
            "")
      << "who shows another CA's";
  const auto foreign = refused([&](EtcdSettings& to) { to.ca = others.file("ca.crt"); });
  EXPECT_NE(foreign.find("certificate"), std::string::npos) << "an etcd of another CA: " << foreign;
  const auto misnamed = refused([](EtcdSettings& to) { to.endpoints = {test::EtcdCluster::misnamed_url()}; });
  EXPECT_NE(misnamed.find("127.0.0.2"), std::string::npos) << "one that is not who it should be: " << misnamed;
  EXPECT_NE(refused([](EtcdSettings& to) { to.endpoints = {"http://127.0.0.1:2379"}; }), "") << "in plain text";
}

TEST_F(EtcdTest, TheComparisonDecidesAndALostAnswerIsLookedUp) {
  start_etcd(1);
  std::optional<Candidate> a;
  lead(a, "10.0.0.1:7400");
  EtcdStore one(etcd_->settings(), a->leadership);
  EtcdStore same(etcd_->settings(), a->leadership);  // knows what was there before: as after an answer that was lost
  ASSERT_TRUE(one.compare_and_set(Term{0}, Term{0}, owned(1)).ok());
  EXPECT_TRUE(same.compare_and_set(Term{0}, Term{0}, owned(1)).ok()) << "it was this very change";
  EXPECT_TRUE(same.compare_and_set(Term{0}, Term{0}, owned(1)).ok());
  ASSERT_TRUE(one.compare_and_set(Term{1}, Term{0}, owned(1, 2)).ok());
  EXPECT_EQ(same.compare_and_set(Term{1}, Term{0}, owned(2)).error().code, Errc::Refused);
  EXPECT_EQ(one.compare_and_set(Term{0}, Term{0}, owned(3)).error().code, Errc::Refused);
  EXPECT_EQ(one.compare_and_set(Term{1}, Term{2}, owned(1)).error().code, Errc::Refused) << "nothing is taken back";
  EXPECT_EQ(one.ownerships().value(), std::vector<Ownership>{owned(1, 2)});
  // By hand, past everything.
  EtcdClient hand(etcd_->settings());
  const auto key = etcd_->settings().at("owner/role-1");
  ASSERT_TRUE(hand.call("kv/deleterange", etcd::range_one(key)).ok());
  const auto vanished = one.compare_and_set(Term{1}, Term{2}, owned(2));
  ASSERT_FALSE(vanished.ok());
  EXPECT_NE(vanished.error().message.find("has vanished"), std::string::npos) << vanished.error().message;
}

/// Whether a role was protected decides whether an old copy counts: the word that was said last stays.
TEST_F(EtcdTest, AWordThatComesToEtcdAfterALaterOneChangesNothing) {
  start_etcd(1);
  std::optional<Candidate> a;
  lead(a, "10.0.0.1:7400");
  LateDoor door;
  auto settings = etcd_->settings();
  settings.endpoints.insert(settings.endpoints.begin(), LateDoor::endpoint());
  EtcdStore store(settings, a->leadership);
  const RoleId role{"role-1"};
  const auto first = store.set_protected(role, true);  // by the second endpoint, when the first has not answered
  ASSERT_TRUE(first.ok()) << first.error().message;
  EXPECT_EQ(store.protected_roles().value(), std::set<RoleId>{role});
  ASSERT_TRUE(store.set_protected(role, false).ok());
  EXPECT_EQ(door.hand_on(2379), "HTTP/1.1 200 OK");
  EXPECT_TRUE(store.protected_roles().value().empty());
  EXPECT_TRUE(store.set_protected(role, true).ok());
  EtcdStore same(etcd_->settings(), a->leadership);  // knows no revision yet
  EXPECT_TRUE(same.set_protected(role, false).ok());
  EXPECT_TRUE(store.set_protected(role, true).ok());
  EXPECT_EQ(same.protected_roles().value(), std::set<RoleId>{role});
}

TEST_F(EtcdTest, AnOwnershipThatNobodyCanHaveWrittenIsToldAsDamaged) {
  start_etcd(1);
  EtcdClient hand(etcd_->settings());
  const auto key = etcd_->settings().at("owner/role-1");
  ASSERT_TRUE(hand.call("kv/txn", etcd::transaction({}, {etcd::put(key, R"({"term":1,"kind":7})")}, {})).ok());
  EtcdStore store(etcd_->settings(), {});
  const auto read = store.ownerships();
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code, Errc::Damaged);
  EXPECT_NE(read.error().message.find("owner/role-1"), std::string::npos) << read.error().message;
}

TEST_F(EtcdTest, ATornLeaseEndsTheLeadAndTheNextOneHasATokenOfItsOwn) {
  start_etcd(1);
  std::optional<Candidate> a;
  const auto former = lead(a, "10.0.0.1:7400").leadership;
  EtcdClient hand(etcd_->settings());
  const auto read = hand.call("kv/range", etcd::range_one(etcd_->settings().at("who/leader")));
  ASSERT_TRUE(read.ok());
  const auto lease = etcd::key_values(read.value()).value().at(0).lease;
  ASSERT_TRUE(hand.call("lease/revoke", {{"ID", std::to_string(lease)}}).ok());
  ASSERT_TRUE(run_until([&] { return a->leads() && a->leadership.token != former.token; }));
  EXPECT_EQ(a->times, 2);
  EXPECT_GT(a->leadership.token, former.token);
  EXPECT_FALSE(a->election->holds(former.token));
}

TEST_F(EtcdTest, AMemberThatHangsOrDiesCostsNothing) {
  start_etcd(3);
  std::optional<Candidate> a;
  const auto won = lead(a, "10.0.0.1:7400").leadership;
  EtcdStore store(etcd_->settings(), won);
  ASSERT_TRUE(store.compare_and_set(Term{0}, Term{0}, owned(1)).ok());
  etcd_->signal(0, SIGSTOP);  // the one that both ask first; it may be the one that leads etcd
  // With turns of the loop between two tries: who leads and stands still gives the lead back.
  ASSERT_TRUE(test::eventually([&] {
    io_.restart();
    io_.run_for(std::chrono::milliseconds(100));
    return store.compare_and_set(Term{1}, Term{0}, owned(2)).ok();
  }));
  etcd_->kill(0);
  ASSERT_TRUE(run_until([&] { return a->leads() && a->view.problem.empty(); }));
  EXPECT_TRUE(store.compare_and_set(Term{2}, Term{0}, owned(3)).ok() || !a->election->holds(won.token));
}

TEST_F(EtcdTest, WithoutAQuorumTheLeadEndsBeforeItsLeaseAndEverythingIsTold) {
  start_etcd(3);
  std::optional<Candidate> a;
  std::optional<Candidate> b;
  const auto won = lead(a, "10.0.0.1:7400").leadership;
  b.emplace(io_, etcd_->settings(), "10.0.0.2:7400");
  EtcdStore store(etcd_->settings(), won);
  ASSERT_TRUE(store.compare_and_set(Term{0}, Term{0}, owned(1)).ok());
  ASSERT_TRUE(store.append(events(1, 3)).ok());
  etcd_->kill(1);
  etcd_->kill(2);
  const auto killed = boot_now();
  const auto refused = store.compare_and_set(Term{1}, Term{0}, owned(2));
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().code, Errc::Refused) << "it may be tried again";
  EXPECT_NE(refused.error().message.find("http://127.0.0.1:2389: "), std::string::npos) << refused.error().message;
  ASSERT_TRUE(run_until([&] { return !a->leads(); }));
  EXPECT_LT(boot_now() - killed, etcd_->settings().lease) << "before the key can be gone";
  ASSERT_TRUE(run_until([&] { return !a->view.problem.empty() && !b->view.problem.empty(); }));
  EXPECT_TRUE(b->view.leader.empty());
  EXPECT_FALSE(b->leads());
  EXPECT_EQ(store.events_after(0, 10).value().size(), 3U) << "one member is enough to read the log";
  etcd_->start(1);
  ASSERT_TRUE(run_until([&] { return a->leads() || b->leads(); }));
  EXPECT_FALSE(a->leads() && b->leads());
  EXPECT_EQ(store.compare_and_set(Term{1}, Term{0}, owned(2)).error().code, Errc::Expired);
}

TEST_F(EtcdTest, TheEventLogIsReadInOrderOnceAndIsBounded) {
  start_etcd(1);
  std::optional<Candidate> a;
  EtcdStore store(etcd_->settings(), lead(a, "10.0.0.1:7400").leadership);
  EXPECT_EQ(store.last_event_id().value(), 0U);
  ASSERT_TRUE(store.append(events(1, 3)).ok());
  ASSERT_TRUE(store.append(events(1, 6)).ok());  // the answer to the first was lost
  ASSERT_TRUE(store.append(events(7, 7)).ok());
  EXPECT_EQ(store.last_event_id().value(), 7U);
  const auto all = store.events_after(0, 100).value();
  EXPECT_EQ(all, events(1, 7));
  EXPECT_EQ(store.events_after(4, 2).value(), events(5, 6));
  EXPECT_TRUE(store.events_after(7, 2).value().empty());
  EXPECT_TRUE(store.events_after(UINT64_MAX, 2).value().empty());
  const auto last = EtcdStore::kKeptEvents + 1000;
  ASSERT_TRUE(store.append(events(last, last)).ok());
  EXPECT_EQ(store.events_after(0, 100).value(), events(last, last));
}

TEST(TenureTest, OnceEndedItNeverComesBack) {
  Tenure tenure;
  const Instant zero{};
  EXPECT_FALSE(tenure.holds(zero, 0));
  tenure.begin(5, zero + 2s);
  EXPECT_TRUE(tenure.holds(zero + 1s, 5));
  EXPECT_FALSE(tenure.holds(zero + 1s, 4));
  EXPECT_TRUE(tenure.extend(zero + 1s, zero + 3s));
  EXPECT_TRUE(tenure.extend(zero + 1s, zero + 2s)) << "an answer that was overtaken takes nothing back";
  EXPECT_TRUE(tenure.holds(zero + 2500ms, 5));
  EXPECT_FALSE(tenure.holds(zero + 3s, 5));
  EXPECT_FALSE(tenure.extend(zero + 3s, zero + 9s)) << "the answer came when the right had ended";
  EXPECT_FALSE(tenure.holds(zero + 3s, 5));
  tenure.begin(6, zero + 9s);
  tenure.end(5);
  EXPECT_TRUE(tenure.holds(zero + 4s, 6));
  tenure.end(6);
  EXPECT_FALSE(tenure.holds(zero + 4s, 6));
}

}  // namespace
}  // namespace understudy::control
