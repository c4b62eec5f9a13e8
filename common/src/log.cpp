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
  const char* level = std::getenv("UNDERSTUDY_LOG");
  logger->set_level(level != nullptr ? spdlog::level::from_str(level) : spdlog::level::info);
  spdlog::set_default_logger(logger);
}

std::string describe(const Error& error) {
  const char* slash = std::strrchr(error.where.file_name(), '/');
  return error.message + " [" + (slash != nullptr ? slash + 1 : error.where.file_name()) + ":" +
         std::to_string(error.where.line()) + "]";
}

}  // namespace understudy::log
