// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A role that this host serves: its place on the operating system, and replication to its mirror.

#include <memory>
#include <optional>
#include <string>

#include "place/role_place.hpp"
#include "understudy/link/replication_sender.hpp"

namespace understudy::host {

class ServedRole {
 public:
  explicit ServedRole(std::unique_ptr<place::RolePlace> place) : place_(std::move(place)) {}

  /// Listens for the mirror on the maintenance address. A role without a mirror is exposed, not stopped: a failure is
  /// told.
  Status replicate(boost::asio::io_context& io, Term term, const BladeId& mirror_blade, const IpAddress& address,
                   std::uint16_t port, const link::tls::Wire& wire,
                   link::replication::ReplicationSender::PhaseCallback on_phase,
                   std::function<void(const std::string&)> on_refused, std::function<void(std::uint64_t)> on_grant,
                   std::function<void(bool, const std::string&)> on_throttle,
                   std::function<void(const std::string&)> on_smaller_journal) {
    link::replication::SenderOptions options;
    options.role = place_->spec().id;
    options.term = term;
    term_ = term;
    options.address = address;
    options.mirror = place_->spec().mirror_address.address;
    options.mirror_blade = mirror_blade;
    mirror_blade_ = mirror_blade;
    options.port = port;
    options.on_refused = std::move(on_refused);
    options.on_grant = std::move(on_grant);
    options.on_throttle = std::move(on_throttle);
    options.on_smaller_journal = std::move(on_smaller_journal);
    if (!wire.plain_text) {
      options.credentials = [files = wire.files] { return link::tls::read_credentials(files); };
    }
    sender_ =
        std::make_unique<link::replication::ReplicationSender>(io, options, place_->region(), std::move(on_phase));
    return sender_->start();
  }
  /// A mirror may follow, but not of that blade.
  [[nodiscard]] bool is_followed_by_other_than(const BladeId& blade) const { return sender_ && mirror_blade_ != blade; }
  /// How far the mirror has come; nothing: none can follow.
  [[nodiscard]] std::optional<link::SyncProgress> progress() const {
    if (!sender_) { return std::nullopt; }
    const auto status = sender_->status();
    link::SyncProgress progress{place_->spec().id, term_, stream_of(status.phase), {}};
    for (const auto& store : status.stores) {
      progress.stores.push_back({store.store, store.committed, store.acknowledged});
    }
    return progress;
  }
  void poke() {
    if (sender_) { sender_->poke(); }
  }
  void ask_grant(std::uint64_t nonce) {
    if (sender_) { sender_->ask_grant(nonce); }
  }
  /// Ships the rest, waits for the mirror to have applied it, and stops. The answer says what is missing.
  void ship_last(Duration limit, std::function<void(Status)> done) {
    if (!sender_) { return done(failure("no mirror can follow this role")); }
    sender_->finish(limit, [this, done = std::move(done)](bool all) {
      done(all ? nothing_behind() : failure("the mirror has not applied all that was committed"));
    });
  }
  void stop_replicating() { sender_.reset(); }
  [[nodiscard]] place::RolePlace& place() { return *place_; }

  /// Whoever wrote after the last was shipped was told to be quiet.
  [[nodiscard]] Status nothing_behind() const {
    for (const auto& schema : place_->region().schema().stores) {
      const auto store = place_->region().store(schema.name);
      if (!store) { return store.error(); }
      const auto applied = store->mirrored().acknowledged;
      if (store->committed() <= applied) { continue; }
      return failure("store \"" + schema.name + "\" was written on to " + std::to_string(store->committed().value) +
                     ", and the mirror has " + std::to_string(applied.value));
    }
    return {};
  }

 private:
  [[nodiscard]] static link::SyncStream stream_of(link::replication::SenderPhase phase) {
    switch (phase) {
      case link::replication::SenderPhase::NoMirror:
        return link::SyncStream::None;
      case link::replication::SenderPhase::Syncing:
        return link::SyncStream::Syncing;
      case link::replication::SenderPhase::Synced:
        return link::SyncStream::Synced;
      case link::replication::SenderPhase::Stalled:
        return link::SyncStream::Stalled;
    }
    return link::SyncStream::None;
  }

  std::unique_ptr<place::RolePlace> place_;
  Term term_;             ///< of the sender
  BladeId mirror_blade_;  ///< likewise
  std::unique_ptr<link::replication::ReplicationSender> sender_;
};

}  // namespace understudy::host
