// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What QEMU is between a mirror's tap and the NIC of its guest: frames go over as they come, or wait in the rx ring of
/// a guest that does not get to run.
///
///   bridge ── tap ──fd──► ring ──fd──► the guest's NIC (a tap too, in its namespace) ──fd──► tap

#include <fcntl.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <deque>
#include <functional>
#include <vector>

#include "../net-state/lab.hpp"

namespace understudy::host {

class VirtioWire {
 public:
  using Frame = std::vector<unsigned char>;  ///< behind ten bytes of virtio-net header

  VirtioWire(boost::asio::io_context& io, const std::string& tap, const net::test::TestNamespace& guest,
             const std::string& nic)
      : tap_(io, attach(tap)), nic_(io, guest.in([&] { return attach(nic); })) {
    listen(tap_, [this](Frame frame) {
      if (drops_ && drops_(frame)) { return; }
      ring_.push_back(std::move(frame));
      if (runs_) { run(); }
    });
    listen(nic_, [this](const Frame& frame) { (void)::write(tap_.native_handle(), frame.data(), frame.size()); });
  }
  /// The guest's kernel takes nothing out of the ring any more.
  void stand_still() { runs_ = false; }
  void run() {
    runs_ = true;
    for (; !ring_.empty(); ring_.pop_front(), ++passed_) {
      (void)::write(nic_.native_handle(), ring_.front().data(), ring_.front().size());
    }
  }
  /// A frame that the guest's kernel has taken when this returns.
  void inject(const std::vector<std::uint8_t>& frame) {
    Frame behind_header(10);
    behind_header.insert(behind_header.end(), frame.begin(), frame.end());
    (void)::write(nic_.native_handle(), behind_header.data(), behind_header.size());
  }
  [[nodiscard]] std::size_t passed() const { return passed_; }
  void drop(std::function<bool(const Frame&)> which) { drops_ = std::move(which); }
  /// Datagrams in the ring.
  [[nodiscard]] std::size_t waiting() const {
    return static_cast<std::size_t>(std::count_if(ring_.begin(), ring_.end(), [](const Frame& frame) {
      return frame.size() > 24 && (frame[22] == 0x08 || frame[22] == 0x86) && frame[10] == 0x02;
    }));
  }
  [[nodiscard]] static bool is_marker(const Frame& frame) {
    return frame.size() > 24 && frame[22] == 0x88 && frame[23] == 0xb5;
  }
  [[nodiscard]] bool has_marker() const { return !ring_.empty() && is_marker(ring_.back()); }

 private:
  using Descriptor = boost::asio::posix::stream_descriptor;
  static int attach(const std::string& tap) {
    const int fd = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    ifreq request{};
    std::strncpy(request.ifr_name, tap.c_str(), IFNAMSIZ - 1);
    request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
    if (fd < 0 || ::ioctl(fd, TUNSETIFF, &request) != 0) { throw std::runtime_error("cannot be QEMU at " + tap); }
    return fd;
  }
  void listen(Descriptor& from, std::function<void(Frame)> take) {
    from.async_wait(Descriptor::wait_read, [this, &from, take = std::move(take)](const auto& error) {
      if (error) { return; }
      for (;;) {
        Frame frame(4096);
        const auto got = ::read(from.native_handle(), frame.data(), frame.size());
        if (got <= 0) { break; }
        frame.resize(static_cast<std::size_t>(got));
        take(std::move(frame));
      }
      listen(from, take);
    });
  }

  Descriptor tap_;
  Descriptor nic_;
  std::deque<Frame> ring_;
  std::function<bool(const Frame&)> drops_;
  std::size_t passed_ = 0;
  bool runs_ = true;
};

}  // namespace understudy::host
