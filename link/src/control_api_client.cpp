// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/control_api_client.hpp"

#include <time.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <optional>
#include <random>

#include "control_api_attachment.hpp"
#include "control_api_convert.hpp"
#include "control_api_wire.hpp"
#include "tls_examine.hpp"
#include "understudy/common/log.hpp"

namespace understudy::link {
namespace {

/// One in so many tries that fail is looked at more closely, and told: gRPC says of most that a socket was closed.
constexpr unsigned kExamineEvery = 5;
constexpr std::chrono::milliseconds kExamineLimit{500};
/// A renewed certificate that is refused is tried again after longer and longer, up to so many looks.
constexpr int kRenewalPatience = 12;

}  // namespace

class ControlClient::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(boost::asio::io_context& io, ControlClientOptions options, ControlClientCallbacks callbacks)
      : io_(io), options_(std::move(options)), callbacks_(std::move(callbacks)), timer_(io), look_(io) {
    UNDERSTUDY_ASSERT(!options_.addresses.empty());
  }

  void try_next() {
    const std::uint64_t attempt = ++attempt_;
    const auto weak = weak_from_this();
    if (const auto own = good_credentials()) { used_ = *own; }
    const auto channel = open_channel(address(), options_.wire);
    if (!channel) {
      refused(channel.error().message);
      return try_later();
    }
    Attachment::Notify notify;
    notify.on_read = [this, weak, attempt](pb::Order order) {
      post(weak, attempt, [this, order = std::move(order)] { handle(order); });
    };
    notify.on_ended = [this, weak, attempt](std::string why) {
      post(weak, attempt, [this, why = std::move(why)] { handle_end(why); });
    };
    if (failures_ % kExamineEvery == 0) {
      notify.examine = [where = address(), wire = options_.wire] { return examine_wire(where, wire, kExamineLimit); };
    }
    attachment_ = std::make_unique<Attachment>(channel.value(), std::move(notify));
    attachment_->start();
    timer_.expires_after(options_.attach_timeout);
    timer_.async_wait([this, weak, attempt](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (error || !self || attempt != attempt_ || connected_ || !attachment_) { return; }
      attachment_->cancel();
    });
  }

  void stop() {
    ++attempt_;
    timer_.cancel();
    look_.cancel();
    if (attachment_) {
      attachment_->cancel();
      attachment_->wait_done();
    }
    attachment_.reset();
    if (proof_) {
      proof_->cancel();
      proof_->wait_done();
    }
    proof_.reset();
    connected_ = false;
  }

  bool send(const Report& report) { return connected_ && attachment_->write(to_proto(report)); }
  void tell_refused(const std::string& what) {
    if (!connected_) { return; }
    pb::Report report;
    report.set_refused(printable(what));
    attachment_->write(std::move(report));
  }
  [[nodiscard]] bool connected() const { return connected_; }

 private:
  /// Called on gRPC's threads. `io_` is alive: the owner waits for the attachment before it goes.
  template <class Action>
  void post(const std::weak_ptr<Impl>& weak, std::uint64_t attempt, Action action) {
    boost::asio::post(io_, [weak, attempt, action = std::move(action)]() mutable {
      const auto self = weak.lock();
      if (self && attempt == self->attempt_) { action(); }
    });
  }

  void handle(const pb::Order& wire) {
    const std::uint64_t attempt = attempt_;
    if (wire.body_case() == pb::Order::kNotLeader) {
      redirected(wire.not_leader().leader());
    } else if (!connected_) {
      if (wire.body_case() == pb::Order::kAttached && admitted(wire.attached())) {
        connected_ = true;
        backoff_ = options_.first_backoff;
        told_.clear();
        failures_ = 0;
        redirects_ = 0;
        tell_bfd(wire.attached());
        not_proved_.clear();
        patience_ = 1;
        look_at_certificate();
        callbacks_.on_connected(address(), wire.attached().state_id());
      } else {
        attachment_->cancel();
      }
    } else if (wire.token() < token_) {
      log::error("control-server {}: an order of an older leader ({}, this stream is of {}) is refused", address(),
                 wire.token(), token_);
      attachment_->cancel();
    } else if (const auto order = from_proto(wire)) {
      callbacks_.on_order(order.value());
    } else {
      log::error("control-server {}: {}", address(), log::describe(order.error()));  // newer server: keep the rest
    }
    if (attempt == attempt_ && attachment_) { attachment_->read_next(); }
  }

  [[nodiscard]] std::optional<tls::Credentials> good_credentials() const {
    if (options_.wire.plain_text) { return std::nullopt; }
    auto own = tls::read_credentials(options_.wire.files);
    if (!own || !tls::check_credentials(own.value(), time(nullptr))) { return std::nullopt; }
    return std::move(own).value();
  }

