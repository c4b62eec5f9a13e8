// SPDX-License-Identifier: Apache-2.0
/// The choice between KVM and TCG with a script in QEMU's place: what it says on the console, and what it does not.
/// The real QEMU: tests/integration/guests/guest_test.cpp.
#include "edge/guests/accelerator.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "edge/guests/child_process.hpp"
#include "support/run_until.hpp"

namespace understudy::host {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

class AcceleratorTest : public testing::Test, protected test::Loop {
 protected:
  AcceleratorTest() {
    char name[] = "/tmp/understudy-accelerator-XXXXXX";
    directory_ = ::mkdtemp(name);
    options.run_dir = directory_;
    options.kvm_device = directory_ + "/kvm";
    options.kernel = options.initramfs = "/dev/null";
    options.deadline = 20s;
    std::ofstream(options.kvm_device) << "";
    qemu("exit 0");
  }
  ~AcceleratorTest() override { fs::remove_all(directory_); }

  /// A script that is started as QEMU; it counts its starts.
  void qemu(const std::string& lines) {
    options.qemu = directory_ + "/qemu";
    std::ofstream(options.qemu) << "#!/bin/sh\necho $$ >>" << directory_ << "/started\n" << lines << "\n";
    ::chmod(options.qemu.c_str(), 0700);
  }
  [[nodiscard]] std::vector<pid_t> started() const {
    std::ifstream file(directory_ + "/started");
    return {std::istream_iterator<pid_t>(file), {}};
  }
  Result<AcceleratorChoice> choose() {
    std::optional<Result<AcceleratorChoice>> choice;
    choose_accelerator(io_, options, [&](Result<AcceleratorChoice> made) {
      EXPECT_FALSE(choice) << "told twice";
      choice = std::move(made);
    });
    EXPECT_FALSE(choice) << "told from within the call";
    EXPECT_TRUE(run_until([&] { return choice.has_value(); }));
    return choice.value_or(failure("never told"));
  }
  Accelerator chosen() {
    const auto choice = choose();
    EXPECT_TRUE(choice.ok()) << (choice ? "" : choice.error().message);
    reason = choice ? choice->reason : "";
    return choice ? choice->accelerator : Accelerator::Tcg;
  }
  bool reason_has(const std::string& text) const { return reason.find(text) != std::string::npos; }

  AcceleratorOptions options;
  std::string reason;

 private:
  std::string directory_;
};

TEST_F(AcceleratorTest, WhatIsConfiguredIsBelievedWithoutATry) {
  options.wanted = "kvm";
  options.kvm_device = "/nowhere/kvm";
  EXPECT_EQ(chosen(), Accelerator::Kvm);
  options.wanted = "tcg";
  EXPECT_EQ(chosen(), Accelerator::Tcg);
  EXPECT_TRUE(started().empty());
}

TEST_F(AcceleratorTest, Misuse_AnotherWordIsAnErrorThatTellsTheThree) {
  for (const auto* word : {"", "KVM", "xen"}) {
    options.wanted = word;
    const auto choice = choose();
    ASSERT_FALSE(choice.ok()) << word;
    EXPECT_EQ(choice.error().code, Errc::BadInput);
    EXPECT_EQ(choice.error().message, "accelerator \"" + std::string(word) + "\": write auto, kvm or tcg");
  }
}

TEST_F(AcceleratorTest, WithoutTheDeviceItIsTcgWithoutATry) {
  fs::remove(options.kvm_device);
  EXPECT_EQ(chosen(), Accelerator::Tcg);
  EXPECT_TRUE(reason_has("No such file")) << reason;
  EXPECT_TRUE(started().empty());
}

TEST_F(AcceleratorTest, AMirrorThatComesUpWithKvmIsTheProofAndIsEnded) {
  qemu("echo SeaBIOS; printf 'understudy-'; printf 'init: up\\n'; exec sleep 1000");
  EXPECT_EQ(chosen(), Accelerator::Kvm);
  ASSERT_EQ(started().size(), 1U);
  const auto process = "/proc/" + std::to_string(started()[0]);
  EXPECT_TRUE(run_until([&] { return !fs::exists(process); })) << "the try still runs, or nobody freed it";
}

TEST_F(AcceleratorTest, OneThatHangsAfterItsFirstWordsIsTcgAtTheDeadline) {
  options.deadline = 200ms;
  qemu("echo SeaBIOS; exec sleep 1000");
  EXPECT_EQ(chosen(), Accelerator::Tcg);
  EXPECT_TRUE(reason_has("within 200 ms")) << reason;
  const auto process = "/proc/" + std::to_string(started().at(0));
  EXPECT_TRUE(run_until([&] { return !fs::exists(process); }));
}

TEST_F(AcceleratorTest, OneThatEndsIsTcgAndItsLastWordsAreToldWithoutWhatATerminalWouldObey) {
  qemu("printf 'no \\033[2J KVM here'; exit 1");
  EXPECT_EQ(chosen(), Accelerator::Tcg);
  EXPECT_TRUE(reason_has("no  [2J KVM here")) << reason;
  EXPECT_FALSE(reason_has("\033"));
}

TEST_F(AcceleratorTest, AConsoleThatDoesNotEndIsTcg) {
  qemu("exec yes");
  EXPECT_EQ(chosen(), Accelerator::Tcg);
  EXPECT_TRUE(reason_has("does not end")) << reason;
}

TEST_F(AcceleratorTest, TheAnswerIsRememberedForThisBootOnly) {
  qemu("echo 'understudy-init: up'; exec sleep 1000");
  EXPECT_EQ(chosen(), Accelerator::Kvm);
  EXPECT_EQ(chosen(), Accelerator::Kvm);
  EXPECT_TRUE(reason_has("tried before in this boot")) << reason;
  EXPECT_EQ(started().size(), 1U);
  std::ofstream(options.run_dir + "/accelerator") << "tcg 00000000-0000-0000-0000-000000000000\n";
  EXPECT_EQ(chosen(), Accelerator::Kvm);
  EXPECT_EQ(started().size(), 2U);
}

TEST_F(AcceleratorTest, ADamagedAnswerIsNone) {
  qemu("echo 'understudy-init: up'; exec sleep 1000");
  const auto boot_id = read_boot_id().value();
  std::size_t tries = 0;
  for (const auto& text : {std::string(), "kvm " + boot_id, "xen " + boot_id + "\n", std::string(10'000, 'k')}) {
    std::ofstream(options.run_dir + "/accelerator") << text;
    EXPECT_EQ(chosen(), Accelerator::Kvm);
    EXPECT_EQ(started().size(), ++tries) << text.substr(0, 60);
  }
}

TEST_F(AcceleratorTest, AQemuThatIsNotThereIsAnError) {
  options.qemu = options.run_dir + "/no-qemu";
  const auto choice = choose();
  ASSERT_FALSE(choice.ok());
  EXPECT_NE(choice.error().message.find("no-qemu"), std::string::npos) << choice.error().message;
  EXPECT_FALSE(fs::exists(options.run_dir + "/accelerator")) << "a try that did not happen answers nothing";
}

}  // namespace
}  // namespace understudy::host
