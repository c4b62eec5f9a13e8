// SPDX-License-Identifier: Apache-2.0
// What concerns the group as a whole and a person must mend: certificates that end, who was refused, wires without
// protection. Each is an event when it begins, and stands in every status while it lasts; what only happened, for an
// hour.
#include <algorithm>

#include "edge/clock.hpp"
#include "edge/config_etcd.hpp"
#include "edge/service.hpp"
#include "understudy/common/boot_clock.hpp"

namespace understudy::control {
namespace {

constexpr auto certificates_again = std::chrono::hours(12);
/// Where a blade's certificate has ended, or ends within a day.
constexpr auto certificates_urgent = std::chrono::hours(1);
constexpr std::int64_t day_s = 86'400;
constexpr Duration certificates_fresh = std::chrono::seconds(5);
constexpr Duration refused_again = std::chrono::minutes(1);
constexpr Duration slow_again = std::chrono::minutes(1);
constexpr std::size_t refused_max = 16;

std::int64_t now_s() { return wall_now_ns() / 1'000'000'000; }

}  // namespace

void ControlService::tell_alarm(const std::string& kind, const BladeId& blade, const std::string& text) {
  link::EventRecord event;
  event.severity = link::Severity::Alarm;
  event.kind = kind;
  event.blade = blade;
  event.text = text;
  perform(Note{event});
}

/// Who is refused comes again, maybe for ever: the same sentence is told once in a while, and so many of them at most.
void ControlService::tell_refused(const BladeId& at, const std::string& what) {
  const auto now = boot_now();
  std::erase_if(refused_at_, [&](const auto& one) { return now - one.second > refused_again; });
  if (refused_at_.size() >= refused_max || !refused_at_.emplace(std::pair(at, what), now).second) { return; }
  tell_alarm("refused", at, what);
}

void ControlService::on_certificate(link::SessionId session, const BladeId& blade, std::int64_t not_after) {
  const auto& blades = config_.group.blades;
  if (std::none_of(blades.begin(), blades.end(), [&](const auto& one) { return one.id == blade; })) { return; }
  const auto known = certificate_ends_.find(blade);
  const bool told = known != certificate_ends_.end() && known->second.second == not_after;
  certificate_ends_[blade] = {session, not_after};
  const auto text = told ? "" : ending_of(blade, not_after);
  if (!text.empty()) { tell_alarm("tls", blade, text); }
}

/// Its blade went, or has a newer session by another certificate.
void ControlService::forget_certificate(link::SessionId session, const BladeId& blade) {
  const auto known = certificate_ends_.find(blade);
  if (known != certificate_ends_.end() && known->second.first == session) { certificate_ends_.erase(known); }
}

/// Empty: it has time.
std::string ControlService::ending_of(const BladeId& blade, std::int64_t not_after) const {
  const auto left_s = not_after - now_s();
  if (left_s <= 0) {
    return "the certificate of blade " + blade.value + " has ended at " + link::tls::utc_text(not_after) +
           ": it is heard while its connection stands, and cannot come back once that is interrupted; `understudy pki "
           "renew` makes a new one";
  }
  const auto left = left_s / day_s;
  if (left > config_.tls.warn_days) { return ""; }
  return "the certificate of blade " + blade.value + " ends at " + link::tls::utc_text(not_after) + ", in " +
         std::to_string(left) + " days; `understudy pki renew` makes a new one";
}

std::vector<std::string> ControlService::own_certificate_alarms() const {
  auto told = certificate_alarms(config_.tls, now_s());
  if (!config_.etcd) { return told; }
  const auto of_etcd = etcd_certificate_alarms(*config_.etcd, config_.tls.warn_days, now_s());
  told.insert(told.end(), of_etcd.begin(), of_etcd.end());
  return told;
}

void ControlService::watch_certificates() {
  for (const auto& text : own_certificate_alarms()) { tell_alarm("tls", {}, text); }
  for (const auto& [blade, known] : certificate_ends_) {
    if (const auto text = ending_of(blade, known.second); !text.empty()) { tell_alarm("tls", blade, text); }
  }
  const bool urgent = std::any_of(certificate_ends_.begin(), certificate_ends_.end(),
                                  [](const auto& one) { return one.second.second - now_s() < day_s; });
  certificate_timer_.expires_after(urgent ? certificates_urgent : certificates_again);
  certificate_timer_.async_wait([this, alive = std::weak_ptr(alive_)](const boost::system::error_code& error) {
    if (!error && !alive.expired()) { watch_certificates(); }
  });
}

std::string ControlService::bfd_alarm() const {
  if (config_.bfd_authentication.type != link::BfdAuthentication::None) { return ""; }
  return "BFD is not authenticated: whoever is on the maintenance network can make a dead blade look alive; write "
         "[bfd] "
         "in group.toml";
}

std::string ControlService::hold_out_alarm() const {
  if (hold_outs_unknown_.empty()) { return ""; }
  return "the hold-outs could not be read from the state store: a blade that failed again and again is trusted like "
         "any "
         "other; look at `understudy events` for such a blade and keep it off. This stands until a control-server "
         "starts "
         "to decide that can read them: " +
         hold_outs_unknown_;
}

/// Whoever waits for a disk notices nothing of it himself, and nobody is answered who could ask.
void ControlService::tell_slow_store() {
  const auto slow = store_->take_slow();
  const auto now = boot_now();
  if (!slow || (slow_told_ && now - *slow_told_ < slow_again)) { return; }
  slow_told_ = now;
  tell_alarm("disk", {},
             "a write of the state store " + config_.state_path + " took " +
                 std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(*slow).count()) +
                 " ms: nothing was decided and nobody was answered meanwhile; look at its disk, and at who else writes "
                 "there");
}

void ControlService::remember_alarm(const link::EventRecord& event) {
  if (event.kind != "refused" && event.kind != "network" && event.kind != "disk") { return; }
  recent_.tell(event.kind + ": " + (event.blade.empty() ? "" : event.blade.value + ": ") + event.text, boot_now());
}

/// Of files it is looked at most once in some seconds: whoever watches asks twice a second.
std::vector<std::string> ControlService::alarms() const {
  const auto now = boot_now();
  if (!certificates_looked_at_ || now - *certificates_looked_at_ > certificates_fresh) {
    own_certificates_ = own_certificate_alarms();
    certificates_looked_at_ = now;
  }
  std::vector<std::string> told = own_certificates_;
  for (const auto& [blade, known] : certificate_ends_) {
    if (const auto text = ending_of(blade, known.second); !text.empty()) { told.push_back(text); }
  }
  if (const auto text = bfd_alarm(); !text.empty()) { told.push_back(text); }
  if (const auto text = hold_out_alarm(); !text.empty()) { told.push_back(text); }
  for (const auto& text : recent_.lines(now)) { told.push_back(text); }
  return told;
}

}  // namespace understudy::control
