// SPDX-License-Identifier: Apache-2.0
#include "results.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <system_error>

namespace lab {

void write_result(const std::string& path, const boost::json::value& result) {
  const std::string beside = path + "." + std::to_string(getpid());
  std::ofstream file(beside);
  file << boost::json::serialize(result) << "\n";
  file.close();
  if (!file || std::rename(beside.c_str(), path.c_str()) != 0)
    throw std::system_error(errno, std::generic_category(), "write " + path);
}

}  // namespace lab
