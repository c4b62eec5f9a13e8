// SPDX-License-Identifier: Apache-2.0
#include "edge/movement_unit.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <utility>

#include "edge/drill.hpp"
#include "edge/guests/child_process.hpp"
#include "understudy/common/log.hpp"
#include "understudy/link/json_fields.hpp"

namespace understudy::host {

namespace {
constexpr std::size_t commit_bytes_max = 1024;
constexpr auto qmp_deadline = std::chrono::milliseconds(1000);
/// Below the core's own, and beyond the guest's, which tells of the same NIC from its side.
constexpr auto marker_limit = std::chrono::milliseconds(40);
}  // namespace

void MovementUnit::perform(Step step, Term term, std::function<void(Status)> done) {
  switch (step) {
    case Step::PrepareMovement:
      transfer_->prepare(std::move(done));
      return;
    case Step::CloseMirrorGate:
      done(mirror_.close_gate());
      return;
    case Step::SendMarkers:
      marker_ = net::MarkerPort::make_number();
      final_.clear();
      markers_.send(mirror_.marked_taps(), marker_, marker_limit, std::move(done));
      return;
    case Step::Freeze:
      freeze(std::move(done));
      return;
    case Step::Finish:
      done(transfer_->finish(term, final_));
      return;
    case Step::Commit:
      commit(term, std::move(done));
      return;
    case Step::Resume:
      transfer_->take_over(term, std::move(done));
      return;
    case Step::Rollback:
      roll_back(std::move(done));
      return;
    case Step::Discard:
      transfer_->discard([done = std::move(done)](const Status& discarded) {
        if (!discarded) { log::warn("what was prepared is not quite gone: {}", log::describe(discarded.error())); }
        done({});
      });
      return;
    case Step::PrepareHost:
    case Step::OpenHostGate:
    case Step::CloseHostGate:
    case Step::StartGuest:
    case Step::OpenMirrorGate:
    case Step::StopGuest:
    case Step::AdoptHost:
    case Step::AdoptGuest:
    case Step::ReleaseGuests:
    case Step::UntimeGate:
    case Step::TimeGate:
    case Step::QuiesceHost:
    case Step::ShipLast:
    case Step::ServeOn:
      break;
  }
  done(failure("a step that is no part of a movement"));
}

void MovementUnit::freeze(std::function<void(Status)> done) {
  // From here on, for a rollback that does not wait for the answer: a stop that was sent may still come to pass.
  const bool before = std::exchange(frozen_, true);
  mirror_.guest().qmp().freeze(qmp_deadline, [this, before, done = std::move(done)](Result<Duration> took) {
    if (!took && took.error().code == Errc::Refused) { frozen_ = before; }  // it was never sent
    if (!took) {
      done(took.error());
      return;
    }
    if (!config_.drill.frozen.empty()) {
      run_drill(io_, config_.drill.frozen, mirror_.mirror().spec.id.value, config_.run_dir + "/drill-frozen.log", done);
      return;
    }
    done({});
  });
}

Result<Term> MovementUnit::read_commit(const BladeConfig& config, const RoleId& role) {
  const auto path = config.run_dir + "/" + role.value + ".commit";
  auto text = read_small_file(path, commit_bytes_max);
  if (!text) { return text.error(); }
  boost::json::error_code error;
  const auto value = boost::json::parse(*text, error);
  if (error) { return failure(path + " is not JSON: " + error.message(), Errc::Damaged); }
  link::JsonFields fields(value, path);
  const Term term{fields.number("term")};
  if (auto done = fields.finish(); !done) { return done.error(); }
  return term;
}

Status MovementUnit::write_commit(Term term) {
  const auto path = config_.run_dir + "/" + mirror_.mirror().spec.id.value + ".commit";
  {
    std::ofstream file(path + ".new", std::ios::trunc);
    file << "{\"role\":\"" << mirror_.mirror().spec.id.value << "\",\"term\":" << term.value << "}\n";
    if (!file.flush()) { return failure("cannot write " + path + ".new"); }
  }
  if (std::rename((path + ".new").c_str(), path.c_str()) != 0) {
    return failure("cannot rename to " + path + ": " +
                   std::strerror(errno));  // NOLINT(concurrency-mt-unsafe): one thread
  }
  return {};
}

void MovementUnit::commit(Term term, std::function<void(Status)> done) {
  if (auto written = write_commit(term); !written) {
    done(written);
    return;
  }
  // From here on only forward: what fails now is told, and the guest dies all the same.
  const auto cut = [this, done = std::move(done)](const Status& drilled) {
    if (!drilled) { log::error("after the commit: {}", log::describe(drilled.error())); }
    mirror_.cut([this, done](const Status& gone) {
      if (!gone) {
        transfer_->alarm(
            "after the movement's commit the mirror's guest is still there: " + log::describe(gone.error()) +
            "; its processors are stopped and its gate is closed, so it does not speak; do not resume it "
            "(QMP cont), and reboot this blade when it can be spared");
      }
      done({});
    });
  };
  if (config_.drill.committed.empty()) {
    cut({});
  } else {
    run_drill(io_, config_.drill.committed, mirror_.mirror().spec.id.value, config_.run_dir + "/drill-committed.log",
              cut);
  }
}

void MovementUnit::roll_back(std::function<void(Status)> done) {
  const auto reopen = [this, done = std::move(done)](Status thawed) {
    Status opened = thawed.ok() ? mirror_.open_gate() : thawed;
    transfer_->discard([done, opened](const Status& discarded) {
      if (!discarded) { log::warn("what was prepared is not quite gone: {}", log::describe(discarded.error())); }
      done(opened);
    });
  };
  if (!frozen_ || !mirror_.has_guest()) {
    reopen({});
    return;
  }
  mirror_.guest().qmp().thaw(qmp_deadline, reopen);
}

}  // namespace understudy::host
