// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Regions are made, and their memory is given back, beside the loop: the kernel needs seconds for a file of tens of
/// GiB, and the loop feeds the watchdog, the leases and the gates meanwhile.
///
///   loop ── make(order) ──► a thread for each file ── Region::create ──► done(made), on the loop
///   loop ── remove(file): its name is gone at once ──► a thread gives its memory back
///
/// Orders for one file are carried out in turn, those for several side by side. What nobody wants any more when it is
/// made is removed. The destructor waits for nobody: a region that is half made then, or when the daemon is killed,
/// goes by remove_left_behind() of the next start.

#include <sys/types.h>

#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "understudy/shm/region.hpp"

namespace understudy::host {

struct RegionOrder {
  std::string path;
  std::uint64_t bytes = 0;
  shm::RegionSchema schema;
  std::uint64_t offset = 0;  ///< where it begins in its file
  bool keep = false;         ///< what is there already stays as it is, also what cannot be looked at
};

/// Device and inode: a file of the same name may be a successor's.
using FileIdentity = std::pair<dev_t, ino_t>;
std::optional<FileIdentity> file_identity(const std::string& path);

class RegionMaker {
 public:
  using Create = std::function<Result<shm::Region>(const RegionOrder&)>;
  /// Nothing: it was there and is kept.
  using Made = std::function<void(Result<std::optional<shm::Region>>)>;

  explicit RegionMaker(boost::asio::io_context& io, Create create = create_file);
  RegionMaker(const RegionMaker&) = delete;
  RegionMaker& operator=(const RegionMaker&) = delete;
  ~RegionMaker();

  /// `done` is called on the loop, unless `wanted` has expired by then.
  void make(const RegionOrder& order, const std::weak_ptr<int>& wanted, Made done);
  /// Of the file at `path`, if it is still this one.
  void remove(const std::string& path, const std::optional<FileIdentity>& identity);
  /// Unmaps it beside the loop.
  void let_go(std::optional<shm::Region> region);
  /// Of a former daemon: regions that it had not finished. Called before the first make().
  void remove_left_behind(const std::string& folder, const std::string& prefix);

  static Result<shm::Region> create_file(const RegionOrder& order);

 private:
  struct Shared;
  struct Work;
  void add(const std::string& path, std::function<void()> job);
  void deliver(const std::shared_ptr<Work>& work);
  [[nodiscard]] bool is_last(const Work& work) const;

  std::shared_ptr<Shared> shared_;
  Create create_;
  std::uint64_t orders_ = 0;
  std::map<std::string, std::uint64_t> last_;  ///< of each file: the number of the last order for it
};

}  // namespace understudy::host
