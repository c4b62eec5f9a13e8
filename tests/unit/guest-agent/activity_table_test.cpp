// SPDX-License-Identifier: Apache-2.0
/// Every activity of a mirror met with every event: the activity afterwards, and what is done and told, in order. The
/// table is the documentation; a change of the core that changes a cell fails here. The mirror's copy is of term 5; in
/// the columns from "dr" on it activates, or has activated, under term 6. The last four: an activity that was told to
/// grant no more, or whose application has ended, or that has a newer order to begin. Covers:
/// guest-agent/core/mirror.cpp
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <set>
#include <sstream>

#include "core/mirror.hpp"

namespace understudy::guest {
namespace {

/// The activities, and Mirroring and Serving twice: what they do depends on the copy, and on the application.
enum class Column : std::uint8_t {
  Idle,
  Configuring,
  MirroringUnfinished,
  MirroringWhole,
  Draining,
  Installing,
  HandingOver,
  Starting,
  Serving,
  ServingRestored,  ///< after a restart of the agent: its application is not active yet
  Quiescing,
  Quiesced,
  // What an activity remembers.
  MirroringNoGrants,  ///< it was told to grant no more
  StartingEnded,      ///< the application has ended since the activation began
  QuiescingEnded,     ///< the application has ended since it was to be quiesced
  ConfiguringNewer,   ///< a newer order waits for the end of the step
};
constexpr std::size_t kColumns = static_cast<std::size_t>(Column::ConfiguringNewer) + 1;

/// Two letters for an activity.
constexpr std::array kWords{"id", "co", "mi", "dr", "in", "ha", "st", "se", "qu", "qd"};
static_assert(kWords.size() == static_cast<std::size_t>(Activity::Quiesced) + 1);

/// One letter for each effect: P TellPhase, V TellVote, R TellReady, F TellActivateFailed, Q TellQuiesced,
/// N TellQuiesceFailed, A TellAlarm, X Announce, O PowerOff, G Grant, S TellGrantsStopped, H HoldMirror.
constexpr std::string_view kEffects{"-HPVRFQNAXOGS"};
static_assert(kEffects.size() == std::variant_size_v<Effect>);
/// A step that is begun is a small letter: c Configure, d Drain, i Install, h HandOver, a StartApplication, q Quiesce,
/// r Resume, b BackToMirroring, s RestartApplication. Restore is begun by the edge itself.
constexpr std::string_view kSteps{"cdihaqrbs-"};
static_assert(kSteps.size() == static_cast<std::size_t>(Step::Restore) + 1);

ConfigureOrder configure(Term term, const std::string& version = "v1") {
  link::RunMirror mirror;
  mirror.term = term;
  mirror.spec.version = version;
  return {mirror};
}

Mirror in_column(Column column) {
  Mirror mirror;
  const auto step = [&](const Event& event) { (void)mirror.step(event); };
  if (column == Column::Idle) { return mirror; }
  if (column == Column::ServingRestored) {
    mirror.adopt_serving(Term{6});
    return mirror;
  }
  step(configure(Term{5}));
  if (column == Column::ConfiguringNewer) { step(configure(Term{9})); }
  if (column == Column::Configuring || column == Column::ConfiguringNewer) { return mirror; }
  step(StepDone{Step::Configure});
  step(SyncChanged{column == Column::MirroringUnfinished ? SyncPhase::Syncing : SyncPhase::Synced, ""});
  step(AllowGrantsOrder{Term{5}});
  if (column == Column::MirroringNoGrants) { step(StopGrantsOrder{Term{5}}); }
  if (column <= Column::MirroringWhole || column == Column::MirroringNoGrants) { return mirror; }
  step(ActivateOrder{Term{6}});
  const std::array steps{Step::Drain, Step::Install, Step::HandOver, Step::StartApplication};
  const auto reached = column == Column::StartingEnded ? Column::Starting : std::min(column, Column::Serving);
  const auto done = static_cast<std::size_t>(reached) - static_cast<std::size_t>(Column::Draining);
  for (std::size_t i = 0; i < done; ++i) { step(StepDone{steps.at(i)}); }
  if (column == Column::StartingEnded) { step(ApplicationEnded{"x"}); }
  if (reached != Column::Serving || column < Column::Quiescing) { return mirror; }
  step(QuiesceOrder{});
  if (column == Column::Quiesced) { step(StepDone{Step::Quiesce}); }
  if (column == Column::QuiescingEnded) { step(ApplicationEnded{"x"}); }
  return mirror;
}

struct Row {
  std::string name;
  Event event;
};

std::vector<Row> rows() {
  std::vector<Row> rows{
      {"configure, newer term", configure(Term{9})},
      {"configure, other bundle", configure(Term{5}, "v2")},
      {"configure, the same", configure(Term{5})},
      {"configure, stale", configure(Term{4})},
      {"activate, newer term", ActivateOrder{Term{7}}},
      {"activate, again", ActivateOrder{Term{6}}},
      {"activate, the copy's term", ActivateOrder{Term{5}}},
      {"announce", AnnounceOrder{}},
      {"quiesce", QuiesceOrder{}},
      {"resume", ResumeOrder{}},
      {"shut down", ShutdownOrder{}},
      {"allow grants", AllowGrantsOrder{Term{5}}},
      {"allow grants, other term", AllowGrantsOrder{Term{6}}},
      {"stop grants", StopGrantsOrder{Term{5}}},
      {"asked for a grant", GrantAsked{Term{5}, 1}},
      {"asked, other term", GrantAsked{Term{6}, 1}},
      {"stream connecting", SyncChanged{SyncPhase::Connecting, ""}},
      {"stream syncing", SyncChanged{SyncPhase::Syncing, ""}},
      {"stream synced", SyncChanged{SyncPhase::Synced, ""}},
      {"stream lost", SyncChanged{SyncPhase::Lost, ""}},
      {"an earlier copy is held", SyncChanged{SyncPhase::Held, ""}},
      {"the active's vote", PeerChanged{link::Vote::Down}},
      {"the application ended", ApplicationEnded{"x"}},
  };
  const std::array names{"configure", "drain",  "install", "hand over",         "application",
                         "quiesce",   "resume", "back",    "start application", "restore"};
  static_assert(names.size() == kSteps.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    rows.push_back({std::string(names[i]) + " done", StepDone{static_cast<Step>(i)}});
    rows.push_back({std::string(names[i]) + " failed", StepFailed{static_cast<Step>(i), "x"}});
  }
  return rows;
}

std::string letters_of(const Effects& effects) {
  std::string letters;
  for (const auto& effect : effects) {
    const auto* begun = std::get_if<Do>(&effect);
    letters += begun == nullptr ? kEffects[effect.index()] : kSteps[static_cast<std::size_t>(begun->step)];
  }
  return letters;
}

std::string cell_of(const Row& row, Column column) {
  auto mirror = in_column(column);
  const auto letters = letters_of(mirror.step(row.event));
  return std::string(kWords[static_cast<std::size_t>(mirror.activity())]) + (letters.empty() ? "" : "." + letters);
}

constexpr std::size_t kColumnsPlain = static_cast<std::size_t>(Column::Quiesced) + 1;

/// Of the columns from `first` up to `end`.
std::string line_of(const Row& row, std::size_t first, std::size_t end) {
  std::string line = row.name;
  line.resize(25, ' ');
  for (std::size_t i = first; i < end; ++i) {
    line += " ";
    line += cell_of(row, static_cast<Column>(i));
    if (i + 1 < end) { line.resize(26 + (7 * (i + 1 - first)) - 1, ' '); }
  }
  return line;
}

// clang-format off
constexpr const char* kTable = R"(
                          id     co     mi, -  mi     dr     in     ha     st     se     se, r  qu     qd
configure, newer term     co.HPc co     co.HPc co.HPc dr.A   in.A   ha.A   st.A   se.A   se.A   qu.A   qd.A
configure, other bundle   co.HPc co     co.HPc co.HPc dr.A   in.A   ha.A   st.A   se.A   se.A   qu.A   qd.A
configure, the same       co.HPc co     mi.PV  mi.PV  dr.A   in.A   ha.A   st.A   se.A   se.A   qu.A   qd.A
configure, stale          co.HPc co     mi.A   mi.A   dr.A   in.A   ha.A   st.A   se.A   se.A   qu.A   qd.A
activate, newer term      id.F   co.F   mi.F   dr.d   dr.F   in.F   ha.F   st.F   se.F   se.F   qu.F   qd.F
activate, again           id.F   co.F   mi.F   dr.d   dr     in     ha     st     se.R   se     qu.F   qd.F
activate, the copy's term id.F   co.F   mi.F   mi.F   dr.F   in.F   ha.F   st.F   se.F   se.F   qu.F   qd.F
announce                  id.A   co.A   mi.A   mi.A   dr.A   in.A   ha.A   st.A   se.X   se.X   qu.A   qd.A
quiesce                   id.A   co.A   mi.A   mi.A   dr.A   in.A   ha.A   st.A   qu.q   qu.q   qu.A   qd.Q
resume                    id     co     mi     mi     dr     in     ha     st     se     se     se.r   se.r
shut down                 id.O   co.O   mi.O   mi.O   dr.O   in.O   ha.O   st.O   se.O   se.O   qu.O   qd.O
allow grants              id     co     mi     mi     dr     in     ha     st     se     se     qu     qd
allow grants, other term  id     co     mi     mi     dr     in     ha     st     se     se     qu     qd
stop grants               id.S   co.S   mi.S   mi.S   dr.S   in.S   ha.S   st.S   se.S   se.S   qu.S   qd.S
asked for a grant         id     co     mi.G   mi.G   dr     in     ha     st     se     se     qu     qd
asked, other term         id     co     mi     mi     dr     in     ha     st     se     se     qu     qd
stream connecting         id     co     mi.P   mi.P   dr     in     ha     st     se     se     qu     qd
stream syncing            id     co     mi.P   mi.P   dr     in     ha     st     se     se     qu     qd
stream synced             id     co     mi.P   mi.P   dr     in     ha     st     se     se     qu     qd
stream lost               id     co     mi.P   mi.P   dr     in     ha     st     se     se     qu     qd
an earlier copy is held   id     co     mi.P   mi.P   dr     in     ha     st     se     se     qu     qd
the active's vote         id     co     mi.V   mi.V   dr     in     ha     st     se     se     qu     qd
the application ended     id.A   co.A   mi.As  mi.As  dr.A   in.A   ha.A   st.A   se.As  se.As  qu.A   qd.A
configure done            id     mi.PV  mi     mi     dr     in     ha     st     se     se     qu     qd
configure failed          id.A   id.P   mi.A   mi.A   dr.A   in.A   ha.A   st.A   se.A   se.A   qu.A   qd.A
drain done                id     co     mi     mi     in.i   in     ha     st     se     se     qu     qd
drain failed              id.A   co.A   mi.A   mi.A   mi.bF  in.A   ha.A   st.A   se.A   se.A   qu.A   qd.A
install done              id     co     mi     mi     dr     ha.h   ha     st     se     se     qu     qd
install failed            id.A   co.A   mi.A   mi.A   dr.A   mi.bF  ha.A   st.A   se.A   se.A   qu.A   qd.A
hand over done            id     co     mi     mi     dr     in     st.a   st     se     se     qu     qd
hand over failed          id.A   co.A   mi.A   mi.A   dr.A   in.A   mi.bF  st.A   se.A   se.A   qu.A   qd.A
application done          id     co     mi     mi     dr     in     ha     se.R   se     se     qu     qd
application failed        id.A   co.A   mi.A   mi.A   dr.A   in.A   ha.A   mi.bF  se.A   se.A   qu.A   qd.A
quiesce done              id     co     mi     mi     dr     in     ha     st     se     se     qd.Q   qd
quiesce failed            id     co     mi     mi     dr     in     ha     st     se     se     qu.N   qd
resume done               id     co     mi     mi     dr     in     ha     st     se     se     qu     qd
resume failed             id.A   co.A   mi.A   mi.A   dr.A   in.A   ha.A   st.A   se.A   se.A   qu.A   qd.A
back done                 id     co     mi     mi     dr     in     ha     st     se     se     qu     qd
back failed               id.A   co.A   mi.A   mi.A   dr.A   in.A   ha.A   st.A   se.A   se.A   qu.A   qd.A
start application done    id     co     mi     mi     dr     in     ha     st     se     se     qu     qd
start application failed  id.A   co.A   mi.A   mi.A   dr.A   in.A   ha.A   st.A   se.A   se.A   qu.A   qd.A
restore done              id     co     mi     mi     dr     in     ha     st     se     se     qu     qd
restore failed            id.A   co.A   mi.A   mi.A   dr.A   in.A   ha.A   st.A   se.A   se.A   qu.A   qd.A
)";

/// What an activity remembers.
constexpr const char* kRemembered = R"(
                          mi, s  st, e  qu, e  co, n
configure, newer term     co.HPc st.A   qu.A   co
configure, other bundle   co.HPc st.A   qu.A   co
configure, the same       mi.PV  st.A   qu.A   co
configure, stale          mi.A   st.A   qu.A   co
activate, newer term      dr.d   st.F   qu.F   co.F
activate, again           dr.d   st     qu.F   co.F
activate, the copy's term mi.F   st.F   qu.F   co.F
announce                  mi.A   st.A   qu.A   co.A
quiesce                   mi.A   st.A   qu.A   co.A
resume                    mi     st     se.s   co
shut down                 mi.O   st.O   qu.O   co.O
allow grants              mi     st     qu     co
allow grants, other term  mi     st     qu     co
stop grants               mi.S   st.S   qu.S   co.S
asked for a grant         mi     st     qu     co
asked, other term         mi     st     qu     co
stream connecting         mi.P   st     qu     co
stream syncing            mi.P   st     qu     co
stream synced             mi.P   st     qu     co
stream lost               mi.P   st     qu     co
an earlier copy is held   mi.P   st     qu     co
the active's vote         mi.V   st     qu     co
the application ended     mi.As  st.A   qu.A   co.A
configure done            mi     st     qu     co.HPc
configure failed          mi.A   st.A   qu.A   co.PHPc
drain done                mi     st     qu     co
drain failed              mi.A   st.A   qu.A   co.A
install done              mi     st     qu     co
install failed            mi.A   st.A   qu.A   co.A
hand over done            mi     st     qu     co
hand over failed          mi.A   st.A   qu.A   co.A
application done          mi     mi.bFs qu     co
application failed        mi.A   mi.bFs qu.A   co.A
quiesce done              mi     st     qd.Q   co
quiesce failed            mi     st     qu.N   co
resume done               mi     st     qu     co
resume failed             mi.A   st.A   qu.A   co.A
back done                 mi     st     qu     co
back failed               mi.A   st.A   qu.A   co.A
start application done    mi     st     qu     co
start application failed  mi.A   st.A   qu.A   co.A
restore done              mi     st     qu     co
restore failed            mi.A   st.A   qu.A   co.A
)";
// clang-format on

