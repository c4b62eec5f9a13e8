// SPDX-License-Identifier: Apache-2.0
#include "understudy/common/config_checks.hpp"

#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <sstream>

namespace understudy {
namespace {

bool is_regular_file(const std::string& path, int mode) {
  struct stat found {};
  return stat(path.c_str(), &found) == 0 && S_ISREG(found.st_mode) && access(path.c_str(), mode) == 0;
}

}  // namespace

bool is_config_name(const std::string& text) {
  constexpr const char* letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  return text.size() <= 64 && text != "." && text != ".." && text.find_first_not_of(letters) == std::string::npos;
}

std::optional<Endpoint> parse_endpoint(const std::string& text) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) { return {}; }
  auto host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) { host = host.substr(1, host.size() - 2); }
  const auto address = IpAddress::parse(host);
  Endpoint endpoint;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, endpoint.port);
  if (!address || error != std::errc{} || stop != end || endpoint.port == 0) { return {}; }
  if (!bracketed && !address.value().is_v4()) { return {}; }  // fd00::1:7400 may be an address as a whole
  endpoint.address = address.value();
  return endpoint;
}

bool is_readable_file(const std::string& path) { return is_regular_file(path, R_OK); }

bool is_program(const std::string& program) {
  if (program.find('/') != std::string::npos) { return is_regular_file(program, X_OK); }
  const char* const path = std::getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "/usr/sbin:/usr/bin:/sbin:/bin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (is_regular_file(folder + "/" + program, X_OK)) { return true; }
  }
  return false;
}

std::vector<int> missing_capabilities(const std::vector<int>& wanted) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3]{};
  if (syscall(SYS_capget, &header, sets) != 0) { return {}; }  // unknown: whoever needs them will tell
  std::vector<int> missing;
  for (const int one : wanted) {
    if ((sets[CAP_TO_INDEX(one)].effective & CAP_TO_MASK(one)) == 0) { missing.push_back(one); }
  }
  return missing;
}

}  // namespace understudy
