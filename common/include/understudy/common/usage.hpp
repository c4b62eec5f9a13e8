// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Wrong usage told in one line, the same by every program. For main() only: it wants CLI11.

#include <CLI/CLI.hpp>
#include <string>

namespace understudy {

/// For CLI::App::failure_message. A word that nobody knows is named first: it is usually why another one is missing.
inline std::string usage_problem(const CLI::App* app, const CLI::Error& error) {
  const auto unknown = app->remaining(true);
  const auto what = unknown.empty() ? std::string(error.what()) : "\"" + unknown.front() + "\" is not known here";
  return app->get_name() + ": " + what + "; see " + app->get_name() + " --help\n";
}

}  // namespace understudy
