// SPDX-License-Identifier: Apache-2.0
#include "edge/guests/child_process.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace understudy::host {
namespace {

class ChildProcessTest : public testing::Test {
 protected:
  ~ChildProcessTest() override {
    std::remove(output.c_str());
    std::remove((output + ".record").c_str());
  }
  static void wait_for_end(const UniqueFd& process) {
    pollfd ended{process.get(), POLLIN, 0};
    ASSERT_EQ(poll(&ended, 1, 10000), 1);
  }
  std::string output = testing::TempDir() + "child_process_" + std::to_string(getpid());
  SpawnOptions options(std::vector<std::string> command) const { return {std::move(command), output, -1, 0, false}; }
  std::string output_text() const {
    std::ifstream file(output);
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

TEST_F(ChildProcessTest, RunsOnlyAfterItsRecordIsWrittenAndIsFoundByIt) {
  ProcessIdentity recorded;
  auto spawned = spawn(options({"sleep", "1000"}), [&](const ProcessIdentity& identity) {
    recorded = identity;
    std::ifstream name("/proc/" + std::to_string(identity.pid) + "/comm");
    std::string text;
    name >> text;
    EXPECT_NE(text, "sleep") << "it runs already";
    return Status();
  });
  ASSERT_TRUE(spawned) << spawned.error().message;
  EXPECT_EQ(spawned->identity, recorded);
  EXPECT_EQ(getpgid(recorded.pid), recorded.pid) << "a process group of its own";

  auto found = open_process(recorded);
  ASSERT_TRUE(found);
  auto other = recorded;
  other.start_time += 1;
  EXPECT_EQ(open_process(other).error().code, Errc::NotFound);
  other = recorded;
  other.boot_id = "another boot";
  EXPECT_EQ(open_process(other).error().code, Errc::NotFound);

  ASSERT_TRUE(kill_process(*found));
  wait_for_end(spawned->pidfd);
  EXPECT_EQ(collect_exit(spawned->pidfd), "ended by signal 9");
  EXPECT_EQ(open_process(recorded).error().code, Errc::NotFound);
  EXPECT_TRUE(kill_process(spawned->pidfd)) << "killing what is gone is success";
}

TEST_F(ChildProcessTest, AFailedRecordLeavesNoProcess) {
  pid_t pid = 0;
  const auto spawned = spawn(options({"sleep", "1000"}), [&](const ProcessIdentity& identity) {
    pid = identity.pid;
    return Status(failure("disk full"));
  });
  ASSERT_FALSE(spawned);
  EXPECT_EQ(spawned.error().message, "disk full");
  EXPECT_EQ(kill(pid, 0), -1);
}

TEST_F(ChildProcessTest, AProgramThatIsNotThereIsNamed) {
  const auto spawned = spawn(options({"/no/such/program"}), [](const ProcessIdentity&) { return Status(); });
  ASSERT_FALSE(spawned);
  EXPECT_NE(spawned.error().message.find("/no/such/program"), std::string::npos);
}

TEST_F(ChildProcessTest, AParentThatDiesBeforeTheRecordLeavesNoProcessBehind) {
  const std::string record = output + ".record";
  const pid_t daemon = fork();
  if (daemon == 0) {
    const auto spawned = spawn(options({"sleep", "1000"}), [&](const ProcessIdentity& identity) -> Status {
      std::ofstream(record) << identity.pid << " " << identity.start_time << std::flush;
      _exit(0);
    });
    _exit(spawned ? 1 : 2);
  }
  ASSERT_EQ(waitpid(daemon, nullptr, 0), daemon);
  ProcessIdentity orphan;
  std::ifstream(record) >> orphan.pid >> orphan.start_time;
  orphan.boot_id = read_boot_id().value();
  auto found = open_process(orphan);
  if (found) { wait_for_end(*found); }
}

TEST_F(ChildProcessTest, OutputIsBoundedAndFillsUpWithoutEndingTheProcess) {
  auto bounded = options({"sh", "-c", "head -c 100000 /dev/zero; exit 7"});
  bounded.file_bytes_max = 1000;
  auto spawned = spawn(bounded, [](const ProcessIdentity&) { return Status(); });
  ASSERT_TRUE(spawned);
  wait_for_end(spawned->pidfd);
  EXPECT_EQ(collect_exit(spawned->pidfd), "ended with status 7");
  EXPECT_EQ(std::filesystem::file_size(output), 1000U);
}

TEST_F(ChildProcessTest, DescriptorsOfTheDaemonStayHome) {
  const int leaked = dup(STDERR_FILENO);  // without close-on-exec
  auto spawned = spawn(options({"sh", "-c", "ls /proc/$$/fd"}), [](const ProcessIdentity&) { return Status(); });
  ASSERT_TRUE(spawned);
  wait_for_end(spawned->pidfd);
  collect_exit(spawned->pidfd);
  close(leaked);
  EXPECT_EQ(output_text(), "0\n1\n2\n");
}

TEST_F(ChildProcessTest, AFileIsReplacedAsAWhole) {
  ASSERT_TRUE(write_file_atomically(output, "one"));
  ASSERT_TRUE(write_file_atomically(output, "two"));
  EXPECT_EQ(read_small_file(output, 10).value(), "two");
  EXPECT_EQ(read_small_file(output, 2).error().code, Errc::Damaged);
  EXPECT_EQ(read_small_file(output + ".no", 2).error().code, Errc::NotFound);
}

}  // namespace
}  // namespace understudy::host