  /// Key and certificate may be written one after the other: until they fit, the old ones do. The moment is random:
  /// new certificates come to all blades at once, and must not break all streams at once.
  void look_at_certificate() {
    if (options_.wire.plain_text) { return; }
    const auto look = options_.look_at_certificate * patience_;
    look_.expires_after(look + std::chrono::milliseconds(
                                   std::uniform_int_distribution<int>(0, static_cast<int>(look.count()))(random_)));
    look_.async_wait([this, weak = weak_from_this(), attempt = attempt_](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (error || !self || attempt != attempt_ || !connected_) { return; }
      const auto own = good_credentials();
      if (proof_ || !own || !used_ || own->certificate == used_->certificate) { return look_at_certificate(); }
      prove(*own);
    });
  }

  /// Make before break: a second stream is begun with the renewed certificate, and says nothing. Once the server has
  /// attached it, its TLS and its right are proved; whose certificate it is was compared before. Until then the old
  /// stream stands, since without it and with a certificate that is refused this blade is lost.
  void prove(const tls::Credentials& renewed) {
    if (const auto same = same_bearer(renewed); !same) { return not_proved(renewed, same.error().message); }
    const auto channel = open_channel(address(), options_.wire);
    if (!channel) { return not_proved(renewed, channel.error().message); }
    Attachment::Notify notify;
    notify.on_read = [this, weak = weak_from_this()](const pb::Order& order) {
      boost::asio::post(io_, [this, weak, answered = order.body_case()] {
        const auto self = weak.lock();
        if (!self || !proof_) { return; }
        proved_ = proved_ || answered == pb::Order::kAttached || answered == pb::Order::kNotLeader;
        proof_->cancel();
        proof_->read_next();  // without one its end is not seen
      });
    };
    notify.on_ended = [this, weak = weak_from_this(), renewed, attempt = attempt_](const std::string& why) {
      boost::asio::post(io_, [this, weak, renewed, attempt, why] {
        const auto self = weak.lock();
        if (self && proof_) { proof_ended(renewed, attempt, why); }
      });
    };
    if (renewed.certificate != not_proved_) {
      notify.examine = [where = address(), wire = options_.wire] { return examine_wire(where, wire, kExamineLimit); };
    }
    proved_ = false;
    proof_late_ = false;
    proof_ = std::make_unique<Attachment>(channel.value(), std::move(notify));
    proof_->start();
    look_.expires_after(options_.attach_timeout);
    look_.async_wait([this, weak = weak_from_this()](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (error || !self || !proof_) { return; }
      proof_late_ = true;
      proof_->cancel();
    });
  }

  void proof_ended(const tls::Credentials& renewed, std::uint64_t attempt, const std::string& why) {
    proof_->wait_done();
    proof_.reset();
    if (attempt != attempt_ || !connected_) { return; }  // the old stream was lost meanwhile
    if (!proved_) { return not_proved(renewed, proof_late_ ? "no answer in time" : why); }
    log::info("control-server {}: the certificate was renewed, the stream begins anew with it", address());
    renewed_ = true;
    look_.cancel();
    attachment_->cancel();
  }

  [[nodiscard]] Status same_bearer(const tls::Credentials& renewed) const {
    const auto was = tls::read_certificate(used_->certificate);
    const auto is = tls::read_certificate(renewed.certificate);
    if (was && is && was->identity && is->identity && *was->identity != *is->identity) {
      return failure("it is that of " + describe(*is->identity) + ", and this is " + describe(*was->identity),
                     Errc::Refused);
    }
    return {};
  }

  /// Told once for each certificate, here and by the old stream to whoever looks at the group.
  void not_proved(const tls::Credentials& renewed, const std::string& why) {
    if (std::exchange(not_proved_, renewed.certificate) != renewed.certificate) {
      const auto what = "its new certificate is not used: " + why +
                        "; the stream goes on under the old one, and cannot come back when it is interrupted; it is "
                        "tried again";
      log::error("control-server {}: {} ({})", address(), what, options_.wire.files.certificate);
      tell_refused(what);
      patience_ = 1;
    }
    patience_ = std::min(patience_ * 2, kRenewalPatience);
    look_at_certificate();
  }

  void tell_bfd(const pb::Attached& attached) {
    if (!attached.has_bfd() || !callbacks_.on_bfd) { return; }
    Check check("Attached");
    const auto bfd = check.result<BfdParameters>(read_bfd(check, attached.bfd()));
    if (bfd) {
      callbacks_.on_bfd(bfd.value());
    } else {
      log::error("control-server {}: {}", address(), log::describe(bfd.error()));
    }
  }

  [[nodiscard]] bool admitted(const pb::Attached& attached) {
    const auto allowed = callbacks_.admit ? callbacks_.admit(attached.state_id(), attached.token()) : Status{};
    if (!allowed) {
      refused(allowed.error().message);
      return false;
    }
    token_ = attached.token();
    return true;
  }

