// SPDX-License-Identifier: Apache-2.0
#include "bfd_sequence_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "bfd_sockets.hpp"

namespace understudy::link::bfd {

namespace {

constexpr std::uint64_t magic = 0x3130514553444655;  // "UFDSEQ01"
constexpr std::size_t slots = 126;                   // the file is one page
constexpr std::size_t boot_id_bytes = 48;
constexpr std::int64_t seconds_2020 = 1'577'836'800;
constexpr std::int64_t numbers_a_second = 256;

bool is_ahead(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b) > 0; }

}  // namespace

struct SequenceFile::Content {
  std::uint64_t magic;
  char boot_id[boot_id_bytes];
  Slot slot[slots];
};

Result<SequenceFile> SequenceFile::open(const std::string& path, const std::string& boot_id, std::uint32_t clock) {
  const auto os_failure = [&] { return failure(path + ": " + std::strerror(errno)); };
  const auto folder = std::filesystem::path(path).parent_path();
  std::error_code problem;
  std::filesystem::create_directories(folder, problem);
  if (problem) { return failure("folder " + folder.string() + " cannot be made: " + problem.message()); }
  const FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.get() < 0) { return os_failure(); }
  struct stat found {};
  if (fstat(file.get(), &found) != 0) { return os_failure(); }
  if (!S_ISREG(found.st_mode)) { return failure(path + " is no regular file"); }
  const bool whole = found.st_size == static_cast<off_t>(sizeof(Content));
  if (!whole && (ftruncate(file.get(), 0) != 0 || ftruncate(file.get(), sizeof(Content)) != 0)) { return os_failure(); }
  // Allocated, not sparse: a full tmpfs must not become a SIGBUS of the thread that sends.
  if (const int error = posix_fallocate(file.get(), 0, sizeof(Content)); error != 0) {
    return failure(path + ": " + std::strerror(error));
  }
  void* mapped = mmap(nullptr, sizeof(Content), PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (mapped == MAP_FAILED) { return os_failure(); }
  auto* content = static_cast<Content*>(mapped);
  char boot[boot_id_bytes]{};
  std::copy_n(boot_id.begin(), std::min(boot_id.size(), boot_id_bytes - 1), boot);
  if (content->magic != magic) {
    *content = Content{};
  } else if (std::memcmp(content->boot_id, boot, sizeof boot) != 0) {
    for (auto& slot : content->slot) { slot.number = is_ahead(slot.number, clock) ? slot.number : clock; }
  }
  std::memcpy(content->boot_id, boot, sizeof boot);
  content->magic = magic;
  return SequenceFile(content, clock);
}

SequenceFile::SequenceFile(SequenceFile&& other) noexcept
    : content_(std::exchange(other.content_, nullptr)), clock_(other.clock_) {}

SequenceFile& SequenceFile::operator=(SequenceFile&& other) noexcept {
  std::swap(content_, other.content_);
  std::swap(clock_, other.clock_);
  return *this;
}

SequenceFile::~SequenceFile() {
  if (content_ != nullptr) { munmap(content_, sizeof(Content)); }
}

std::uint32_t* SequenceFile::slot_of(const IpAddress& peer) {
  for (auto& slot : content_->slot) {
    if (slot.used == 0) {
      slot.number = clock_;
      slot.family = peer.family;
      std::copy(peer.bytes.begin(), peer.bytes.end(), slot.address);
      slot.used = 1;
    }
    if (slot.family == peer.family && std::equal(peer.bytes.begin(), peer.bytes.end(), slot.address)) {
      return &slot.number;
    }
  }
  return nullptr;
}

std::uint32_t sequence_of_clock() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint32_t>((now.tv_sec - seconds_2020) * numbers_a_second +
                                    now.tv_nsec * numbers_a_second / 1'000'000'000);
}

std::string this_boot() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string text;
  std::getline(file, text);
  return text;
}

}  // namespace understudy::link::bfd
