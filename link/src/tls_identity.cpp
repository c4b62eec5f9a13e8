// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/tls_identity.hpp"

#include <array>
#include <utility>
#include <vector>

#include "understudy/common/config_checks.hpp"

namespace understudy::link::tls {
namespace {

constexpr std::string_view scheme = "understudy://";
constexpr std::array kinds{std::pair(Kind::ControlServer, "control-server"), std::pair(Kind::Blade, "blade"),
                           std::pair(Kind::Operator, "operator"), std::pair(Kind::Viewer, "viewer"),
                           std::pair(Kind::Mirror, "mirror")};

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts{""};
  for (const char c : text) {
    if (c == '/') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

}  // namespace

const char* to_string(Kind kind) {
  for (const auto& [one, name] : kinds) {
    if (one == kind) { return name; }
  }
  return "unknown";
}

Result<Kind> parse_kind(const std::string& text) {
  for (const auto& [kind, name] : kinds) {
    if (text == name) { return kind; }
  }
  return failure("\"" + text + "\" is no kind of certificate; write control-server, blade, operator, viewer or mirror",
                 Errc::BadInput);
}

std::string to_uri(const Identity& identity) {
  auto uri = std::string(scheme) + identity.chassis + "/" + to_string(identity.kind) + "/" + identity.name;
  return identity.kind == Kind::Mirror ? uri + "/" + identity.role : uri;
}

Result<Identity> parse_uri(const std::string& uri) {
  const auto wrong = [&](const std::string& why) {
    return failure("\"" + uri.substr(0, 300) + "\" names nobody of a chassis: " + why, Errc::BadInput);
  };
  if (!uri.starts_with(scheme)) { return wrong("it does not begin with " + std::string(scheme)); }
  const auto parts = split(uri.substr(scheme.size()));
  if (parts.size() < 3) { return wrong("chassis, kind and name are needed"); }
  const auto kind = parse_kind(parts[1]);
  if (!kind) { return wrong(kind.error().message); }
  const bool mirror = kind.value() == Kind::Mirror;
  if (parts.size() != (mirror ? 4 : 3)) {
    return wrong(mirror ? "a mirror has a blade and a role" : "one name is needed");
  }
  for (const auto& part : parts) {
    if (part.empty() || !is_config_name(part)) { return wrong("names have 1 to 64 letters, digits, '.', '_', '-'"); }
  }
  return Identity{kind.value(), parts[0], parts[2], mirror ? parts[3] : ""};
}

std::string describe(const Identity& identity) {
  if (identity.kind == Kind::Mirror) { return "the mirror of " + identity.role + " on " + identity.name; }
  return std::string(to_string(identity.kind)) + " " + identity.name;
}

}  // namespace understudy::link::tls
