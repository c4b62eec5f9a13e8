// SPDX-License-Identifier: Apache-2.0
#include "understudy/common/privileges.hpp"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace understudy {
namespace {

Status system_failure(const char* what) {
  return failure(std::string(what) + ": " + std::strerror(errno));  // NOLINT(concurrency-mt-unsafe): before any thread
}

}  // namespace

Status drop_privileges(const std::vector<int>& kept, Programs programs) {
  ::umask(077);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3]{};
  if (syscall(SYS_capget, &header, sets) != 0) { return system_failure("capabilities cannot be read"); }
  if (programs == Programs::HaveNoMore) {
    // Without CAP_SETPCAP the bounding set stays; no_new_privs alone keeps programs from regaining anything.
    for (int one = 0; prctl(PR_CAPBSET_READ, one, 0, 0, 0) >= 0; ++one) {
      if (std::find(kept.begin(), kept.end(), one) == kept.end()) { (void)prctl(PR_CAPBSET_DROP, one, 0, 0, 0); }
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) { return system_failure("no_new_privs cannot be set"); }
  }
  (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_data_struct mask[_LINUX_CAPABILITY_U32S_3]{};
  for (const int one : kept) { mask[CAP_TO_INDEX(one)].effective |= CAP_TO_MASK(one); }
  for (int word = 0; word < _LINUX_CAPABILITY_U32S_3; ++word) {
    sets[word].permitted &= mask[word].effective;
    sets[word].effective = sets[word].permitted;
    sets[word].inheritable = 0;
  }
  if (syscall(SYS_capset, &header, sets) != 0) { return system_failure("capabilities cannot be given up"); }
  return {};
}

Status raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) { return failure("the limit of open files cannot be read"); }
  if (limit.rlim_cur == limit.rlim_max) { return {}; }
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) { return failure("the limit of open files cannot be raised"); }
  return {};
}

}  // namespace understudy
