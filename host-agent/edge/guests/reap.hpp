// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A killed child is freed when it has ended, and nobody waits for it.

#include <boost/asio/posix/stream_descriptor.hpp>
#include <memory>
#include <utility>

#include "edge/guests/child_process.hpp"
#include "understudy/common/process_end.hpp"

namespace understudy::host {

/// `watch` is not in use, and lies in `owner` as `process` does, a pidfd that stays its own.
template <class Owner>
void reap_when_ended(std::shared_ptr<Owner> owner, boost::asio::posix::stream_descriptor& watch, UniqueFd& process) {
  watch.assign(process.get());
  when_ended(owner, watch, [owner, &watch, &process] {
    collect_exit(process);
    watch.release();
  });
}

}  // namespace understudy::host
