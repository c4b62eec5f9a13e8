// SPDX-License-Identifier: Apache-2.0
// What the agent sees of this blade as a place for its roles: health commands, and the carriers of its service
// interfaces, which on a standby are the uplinks that its mirrors speak by (see agent.hpp and core/fitness.hpp).
#include <boost/asio/post.hpp>

#include "edge/agent.hpp"
#include "understudy/common/log.hpp"

namespace understudy::host {

namespace {
constexpr auto look_again = std::chrono::seconds(1);
}

void Agent::perform(const CheckHealth& effect) {
  const auto& role = effect.role;
  const auto& held = blade_.roles().at(role);
  health_.run(role, held.spec.health, place_options(held.spec, held.moved).namespace_path,
              [this, role](const std::string& failure) {
                if (!failure.empty()) { log::warn("{}: its health command: {}", role.value, failure); }
                handle(HealthAnswered{role, failure});
              });
}

Status Agent::watch_links() {
  std::vector<std::string> interfaces;
  for (const auto& [network, interface] : config_.networks) { interfaces.push_back(interface); }
  auto watch = net::CarrierWatch::open(std::move(interfaces));
  if (!watch) { return watch.error(); }
  carriers_.emplace(std::move(watch).value());
  link_events_.assign(::dup(carriers_->fd()));
  look_at_links();
  await_link_event();
  return {};
}

void Agent::await_link_event() {
  link_events_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                          [this](const boost::system::error_code& error) {
                            if (error) { return; }
                            look_at_links();
                            await_link_event();
                          });
}

void Agent::look_at_links() {
  const auto found = carriers_->look();
  if (!found) {
    log::error("the links of this blade cannot be looked at, trying again: {}", log::describe(found.error()));
    link_timer_.expires_after(look_again);
    link_timer_.async_wait([this](const boost::system::error_code& error) {
      if (!error) { look_at_links(); }
    });
    return;
  }
  for (const auto& [network, interface] : config_.networks) {
    const bool up = found->at(interface);
    const auto [known, first] = links_seen_.try_emplace(network, up);
    if (!first && std::exchange(known->second, up) == up) { continue; }
    if (!first) { log::info("network {}: {} {}", network, interface, up ? "has a carrier" : "has no carrier"); }
    handle(LinkChanged{network, up});
  }
}

void Agent::application_said(const RoleId& role, const std::string& unfit) {
  boost::asio::post(io_, [this, role, unfit] {
    if (!unfit.empty()) { log::warn("{}: its application says that this blade is not fit: {}", role.value, unfit); }
    handle(ApplicationUnfit{role, unfit});
  });
}

}  // namespace understudy::host
