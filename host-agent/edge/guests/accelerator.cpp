// SPDX-License-Identifier: Apache-2.0
#include "edge/guests/accelerator.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <cstring>
#include <memory>

#include "edge/guests/reap.hpp"
#include "understudy/common/log.hpp"

namespace understudy::host {
namespace {

namespace asio = boost::asio;
using Done = std::function<void(Result<AcceleratorChoice>)>;

constexpr const char* word_on_console = "understudy-init: up";
constexpr std::size_t console_bytes_max = std::size_t{1} << 20;

std::string answer_path(const std::string& run_dir) { return run_dir + "/accelerator"; }

/// The answer of this boot, if there is one. The file is "kvm BOOT-ID" or "tcg BOOT-ID".
Result<Accelerator> remembered(const std::string& run_dir, const std::string& boot_id) {
  auto text = read_small_file(answer_path(run_dir), 256);
  if (!text) { return text.error(); }
  if (*text == "kvm " + boot_id + "\n") { return Accelerator::Kvm; }
  if (*text == "tcg " + boot_id + "\n") { return Accelerator::Tcg; }
  return failure("the answer is of another boot", Errc::NotFound);
}

/// One boot with KVM. Ends its QEMU in every case.
class Probe : public std::enable_shared_from_this<Probe> {
 public:
  Probe(asio::io_context& io, AcceleratorOptions options, std::string boot_id, Done done)
      : options_(std::move(options)), boot_id_(std::move(boot_id)), done_(std::move(done)), console_(io), timer_(io) {}

  Status begin() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) { return failure(std::string("no pipe: ") + std::strerror(errno)); }
    UniqueFd read_end(ends[0]);
    UniqueFd write_end(ends[1]);
    SpawnOptions spawning;
    spawning.command = probe_command({options_.qemu, options_.kernel, options_.initramfs, Accelerator::Kvm});
    spawning.output_fd = write_end.get();
    // No record: it owns nothing, and ends with us.
    spawning.dies_with_daemon = true;
    auto spawned = spawn(spawning, [](const ProcessIdentity&) { return Status(); });
    if (!spawned) { return spawned.error(); }
    process_ = std::move(spawned->pidfd);
    console_.assign(read_end.release());
    timer_.expires_after(options_.deadline);
    timer_.async_wait([self = shared_from_this()](boost::system::error_code error) {
      if (!error) {
        self->finish(Accelerator::Tcg, "KVM did not boot a mirror within " +
                                           std::to_string(self->options_.deadline.count()) +
                                           " ms, last: " + self->last_words());
      }
    });
    read_more();
    return {};
  }

 private:
  void read_more() {
    console_.async_read_some(
        asio::buffer(buffer_), [self = shared_from_this()](boost::system::error_code error, std::size_t count) {
          if (!self->done_) { return; }
          if (error) {
            return self->finish(Accelerator::Tcg,
                                "QEMU ended before a mirror was up with KVM, last: " + self->last_words());
          }
          self->text_.append(self->buffer_.data(), count);
          if (self->text_.find(word_on_console) != std::string::npos) {
            return self->finish(Accelerator::Kvm, "KVM boots a mirror");
          }
          if (self->text_.size() > console_bytes_max) {
            return self->finish(Accelerator::Tcg, "the console of the try with KVM does not end");
          }
          self->read_more();
        });
  }

  [[nodiscard]] std::string last_words() const {
    std::string words;
    for (const char letter : text_.substr(text_.size() > 120 ? text_.size() - 120 : 0)) {
      words += letter >= ' ' && letter <= '~' ? letter : ' ';
    }
    return words.empty() ? "nothing" : words;
  }

  void finish(Accelerator accelerator, std::string reason) {
    if (!done_) { return; }
    timer_.cancel();
    boost::system::error_code ignored;
    console_.close(ignored);
    if (auto killed = kill_process(process_); !killed) { log::warn("the try with KVM: {}", killed.error().message); }
    reap_when_ended(shared_from_this(), console_, process_);
    const std::string line = std::string(to_string(accelerator)) + " " + boot_id_ + "\n";
    if (auto kept = write_file_atomically(answer_path(options_.run_dir), line); !kept) {
      log::warn("the accelerator is not remembered: {}", kept.error().message);
    }
    std::exchange(done_, nullptr)(AcceleratorChoice{accelerator, std::move(reason)});
  }

  AcceleratorOptions options_;
  std::string boot_id_;
  Done done_;
  UniqueFd process_;
  asio::posix::stream_descriptor console_;
  asio::steady_timer timer_;
  std::array<char, 4096> buffer_{};
  std::string text_;
};

}  // namespace

void choose_accelerator(asio::io_context& io, AcceleratorOptions options, Done done) {
  const auto answer = [&](Result<AcceleratorChoice> choice) {
    asio::post(io, [done = std::move(done), choice = std::move(choice)] { done(choice); });
  };
  if (options.wanted == "tcg") { return answer(AcceleratorChoice{Accelerator::Tcg, "TCG is configured"}); }
  if (options.wanted == "kvm") { return answer(AcceleratorChoice{Accelerator::Kvm, "KVM is configured"}); }
  if (options.wanted != "auto") {
    return answer(failure("accelerator \"" + options.wanted + "\": write auto, kvm or tcg", Errc::BadInput));
  }
  if (access(options.kvm_device.c_str(), R_OK | W_OK) != 0) {
    return answer(AcceleratorChoice{Accelerator::Tcg, options.kvm_device + ": " + std::strerror(errno)});
  }
  auto boot_id = read_boot_id();
  if (!boot_id) { return answer(boot_id.error()); }
  if (auto known = remembered(options.run_dir, *boot_id)) {
    return answer(AcceleratorChoice{*known, "tried before in this boot, " + answer_path(options.run_dir)});
  }
  auto probe = std::make_shared<Probe>(io, std::move(options), *boot_id, done);
  if (auto begun = probe->begin(); !begun) { answer(begun.error()); }
}

}  // namespace understudy::host
