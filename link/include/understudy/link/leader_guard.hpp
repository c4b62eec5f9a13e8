// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Whom an agent obeys: never an older leader than one that it has heard.
///
/// Of several control-servers one leads, under a token that grows with each leadership of one state (etcd's revision).
/// A leader that was paused and goes on has an older one, whatever it believes. Tokens of two states say nothing about
/// each other: another state is told, and pinned from then on.

#include <cstdint>
#include <string>

#include "understudy/common/result.hpp"

namespace understudy::link {

struct HeardLeader {
  std::string state_id;  ///< empty: nobody was heard yet
  std::uint64_t token = 0;
  bool operator==(const HeardLeader&) const = default;
};

/// What is heard from now on, to be written down before an order is obeyed. Refused: it is older.
inline Result<HeardLeader> hear(const HeardLeader& heard, const std::string& state_id, std::uint64_t token) {
  if (heard.state_id == state_id && token < heard.token) {
    return failure(
        "it leads under token " + std::to_string(token) + ", and a leader under token " + std::to_string(heard.token) +
            " was heard: an older one is not obeyed. Were etcd's data restored from a backup, its state needs "
            "a new identity: delete the key state_id in etcd and start the control-servers anew",
        Errc::Refused);
  }
  return HeardLeader{state_id, token};
}

}  // namespace understudy::link
