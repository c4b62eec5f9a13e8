// SPDX-License-Identifier: Apache-2.0
#include "http_request.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace lab {
namespace {

bool read_number(std::string_view text, std::uint64_t& into) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
  return error == std::errc() && end == text.data() + text.size();
}

bool read_query(std::string_view query, HttpRequest& request) {
  while (!query.empty()) {
    const auto part = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), part.size() + 1));
    const auto equals = part.find('=');
    if (equals == std::string_view::npos) return false;
    const auto key = part.substr(0, equals), value = part.substr(equals + 1);
    if (key == "id") {
      request.id = value;
    } else if (key == "bytes") {
      if (!read_number(value, request.bytes)) return false;
    } else if (key == "rate") {
      if (!read_number(value, request.rate)) return false;
    } else {
      return false;
    }
  }
  return is_good_id(request.id);
}

bool has_header(std::string head, std::string_view lower_case_name) {
  std::transform(head.begin(), head.end(), head.begin(), [](unsigned char letter) { return std::tolower(letter); });
  return head.find("\r\n" + std::string(lower_case_name) + ":") != std::string::npos;
}

}  // namespace

bool is_good_id(std::string_view id) {
  return !id.empty() && id.size() <= 100 && id.front() != '.' && std::all_of(id.begin(), id.end(), [](char letter) {
    return (letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9') || letter == '-' || letter == '.';
  });
}

std::optional<HttpRequest> parse_request(std::string_view head) {
  const auto line = head.substr(0, head.find("\r\n"));
  const auto first = line.find(' '), last = line.rfind(' ');
  if (first == std::string_view::npos || last <= first || line.substr(last + 1) != "HTTP/1.1") return {};
  const auto method = line.substr(0, first), target = line.substr(first + 1, last - first - 1);
  const auto mark = target.find('?');
  if (mark == std::string_view::npos) return {};
  HttpRequest request;
  const auto path = target.substr(0, mark);
  if (path == "/upload" && (method == "PUT" || method == "POST")) {
    request.is_upload = true;
    if (!has_header(std::string(head), "transfer-encoding")) return {};
  } else if (path != "/download" || method != "GET" || has_header(std::string(head), "range")) {
    return {};
  }
  if (!read_query(target.substr(mark + 1), request)) return {};
  return request;
}

}  // namespace lab
