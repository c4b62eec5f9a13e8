// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The shutdown unit: all guests of this blade are shut down, side by side, each in order (agent, ACPI, kill). Taps and
/// region of a guest go when it is gone.

#include <functional>
#include <memory>
#include <vector>

#include "edge/guests/shutdown_ladder.hpp"
#include "edge/mirror_place.hpp"

namespace understudy::host {

/// Takes the mirrors; `done` once, with the number of guests that not even SIGKILL ended.
inline void release_guests(boost::asio::io_context& io, std::vector<std::unique_ptr<MirrorPlace>> mirrors,
                           std::function<void(std::uint32_t)> done) {
  struct Release {
    std::vector<std::unique_ptr<MirrorPlace>> mirrors;
    std::size_t left = 0;
    std::uint32_t running = 0;
    std::function<void(std::uint32_t)> done;
  };
  auto release = std::make_shared<Release>();
  for (auto& mirror : mirrors) {
    if (mirror->has_guest()) {
      release->mirrors.push_back(std::move(mirror));
    } else {
      mirror->discard();
    }
  }
  release->left = release->mirrors.size();
  release->done = std::move(done);
  if (release->left == 0) {
    release->done(0);
    return;
  }
  for (auto& mirror : release->mirrors) {
    shut_down(io, mirror->guest(), {}, [release, place = mirror.get()](const Result<ShutdownReport>& report) {
      if (report) {
        place->discard();
      } else {
        ++release->running;
      }
      if (--release->left == 0) { release->done(release->running); }
    });
  }
}

}  // namespace understudy::host