TEST(ActivityTable, EveryActivityIsReached) {
  const std::array expected{"id", "co", "mi", "mi", "dr", "in", "ha", "st",
                            "se", "se", "qu", "qd", "mi", "st", "qu", "co"};
  for (std::size_t i = 0; i < kColumns; ++i) {
    const auto mirror = in_column(static_cast<Column>(i));
    EXPECT_STREQ(kWords[static_cast<std::size_t>(mirror.activity())], expected.at(i));
  }
}

void expect_table(const char* written, std::size_t first, std::size_t end) {
  std::istringstream table(written);
  std::string line;
  std::getline(table, line);
  std::getline(table, line);  // the columns' words
  std::string actual;
  for (const auto& row : rows()) {
    if (!std::getline(table, line)) { line.clear(); }
    EXPECT_EQ(line_of(row, first, end), line);
    actual += line_of(row, first, end) + "\n";
  }
  EXPECT_FALSE(std::getline(table, line)) << "the table has a row that no event makes: " << line;
  if (testing::Test::HasFailure()) { std::printf("the whole table as it is:\n%s", actual.c_str()); }
}

TEST(ActivityTable, EveryEventInEveryActivity) { expect_table(kTable, 0, kColumnsPlain); }

TEST(ActivityTable, EveryEventWithWhatAnActivityRemembers) { expect_table(kRemembered, kColumnsPlain, kColumns); }

