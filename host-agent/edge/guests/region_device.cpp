// SPDX-License-Identifier: Apache-2.0
#include "edge/guests/region_device.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

#include "edge/guests/reap.hpp"

namespace understudy::host {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using Done = std::function<void(Result<RegionDeviceChoice>)>;

constexpr std::size_t help_bytes_max = std::size_t{1} << 20;
constexpr const char* advice = "; write memory = \"auto\" under [mirrors] in blade.toml, or install a QEMU that has it";

std::string cpu_vendor(const std::string& root) {
  std::ifstream file(root + "/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("vendor_id")) { return line.substr(line.find(':') + 1); }
  }
  return {};
}

/// Is a device handed to guests by VFIO behind an IOMMU that cannot keep its DMA coherent (no snoop control)?
std::string incoherent_vfio_device(const std::string& root) {
  constexpr std::uint64_t snoop_control = 1 << 7;  // extended capabilities of VT-d, bit 7
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(root + "/sys/bus/pci/drivers/vfio-pci", error)) {
    std::ifstream file(entry.path() / "iommu/intel-iommu/ecap");
    std::uint64_t capabilities = 0;
    if (file >> std::hex >> capabilities && (capabilities & snoop_control) == 0) { return entry.path().filename(); }
  }
  return {};
}

/// Runs `qemu -device help` and hands its words over. Ends its QEMU in every case.
class Question : public std::enable_shared_from_this<Question> {
 public:
  using Answer = std::function<void(Result<std::string>)>;
  Question(asio::io_context& io, RegionDeviceOptions options, Answer answer)
      : options_(std::move(options)), answer_(std::move(answer)), pipe_(io), timer_(io) {}

  Status begin() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) { return failure(std::string("no pipe: ") + std::strerror(errno)); }
    pipe_.assign(ends[0]);
    const UniqueFd write_end(ends[1]);
    SpawnOptions spawning;
    spawning.command = {options_.qemu, "-device", "help"};
    spawning.output_fd = write_end.get();
    spawning.dies_with_daemon = true;
    auto spawned = spawn(spawning, [](const ProcessIdentity&) { return Status(); });
    if (!spawned) { return spawned.error(); }
    process_ = std::move(spawned->pidfd);
    timer_.expires_after(options_.deadline);
    timer_.async_wait([self = shared_from_this()](boost::system::error_code error) {
      if (error) { return; }
      self->finish(failure(self->options_.qemu + " has not told its devices within " +
                               std::to_string(self->options_.deadline.count()) + " ms",
                           Errc::Expired));
    });
    read_more();
    return {};
  }

 private:
  void read_more() {
    pipe_.async_read_some(asio::buffer(buffer_),
                          [self = shared_from_this()](boost::system::error_code error, std::size_t count) {
                            if (!self->answer_) { return; }
                            if (error) { return self->finish(std::move(self->text_)); }
                            self->text_.append(self->buffer_.data(), count);
                            if (self->text_.size() > help_bytes_max) { return self->finish(std::move(self->text_)); }
                            self->read_more();
                          });
  }

  void finish(Result<std::string> result) {
    timer_.cancel();
    boost::system::error_code ignored;
    pipe_.close(ignored);
    (void)kill_process(process_);
    reap_when_ended(shared_from_this(), pipe_, process_);
    std::exchange(answer_, nullptr)(std::move(result));
  }

  RegionDeviceOptions options_;
  Answer answer_;
  UniqueFd process_;
  asio::posix::stream_descriptor pipe_;
  asio::steady_timer timer_;
  std::array<char, 16384> buffer_{};
  std::string text_;
};

}  // namespace

QemuDevices devices_in(const std::string& device_help) {
  const auto has = [&](const char* name) {
    return device_help.find("name \"" + std::string(name) + "\"") != std::string::npos;
  };
  return {has("ivshmem-plain"), has("nvdimm")};
}

std::string uncached_bar_reason(Accelerator accelerator, const std::string& root) {
  if (accelerator != Accelerator::Kvm) { return {}; }
  const auto vendor = cpu_vendor(root);
  if (vendor.find("AMD") != std::string::npos || vendor.find("Hygon") != std::string::npos) {
    return "KVM on this AMD processor lets a guest map a BAR uncached";
  }
  if (const auto device = incoherent_vfio_device(root); !device.empty()) {
    return "KVM lets a guest map a BAR uncached beside a VFIO device whose DMA is not coherent (" + device + ")";
  }
  return {};
}

Result<RegionDeviceChoice> decide_region_device(const std::string& wanted, const QemuDevices& devices,
                                                const std::string& uncached_reason) {
  if (wanted == "nvdimm") {
    if (!devices.nvdimm) { return failure(std::string("this QEMU has no device nvdimm") + advice, Errc::NotFound); }
    return RegionDeviceChoice{RegionDevice::Nvdimm, "regions are nvdimms, as configured"};
  }
  if (wanted == "ivshmem") {
    if (!devices.ivshmem) {
      return failure(std::string("this QEMU has no device ivshmem-plain") + advice, Errc::NotFound);
    }
    return RegionDeviceChoice{RegionDevice::Ivshmem, "regions are ivshmem BARs, as configured"};
  }
  if (wanted != "auto") {
    return failure("memory \"" + wanted + R"(": write "auto", "ivshmem" or "nvdimm")", Errc::BadInput);
  }
  if (devices.ivshmem && (uncached_reason.empty() || !devices.nvdimm)) {
    return RegionDeviceChoice{RegionDevice::Ivshmem, uncached_reason.empty()
                                                         ? "regions are ivshmem BARs"
                                                         : "regions are ivshmem BARs, though " + uncached_reason +
                                                               ": this QEMU has no nvdimm"};
  }
  if (!devices.nvdimm) {
    return failure("this QEMU has neither ivshmem-plain nor nvdimm: no guest can share a region with this host",
                   Errc::NotFound);
  }
  return RegionDeviceChoice{
      RegionDevice::Nvdimm,
      "regions are nvdimms: " + (devices.ivshmem ? uncached_reason : "this QEMU has no ivshmem-plain")};
}

void choose_region_device(asio::io_context& io, RegionDeviceOptions options, Done done) {
  const auto wanted = options.wanted;
  const auto uncached = uncached_bar_reason(options.accelerator);
  auto question =
      std::make_shared<Question>(io, std::move(options), [&io, wanted, uncached, done](Result<std::string> help) {
        auto choice =
            help ? decide_region_device(wanted, devices_in(*help), uncached) : Result<RegionDeviceChoice>(help.error());
        asio::post(io, [done, choice = std::move(choice)] { done(choice); });
      });
  if (auto begun = question->begin(); !begun) {
    asio::post(io, [done, error = begun.error()] { done(error); });
  }
}

}  // namespace understudy::host
