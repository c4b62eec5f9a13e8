// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A role on an operating system: on an active in the blade's namespace, in a mirror in the guest's, after a movement
/// in the role's namespace on the standby. The same code at every place. It speaks only when its gate is open, which is
/// not decided here.
///
///   configure() ─► open_region() ─► start_application() ─► begin_writing(term) ─► activate(term) ─► [gate] ─►
///   announce()
///
/// Owns: the supervisor of the application, the collector and the writer of the store "net" while it writes.
/// A crash leaves the application, addresses and region; the same calls find and keep them (D13).

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "understudy/app/supervisor.hpp"
#include "understudy/link/messages.hpp"
#include "understudy/net/collector.hpp"
#include "understudy/net/interfaces.hpp"
#include "understudy/net/store_sink.hpp"
#include "understudy/shm/full_tables.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::place {

struct PlaceOptions {
  std::string namespace_path;                              ///< network namespace of the role; empty: our own
  std::vector<std::pair<std::string, std::string>> ports;  ///< logical port -> interface there
  std::string run_dir;
  std::string region_path;
  bool is_device = false;          ///< the region is all of a guest's BAR, device-dax or file on fs-dax
  std::vector<IpPrefix> excluded;  ///< networks whose flows are not the role's (maintenance)
};

struct RolePlaceCallbacks {
  std::function<void(const std::string&)> on_application_exit;
  /// With a topic it stands until one of the same topic without a text.
  std::function<void(const std::string& text, const std::string& topic)> on_alarm;
  std::function<void(const std::string&)> on_unfit;  ///< the application's own word, when it changes; empty: it is fit
  std::function<void()> on_changes;                  ///< the collector wrote records: a good moment to ship them
};

/// Keeps the agent's own connections out of connection tracking, so that no role's rule set ("invalid drop") and no
/// tcp_loose = 0 can cut them: rules that are right for the role would otherwise cost the blade its replication.
Status exempt_from_tracking(const IpAddress& maintenance_address);

class RolePlace {
 public:
  RolePlace(boost::asio::io_context& io, link::RoleSpec spec, PlaceOptions options, RolePlaceCallbacks callbacks);
  RolePlace(const RolePlace&) = delete;
  RolePlace& operator=(const RolePlace&) = delete;
  ~RolePlace();

  /// MACs, addresses (no duplicate address detection, no autoconfiguration), sysctls, rule set, routes.
  Status configure();
  /// It must be there, with the role's schema.
  Status open_region();
  [[nodiscard]] bool has_region_file() const;
  /// One that was made for this role just now.
  void take_region(shm::Region region) { region_.emplace(std::move(region)); }
  void start_application(std::function<void(Status)> done);
  /// Becomes the writer of "net", subscribes, dumps and compares (rule 10).
  Status begin_writing(Term term);
  void activate(Term term, std::function<void(Status)> done);
  /// Gratuitous ARP and unsolicited NA for every address, now and some times more.
  void announce();
  void stop_application(std::function<void(Status)> done);
  void stop_writing();

  [[nodiscard]] const link::RoleSpec& spec() const { return spec_; }
  [[nodiscard]] const shm::Region& region() const { return *region_; }
  [[nodiscard]] const PlaceOptions& options() const { return options_; }
  /// Takes every event that the kernel has queued, so that the store holds all that happened until now.
  void run_dry();
  /// run_dry(), and nothing more is written until go_on(): the store's committed sequence is final.
  void hold_still();
  void go_on();
  [[nodiscard]] app::Supervisor* application() { return application_.get(); }
  /// What a collector or installer of this role keeps.
  [[nodiscard]] net::FlowFilter flow_filter() const;

 private:
  [[nodiscard]] std::uint64_t region_offset() const;
  [[nodiscard]] std::optional<std::uint64_t> region_size() const;
  Status configure_port(net::Links& links, const link::PortSpec& port, const std::string& interface);
  void watch(boost::asio::posix::stream_descriptor& descriptor);
  void watch_all();
  void drain();
  void look_at_sink(const Status& collected);
  void announce_once(int left);
  void watch_tables();
  void hear_fitness(const std::string& unfit);

  boost::asio::io_context& io_;
  link::RoleSpec spec_;
  PlaceOptions options_;
  RolePlaceCallbacks callbacks_;
  std::optional<shm::Region> region_;
  std::unique_ptr<app::Supervisor> application_;
  std::optional<std::string> unfit_;  ///< what was passed on last; nothing: nothing yet
  std::optional<shm::StoreWriter> writer_;
  std::unique_ptr<net::StoreSink> sink_;
  std::optional<net::Collector> collector_;
  std::vector<std::unique_ptr<boost::asio::posix::stream_descriptor>> events_;
  std::shared_ptr<int> watching_;  ///< handlers of events hold it weakly: one that is due already cannot be cancelled
  boost::asio::steady_timer announcements_;
  boost::asio::steady_timer look_at_tables_;  ///< runs while this place writes
  shm::FullTables full_tables_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);  ///< handlers hold it weakly
};

}  // namespace understudy::place
