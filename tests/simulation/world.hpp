// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The chassis as it really is: machines, kernels, gates, regions, guests, the switch. Daemons change it by what they
/// do, faults by force; the invariants look at nothing else. What survives what:
///
///   daemon killed    gates, interfaces, guests, applications, region files, what was written down   survive
///   power lost       nothing of that blade, but for what the control-server's disk and the switch hold
///
/// N actives are sites 0..N-1, the standby is site N, the control-server has a site of its own or lives on the standby.

#include <map>
#include <optional>
#include <set>
#include <string>

#include "bfd_pair.hpp"
#include "ledger.hpp"
#include "network.hpp"
#include "understudy/link/messages.hpp"
#include "understudy/link/replication_resume.hpp"
#include "words.hpp"

namespace understudy::sim {

inline constexpr std::size_t kEvidences = 6;

inline constexpr unsigned kSegments = 2;  ///< service networks: both sides of a gateway
inline constexpr std::array<const char*, kSegments> kNetworks{"external", "internal"};

/// A change that was promised to be at the mirror too.
struct Record {
  Term term;
  std::uint64_t sequence = 0;
};

/// A role on a blade's own operating system.
struct HostPlace {
  bool configured = false;  ///< interfaces have the addresses
  bool gate_open = false;
  std::uint64_t gate_timer = 0;  ///< which timed element it is open by; 0: by one without a timeout
  bool moved = false;            ///< in a namespace of its own, behind the bridge's gate
  bool app_running = false;
  std::optional<Term> app_active;
  std::uint64_t installed = 0;  ///< moved: changes in the namespace's kernel
};

/// A mirror's VM, with what is in its kernel and its files.
struct Guest {
  Guest(Scheduler& scheduler, Machine& standby, const std::string& name)
      : machine(scheduler, name, &standby), agent(scheduler, machine) {}
  Machine machine;
  Process agent;
  std::string nonce;
  bool tap_open = false;  ///< the host's gate before it: outlives the guest
  bool configured = false;
  bool app_running = false;
  std::optional<Term> app_active;
  std::uint64_t installed = 0;
  std::optional<Term> serving_mark;       ///< durable in the guest
  std::optional<Term> tried_mark;         ///< likewise
  std::optional<Term> whole_mark;         ///< likewise
  std::optional<link::RunMirror> mirror;  ///< durable in the guest
};

struct Blade {
  Blade(Scheduler& scheduler, const std::string& name, unsigned roles)
      : machine(scheduler, name), agent(scheduler, machine), places(roles), regions(roles) {}
  Machine machine;
  Process agent;
  bool bridges = false;    ///< the standby's network is built: service interfaces are uplinks
  bool host_gate = false;  ///< the gate before the blade's own service interfaces
  std::vector<HostPlace> places;
  std::vector<std::shared_ptr<RoleRegion>> regions;
  std::map<unsigned, Term> commits;  ///< records of movements
  bool ports_open[kSegments] = {true, true};
  bool links[kSegments] = {true, true};  ///< the carriers of its service interfaces
};

/// A machine that is no blade and answers echoes: a switch, a router.
struct Witness {
  Witness(Scheduler& scheduler, const std::string& name) : machine(scheduler, name), process(scheduler, machine) {}
  Machine machine;
  Process process;
};

/// What a fault has set for the daemons' calls to fail, each with a chance.
struct Troubles {
  bool store_refuses = false;
  bool store_hangs = false;
  bool switch_fails = false;
  bool switch_hangs = false;
  bool fence_fails = false;
  bool fence_lies = false;
  bool fence_hangs = false;
  bool freeze_fails = false;
  bool cont_fails = false;
  bool steps_fail = false;
  bool slow_guests = false;
  bool store_late = false;   ///< etcd's
  bool store_loses = false;  ///< requests, and answers to what was done
  bool witness_late = false;
};

enum class Daemon : std::uint8_t { Control, Host, Guest };

struct Violation {
  Invariant invariant;
  Instant at;
  std::string text;
};

struct Settings {
  std::uint64_t seed = 0;
  unsigned actives = 3;
  bool always_move = false;
  bool control_on_standby = false;  ///< the last of them
  unsigned servers = 1;
  bool leases = false;
  bool last_act = false;
  bool switchovers = false;
  bool priorities = false;  ///< the last role comes first
  bool words = false;       ///< blades say of themselves that they are no good place
  bool blinks = false;      ///< the whole maintenance network goes away for moments
  bool filters = false;     ///< a blade's BFD is filtered for moments
  bool hangs = false;       ///< a disk or a loop stands still for moments
  unsigned witnesses = 0;
  bool pages = false;  ///< most changes are so large that a journal holds sixteen of them
  bool trace = false;
  Bug bug = Bug::None;
};

/// What replication has been through; a kind that never came to pass is not tested.
struct Exercised {
  std::uint64_t changes = 0;
  std::uint64_t transactions = 0;  ///< of several changes
  std::uint64_t journals = 0;      ///< a mirror's copy went on by the journal
  std::uint64_t deltas = 0;
  std::uint64_t fulls = 0;
  std::uint64_t laps = 0;      ///< the application went once round the journal before its mirror had read it
  std::uint64_t refusals = 0;  ///< Hellos
  std::uint64_t torn = 0;      ///< streams that ended within a frame
  std::uint64_t compared = 0;  ///< copies, record by record
};
inline constexpr std::array<std::pair<const char*, std::uint64_t Exercised::*>, 9> kExercised{{
    {"changes", &Exercised::changes},
    {"transactions of several", &Exercised::transactions},
    {"copies gone on by the journal", &Exercised::journals},
    {"by a delta", &Exercised::deltas},
    {"by a full snapshot", &Exercised::fulls},
    {"journals lapped", &Exercised::laps},
    {"mirrors refused", &Exercised::refusals},
    {"streams ended within a frame", &Exercised::torn},
    {"copies compared record by record", &Exercised::compared},
}};

class World {
 public:
  explicit World(const Settings& with);
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Settings settings;
  Random random;
  Random lease_random;        ///< of its own: histories without leases stay what they were
  Random content_random;      ///< what applications write
  Random replication_random;  ///< where a stream is cut into pieces, backoffs
  Scheduler scheduler;
  Network network;
  std::vector<std::unique_ptr<Blade>> blades;
  std::vector<std::unique_ptr<Guest>> guests;           ///< of role i, on the standby
  std::vector<std::unique_ptr<Machine>> control_boxes;  ///< of server i; unused where it lives on the standby
  std::vector<std::vector<std::unique_ptr<BfdPair>>> control_bfd;  ///< of server i and a site
  std::vector<bool> store_cut;                                     ///< server i does not reach etcd
  unsigned leading = 0;                                            ///< the server that leads, or did last
  std::vector<std::unique_ptr<BfdPair>> mirror_bfd;
  Troubles troubles;
  std::vector<std::unique_ptr<Witness>> witnesses;
  std::vector<bool> unhealthy;                 ///< role: its health command fails on its own blade
  std::vector<bool> unfit;                     ///< role: its application says so there
  std::array<std::uint64_t, kFaults> bites{};  ///< how often a fault changed something
  Exercised exercised;
  void bite(Fault fault) { ++bites[static_cast<std::size_t>(fault)]; }
  double lost_grants = 0;
  double late_grants = 0;

