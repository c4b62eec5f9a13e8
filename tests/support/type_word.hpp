// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A type's own name, for traces and tables that a person reads.

#include <string>

namespace understudy::test {

/// "ServeRole" of link::ServeRole.
template <class T>
std::string type_word() {
  std::string name = __PRETTY_FUNCTION__;
  name = name.substr(name.find("T = ") + 4);
  name = name.substr(0, name.find_first_of(";]"));
  return name.substr(name.rfind(':') + 1);
}

}  // namespace understudy::test