TEST(ActivityTable, NoEventAndNoStepIsMissing) {
  std::set<std::size_t> events;
  for (const auto& row : rows()) { events.insert(row.event.index()); }
  EXPECT_EQ(events.size(), std::variant_size_v<Event>);
}

/// The invariants of mirror.hpp that a single event could break, in every cell.
TEST(ActivityTable, NoCellBreaksAnInvariant) {
  for (const auto& row : rows()) {
    for (std::size_t i = 0; i < kColumns; ++i) {
      const auto column = static_cast<Column>(i);
      auto mirror = in_column(column);
      const auto before = mirror.term();
      const auto letters = letters_of(mirror.step(row.event));
      const auto where = row.name + " in column " + std::to_string(i) + ": " + letters;
      const auto has = [&](char letter) { return letters.find(letter) != std::string::npos; };
      if (has('R')) { EXPECT_EQ(mirror.activity(), Activity::Serving) << "I1, " << where; }
      const bool whole = column == Column::MirroringWhole || column == Column::MirroringNoGrants;
      if (has('d')) { EXPECT_TRUE(whole) << "I2, " << where; }
      if (has('d')) { EXPECT_GT(mirror.term(), before) << "I4, " << where; }
      if (has('X')) { EXPECT_EQ(before, Term{6}) << "announced and not activated, " << where; }
      if (has('G')) { EXPECT_LE(column, Column::MirroringWhole) << "granted by who takes over, " << where; }
      if (has('R')) { EXPECT_NE(column, Column::StartingEnded) << "ready without an application, " << where; }
    }
  }
}

}  // namespace
}  // namespace understudy::guest
