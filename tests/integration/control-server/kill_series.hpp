// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A control-server is killed at a stage of a takeover, a switchover or a movement (kill_points.hpp), then one is there
/// again, or another one has stood by: two blades played by the rules of a host-agent count who serves, and what was
/// done twice. Nothing is met by time: the switch, the state store or a blade that does not answer holds the
/// control-server where it is to be killed.
#include <array>
#include <functional>
#include <vector>

#include "held_switch.hpp"
#include "played_chassis.hpp"
#include "support/eventually.hpp"

namespace understudy {

struct StoredRole {
  std::uint64_t term = 0;
  PlaceKind kind = PlaceKind::Host;
  std::uint64_t reserved = 0;
  bool operator==(const StoredRole&) const = default;
};

/// What a blade does with an order that it has got.
enum class Obeys { Not, Silently, Fully };  ///< Silently: it does it, and its word does not come

class KillSeriesTest;
struct KillPoint {
  const char* name;
  void (*reach)(KillSeriesTest&);
  StoredRole ends;                ///< what is stored when all is done
  std::size_t activations = 1;    ///< orders that the mirror has got, in both lives
  std::size_t movements = 0;      ///< likewise
  const char* policy = "manual";  ///< of movements
};
inline void PrintTo(const KillPoint& point, std::ostream* out) { *out << point.name; }
inline std::string name_of(const testing::TestParamInfo<KillPoint>& info) { return info.param.name; }

class KillSeriesTest : public PlayedChassisTest, public testing::WithParamInterface<KillPoint> {
 public:
  // --- the control-server or -servers, the store ---
  virtual void kill_server() = 0;
  virtual void go_on() = 0;  ///< a next one is started, or another one stands by
  virtual void hold_store() = 0;
  virtual void let_store_go() = 0;
  /// Looked up in the store itself.
  [[nodiscard]] virtual StoredRole stored() = 0;
  [[nodiscard]] virtual bool has_logged(const std::string& words) = 0;  ///< the one that is to be killed

  [[nodiscard]] std::string operate(const std::string& arguments) const {
    return operate_at(asked(), arguments, nullptr);
  }

  // --- what leads to a point ---
  /// It is silent, and its kernel forwards on: only the switch stops it.
  void lose_active() {
    active_->die();
    active_->client.reset();
    sees_ = Vote::Down;
    tell_of_mirror();
    standby_->client->send(PeerVote{kRole, BladeId{"blade-1"}, sees_});
  }
  void order_switchover() {
    const auto command = "exec " + operator_at(asked(), "switchover role-1 --reason tests");
    commander_.emplace(std::vector<std::string>{"/bin/sh", "-c", command}, folder_ + "/operator.log");
  }
  void hold_switch(const std::string& verb) const { switch_->hold(verb, "b1-ext"); }
  void switch_holds(const std::string& verb) {
    ASSERT_TRUE(run_until([&] { return switch_->holds(verb, "b1-ext"); })) << verb;
    hears_no<Activate>(*standby_);
  }
  void let_switch_go(const std::string& verb) const { switch_->let_go(verb, "b1-ext"); }
  void logs(const std::string& words) {
    ASSERT_TRUE(run_until([&] { return has_logged(words); })) << words;
  }
  template <class Wanted>
  void hears(const Blade& blade) {
    ASSERT_TRUE(run_until([&] { return blade.got<Wanted>() != nullptr; }));
  }
  /// What it would wait for is held.
  template <class Unwanted>
  void hears_no(const Blade& blade) {
    EXPECT_FALSE(run_until([&] { return blade.got<Unwanted>() != nullptr; }, kQuiet)) << "ordered too early";
  }
  /// While no blade reads what it is told: the order that follows is sent, and comes to nobody.
  void stores_unheard(const StoredRole& role) {
    ASSERT_TRUE(test::eventually([&] { return stored() == role; })) << stored().term;
    unheard_ = true;
  }

  Obeys hands_over_ = Obeys::Fully;
  Obeys activates_ = Obeys::Fully;
  Obeys moves_ = Obeys::Fully;
  std::function<void()> before_word_ = [] {};  ///< of an activation or a movement, or a hand-over
  Blade& active() { return *active_; }
  Blade& standby() { return *standby_; }

