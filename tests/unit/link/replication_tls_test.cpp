// SPDX-License-Identifier: Apache-2.0
/// Replication through TLS 1.3: the same state arrives, and nobody gets or gives it who is not the one it claims to be.
/// Covers: link/src/tls_session.cpp
#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <limits>

#include "replication_bench.hpp"
#include "support/pki.hpp"
#include "tls_session.hpp"

namespace understudy::link::replication {
namespace {

using boost::asio::ip::tcp;
using tls::Kind;

/// An active and a mirror with what `understudy pki` gives them.
struct TlsPair : Pair {
  TlsPair() {
    active_is(pki.credentials(Kind::Blade, "blade-1"));
    receiver_target.blade = BladeId{"blade-1"};
    receiver_target.credentials = pki.credentials(Kind::Mirror, "blade-4", "role-1");
    sender_options.mirror_blade = BladeId{"blade-4"};
    sender_options.on_refused = [this](const std::string& what) { told.push_back(what); };
  }
  void active_is(const tls::Credentials& credentials) {
    sender_options.credentials = [credentials] { return credentials; };
  }
  /// Until the mirror has said why it has nothing.
  bool mirror_says(const std::string& words) {
    start_sender();
    start_receiver();
    const bool said = run_until([&] { return receiver_detail.find(words) != std::string::npos; }, 5s);
    EXPECT_NE(sender->status().phase, SenderPhase::Synced);
    EXPECT_EQ(mirror.store().committed(), Sequence{0}) << "something was given away";
    return said;
  }
  /// For the event log, once, although the mirror comes again and again.
  bool active_tells(const std::string& words) {
    const bool said = run_until([&] { return !told.empty(); }, 5s);
    EXPECT_EQ(told.size(), 1U);
    return said && told[0].find(words) != std::string::npos;
  }
  test::Pki pki;
  std::vector<std::string> told;
};

/// Carries a connection and, when asked to, breaks it after so many more bytes of the active's.
class CuttingWire {
 public:
  CuttingWire(boost::asio::io_context& io, std::uint16_t to)
      : acceptor_(io, {boost::asio::ip::address_v4::loopback(), 0}), mirror_(io), active_(io) {
    acceptor_.async_accept(mirror_, [this, to](const boost::system::error_code& error) {
      if (error) { return; }
      acceptor_.close();
      active_.connect({boost::asio::ip::address_v4::loopback(), to});
      carry(mirror_, active_, up_, nullptr);
      carry(active_, mirror_, down_, &left_);
    });
  }
  [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  void cut_after(std::size_t bytes) { left_ = bytes; }
  [[nodiscard]] bool is_cut() const { return left_ == 0; }

 private:
  using Buffer = std::array<std::byte, 4096>;
  void carry(tcp::socket& from, tcp::socket& to, Buffer& buffer, std::size_t* left) {
    from.async_read_some(boost::asio::buffer(buffer), [=, this, &from, &to, &buffer](auto error, std::size_t size) {
      if (error) { return; }
      if (left != nullptr) { *left -= size = std::min(size, *left); }
      boost::asio::write(to, boost::asio::buffer(buffer.data(), size), error);
      if (!error && !is_cut()) { return carry(from, to, buffer, left); }
      mirror_.close();
      active_.close();
    });
  }
  tcp::acceptor acceptor_;
  tcp::socket mirror_;
  tcp::socket active_;
  std::size_t left_ = std::numeric_limits<std::size_t>::max();
  Buffer up_{};
  Buffer down_{};
};

TEST(ReplicationTls, EverythingArrivesAndTheEndIsSaid) {
  TlsPair pair;
  auto net = pair.active.writer(1);
  for (std::uint64_t i = 0; i < 3000; ++i) { put(net, i, i); }
  pair.start_sender();
  pair.start_receiver();
  pair.expect_same();
  for (std::uint64_t i = 0; i < 500; ++i) { put(net, i, i + 7); }
  std::optional<bool> all;
  std::optional<DrainReport> report;
  pair.sender->finish(10s, [&](bool complete) { all = complete; });
  pair.receiver->drain(5s, 20s, [&](const DrainReport& drained) { report = drained; });
  ASSERT_TRUE(pair.run_until([&] { return all && report; }));
  EXPECT_TRUE(*all);
  EXPECT_TRUE(report->end_of_stream);
  EXPECT_EQ(report->dropped_bytes, 0U);
  EXPECT_EQ(content_of(pair.mirror.store()), content_of(pair.active.store()));
}

TEST(ReplicationTls, AConnectionFromAnotherAddressThanTheMirrorsIsTold) {
  TlsPair pair;
  pair.sender_options.mirror = IpAddress::parse("127.0.0.9").value();
  EXPECT_TRUE(pair.mirror_says(""));
  EXPECT_TRUE(pair.active_tells("a connection from 127.0.0.1, and the mirror is 127.0.0.9"));
}

TEST(ReplicationTls, AWireThatIsCutIsNoEndOfTheStreamAndNothingHalfIsApplied) {
  TlsPair pair;
  auto net = pair.active.writer(1);
  put(net, 0, 1);
  pair.start_sender();
  CuttingWire wire(pair.io, pair.port);
  pair.port = wire.port();
  pair.start_receiver();
  ASSERT_TRUE(pair.synced());
  std::optional<DrainReport> report;
  pair.receiver->drain(5s, 10s, [&](const DrainReport& drained) { report = drained; });
  wire.cut_after(5'011);
  for (std::uint64_t i = 1; i < 500; ++i) { put(net, i, 2 * i); }
  ASSERT_TRUE(pair.run_until([&] { return report.has_value(); }));
  EXPECT_TRUE(wire.is_cut());
  EXPECT_FALSE(report->end_of_stream || report->by_deadline);
  EXPECT_LT(report->stores[0].applied, net.committed());
  const auto whole = content_of(pair.active.store());
  for (const auto& [key, value] : content_of(pair.mirror.store())) { EXPECT_EQ(whole.at(key), value); }
  EXPECT_TRUE(pair.told.empty()) << "a broken wire is nobody who was refused";
}

TEST(ReplicationTls, AMirrorFetchesItsOwnRoleOnly) {
  TlsPair pair;
  pair.receiver_target.credentials = pair.pki.credentials(Kind::Mirror, "blade-4", "role-2");
  EXPECT_TRUE(pair.mirror_says("the certificate is that of the mirror of role-2 on blade-4")) << pair.receiver_detail;
  EXPECT_TRUE(pair.active_tells("the certificate is that of the mirror of role-2 on blade-4"));
}

TEST(ReplicationTls, ABladesOwnCertificateIsNoMirrors) {
  TlsPair pair;
  pair.receiver_target.credentials = pair.pki.credentials(Kind::Blade, "blade-4");
  EXPECT_TRUE(pair.mirror_says("the certificate is that of blade blade-4")) << pair.receiver_detail;
}

/// It has the role's own certificate, and even the mirror's address.
TEST(ReplicationTls, TheMirrorOfTheRoleOnAnotherBladeIsRefused) {
  TlsPair pair;
  pair.receiver_target.credentials = pair.pki.credentials(Kind::Mirror, "blade-3", "role-1");
  const std::string words =
      "the mirror of role-1 runs on blade-4, and the certificate is that of the mirror of role-1 on blade-3";
  EXPECT_TRUE(pair.mirror_says(words)) << pair.receiver_detail;
  EXPECT_TRUE(pair.active_tells(words));
}

TEST(ReplicationTls, WhereNoBladeIsNamedTheMirrorOfTheRoleOnAnyIsTaken) {
  TlsPair pair;  // by a control-server of before
  pair.sender_options.mirror_blade = {};
  pair.receiver_target.credentials = pair.pki.credentials(Kind::Mirror, "blade-3", "role-1");
  pair.start_sender();
  pair.start_receiver();
  EXPECT_TRUE(pair.synced());
}

TEST(ReplicationTls, AnotherBladeCannotGiveARolesState) {
  TlsPair pair;
  pair.active_is(pair.pki.credentials(Kind::Blade, "blade-2"));
  EXPECT_TRUE(pair.mirror_says("is blade blade-2 of chassis-1, not blade-1")) << pair.receiver_detail;
}

TEST(ReplicationTls, AnotherCaIsRefusedByEitherSide) {
  test::Pki other;
  {
    TlsPair pair;  // the mirror's is of another CA, and it trusts ours
    auto foreign = other.credentials(Kind::Mirror, "blade-4", "role-1");
    foreign.ca = pair.receiver_target.credentials->ca;
    pair.receiver_target.credentials = foreign;
    EXPECT_TRUE(pair.mirror_says("the peer refuses our certificate")) << pair.receiver_detail;
    EXPECT_TRUE(pair.active_tells("127.0.0.1: the peer's certificate is refused here"));
  }
  TlsPair pair;
  pair.active_is(other.credentials(Kind::Blade, "blade-1"));
  EXPECT_TRUE(pair.mirror_says("the peer's certificate is refused here")) << pair.receiver_detail;
  EXPECT_TRUE(pair.active_tells("the peer refuses our certificate"));
}

TEST(ReplicationTls, AnExpiredCertificateIsRefusedAndARenewedOneServes) {
  TlsPair pair;
  const auto good = *pair.receiver_target.credentials;
  pair.receiver_target.credentials = pair.pki.credentials(Kind::Mirror, "blade-4", "role-1", -1);
  ASSERT_TRUE(pair.mirror_says("it has expired")) << pair.receiver_detail;
  pair.receiver_target.credentials = good;
  auto target = pair.receiver_target;
  target.active = IpAddress::parse(pair.address).value();
  target.port = pair.port;
  target.term = Term{1};
  ASSERT_TRUE(pair.receiver->configure(target).ok());
  EXPECT_TRUE(pair.synced()) << pair.receiver_detail;
}

TEST(ReplicationTls, PlainTextAndTlsDoNotMeet) {
  {
    TlsPair pair;
    pair.receiver_target.credentials.reset();
    EXPECT_TRUE(pair.mirror_says("")) << "nothing but a closed connection: no word in plain text";
    EXPECT_TRUE(pair.run_until([&] { return pair.receiver->status().phase == ReceiverPhase::Lost; }));
    EXPECT_TRUE(pair.active_tells("the peer does not speak TLS"));
  }
  TlsPair pair;
  pair.sender_options.credentials = nullptr;
  EXPECT_TRUE(pair.mirror_says("cut")) << pair.receiver_detail;
  EXPECT_TRUE(pair.active_tells("the peer speaks TLS"));
}

// --- the session itself ---

using tls::End;
using tls::Session;

struct Ends {
  explicit Ends(test::Pki& pki, tls::SessionOptions options = {})
      : client(Session::open(End::Client, pki.credentials(Kind::Mirror, "blade-4", "role-1"), options).value()),
        server(Session::open(End::Server, pki.credentials(Kind::Blade, "blade-1"), options).value()) {
    EXPECT_TRUE(client->begin().ok());
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ(pass(*client, *server).value(), "");
      EXPECT_EQ(pass(*server, *client).value(), "");
    }
  }
  /// What `from` has to say, read at `to`.
  static Result<std::string> pass(Session& from, Session& to) { return give(from.take_output(), to); }
  static Result<std::string> give(const std::vector<std::byte>& wire, Session& to) {
    std::string text;
    std::array<std::byte, 500> room{};
    to.feed(wire);
    while (true) {
      const auto got = to.read(room);
      if (!got) { return got.error(); }
      if (got.value() == 0) { return text; }
      text.append(reinterpret_cast<const char*>(room.data()), got.value());
    }
  }
  static void say(Session& from, const std::string& text) {
    const std::array pieces{std::as_bytes(std::span(text))};
    EXPECT_TRUE(from.write(pieces).ok());
  }
  std::unique_ptr<Session> client;
  std::unique_ptr<Session> server;
};

TEST(TlsSession, BothKnowWhoTheOtherIs) {
  test::Pki pki;
  Ends ends(pki);
  ASSERT_TRUE(ends.client->established() && ends.server->established());
  EXPECT_EQ(to_uri(*ends.client->peer().identity), "understudy://chassis-1/blade/blade-1");
  EXPECT_EQ(to_uri(*ends.server->peer().identity), "understudy://chassis-1/mirror/blade-4/role-1");
  EXPECT_EQ(std::string(ends.client->cipher()).substr(0, 4), "TLS_");
}

TEST(TlsSession, SendingKeysAreRenewedOnTheWay) {
  test::Pki pki;
  Ends ends(pki, {.records_per_key = 3});
  std::string all;
  std::string read;
  for (int i = 0; i < 50; ++i) {
    const auto text = std::string(20'000, static_cast<char>('a' + i % 26));
    all += text;
    Ends::say(*ends.server, text);
    read += Ends::pass(*ends.server, *ends.client).value();
    Ends::say(*ends.client, "ack");
    EXPECT_EQ(Ends::pass(*ends.client, *ends.server).value(), "ack");
  }
  EXPECT_TRUE(read == all);
}

TEST(TlsSession, ATornRecordGivesNothingAndAChangedOneIsTheEnd) {
  test::Pki pki;
  Ends ends(pki);
  Ends::say(*ends.server, "what an active says");
  auto wire = ends.server->take_output();
  const std::vector<std::byte> torn(wire.begin(), wire.end() - 1);
  EXPECT_EQ(Ends::give(torn, *ends.client).value(), "");
  EXPECT_FALSE(ends.client->ended());
  EXPECT_EQ(Ends::give({wire.back()}, *ends.client).value(), "what an active says");
  Ends::say(*ends.server, "once more");
  wire = ends.server->take_output();
  wire.back() ^= std::byte{1};
  EXPECT_FALSE(Ends::give(wire, *ends.client).ok());
}

TEST(TlsSession, OnlyThePeersOwnWordIsTheEnd) {
  test::Pki pki;
  Ends ends(pki);
  Ends::say(*ends.server, "last words");
  ends.server->say_end();
  EXPECT_FALSE(ends.client->ended());
  EXPECT_EQ(Ends::pass(*ends.server, *ends.client).value(), "last words");
  EXPECT_TRUE(ends.client->ended());
}

}  // namespace
}  // namespace understudy::link::replication
