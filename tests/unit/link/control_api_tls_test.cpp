// SPDX-License-Identifier: Apache-2.0
/// Who may what at the control API, by certificate, over loopback.
/// Covers: link/src/control_api_channel.cpp, link/src/tls_examine.cpp
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <fstream>
#include <functional>
#include <optional>
#include <thread>

#include "control_api_test_data.hpp"
#include "support/pki.hpp"
#include "support/run_until.hpp"
#include "tls_examine.hpp"
#include "understudy/link/control_api_client.hpp"
#include "understudy/link/control_api_operator.hpp"
#include "understudy/link/control_api_server.hpp"

namespace understudy::link {
namespace {

using namespace std::chrono_literals;
using tls::Kind;

class ControlApiTls : public testing::Test, protected understudy::test::Loop {
 protected:
  void listen(const tls::Wire& wire) {
    ControlApiHandlers handlers;
    handlers.on_report = [this](SessionId, const Report& report) { reports_.push_back(report); };
    handlers.on_detached = [this](SessionId, const std::string&) { ++detached_; };
    handlers.status = [] { return test::status(); };
    handlers.move_role = [this](const Command& command, const RoleId&, const CommandAnswer& answer) {
      obey(command, "moving", answer);
    };
    handlers.set_movement_policy = [this](const Command& command, MovementPolicy, const CommandAnswer& answer) {
      obey(command, "set", answer);
    };
    handlers.let_back = [this](const Command& command, const BladeId&, const CommandAnswer& answer) {
      obey(command, "let back", answer);
    };
    handlers.switchover = [this](const Command& command, const RoleId&, bool, const CommandAnswer& answer) {
      obey(command, "switching over", answer);
    };
    handlers.power = [this](const Command& command, const BladeId&, bool, bool, const CommandAnswer& answer) {
      obey(command, "powering", answer);
    };
    handlers.on_refused = [this](const BladeId& at, const std::string& what) {
      refused_.push_back(at.empty() ? what : at.value + ": " + what);
    };
    handlers.on_certificate = [this](SessionId, const BladeId& blade, std::int64_t not_after) {
      ends_[blade] = not_after;
    };
    handlers.now = [this] { return time(nullptr) + later_; };
    handlers.events_after = [this](std::uint64_t, std::size_t, const EventsAnswer& answer) {
      ++followed_;
      answer(std::vector<EventRecord>{});
    };
    auto made = ControlApiServer::listen(io_, "127.0.0.1:0", wire, "state-1", std::move(handlers));
    ASSERT_TRUE(made.ok()) << made.error().message;
    api_ = std::move(made).value();
  }
  void obey(const Command& command, const std::string& text, const CommandAnswer& answer) {
    commands_.push_back(command);
    answer(text);
  }
  void listen() { listen(pki_.wire(Kind::ControlServer, "control")); }
  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(api_->port()); }

  template <class Call>
  auto with_loop(Call call) {
    std::optional<decltype(call())> result;
    std::atomic<bool> done = false;
    std::thread thread([&] {
      result.emplace(call());
      done = true;
    });
    EXPECT_TRUE(run_until([&] { return done.load(); }));
    thread.join();
    return std::move(*result);
  }
  /// What becomes of the operator's `status`: "good", or the sentence.
  std::string status_as(const tls::Wire& wire) {
    OperatorClient client(address(), wire, 3s);
    const auto status = with_loop([&] { return client.status(); });
    return status ? "good" : status.error().message;
  }
  std::string move_as(const tls::Wire& wire) {
    OperatorClient client(address(), wire, 3s);
    const auto moved = with_loop([&] { return client.move_role(RoleId{"role-1"}, "tests"); });
    return moved ? moved.value() : moved.error().message;
  }
  /// A host-agent that says it is `claimed`, until the server has it or has refused it.
  void attach(const tls::Wire& wire, const std::string& claimed) {
    ControlClientOptions options;
    options.addresses = {address()};
    options.wire = wire;
    ControlClientCallbacks callbacks;
    callbacks.on_connected = [&](const std::string&, const std::string&) {
      EXPECT_TRUE(client_->send(Hello{BladeId{claimed}, "boot", {}}));
      if (!tells_.empty()) { client_->tell_refused(tells_); }
    };
    callbacks.on_order = [](const Order&) {};
    callbacks.on_lost = [](const std::string&) {};
    client_.emplace(io_, std::move(options), std::move(callbacks));
    client_->start();
    EXPECT_TRUE(run_until([&] { return (!reports_.empty() && tells_.empty()) || !refused_.empty(); }));
    client_.reset();
  }
  /// One that stays, and looks at its certificate often.
  void stay_attached(const tls::Wire& wire, const std::string& blade) {
    ControlClientOptions options;
    options.addresses = {address()};
    options.wire = wire;
    options.look_at_certificate = 20ms;
    ControlClientCallbacks callbacks;
    callbacks.on_connected = [this, blade](const std::string&, const std::string&) {
      client_->send(Hello{BladeId{blade}, "boot", {}});
    };
    callbacks.on_order = [](const Order&) {};
    callbacks.on_lost = [](const std::string&) {};
    client_.emplace(io_, std::move(options), std::move(callbacks));
    client_->start();
    EXPECT_TRUE(run_until([&] { return !reports_.empty(); }));
  }
  [[nodiscard]] bool refused_for(const std::string& words) const {
    return !refused_.empty() && refused_[0].find(words) != std::string::npos;
  }