 protected:
  explicit KillSeriesTest(const std::string& name) : PlayedChassisTest(name) {}
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(PlayedChassisTest::SetUp());
    if (IsSkipped()) { return; }
    switch_.emplace(folder_ + "/switch");
    for (const auto* port : {"b1-ext", "b2-ext"}) { HeldSwitch::connect(port); }
  }
  void TearDown() override {
    commander_.reset();
    for (const auto* port : {"b1-ext", "b2-ext"}) { HeldSwitch::connect(port); }
    PlayedChassisTest::TearDown();
  }
  [[nodiscard]] virtual std::string asked() const = 0;  ///< address or addresses, for the operator's command

  void bring_up() {
    play_active();
    play_standby();
    active_->power_on();
    standby_->power_on();
    ASSERT_TRUE(run_until([&] {
      const auto told = operate("status --json");
      return told.find("\"state\":\"protected\"") != std::string::npos && active_->got<ServeRole>() != nullptr &&
             told.find("\"bfd\":\"unknown\"") == std::string::npos;
    })) << operate("status");
    ASSERT_NE(operate(std::string("policy ") + GetParam().policy).find("now"), std::string::npos);
  }

  void is_killed_and_finished_once() {
    ASSERT_NO_FATAL_FAILURE(bring_up());
    const auto& point = GetParam();
    ASSERT_NO_FATAL_FAILURE(point.reach(*this)) << operate("status") << operate("events");
    kill_server();
    commander_.reset();
    if (unheard_) {
      for (auto* blade : {&*active_, &*standby_}) {
        if (!blade->client) { continue; }
        blade->client.reset();
        blade->connect();
      }
    }
    hands_over_ = activates_ = moves_ = Obeys::Fully;
    before_word_ = [] {};
    for (const auto* verb : {"isolate", "status"}) { let_switch_go(verb); }
    let_store_go();
    const bool proves_anew = !serving_[1] && !active_->client;
    if (proves_anew) { switch_->hold_the_next("isolate", "b1-ext"); }
    go_on();
    if (proves_anew) { ASSERT_NO_FATAL_FAILURE(orders_nothing_before_its_proof()); }
    const std::string wanted = point.ends.kind == PlaceKind::Mirror ? "\"state\":\"on-mirror\""
                               : point.ends.term == 1               ? "\"state\":\"protected\""
                                                                    : "\"state\":\"on-host\"";
    ASSERT_TRUE(
        run_until([&] { return stored() == point.ends && operate("status --json").find(wanted) != std::string::npos; },
                  std::chrono::seconds(40)))
        << operate("status") << operate("events") << stored().term << " " << stored().reserved;
    EXPECT_EQ(orders<Activate>(*standby_), point.activations);
    EXPECT_EQ(orders<Move>(*standby_), point.movements);
    EXPECT_EQ(activated_, point.ends.term > 1 ? 1U : 0U) << "once, however often it is ordered";
    EXPECT_EQ(moved_, point.movements > 0 ? 1U : 0U);
    EXPECT_EQ(speaks(1), point.ends.term == 1) << "the old place";
    EXPECT_EQ(speaks(2), point.ends.term > 1) << "the new one";
    EXPECT_EQ(last_term_, point.ends.term);
  }

 private:
  /// The evidence of an earlier life may be gone: here it is, and the switch does not answer.
  void orders_nothing_before_its_proof() {
    HeldSwitch::connect("b1-ext");
    const auto before = orders<Activate>(*standby_);
    ASSERT_TRUE(run_until(
        [&] {
          return switch_->holds("isolate", "b1-ext") &&
                 operate("status").find("blade-2             connected") != std::string::npos;
        },
        std::chrono::seconds(40)))
        << operate("status");
    EXPECT_FALSE(run_until([&] { return orders<Activate>(*standby_) > before; }, kQuiet)) << "it is not isolated anew";
    let_switch_go("isolate");
  }

  static constexpr std::chrono::milliseconds kQuiet{300};
  static constexpr const char* kName = "role-1";
  const RoleId kRole{kName};

  template <class Wanted>
  static std::size_t orders(const Blade& blade) {
    std::size_t count = 0;
    for (const auto& order : blade.orders) { count += std::holds_alternative<Wanted>(order) ? 1U : 0U; }
    return count;
  }
  /// Blade 1 or 2 opens its gate. The other one must have closed its own, or be cut off by the switch.
  void begins(unsigned blade, Term term) {
    EXPECT_FALSE(speaks(3 - blade)) << "two owners, under " << term.value;
    EXPECT_GT(term.value, last_term_) << "a term that was used";
    last_term_ = term.value;
    serving_[blade - 1] = true;
    EXPECT_TRUE(speaks(blade)) << "it is isolated";
  }
  void loses(unsigned blade) { serving_[blade - 1] = false; }
  [[nodiscard]] bool speaks(unsigned blade) const {
    return serving_[blade - 1] && !HeldSwitch::is_isolated("b" + std::to_string(blade) + "-ext");
  }

