// SPDX-License-Identifier: Apache-2.0
#include "edge/region_maker.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <cerrno>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "understudy/common/log.hpp"
#include "understudy/shm/unfinished.hpp"

namespace understudy::host {

/// Outlives the maker as long as a thread is at work.
struct RegionMaker::Shared {
  std::mutex mutex;
  boost::asio::io_context* io = nullptr;                            ///< none: nobody hears any more
  RegionMaker* maker = nullptr;                                     ///< used on the loop only
  std::map<std::string, std::deque<std::function<void()>>> orders;  ///< by file; the first is under way

  void on_loop(std::function<void()> what) {
    const std::lock_guard lock(mutex);
    if (io != nullptr) { boost::asio::post(*io, std::move(what)); }
  }
  void work_off(const std::string& path) {
    std::unique_lock lock(mutex);
    for (auto found = orders.find(path); found != orders.end(); found = orders.find(path)) {
      const auto job = found->second.front();
      lock.unlock();
      job();
      lock.lock();
      found->second.pop_front();  // none but this thread removes one
      if (found->second.empty() || io == nullptr) { orders.erase(found); }
    }
  }
};

struct RegionMaker::Work {
  RegionOrder order;
  std::uint64_t number = 0;
  std::weak_ptr<int> wanted;
  Made done;
  Result<std::optional<shm::Region>> made{std::optional<shm::Region>{}};
  std::optional<FileIdentity> identity;  ///< of what was made
};

std::optional<FileIdentity> file_identity(const std::string& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) { return std::nullopt; }
  return FileIdentity(found.st_dev, found.st_ino);
}

namespace {

/// The name goes now; who closes the descriptor frees the memory.
int unlink_keeping_memory(const std::string& path) {
  const int memory = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (::unlink(path.c_str()) != 0) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): the loop's thread
    log::warn("region {} stays and holds its memory: {}", path, std::strerror(errno));
  }
  return memory;
}

void close_beside(int memory) {
  if (memory >= 0) {
    std::thread([memory] { ::close(memory); }).detach();
  }
}

}  // namespace

RegionMaker::RegionMaker(boost::asio::io_context& io, Create create)
    : shared_(std::make_shared<Shared>()), create_(std::move(create)) {
  shared_->io = &io;
  shared_->maker = this;
}

RegionMaker::~RegionMaker() {
  shared_->maker = nullptr;
  const std::lock_guard lock(shared_->mutex);
  shared_->io = nullptr;
}

Result<shm::Region> RegionMaker::create_file(const RegionOrder& order) {
  const auto create = order.keep ? shm::Region::create_new : shm::Region::create;
  return create(order.path, order.bytes, order.schema, order.offset);
}

void RegionMaker::add(const std::string& path, std::function<void()> job) {
  {
    const std::lock_guard lock(shared_->mutex);
    auto& waiting = shared_->orders[path];
    waiting.push_back(std::move(job));
    if (waiting.size() > 1) { return; }
  }
  std::thread([shared = shared_, path] { shared->work_off(path); }).detach();
}

void RegionMaker::make(const RegionOrder& order, const std::weak_ptr<int>& wanted, Made done) {
  auto work = std::make_shared<Work>();
  work->order = order;
  work->number = last_[order.path] = ++orders_;
  work->wanted = wanted;
  work->done = std::move(done);
  add(order.path, [work, create = create_, shared = shared_] {
    if (work->wanted.expired()) { return; }
    const auto& file = work->order.path;
    const bool there = work->order.keep && shm::Region::inspect(file) != shm::RegionState::Absent;
    if (!there) {
      auto made = create(work->order);
      if (made) {
        work->made = std::optional(std::move(made).value());
        work->identity = file_identity(file);
      } else if (!work->order.keep || made.error().code != Errc::Refused) {
        work->made = made.error();
      }  // else somebody else has made it meanwhile, and that one is kept
    }
    if (work->wanted.expired() && work->identity) {
      work->made = std::optional<shm::Region>{};
      ::unlink(file.c_str());
      return;
    }
    shared->on_loop([work, shared] {
      if (shared->maker != nullptr) { shared->maker->deliver(work); }
    });
  });
}

void RegionMaker::deliver(const std::shared_ptr<Work>& work) {
  if (!work->wanted.expired()) {
    work->done(std::move(work->made));
    return;
  }
  // Given up in the last moment. A later order for this file replaces it, or has found it there and uses it.
  if (!work->order.keep && is_last(*work)) { remove(work->order.path, work->identity); }
  if (work->made) { let_go(std::move(*work->made)); }
}

bool RegionMaker::is_last(const Work& work) const { return last_.at(work.order.path) == work.number; }

void RegionMaker::remove(const std::string& path, const std::optional<FileIdentity>& identity) {
  if (!identity || file_identity(path) != identity) { return; }
  close_beside(unlink_keeping_memory(path));
}

void RegionMaker::let_go(std::optional<shm::Region> region) {
  if (region) {
    std::thread([last = std::move(region)] {}).detach();
  }
}

void RegionMaker::remove_left_behind(const std::string& folder, const std::string& prefix) {
  const auto is_ours = [&](const std::string& name) { return name.starts_with(prefix); };
  for (const auto& left : shm::unlink_unfinished(folder, is_ours)) {
    if (left.memory < 0) {
      log::warn(
          "{} looks like what a former daemon has not finished, and stays: {}; remove it by hand if it is nobody's",
          left.path, left.why_it_stays);
      continue;
    }
    log::warn("{} was not finished by a former daemon: its memory is given back", left.path);
    close_beside(left.memory);
  }
}

}  // namespace understudy::host
