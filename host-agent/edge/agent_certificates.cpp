// SPDX-License-Identifier: Apache-2.0
// The certificates of this blade and of its mirrors (see agent.hpp). A mirror has its own, issued for this blade and
// its role; it is read here, goes to the guest by the agent channel and is nowhere else (rule 25). Files are looked at
// every few seconds, so that a renewed certificate needs no restart.
#include <time.h>

#include "edge/agent.hpp"
#include "understudy/common/log.hpp"

namespace understudy::host {

namespace {
constexpr auto look_interval = std::chrono::seconds(5);
constexpr auto tell_interval = std::chrono::hours(12);
}  // namespace

Result<link::guest::Certify> Agent::certificate_of_mirror(const RoleId& role) const {
  if (config_.tls.wire.plain_text) { return link::guest::Certify{}; }
  auto credentials = link::tls::read_mirror_credentials(config_.tls, config_.blade.value, role.value, time(nullptr));
  if (!credentials) { return credentials.error(); }
  return link::guest::Certify{std::move(credentials).value()};
}

void Agent::configure_guest(const RoleId& role) {
  auto& mirror = *mirrors_.at(role);
  const auto certify = certificate_of_mirror(role);
  if (!certify) {
    // Never by another way: the mirror waits, and the status says for what.
    uncertified_.insert(role);
    perform(Note{Severity::Alarm, role, "its mirror has no certificate: " + certify.error().message});
    handle(GuestPhase{role, link::MirrorPhase::Failed, certify.error().message});
    return;
  }
  uncertified_.erase(role);
  certified_[role] = certify.value();
  for (const auto& order :
       {link::guest::GuestOrder(certify.value()), link::guest::GuestOrder(configuration_of(mirror))}) {
    if (auto sent = mirror.send(order); !sent) {
      log::error("mirror of {}: {}", role.value, log::describe(sent.error()));
    }
  }
  tell_certificate_of_mirror(role);
}

void Agent::watch_certificates() {
  certificate_timer_.expires_after(look_interval);
  certificate_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) { return; }
    watch_certificates();
    if (std::chrono::steady_clock::now() - certificates_told_ > tell_interval) { tell_certificates(); }
    std::erase_if(certified_, [this](const auto& one) { return !mirrors_.contains(one.first); });
    for (const auto& [role, mirror] : mirrors_) {
      if (!mirror->has_guest() || !mirror->guest().has_spoken()) { continue; }  // nothing goes before the echo test
      const auto certify = certificate_of_mirror(role);
      if (!certify) { continue; }  // told when it was needed, or by tell_certificates()
      if (uncertified_.contains(role)) {
        configure_guest(role);
      } else if (const auto given = certified_.find(role);
                 given != certified_.end() && given->second != certify.value()) {
        given->second = certify.value();
        if (mirror->send(certify.value())) { log::info("{}: its mirror has a renewed certificate", role.value); }
        tell_certificate_of_mirror(role);
      }
    }
  });
}

void Agent::tell_certificates() {
  certificates_told_ = std::chrono::steady_clock::now();
  if (config_.tls.wire.plain_text) { log::error("{}", link::tls::plain_text_alarm); }
  for (const auto& text : certificate_alarms(config_.tls, time(nullptr))) { log::error("{}", text); }
  for (const auto& [role, mirror] : mirrors_) { tell_certificate_of_mirror(role); }
}

/// Into the event log: whoever renews does not read a standby's log.
void Agent::tell_certificate_of_mirror(const RoleId& role) {
  for (const auto& text : mirror_alarms(config_.tls, role.value, time(nullptr))) { handle(GuestWarning{role, text}); }
}

}  // namespace understudy::host