  [[nodiscard]] unsigned roles() const { return settings.actives; }
  [[nodiscard]] unsigned standby() const { return settings.actives; }
  [[nodiscard]] unsigned servers() const { return settings.servers; }
  [[nodiscard]] bool server_on_standby(unsigned server) const {
    return settings.control_on_standby && server + 1 == servers();
  }
  [[nodiscard]] unsigned control_site(unsigned server) const {
    return server_on_standby(server) ? standby() : standby() + 1 + server;
  }
  [[nodiscard]] bool is_control_site(unsigned site) const {
    return (site > standby() && site < witness_site(0)) || (settings.control_on_standby && site == standby());
  }
  [[nodiscard]] unsigned witness_site(unsigned witness) const {
    return standby() + 1 + servers() - (settings.control_on_standby ? 1 : 0) + witness;
  }
  /// Of blades, of control-servers that live elsewhere, and of witnesses.
  [[nodiscard]] unsigned sites() const { return witness_site(settings.witnesses); }
  [[nodiscard]] Machine& control_machine(unsigned server) {
    return server_on_standby(server) ? blades[standby()]->machine : *control_boxes[server];
  }
  [[nodiscard]] unsigned priority_of(unsigned role) const { return settings.priorities ? 100 + role : 100; }
  [[nodiscard]] const BladeId& blade_id(unsigned site) const { return blade_ids_[site]; }
  [[nodiscard]] const RoleId& role_id(unsigned role) const { return role_ids_[role]; }
  [[nodiscard]] unsigned site_of(const BladeId& id) const;
  [[nodiscard]] unsigned role_of(const RoleId& id) const;
  [[nodiscard]] bool has(Bug bug) const { return settings.bug == bug; }

