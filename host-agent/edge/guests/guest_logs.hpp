// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What to quote from a guest's console and from QEMU's own messages: printable, bounded, empty when there is nothing.

#include <string>

namespace understudy::host {

/// The console's last line; of a kernel that panicked the one that says so, since much follows it.
std::string telling_line(const std::string& console);
/// QEMU says little, and what is wrong comes first.
std::string qemu_words(const std::string& log);

/// X.log becomes X.before.log: what a guest ended with is looked for when the next one runs already.
void keep_former(const std::string& log);

}  // namespace understudy::host
