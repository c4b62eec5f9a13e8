// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/bfd_key_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "bfd_sockets.hpp"
#include "understudy/link/control_api_status.hpp"

namespace understudy::link::bfd {

namespace {

Error refused(const std::string& what) { return failure(what, Errc::BadInput); }

Status check_private(int fd, const std::string& path) {
  struct stat found {};
  if (fstat(fd, &found) != 0) { return refused(path + ": " + std::strerror(errno)); }
  if (!S_ISREG(found.st_mode)) { return refused(path + " is no regular file; write the path of the key's file"); }
  if (found.st_uid != 0 && found.st_uid != geteuid()) {
    return refused(path + " belongs to another user; chown it to root, or to whom this program runs as");
  }
  if ((found.st_mode & 077) != 0) { return refused(path + " is open to others than its owner; chmod 600 it"); }
  return {};
}

}  // namespace

Result<std::string> read_key_file(const std::string& path, std::size_t most) {
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) { return refused("cannot read the key " + path + ": " + std::strerror(errno)); }
  if (auto fit = check_private(file.get(), path); !fit) { return fit.error(); }
  std::array<char, 256> buffer{};
  const auto size = read(file.get(), buffer.data(), buffer.size());
  if (size < 0) { return refused("cannot read the key " + path + ": " + std::strerror(errno)); }
  std::string key(buffer.data(), static_cast<std::size_t>(size));
  if (!key.empty() && key.back() == '\n') { key.pop_back(); }
  const bool printable = std::all_of(key.begin(), key.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (key.empty() || key.size() > most || !printable) {
    return refused(path + " is not one line of 1 to " + std::to_string(most) + " printable ASCII characters");
  }
  return key;
}

Authentication read_authentication(ConfigTable& table, const std::string& config_path, KeyFile key_file) {
  Authentication out;
  const auto type = parse_bfd_authentication(table.string_or("auth", "none", "\"meticulous-sha1\" or \"none\""));
  if (!type) {
    table.problem("auth", type.error().message);
    return out;
  }
  out.type = type.value();
  if (out.type == BfdAuthentication::None) {
    for (const auto* key : {"key_id", "key_file"}) {
      if (table.has(key)) { table.problem(key, "auth is \"none\", which uses no key; write auth, or remove this"); }
    }
    return out;
  }
  out.key_id =
      static_cast<std::uint8_t>(table.integer_or("key_id", 1, "a number that both ends know the key by", 0, 255));
  const auto file = table.string("key_file", "the key's file, e.g. \"/etc/understudy/bfd.key\"");
  if (file.empty() || key_file == KeyFile::Ignore) { return out; }
  const auto path = std::filesystem::absolute(std::filesystem::path(config_path).parent_path() / file);
  auto key = read_key_file(path, key_bytes_max(out.type));
  if (key) {
    out.key = std::move(key).value();
  } else {
    table.problem("key_file", key.error().message);
  }
  return out;
}

}  // namespace understudy::link::bfd
