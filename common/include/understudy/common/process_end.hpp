// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The end of a process is heard on the loop, once, and only when it is true.
///
/// An asynchronous wait of Asio may end although nothing happened: its reactor gives the state of a closed descriptor
/// to the next one that is opened, and an event that was queued for the closed one wakes the new one. Who reads and
/// gets nothing does not mind; who would take a running guest or application for dead starts a second one beside it.

#include <poll.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <memory>
#include <utility>

namespace understudy {

/// Whether the process of this pidfd has ended, reaped or not (pidfd_open(2): it is readable then). From any thread.
[[nodiscard]] inline bool has_ended(int pidfd) {
  pollfd asked{pidfd, POLLIN, 0};
  return poll(&asked, 1, 0) == 1 && (asked.revents & POLLIN) != 0;
}

/// Calls `ended` when the process of `watch`, a pidfd, has ended. Never when `owner`, to whom `watch` belongs, is gone
/// or has closed it.
template <class Owner, class Call>
void when_ended(const std::shared_ptr<Owner>& owner, boost::asio::posix::stream_descriptor& watch, Call ended) {
  watch.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                   [weak = std::weak_ptr<Owner>(owner), &watch,
                    ended = std::move(ended)](const boost::system::error_code& error) mutable {
                     const auto self = weak.lock();
                     if (error || !self || !watch.is_open()) { return; }
                     if (has_ended(watch.native_handle())) {
                       ended();
                     } else {
                       when_ended(self, watch, std::move(ended));
                     }
                   });
}

}  // namespace understudy
