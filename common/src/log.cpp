// SPDX-License-Identifier: Apache-2.0
#include "understudy/common/log.hpp"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <cstdlib>
#include <cstring>
#include <memory>

#include "understudy/common/printable.hpp"

namespace understudy::log {
namespace {

/// The sentence of a line. What guests, applications and other programs have said is quoted in it, and whoever reads a
/// log reads it in a terminal, which obeys control characters.
class Sentence final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm& /*time*/, spdlog::memory_buf_t& to) override {
    const std::string text = printable({message.payload.data(), message.payload.size()}, message.payload.size());
    to.append(text.data(), text.data() + text.size());
  }
  [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<Sentence>(); }
};

}  // namespace

void init(const std::string& program) {
  auto logger = spdlog::stderr_color_mt(program);
  auto lines = std::make_unique<spdlog::pattern_formatter>();
  lines->add_flag<Sentence>('*').set_pattern("%Y-%m-%dT%H:%M:%S.%e %n %^%l%$ %*");
  logger->set_formatter(std::move(lines));
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
