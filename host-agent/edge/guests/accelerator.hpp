// SPDX-License-Identifier: Apache-2.0
#pragma once
/// KVM only where it works. A /dev/kvm that opens proves nothing: some hang silently after SeaBIOS. So the mirrors' own
/// kernel and initramfs are booted once with KVM, to a word on the console, before the first mirror; the answer is
/// kept in <run_dir>/accelerator for this boot of the machine.

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <string>

#include "edge/guests/qemu_command.hpp"
#include "understudy/common/result.hpp"

namespace understudy::host {

struct AcceleratorOptions {
  std::string wanted = "auto";  ///< "auto", "kvm" or "tcg"; the latter two are believed
  std::string run_dir;
  std::string qemu = "qemu-system-x86_64";
  std::string kernel;
  std::string initramfs;
  std::string kvm_device = "/dev/kvm";
  std::chrono::milliseconds deadline{8000};  ///< real KVM needs about one second
};

struct AcceleratorChoice {
  Accelerator accelerator = Accelerator::Tcg;
  std::string reason;  ///< one sentence for the log
};

/// `done` once, not from within the call. BadInput: `wanted` is none of the three.
void choose_accelerator(boost::asio::io_context& io, AcceleratorOptions options,
                        std::function<void(Result<AcceleratorChoice>)> done);

}  // namespace understudy::host
