// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The few requests that the lab's HTTP server understands: pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lab {

/// GET /download?id=NAME[&bytes=N][&rate=N]   PUT or POST /upload?id=NAME with a chunked body
struct HttpRequest {
  bool is_upload = false;
  std::string id;
  std::uint64_t bytes = 0;  ///< 0: until the server is told to stop
  std::uint64_t rate = 0;   ///< 0: the server's
};

/// Nothing when the head is none of these; range requests are refused, a transfer is whole or broken.
std::optional<HttpRequest> parse_request(std::string_view head);

/// A transfer's name is also a file's name.
bool is_good_id(std::string_view id);

}  // namespace lab