  // --- what daemons do to kernels ---
  void open_host_gate(unsigned site, unsigned role);
  void close_host_gate(unsigned site, unsigned role);
  /// False: it was to be refreshed, and has closed.
  bool time_host_gate(unsigned site, unsigned role, bool refresh, Duration element);
  void open_tap(unsigned role);
  void close_tap(unsigned role);
  void set_port(unsigned site, unsigned segment, bool open);
  RoleRegion& create_region(unsigned site, unsigned role);
  /// False: the region has a newer writer.
  bool begin_writing(unsigned site, unsigned role, Term term, PlaceKind kind);
  /// The guest's vCPUs and QEMU are gone.
  void kill_guest(unsigned role);
  void announce_from_guest(unsigned role);

  // --- what faults do ---
  void power_off(unsigned site);
  std::function<void(unsigned site)> on_power_off = [](unsigned) {};
  void power_on(unsigned site);
  void freeze(unsigned site);
  void thaw(unsigned site);
  void kill(Process& process);

  // --- what is true ---
  [[nodiscard]] bool host_speaks(unsigned site, unsigned role, unsigned segment) const;
  [[nodiscard]] bool mirror_speaks(unsigned role, unsigned segment) const;
  /// Some place answers on every segment and its application is active.
  [[nodiscard]] bool served(unsigned role) const;
  /// Up to there an application may have answered its clients: the mirror has it.
  void promise(unsigned role, const RoleRegion& region, unsigned store, Sequence sequence);
  /// As the region's stores say, which is what an application looks at.
  void mirrored_up_to(unsigned role, const RoleRegion& region);
  /// What a mirror has acknowledged is in its region.
  void check_acknowledged(unsigned role, const RoleRegion& active, const RoleRegion& mirror);
  /// The serving application changes something.
  void write(unsigned role);
  /// Its content is exactly what was committed up to where it says that it is; `where`: for the report.
  void check_whole(unsigned role, const RoleRegion& region, const std::string& where);
  void check_not_torn(unsigned role, const RoleRegion& region, const std::string& where);

