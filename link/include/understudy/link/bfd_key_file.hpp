// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A BFD key from its file, and the table [bfd] that names it.
///
///   [bfd]
///   auth = "meticulous-sha1"      # "none", "simple", "sha1" or "meticulous-sha1"
///   key_id = 1                    # 0 to 255
///   key_file = "bfd.key"          # one line of text, mode 0600; beside this file, or an absolute path
///
/// A key is never in a configuration, an argument, a log or a status.

#include <string>

#include "understudy/common/config.hpp"
#include "understudy/common/result.hpp"
#include "understudy/link/bfd_authentication.hpp"

namespace understudy::link::bfd {

/// The file's one line without its newline. BadInput: no regular file, of another owner than root or this user,
/// readable or writable by anybody else, not one line of 1 to `most` printable ASCII characters.
Result<std::string> read_key_file(const std::string& path, std::size_t most);

enum class KeyFile { Read, Ignore };  ///< Ignore: the table is checked on a machine that is not the group's

/// Reads auth, key_id and key_file of `table`, which is in the file `config_path`. Problems are the table's.
Authentication read_authentication(ConfigTable& table, const std::string& config_path, KeyFile key_file);

}  // namespace understudy::link::bfd