  /// Its stream ends by itself. Another that follows may have said the same, and the leader be dead.
  void redirected(const std::string& leader) {
    const auto& all = options_.addresses;
    const auto found = std::find(all.begin(), all.end(), leader);
    if (leader.empty()) {
      refused("no control-server leads at this moment");
    } else if (found == all.end()) {
      refused("it follows " + leader + ", which is not among this blade's control-servers");
    } else {
      redirect_ = static_cast<std::size_t>(found - all.begin());
    }
    follows_ = true;
  }

  void handle_end(const std::string& why) {
    const bool was_connected = std::exchange(connected_, false);
    attachment_->wait_done();
    attachment_.reset();
    look_.cancel();
    if (proof_) { proof_->cancel(); }  // nothing stands that it could replace
    const bool renewed = std::exchange(renewed_, false) && was_connected;
    if (renewed) {  // there is nothing to wait for
      redirect_ = next_address_;
      redirects_ = 0;
    }
    const std::string lost = address() + ": " + (renewed ? "the stream begins anew with the renewed certificate" : why);
    if (!was_connected && !std::exchange(follows_, false)) {
      if (failures_ % kExamineEvery == 0) { refused(why); }
      ++failures_;
    }
    // Where everybody follows somebody who is not reached, each is asked in turn all the same.
    const auto redirect = std::exchange(redirect_, std::nullopt);
    const bool at_once = redirect && redirects_++ % 2 == 0;
    next_address_ = at_once ? *redirect : (next_address_ + 1) % options_.addresses.size();
    if (at_once) {
      timer_.cancel();
      boost::asio::post(io_, [weak = weak_from_this(), attempt = attempt_] {
        const auto self = weak.lock();
        if (self && attempt == self->attempt_) { self->try_next(); }
      });
    } else {
      try_later();
    }
    if (was_connected) { callbacks_.on_lost(lost); }
  }

  /// The same sentence again and again would only hide others.
  void refused(const std::string& why) {
    auto& told = told_[address()];
    if (std::exchange(told, why) != why) { log::warn("control-server {} is not reached: {}", address(), why); }
  }

  void try_later() {
    // After a loss the first try comes quickly; tries that fail wait longer and longer, up to the last backoff, which
    // is for a round of all addresses.
    timer_.expires_after(backoff_);
    const auto last = options_.last_backoff / static_cast<int>(options_.addresses.size());
    backoff_ = std::min(backoff_ * 2, std::max(last, options_.first_backoff));
    timer_.async_wait([this, weak = weak_from_this(), attempt = attempt_](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (!error && self && attempt == attempt_) { try_next(); }
    });
  }

  [[nodiscard]] const std::string& address() const { return options_.addresses[next_address_]; }

  boost::asio::io_context& io_;
  ControlClientOptions options_;
  ControlClientCallbacks callbacks_;
  boost::asio::steady_timer timer_;       ///< attach timeout or backoff
  boost::asio::steady_timer look_;        ///< at the certificate, and how long a proof may take
  std::optional<tls::Credentials> used_;  ///< by the last try
  bool renewed_ = false;                  ///< why the stream is being ended
  std::unique_ptr<Attachment> proof_;     ///< of a renewed certificate, beside the stream that stands
  bool proved_ = false;
  bool proof_late_ = false;
  std::string not_proved_;  ///< the certificate that was refused last
  int patience_ = 1;        ///< in looks
  std::minstd_rand random_{std::random_device{}()};
  std::unique_ptr<Attachment> attachment_;
  std::uint64_t attempt_ = 0;  ///< what an older attempt still says is ignored
  std::size_t next_address_ = 0;
  unsigned failures_ = 0;                    ///< since the last connection
  std::map<std::string, std::string> told_;  ///< address -> why it was not reached, since the last connection
  std::chrono::milliseconds backoff_ = options_.first_backoff;
  bool connected_ = false;
  std::uint64_t token_ = 0;  ///< of the leadership that this stream belongs to
  bool follows_ = false;     ///< this try met one that does not lead
  std::optional<std::size_t> redirect_;
  unsigned redirects_ = 0;
};

ControlClient::ControlClient(boost::asio::io_context& io, ControlClientOptions options,
                             ControlClientCallbacks callbacks)
    : impl_(std::make_shared<Impl>(io, std::move(options), std::move(callbacks))) {}
ControlClient::~ControlClient() { impl_->stop(); }
void ControlClient::start() { impl_->try_next(); }
bool ControlClient::send(const Report& report) { return impl_->send(report); }
void ControlClient::tell_refused(const std::string& what) { impl_->tell_refused(what); }
bool ControlClient::connected() const { return impl_->connected(); }

}  // namespace understudy::link