  // --- invariants ---
  void violate(Invariant invariant, const std::string& text);
  [[nodiscard]] const std::optional<Violation>& violation() const { return violation_; }
  void touch() { dirty_ = true; }
  /// What the control-server hears of the standby's host-agent.
  void standby_heard(bool heard);
  /// The role's own blade is to serve under a new term.
  void starts_anew(unsigned role);
  /// Copies that were left behind then, on a standby which nobody had reached for longer than it is waited for.
  [[nodiscard]] std::uint64_t left_behind() const { return left_behind_; }
  /// How often each kind of evidence was written down for a new term; by link::StopEvidence.
  std::array<std::uint64_t, kEvidences> evidence{};
  /// After each step.
  void check();
  void stored(unsigned role, Term term);
  /// The state store has lost writes: what it holds now is what counts. A term that neither the store nor any region
  /// remembers is new again: nobody could know better, and nobody can mix the two up.
  void store_holds(unsigned role, Term term);
  /// The commit of a movement: from here on only `term` may speak.
  void ownership_leaves(unsigned role, Term term) { highest_spoken_[role] = std::max(highest_spoken_[role], term); }
  void ordered(unsigned role, Term term, const char* order);
  /// A host-agent is in conversation with a leader, and obeys an order of one.
  void heard_leader(unsigned site, std::uint64_t token);
  void obeyed(unsigned site, std::uint64_t token);
  [[nodiscard]] const std::vector<bool>& outages() const { return outages_; }
  void watch_outages(bool on);

  // --- trace, and a death between two effects ---
  void trace(const std::string& who, const std::string& what) const;
  [[nodiscard]] bool tracing() const { return settings.trace; }
  struct Doom {
    Daemon daemon;
    unsigned which;  ///< site of a host-agent, role of a guest-agent
    unsigned effects_left;
  };
  std::vector<Doom> dooms;
  /// Whether the daemon dies now, before this effect.
  [[nodiscard]] bool dies(Daemon daemon, unsigned which);
  std::function<void(const Doom&)> on_doom;
  [[nodiscard]] bool fails(bool trouble, Fault fault) {
    const bool bites_now = trouble && random.chance(0.6);
    if (bites_now) { bite(fault); }
    return bites_now;
  }
  /// A switch or a fence agent: where there are leases it fails for good, else no lease would ever be counted out.
  [[nodiscard]] bool device_fails(bool trouble, Fault fault) {
    const bool bites_now = trouble && (settings.leases || random.chance(0.6));
    if (bites_now) { bite(fault); }
    return bites_now;
  }

 private:
  void check_owners(unsigned role);
  void check_speakers(unsigned role);
  void check_outages();
  void speaks_under(unsigned role, PlaceKind kind, Term term);
  void forget_blade(unsigned site);
  void change(unsigned role, RoleRegion& region);
  [[nodiscard]] bool holds(const RoleRegion& region, unsigned store, const Record& record) const;
  [[nodiscard]] bool something_promised(unsigned role) const;
  [[nodiscard]] bool holds_promised(const RoleRegion& region, unsigned role) const;
  void check_promised(unsigned site, unsigned role, PlaceKind kind, Term term);
  [[nodiscard]] bool remembered(unsigned role, std::uint64_t copy) const;
  [[nodiscard]] Term highest_remembered(unsigned role) const;

  std::vector<BladeId> blade_ids_;
  std::vector<RoleId> role_ids_;
  std::optional<Violation> violation_;
  bool dirty_ = true;
  bool store_damaged_ = false;
  std::optional<Instant> standby_away_;  ///< by the control-server's clock
  std::uint64_t left_behind_ = 0;
  bool watching_ = false;
  std::vector<bool> outages_;
  std::vector<bool> was_served_;
  std::uint64_t copies_ = 0;
  std::uint64_t gate_timers_ = 0;
  std::vector<std::array<Record, kStores>> promised_;
  std::vector<Ledger> ledgers_;
  std::vector<std::uint64_t> heard_leader_;  ///< of this boot of the site
  std::vector<Term> highest_stored_;
  std::vector<Term> highest_spoken_;
  struct TermUser {
    unsigned site;
    PlaceKind kind;
    std::uint64_t copy;
  };
  std::vector<std::map<Term, TermUser>> term_users_;
};

[[nodiscard]] std::string show(Instant at);

}  // namespace understudy::sim
