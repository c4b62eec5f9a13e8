// SPDX-License-Identifier: Apache-2.0
// The C API of an application's part of a failover.
#include "handles.hpp"

namespace us = understudy;

namespace {

understudy_duty duty_of(us::app::Duty duty) {
  switch (duty) {
    case us::app::Duty::StandingBy:
      return UNDERSTUDY_STANDING_BY;
    case us::app::Duty::Active:
      return UNDERSTUDY_ACTIVE;
    case us::app::Duty::Quiescing:
      return UNDERSTUDY_QUIESCING;
    case us::app::Duty::Stopping:
      break;
  }
  return UNDERSTUDY_STOPPING;
}

const char* reason_of(const char* reason) { return reason != nullptr ? reason : "no reason was given"; }

}  // namespace

const char* understudy_duty_name(understudy_duty duty) {
  for (const auto twin : {us::app::Duty::StandingBy, us::app::Duty::Active, us::app::Duty::Quiescing}) {
    if (duty_of(twin) == duty) { return us::app::to_string(twin); }
  }
  return us::app::to_string(us::app::Duty::Stopping);
}

understudy_status understudy_lifecycle_open(const char* path, const understudy_store_schema* schema,
                                            uint64_t size_bytes, understudy_lifecycle** lifecycle) {
  *lifecycle = nullptr;
  auto store = us::c_api::schema_of(schema);
  if (!store) { return us::c_api::told(store.error()); }
  return us::c_api::handed_out(
      us::app::Lifecycle::from_environment({path != nullptr ? path : "", std::move(store).value(), size_bytes}),
      lifecycle);
}

void understudy_lifecycle_close(understudy_lifecycle* lifecycle) { delete lifecycle; }

void understudy_lifecycle_set_callbacks(understudy_lifecycle* lifecycle, const understudy_callbacks* callbacks) {
  us::app::Lifecycle::Callbacks to;
  const auto with = *callbacks;
  if (with.activate != nullptr) {
    to.on_activate = [with](us::Term term) { with.activate(with.context, term.value); };
  }
  if (with.quiesce != nullptr) {
    to.on_quiesce = [with] { with.quiesce(with.context); };
  }
  if (with.stand_by != nullptr) {
    to.on_stand_by = [with] { with.stand_by(with.context); };
  }
  if (with.stop != nullptr) {
    to.on_stop = [with] { with.stop(with.context); };
  }
  lifecycle->lifecycle.set_callbacks(std::move(to));
}

int understudy_lifecycle_fd(const understudy_lifecycle* lifecycle) { return lifecycle->lifecycle.fd(); }
void understudy_lifecycle_dispatch(understudy_lifecycle* lifecycle) { lifecycle->lifecycle.dispatch(); }

understudy_duty understudy_lifecycle_duty(const understudy_lifecycle* lifecycle) {
  return duty_of(lifecycle->lifecycle.duty());
}

uint64_t understudy_lifecycle_term(const understudy_lifecycle* lifecycle) { return lifecycle->lifecycle.term().value; }

int understudy_lifecycle_has_agent(const understudy_lifecycle* lifecycle) {
  return lifecycle->lifecycle.has_agent() ? 1 : 0;
}

int understudy_lifecycle_connected(const understudy_lifecycle* lifecycle) {
  return lifecycle->lifecycle.connected() ? 1 : 0;
}

const char* understudy_lifecycle_region_path(const understudy_lifecycle* lifecycle) {
  return lifecycle->lifecycle.region_path().c_str();
}

const char* understudy_lifecycle_store_name(const understudy_lifecycle* lifecycle) {
  return lifecycle->lifecycle.store_name().c_str();
}

understudy_status understudy_lifecycle_open_store(const understudy_lifecycle* lifecycle, int writable,
                                                  understudy_store** store) {
  return us::c_api::handed_out(lifecycle->lifecycle.open_store(us::c_api::access_of(writable)), store);
}

void understudy_lifecycle_needs_quiescing(understudy_lifecycle* lifecycle) { lifecycle->lifecycle.needs_quiescing(); }
void understudy_lifecycle_ready(understudy_lifecycle* lifecycle) { lifecycle->lifecycle.ready(); }
void understudy_lifecycle_active(understudy_lifecycle* lifecycle, uint64_t term) {
  lifecycle->lifecycle.active(us::Term{term});
}
void understudy_lifecycle_quiesced(understudy_lifecycle* lifecycle) { lifecycle->lifecycle.quiesced(); }
void understudy_lifecycle_lost_writer(understudy_lifecycle* lifecycle, const char* reason) {
  lifecycle->lifecycle.lost_writer(reason_of(reason));
}
void understudy_lifecycle_failed(understudy_lifecycle* lifecycle, const char* reason) {
  lifecycle->lifecycle.failed(reason_of(reason));
}
void understudy_lifecycle_unfit(understudy_lifecycle* lifecycle, const char* reason) {
  lifecycle->lifecycle.unfit(reason_of(reason));
}
void understudy_lifecycle_fit(understudy_lifecycle* lifecycle) { lifecycle->lifecycle.fit(); }