  void play_active() {
    active_->obey = [this](const Order& order) {
      auto& held = active_->held;
      if (const auto* serve = std::get_if<ServeRole>(&order)) {
        if (held.empty() || held[0].term < serve->term) {
          begins(1, serve->term);
          held = {{kRole, serve->term, PlaceKind::Host, true}};
        }
        active_->client->send(Serving{kRole, serve->term});
      } else if (const auto* down = std::get_if<StandDown>(&order)) {
        if (!held.empty() && held[0].term < down->term) {
          held.clear();
          loses(1);
        }
        active_->client->send(Stopped{kRole, down->term});
      } else if (const auto* over = std::get_if<HandOver>(&order)) {
        if (hands_over_ == Obeys::Not || held.empty()) { return; }
        held.clear();
        loses(1);
        before_word_();
        if (hands_over_ == Obeys::Fully) { active_->client->send(HandedOver{kRole, over->term, {{"quiesce", 1.5}}}); }
      }
    };
  }
  void play_standby() {
    standby_->obey = [this](const Order& order) {
      if (const auto* mirror = std::get_if<RunMirror>(&order)) {
        if (!standby_->held.empty() && standby_->held[0].serving) { return; }
        standby_->held = {{kRole, mirror->term, PlaceKind::Mirror, false}};
        tell_of_mirror();
        for (const auto& report : standby_->after_hello) { standby_->client->send(report); }
      } else if (const auto* activate = std::get_if<Activate>(&order)) {
        activate_mirror(*activate);
      } else if (const auto* move = std::get_if<Move>(&order)) {
        move_to_host(*move);
      } else if (std::holds_alternative<ReleaseMirrors>(order)) {
        if (releases_) { standby_->client->send(MirrorsReleased{0, 250}); }
      } else if (const auto* down = std::get_if<StandDown>(&order)) {
        auto& held = standby_->held;
        if (!held.empty() && held[0].term < down->term) {
          held.clear();
          loses(2);
        }
        standby_->client->send(Stopped{kRole, down->term});
      }
    };
  }
  void tell_of_mirror() {
    standby_->after_hello = {MirrorState{kRole, Term{1}, MirrorPhase::Synced, "nonce", "", true},
                             PeerVote{kRole, BladeId{"blade-1"}, sees_}};
  }
  void activate_mirror(const Activate& order) {
    EXPECT_FALSE(speaks(1)) << "ordered without evidence, under " << order.term.value;
    auto& held = standby_->held;
    if (activates_ == Obeys::Not || held.empty() || held[0].kind != PlaceKind::Mirror) { return; }
    if (!held[0].serving) {
      begins(2, order.term);
      held = {{kRole, order.term, PlaceKind::Mirror, true}};
      standby_->after_hello.clear();
      ++activated_;
    }
    before_word_();
    if (activates_ == Obeys::Fully) { standby_->client->send(Activated{kRole, order.term, {{"handover", 1.5}}}); }
  }
  void move_to_host(const Move& order) {
    auto& held = standby_->held;
    if (moves_ == Obeys::Not || held.empty()) { return; }
    if (held[0].kind == PlaceKind::Mirror) {
      loses(2);
      begins(2, order.term);
      held = {{kRole, order.term, PlaceKind::Host, true}};
      ++moved_;
    }
    before_word_();
    if (moves_ == Obeys::Fully) { standby_->client->send(Moved{kRole, order.term, {{"prepare", 2}, {"resume", 1}}}); }
  }

 public:
  bool releases_ = true;

 protected:
  std::optional<HeldSwitch> switch_;

 private:
  std::optional<Child> commander_;  ///< a command that may be waiting for an answer
  bool unheard_ = false;
  Vote sees_ = Vote::Up;
  std::array<bool, 2> serving_{};  ///< blade 1, blade 2: its gate is open
  std::uint64_t last_term_ = 0;
  std::size_t activated_ = 0;
  std::size_t moved_ = 0;
};

}  // namespace understudy
