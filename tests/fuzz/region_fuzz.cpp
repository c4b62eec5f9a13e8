// SPDX-License-Identifier: Apache-2.0
/// What a coverage-guided fuzzer gives to the region library and to the receiving end of replication: bytes that a
/// guest may have written into its region, or writes while it is read, and frames that a peer may have sent (D6).
///
///   input   first byte, modulo 4: 0 region   patches over a good region, then every call of the library over it
///                                 1 moving   the same, but each patch comes when it is due: while the calls run
///                                 2 frames   frames to the applier, over the good region
///                                 3 both     patches as in 0, up to an empty one, then frames as in 2
///           its third bit: the description's checksum is put right; the five above it: 0 every call, else only one of
///           them, which is ten times as fast
///           patches: (due u16, where moving; offset u24, length u8, bytes); due: looks at shared memory since the last
///           frames:  (type u8, flags u8, first u16, length u16, payload); flags: bit 0 mend checksums, bit 1 which
///                    store
///
/// "Looks" are the acquiring loads and the stores of the library (store_points.hpp), so that an input always does the
/// same, whatever the machine is busy with.
///
/// Checksums that a fuzzer cannot guess are put right here, those of frames and of journal entries; the ones of the
/// description are left wrong except now and then, so that what lies behind them is reached too.
#include "region_fuzz.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "description.hpp"
#include "hostile/every_call.hpp"
#include "replication_applier.hpp"
#include "store_points.hpp"
#include "understudy/shm/crc32c.hpp"
#include "understudy/shm/layout.hpp"

