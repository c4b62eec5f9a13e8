// SPDX-License-Identifier: Apache-2.0
#include "understudy/common/log.hpp"

#include <spdlog/sinks/stdout_color_sinks.h>

#include <cstdlib>
#include <cstring>

namespace understudy::log {

void init(const std::string& program) {
  auto logger = spdlog::stderr_color_mt(program);
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %n %^%l%$ %v");
  logger->flush_on(spdlog::level::debug);
  const char* word = std::getenv("UNDERSTUDY_LOG");
  const auto level = word != nullptr ? spdlog::level::from_str(word) : spdlog::level::info;
  const bool unknown = level == spdlog::level::off && std::strcmp(word, "off") != 0;
  logger->set_level(unknown ? spdlog::level::info : level);
  spdlog::set_default_logger(logger);
  // spdlog takes any other word for "off": a slip of the pen would silence the daemon.
  if (unknown) { warn("UNDERSTUDY_LOG is \"{}\": write trace, debug, info, warn, error or off; info is taken", word); }
}

std::string describe(const Error& error) {
  const char* slash = std::strrchr(error.where.file_name(), '/');
  return error.message + " [" + (slash != nullptr ? slash + 1 : error.where.file_name()) + ":" +
         std::to_string(error.where.line()) + "]";
}

}  // namespace understudy::log
