// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The guest-agent's loop: orders of the host, replication, BFD and the application go into the mirror's core; its
/// effects are performed here.
///
///   host ◄─ channel ─► Mirror (core) ─► RolePlace (NICs, application, collector)
///   active ─ replication ─► region ─► Installer ─► this guest's kernel, at once (D9)
///   active ◄─ BFD ─► vote
///
/// One thread, but for BFD's own. init starts a dead agent again.

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <optional>

#include "core/mirror.hpp"
#include "edge/durable.hpp"
#include "edge/host_channel.hpp"
#include "edge/load_speed.hpp"
#include "edge/quiesce.hpp"
#include "edge/region_memory.hpp"
#include "place/role_place.hpp"
#include "understudy/link/bfd_observer.hpp"
#include "understudy/link/replication_receiver.hpp"
#include "understudy/net/grace.hpp"
#include "understudy/net/installer.hpp"

namespace understudy::guest {

class Agent {
 public:
  explicit Agent(boost::asio::io_context& io);
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  /// Takes up what a former agent of this boot served (D13).
  Status start(const std::string& port_path, std::string boot_nonce);

 private:
  void say_hello();
  Status look_at_memory();
  void answer_echo();
  void handle(const Event& event);
  void on_order(const link::guest::GuestOrder& order);
  void perform(const Do& effect);
  void perform(const HoldMirror& effect) { mirror_ = effect.mirror; }
  void perform(const TellPhase& effect);
  void perform(const TellVote& effect) { channel_.send(link::guest::PeerSeen{effect.vote}); }
  void perform(const TellReady& effect) { channel_.send(link::guest::Ready{effect.term, effect.phases}); }
  void perform(const TellActivateFailed& effect) { channel_.send(link::guest::ActivateFailed{effect.detail}); }
  void perform(const TellQuiesced& effect);
  void perform(const TellQuiesceFailed& effect) { channel_.send(link::guest::QuiesceFailed{effect.detail}); }
  void perform(const TellAlarm& effect) { alarm(effect.text, effect.topic); }
  void perform(const Grant& effect);
  void perform(const TellGrantsStopped& effect) { channel_.send(link::guest::GrantsStopped{effect.term}); }
  void perform(const Announce& effect);
  void perform(const PowerOff& effect);

  using Done = std::function<void(Status)>;
  void configure(Done done);
  Result<place::PlaceOptions> find_ports();
  Status configure_maintenance(net::Links& links, const std::vector<net::LinkState>& found);
  Status make_place(bool with_grace);
  Status watch_active();
  void on_configure(const link::guest::Configure& order);
  Status receive();
  void on_certify(const link::guest::Certify& order);
  void make_receiver();
  [[nodiscard]] bool copy_was_handed_over() const;
  Status hold_copy();
  Status install_copy();
  void remember_whole();
  void drain(Done done);
  Status install();
  void start_application(Term term, Done done);
  void go_on();
  void settle_later();
  void restart_application(Term term);
  void restore();
  Status restore_writing();
  void try_application_again(Term term, const Error& error);
  void remove_surplus();
  void on_applied(const std::string& store, std::span<const shm::JournalEntry> entries);
  void install_later();
  /// With a topic it stands until one of the same topic without a text.
  void alarm(const std::string& text, const std::string& topic = {});
  void tell_refusals();

  boost::asio::io_context& io_;
  HostChannel channel_;
  Mirror core_;
  std::string boot_nonce_;
  Durable durable_;
  Result<RegionMemory> memory_;  ///< or why no region can be held here: the echo test tells it
  std::optional<LoadSpeed> load_speed_;
  link::RunMirror mirror_;
  std::unique_ptr<place::RolePlace> place_;
  std::map<std::string, std::string> standing_;  ///< alarms, told again with each hello
  std::unique_ptr<Quiesce> quiesce_;             ///< of place_
  std::uint64_t marker_ = 0;                     ///< of the last order to quiesce
  std::optional<net::Installer> installer_;
  std::uint64_t refusals_at_sync_ = 0;  ///< by the kernel, when the last sync began
  std::uint64_t refusals_before_ = 0;   ///< by the kernel, of former copies
  std::uint64_t refusals_told_ = 0;
  std::chrono::steady_clock::time_point refusals_told_at_;
  std::optional<net::GracePeriod> grace_;
  std::unique_ptr<link::replication::ReplicationReceiver> receiver_;
  std::unique_ptr<link::bfd::Observer> observer_;
  std::optional<link::guest::Certify> certify_;  ///< never written down; the host says it anew after a restart
  bool drained_ = false;                         ///< the copy is whole and final
  std::string bfd_key_;
  struct Watched {
    IpAddress active;
    link::BfdParameters bfd;
    std::string key;
    bool operator==(const Watched&) const = default;
  };
  std::optional<Watched> watched_;
  boost::asio::steady_timer settle_timer_;
  bool install_pending_ = false;
  boost::asio::steady_timer install_timer_;
  boost::asio::steady_timer restart_timer_;
  std::optional<std::chrono::steady_clock::time_point> application_ended_;  ///< the last time
  boost::asio::steady_timer restore_timer_;
};

}  // namespace understudy::guest
