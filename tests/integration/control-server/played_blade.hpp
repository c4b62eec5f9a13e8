// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A host-agent that a test plays. What it says is played, what it suffers is real: its BFD is a process of its own.
#include <boost/asio/io_context.hpp>
#include <optional>

#include "child.hpp"
#include "support/pki.hpp"
#include "understudy/link/control_api_client.hpp"
#include "understudy/link/leader_guard.hpp"

namespace understudy {

using namespace link;  // NOLINT(google-build-using-namespace): a test's header

inline constexpr const char* kServer = "127.0.0.250";

/// group.toml of one active and one standby. `control`: the lines of [control]; `the_switch`: those of [switch].
inline std::string played_group(const std::string& control, const tls::CredentialFiles& files,
                                const std::string& the_switch = "driver = \"linux-bridge\"\n") {
  return "[control]\n" + control + R"([detection]
bfd_interval_ms = 50
bfd_multiplier = 3
[movement]
policy = "always"
delay_ms = 200
[switch]
)" + the_switch +
         R"([[blade]]
name = "blade-1"
address = "127.0.0.1"
switch_ports = ["b1-ext"]
[[blade]]
name = "blade-2"
address = "127.0.0.2"
switch_ports = ["b2-ext"]
standby = true
[[role]]
name = "role-1"
number = 1
active = "blade-1"
region_mib = 16
flow_capacity = 100
mirror_address = "127.0.0.41/8"
mirror_mac = "02:e2:00:00:00:01"
[[role.port]]
name = "ext"
network = "external"
mac = "02:e0:00:00:00:01"
addresses = ["10.23.4.121/24"]
[tls]
)" +
         (files.key.empty() ? "plain_text = true\n"
                            : "ca = \"" + files.ca + "\"\ncertificate = \"" + files.certificate + "\"\nkey = \"" +
                                  files.key + "\"\n");
}

/// One blade as the control-server sees it.
struct Blade {
  Blade(boost::asio::io_context& io, unsigned number, const std::string& folder, test::Pki& pki)
      : id{"blade-" + std::to_string(number)},
        address("127.0.0." + std::to_string(number)),
        wire(pki.wire(tls::Kind::Blade, id.value)),
        servers{kServer},
        folder_(folder),
        io_(io) {}

  void power_on() {
    std::vector<std::string> words{BFD_SPEAKER, address};
    words.insert(words.end(), servers.begin(), servers.end());
    speaker.emplace(words, folder_ + "/" + id.value + ".log");
    connect();
  }
  /// By a stream of its own: what came by an earlier one and was not read yet is lost.
  void connect() {
    ControlClientOptions options;
    for (const auto& server : servers) { options.addresses.push_back(server + ":7400"); }
    options.wire = wire;
    options.look_at_certificate = std::chrono::milliseconds(100);
    ControlClientCallbacks callbacks;
    callbacks.admit = [this](const std::string& state, std::uint64_t token) -> Status {
      auto now = hear(heard, state, token);
      if (!now) { return now.error(); }
      heard = *std::move(now);
      return {};
    };
    callbacks.on_connected = [this](const std::string& server, const std::string& state) {
      state_id = state;
      attached_to = server;
      client->send(Hello{claimed.value_or(id), boot, held});
      for (const auto& report : after_hello) { client->send(report); }
    };
    callbacks.on_order = [this](const Order& order) {
      orders.push_back(order);
      if (obey) { obey(order); }
    };
    callbacks.on_lost = [](const std::string&) {};
    client.emplace(io_, std::move(options), std::move(callbacks));
    client->start();
  }
  /// The sudden death: BFD is silent first, as on a blade without power.
  void die() {
    obey = nullptr;
    speaker->kill_now();
  }
  template <class Wanted>
  [[nodiscard]] const Wanted* got() const {
    for (const auto& order : orders) {
      if (const auto* one = std::get_if<Wanted>(&order)) { return one; }
    }
    return nullptr;
  }

  BladeId id;
  std::string address;
  tls::Wire wire;
  std::vector<std::string> servers;  ///< addresses of the control-servers
  HeardLeader heard;
  std::string attached_to;
  std::string boot = "boot";
  std::optional<BladeId> claimed;  ///< whom it poses as; none: it is itself
  std::vector<HeldRole> held;
  std::vector<Report> after_hello;
  std::vector<Order> orders;
  std::function<void(const Order&)> obey;
  std::string state_id;
  std::optional<Child> speaker;
  std::optional<ControlClient> client;

 private:
  std::string folder_;
  boost::asio::io_context& io_;
};

}  // namespace understudy