  understudy::test::Pki pki_;
  std::unique_ptr<ControlApiServer> api_;
  std::optional<ControlClient> client_;
  std::vector<Report> reports_;
  std::vector<Command> commands_;
  std::vector<std::string> refused_;
  std::string tells_;  ///< whom the blade says it refused
  std::map<BladeId, std::int64_t> ends_;
  int detached_ = 0;
  int followed_ = 0;                     ///< looks into the event log
  std::atomic<std::int64_t> later_ = 0;  ///< seconds by which the server's clock is ahead
};

TEST_F(ControlApiTls, WhoConnectsAndSaysNothingIsCutOff) {
  listen();
  boost::asio::ip::tcp::socket silent(io_);
  silent.connect({boost::asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(api_->port())});
  std::optional<boost::system::error_code> ended;
  std::array<char, 4096> bytes{};
  std::function<void()> read = [&] {
    silent.async_read_some(boost::asio::buffer(bytes), [&](const boost::system::error_code& error, std::size_t) {
      if (!error) { return read(); }
      ended = error;
    });
  };
  read();
  EXPECT_TRUE(run_until([&] { return ended.has_value(); }, 60s));
}

TEST_F(ControlApiTls, ABladeAttachesAsItselfAndIsNotHeardAsAnother) {
  listen();
  const auto wire = pki_.wire(Kind::Blade, "blade-2");
  attach(wire, "blade-2");
  ASSERT_EQ(reports_.size(), 1U);
  EXPECT_GT(ends_[BladeId{"blade-2"}], time(nullptr));
  reports_.clear();
  attach(wire, "blade-1");
  EXPECT_TRUE(reports_.empty()) << "a blade spoke for another";
  EXPECT_TRUE(refused_for("blade blade-2 says that it is blade-1"));
}

TEST_F(ControlApiTls, WhomABladeRefusesIsToldWithTheBladesName) {
  listen();
  tells_ = "role-1: a stranger";
  attach(pki_.wire(Kind::Blade, "blade-2"), "blade-2");
  EXPECT_TRUE(refused_for("blade-2: role-1: a stranger"));
  EXPECT_EQ(reports_.size(), 1U) << "it is no report";
}

TEST_F(ControlApiTls, OnlyABladeAttaches) {
  listen();
  attach(pki_.wire(Kind::Operator, "blade-1"), "blade-1");
  EXPECT_TRUE(reports_.empty());
  EXPECT_TRUE(refused_for("operator blade-1 may not attach"));
}

TEST_F(ControlApiTls, AnOperatorChangesAViewerLooksABladeNeither) {
  listen();
  EXPECT_EQ(status_as(pki_.wire(Kind::Viewer, "bob")), "good");
  EXPECT_EQ(move_as(pki_.wire(Kind::Operator, "alice")), "moving");
  ASSERT_EQ(commands_.size(), 1U);
  EXPECT_EQ(commands_[0].who, "operator alice");
  EXPECT_EQ(commands_[0].reason, "tests");
  EXPECT_TRUE(refused_.empty());
  EXPECT_NE(move_as(pki_.wire(Kind::Viewer, "bob")).find("viewer bob may not change anything"), std::string::npos);
  EXPECT_EQ(commands_.size(), 1U) << "a viewer's command was carried out";
  EXPECT_TRUE(run_until([&] { return refused_for("viewer bob may not change anything"); }));
  EXPECT_NE(status_as(pki_.wire(Kind::Blade, "blade-1")).find("may not look"), std::string::npos);
}

/// Each call of the control API by each kind of bearer: what is allowed is done, and everything else is refused by name
/// with nothing done.
TEST_F(ControlApiTls, EachKindOfBearerMayWhatTheTableSaysAndNothingElse) {
  listen();
  using Outcome = Result<std::string>;
  const RoleId role{"role-1"};
  const BladeId blade{"blade-1"};
  const auto told = [](const Status& status) { return status ? Outcome(std::string("told")) : status.error(); };
  struct Call {
    const char* name;
    bool changes;
    std::function<Outcome(OperatorClient&)> make;
  };
  const std::vector<Call> calls{
      {"GetStatus", false,
       [](OperatorClient& client) {
         const auto status = client.status();
         return status ? Outcome(std::string("told")) : status.error();
       }},
      {"WatchEvents", false,
       [&](OperatorClient& client) {
         return told(client.watch_events(0, false, [](const EventRecord&) { return true; }));
       }},
      {"MoveRole", true, [&](OperatorClient& client) { return client.move_role(role, "tests"); }},
      {"SetMovementPolicy", true,
       [&](OperatorClient& client) { return client.set_movement_policy(MovementPolicy::Manual, "tests"); }},
      {"LetBack", true, [&](OperatorClient& client) { return client.let_back(blade, "tests"); }},
      {"Switchover", true, [&](OperatorClient& client) { return client.switchover(role, true, "tests"); }},
      {"Power", true, [&](OperatorClient& client) { return client.power(blade, false, true, "tests"); }},
  };
  struct Bearer {
    Kind kind;
    bool looks;
    bool changes;
    bool attaches;
  };
  for (const auto& bearer : {Bearer{Kind::Operator, true, true, false}, Bearer{Kind::Viewer, true, false, false},
                             Bearer{Kind::Blade, false, false, true}, Bearer{Kind::Mirror, false, false, false},
                             Bearer{Kind::ControlServer, false, false, false}}) {
    const tls::Wire wire{false, pki_.issue(bearer.kind, "blade-1", bearer.kind == Kind::Mirror ? "role-1" : "")};
    for (const auto& call : calls) {
      SCOPED_TRACE(to_string(bearer.kind) + std::string(" calls ") + call.name);
      commands_.clear();
      OperatorClient client(address(), wire, 3s);
      const auto answer = with_loop([&] { return call.make(client); });
      const bool allowed = call.changes ? bearer.changes : bearer.looks;
      EXPECT_EQ(answer.ok(), allowed) << (answer.ok() ? answer.value() : answer.error().message);
      EXPECT_EQ(commands_.size(), allowed && call.changes ? 1U : 0U);
      if (!allowed && !answer.ok() && bearer.kind != Kind::ControlServer) {  // who is no client at all
        EXPECT_EQ(answer.error().code, Errc::Refused) << answer.error().message;
        EXPECT_NE(answer.error().message.find(" may not "), std::string::npos) << answer.error().message;
      }
    }
    SCOPED_TRACE(to_string(bearer.kind) + std::string(" calls Attach"));
    reports_.clear();
    refused_.clear();
    attach(wire, "blade-1");
    EXPECT_EQ(reports_.size(), bearer.attaches ? 1U : 0U);
  }
}

TEST_F(ControlApiTls, AnotherChassissCertificateIsWorthNothingEvenUnderTheSameCa) {
  listen();
  const std::string folder = pki_.folder();
  const auto read = [](const std::string& path) {
    std::ifstream file(path);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  const auto foreign = tls::issue({read(folder + "/ca.crt"), read(folder + "/ca.key")},
                                  {Kind::Operator, "chassis-2", "mallory", ""}, tls::valid_for(5, time(nullptr)));
  ASSERT_TRUE(foreign.ok());
  const auto files = pki_.issue(Kind::Operator, "mallory");
  std::ofstream(files.certificate) << foreign->certificate;
  std::ofstream(files.key) << foreign->key;
  EXPECT_NE(move_as({false, files}), "moving") << "it takes the control-server for another chassis's, too";
  EXPECT_TRUE(commands_.empty());
}

TEST_F(ControlApiTls, EachWrongWireIsOneSentenceThatSaysWhatIsWrong) {
  listen();
  understudy::test::Pki other;
  auto foreign = other.issue(Kind::Operator, "alice");
  EXPECT_NE(status_as({false, foreign}).find("the peer's certificate is refused here"), std::string::npos);
  foreign.ca = pki_.folder() + "/ca.crt";  // now it trusts us, and we do not trust it: told before a word is sent
  EXPECT_NE(status_as({false, foreign}).find("is not good"), std::string::npos);
  EXPECT_NE(examine_wire(address(), {false, foreign}, 3s).find("it refuses our certificate"), std::string::npos);
  EXPECT_TRUE(run_until([&] {
    return std::any_of(refused_.begin(), refused_.end(), [](const auto& what) {
      return what == "a TLS handshake at the control API failed: certificate verify failed";
    });
  })) << "a handshake that failed is told";
  const tls::Wire expired{false, pki_.issue(Kind::Operator, "old", "", -1)};
  EXPECT_NE(status_as(expired).find("expired"), std::string::npos);
  EXPECT_NE(examine_wire(address(), expired, 3s).find("it refuses our certificate"), std::string::npos);
  EXPECT_NE(status_as(tls::Wire::plain()).find("it speaks TLS and this side plain text"), std::string::npos);
  EXPECT_NE(status_as({false, {"/no/ca", "/no/c", "/no/k"}}).find("/no/ca cannot be read"), std::string::npos);
}

TEST_F(ControlApiTls, AClientWithTlsDoesNotSpeakToAPlainServer) {
  listen(tls::Wire::plain());
  const auto said = status_as(pki_.wire(Kind::Operator, "alice"));
  EXPECT_NE(said.find("plain_text"), std::string::npos) << said;
}

TEST_F(ControlApiTls, ABladeThatPosesAsTheControlServerIsFound) {
  // A blade may be a server (of replication), so only its name gives it away.
  listen(pki_.wire(Kind::Blade, "blade-3"));
  const auto said = status_as(pki_.wire(Kind::Operator, "alice"));
  EXPECT_NE(said.find("blade blade-3"), std::string::npos) << said;
  EXPECT_TRUE(commands_.empty());
}

TEST_F(ControlApiTls, ABladesRenewedCertificateIsKnownWithoutARestart) {
  listen();
  const auto files = pki_.issue(Kind::Blade, "blade-2", "", 5);
  stay_attached({false, files}, "blade-2");
  const auto first = ends_[BladeId{"blade-2"}];
  pki_.issue(Kind::Blade, "blade-2", "", 25);
  EXPECT_TRUE(run_until([&] { return ends_[BladeId{"blade-2"}] > first; })) << "its old end is told for ever";
  EXPECT_TRUE(run_until([&] { return reports_.size() == 2U && detached_ == 1; }));
  EXPECT_TRUE(client_->connected());
  client_.reset();
}

/// A follower of the event log, until it is told that it has ended.
class Reader {
 public:
  Reader(const std::string& address, const tls::Wire& wire) : client_(address, wire, 3s) {
    thread_ = std::thread([this] {
      const auto watched = client_.watch_events(0, true, [](const EventRecord&) { return true; });
      ended_ = !watched;
    });
  }
  ~Reader() {
    client_.stop();
    thread_.join();
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  [[nodiscard]] bool ended() const { return ended_; }

 private:
  OperatorClient client_;
  std::atomic<bool> ended_ = false;
  std::thread thread_;
};

TEST_F(ControlApiTls, AReaderEndsWithItsCertificateAndABladesStreamGoesOn) {
  listen();
  const auto soon = time(nullptr) + 5;
  const auto ends_soon = [&](Kind kind, const std::string& name) {
    const auto made = tls::pki_issue(pki_.folder(), kind, name, "", {soon - 86'400, soon}, true);
    EXPECT_TRUE(made.ok());
    return tls::Wire{false, {pki_.folder() + "/ca.crt", made->certificate, made->key}};
  };
  const auto viewer = ends_soon(Kind::Viewer, "bob");
  stay_attached(ends_soon(Kind::Blade, "blade-2"), "blade-2");
  ASSERT_EQ(ends_[BladeId{"blade-2"}], soon);
  const Reader reader(address(), viewer);
  EXPECT_TRUE(run_until([&] { return reader.ended(); })) << "it reads on without a good certificate";
  EXPECT_GE(time(nullptr), soon - 1) << "it was good still";
  EXPECT_TRUE(refused_for("viewer bob is not told any more: its certificate has ended at"));
  EXPECT_FALSE(run_until([&] { return detached_ > 0; }, 2500ms)) << "roles of a chassis would stand without orders";
  EXPECT_TRUE(client_->connected());
  client_.reset();
}

TEST_F(ControlApiTls, AStepOfTheClockEndsNobody) {
  listen();
  stay_attached({false, pki_.issue(Kind::Blade, "blade-2", "", 5)}, "blade-2");
  const Reader reader(address(), pki_.wire(Kind::Viewer, "bob"));
  EXPECT_TRUE(run_until([&] { return followed_ > 0; }));
  later_ = 400 * 86'400;
  EXPECT_FALSE(run_until([&] { return detached_ > 0 || reader.ended(); }, 2500ms));
  client_.reset();
}

/// Renewals that the server does not take: the blade's own CA file knows more than the server's.
class ControlApiRenewal : public ControlApiTls {
 protected:
  static std::string text(const std::string& path) {
    std::ifstream file(path);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  static void put(const std::string& path, const std::string& text) {
    std::ofstream(path + ".new") << text;
    std::filesystem::permissions(path + ".new", std::filesystem::perms::owner_read);
    std::filesystem::rename(path + ".new", path);
  }
  void renew_with(const tls::CredentialFiles& from) {
    put(files_.key, text(from.key));
    put(files_.certificate, text(from.certificate));
  }
  void attach_with_both_cas() {
    listen();
    files_ = pki_.issue(Kind::Blade, "blade-2", "", 5);
    files_.ca = pki_.folder() + "/ca-of-the-blade.crt";
    put(files_.ca, both_cas());
    stay_attached({false, files_}, "blade-2");
    first_end_ = ends_[BladeId{"blade-2"}];
  }
  [[nodiscard]] std::string both_cas() const {
    return text(pki_.folder() + "/ca.crt") + text(fresh_.folder() + "/ca.crt");
  }
  [[nodiscard]] bool told(const std::string& words) const {
    return std::any_of(refused_.begin(), refused_.end(),
                       [&](const auto& what) { return what.find(words) != std::string::npos; });
  }

  understudy::test::Pki fresh_;  ///< the same chassis's new CA
  tls::CredentialFiles files_;
  std::int64_t first_end_ = 0;
};

TEST_F(ControlApiRenewal, OfACaThatTheServerDoesNotKnowWaitsAndTheStreamStands) {
  attach_with_both_cas();
  renew_with(fresh_.issue(Kind::Blade, "blade-2", "", 25));
  EXPECT_TRUE(run_until([&] { return detached_ > 0 || told("blade-2: its new certificate is not used"); }));
  EXPECT_FALSE(run_until([&] { return detached_ > 0; }, 1500ms)) << "a stream that works was thrown away";
  EXPECT_EQ(std::count_if(refused_.begin(), refused_.end(),
                          [](const auto& what) { return what.find("is not used") != std::string::npos; }),
            1)
      << "it is told once";
  EXPECT_TRUE(told("it refuses our certificate"));
  EXPECT_TRUE(client_->connected());
  EXPECT_EQ(ends_[BladeId{"blade-2"}], first_end_);
  put(pki_.folder() + "/ca.crt", both_cas());
  EXPECT_TRUE(run_until([&] { return ends_[BladeId{"blade-2"}] > first_end_; }, 30s)) << "it is not tried again";
  EXPECT_TRUE(run_until([&] { return reports_.size() == 2U && detached_ == 1; }));
  EXPECT_TRUE(client_->connected());
  client_.reset();
}

TEST_F(ControlApiRenewal, WithAnotherBladesCertificateIsRefusedBeforeTheStreamIsGivenUp) {
  attach_with_both_cas();
  renew_with(pki_.issue(Kind::Blade, "blade-3", "", 25));
  EXPECT_TRUE(
      run_until([&] { return detached_ > 0 || told("it is that of blade blade-3, and this is blade blade-2"); }));
  EXPECT_EQ(detached_, 0);
  EXPECT_TRUE(client_->connected());
  renew_with(pki_.issue(Kind::Blade, "blade-2", "", 25));
  EXPECT_TRUE(run_until([&] { return ends_[BladeId{"blade-2"}] > first_end_; }));
  client_.reset();
}

TEST_F(ControlApiTls, ARenewedServerCertificateServesWithoutARestart) {
  listen();
  understudy::test::Pki fresh;  // the same chassis's new CA
  const auto client = fresh.wire(Kind::Operator, "alice");
  EXPECT_NE(status_as(client), "good");
  const auto made = fresh.issue(Kind::ControlServer, "control");
  for (const auto& [from, to] :
       {std::pair(made.key, "/control-server/control.key"), std::pair(made.certificate, "/control-server/control.crt"),
        std::pair(made.ca, "/ca.crt")}) {
    std::filesystem::copy_file(from, pki_.folder() + to, std::filesystem::copy_options::overwrite_existing);
  }
  EXPECT_TRUE(run_until([&] { return status_as(client) == "good"; }, 20s));
}

}  // namespace
}  // namespace understudy::link
