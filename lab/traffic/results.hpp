// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A tool's result is one JSON file, there as a whole or not at all.

#include <boost/json.hpp>
#include <string>

namespace lab {

/// Writes beside `path` and renames into place; throws std::system_error.
void write_result(const std::string& path, const boost::json::value& result);

}  // namespace lab