namespace understudy::shm::hostile {
namespace {

constexpr std::uint64_t frame_types = 13;  // Hello to Grant, and one that is none

class Input {
 public:
  explicit Input(std::span<const std::byte> bytes) : rest_(bytes) {}
  [[nodiscard]] bool empty() const { return rest_.empty(); }
  std::uint64_t number(std::size_t bytes) {
    std::uint64_t value = 0;
    for (const auto byte : take(bytes)) { value = value << 8 | std::to_integer<std::uint64_t>(byte); }
    return value;
  }
  std::span<const std::byte> take(std::size_t bytes) {
    const auto taken = rest_.first(std::min(bytes, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }

 private:
  std::span<const std::byte> rest_;
};

/// A file in /dev/shm, and what it held when it was good.
class Fuzzed {
 public:
  Fuzzed() : path_("/dev/shm/understudy-fuzz-" + std::to_string(::getpid())), shipped_(make_good(path_)) {
    const int fd = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
    at_ = static_cast<std::byte*>(::mmap(nullptr, region_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    ::close(fd);
    if (at_ == MAP_FAILED) { std::abort(); }
    good_.assign(at_, at_ + used_bytes);
  }
  ~Fuzzed() {
    ::munmap(at_, region_bytes);
    ::unlink(path_.c_str());
  }
  Fuzzed(const Fuzzed&) = delete;
  Fuzzed& operator=(const Fuzzed&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  void restore() { std::memcpy(at_, good_.data(), used_bytes); }

  /// False: it was an empty one.
  bool patch(Input& input) {
    const std::uint64_t offset = input.number(3) % used_bytes;
    const auto bytes = input.take(input.number(1) % 64);
    std::memcpy(at_ + offset, bytes.data(), std::min<std::uint64_t>(bytes.size(), used_bytes - offset));
    return !bytes.empty();
  }
  void mend_description() {
    layout::RegionHeader header;
    std::memcpy(&header, at_, sizeof header);
    header.description_crc32c = description_checksum(header);
    std::memcpy(at_, &header, sizeof header);
  }
  /// `only`: the number of a call, from 1 on; 0: all of them.
  void call(std::size_t only) const {
    if (only != 0) { return open_and(calls()[(only - 1) % calls().size()], path_, shipped_); }
    for (const Call& call : calls()) {
      if (!call.may_wait) { open_and(call, path_, shipped_); }
    }
    for (const Call& call : calls()) {  // over what the writing ones have left
      if (call.access == Access::ReadOnly) { open_and(call, path_, shipped_); }
    }
  }

 private:
  std::string path_;
  Shipped shipped_;
  std::byte* at_ = nullptr;
  std::vector<std::byte> good_;
};

/// A guest that writes while the library looks.
class Moving {
 public:
  Moving(Fuzzed& fuzzed, Input& input) : fuzzed_(fuzzed), input_(input) {
    next();
    points::on_load = [this](const std::uint64_t*) { look(); };
    points::on_store = [this] { look(); };
  }
  ~Moving() {
    points::on_load = nullptr;
    points::on_store = nullptr;
  }
  Moving(const Moving&) = delete;
  Moving& operator=(const Moving&) = delete;

 private:
  void next() { due_ = input_.empty() ? 0 : input_.number(2) + 1; }
  void look() {
    if (due_ == 0 || --due_ != 0) { return; }
    (void)fuzzed_.patch(input_);
    ++patches_that_came;
    next();
  }

  Fuzzed& fuzzed_;
  Input& input_;
  std::uint64_t due_ = 0;
};

/// Puts the checksums of whatever looks like journal entries right.
void mend_entries(std::span<std::byte> bytes) {
  while (bytes.size() >= sizeof(layout::JournalEntryHeader)) {
    layout::JournalEntryHeader header;
    std::memcpy(&header, bytes.data(), sizeof header);
    const std::uint64_t size = layout::entry_bytes(header.key_bytes, header.value_bytes);
    if (size > bytes.size()) { return; }
    header.crc32c = 0;
    std::memcpy(bytes.data(), &header, sizeof header);
    header.crc32c = crc32c(bytes.first(size));
    std::memcpy(bytes.data(), &header, sizeof header);
    bytes = bytes.subspan(size);
  }
}

void feed_frames(const Fuzzed& fuzzed, Input& input) {
  using namespace link::replication;
  const auto region = Region::open(fuzzed.path(), Access::ReadWrite);
  const ReceiverCallbacks callbacks;
  Applier applier(callbacks);
  if (!region || !applier.acquire(*region, Term{2})) { return; }
  applier.begin_connection();
  FrameDecoder decoder;
  for (int frames = 0; !input.empty() && frames < 50; ++frames) {
    const auto type = static_cast<FrameType>(input.number(1) % frame_types);
    const auto flags = input.number(1);
    const Sequence first{input.number(2)};
    const auto taken = input.take(input.number(2) % 4096);
    std::vector<std::byte> payload(taken.begin(), taken.end());
    if ((flags & 1) != 0 && type == FrameType::Journal) { mend_entries(payload); }
    const auto encoded =
        encode({type, static_cast<std::uint16_t>(flags >> 1 & 1), Term{2}, 0, first}, std::move(payload));
    for (const auto* part : {&encoded.header, &encoded.payload}) {
      for (std::size_t done = 0; done < part->size();) {
        const auto room = decoder.prepare();
        const std::size_t bytes = std::min(room.size(), part->size() - done);
        std::memcpy(room.data(), part->data() + done, bytes);
        decoder.commit(bytes);
        done += bytes;
      }
    }
    const auto frame = decoder.next();
    if (!frame || !*frame) { return; }  // of a type that is none
    ++frames_given;
    frames_taken += applier.on_frame(**frame).ok() ? 1U : 0U;
    (void)decode_hello(taken);
    (void)decode_refusal(taken);
    (void)applier.progress();
  }
}

void run(Fuzzed& fuzzed, Input& input) {
  const auto kind = input.number(1);
  const bool mend = (kind & 4) != 0;
  const std::size_t only = kind >> 3;
  frames_given = frames_taken = patches_that_came = 0;
  fuzzed.restore();
  switch (kind % 4) {
    case 0:
      while (!input.empty()) { (void)fuzzed.patch(input); }
      if (mend) { fuzzed.mend_description(); }
      return fuzzed.call(only);
    case 1: {
      const Moving moving(fuzzed, input);
      return fuzzed.call(only);
    }
    case 3:
      while (!input.empty() && fuzzed.patch(input)) {}
      [[fallthrough]];
    default:
      feed_frames(fuzzed, input);
      fuzzed.call(only);
  }
}

}  // namespace
}  // namespace understudy::shm::hostile

// NOLINTNEXTLINE(readability-identifier-naming): the fuzzer calls it so
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace understudy::shm::hostile;
  Input input({reinterpret_cast<const std::byte*>(data), size});
  static Fuzzed fuzzed;
  run(fuzzed, input);
  return 0;
}
