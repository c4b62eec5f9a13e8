// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Frames written by hand, in hex.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lab {

using FrameBytes = std::vector<std::uint8_t>;

inline FrameBytes hex(std::string_view text) {
  FrameBytes bytes;
  int high = -1;
  for (const char letter : text) {
    if (letter == ' ') continue;
    const int digit = letter <= '9' ? letter - '0' : letter - 'a' + 10;
    if (high < 0) {
      high = digit;
    } else {
      bytes.push_back(static_cast<std::uint8_t>(high * 16 + digit));
      high = -1;
    }
  }
  return bytes;
}

/// 10.23.4.122 is at 02:e0:00:00:00:02, told to everybody.
inline FrameBytes gratuitous_arp() {
  return hex("ffffffffffff 02e000000002 0806 0001 0800 06 04 0001 02e000000002 0a17047a 000000000000 0a17047a");
}
/// Who has 10.23.4.1? Asked by 10.23.4.122.
inline FrameBytes arp_request() {
  return hex("ffffffffffff 02e000000002 0806 0001 0800 06 04 0001 02e000000002 0a17047a 000000000000 0a170401");
}
/// fe80::1 is here, unsolicited, from a service MAC.
inline FrameBytes neighbour_advertisement(bool solicited = false) {
  return hex(std::string("333300000001 02e100000002 86dd 60000000 0020 3a ff fe800000000000000000000000000001 "
                         "ff020000000000000000000000000001 8800 0000 ") +
             (solicited ? "e0" : "a0") + "000000 fd000050000200000000000000000001 0201 02e100000002");
}
inline FrameBytes tcp_v4(const std::string& flags) {
  return hex(
      "02e000000002 aabbcc000001 0800 45000028 00000000 4006 0000 0a320202 0a170401 c001 1f90 01020304 00000000 50" +
      flags + " ffff 0000 0000");
}
inline FrameBytes udp_v6() {
  return hex(
      "02e000000002 02e100000001 86dd 60000000 0008 11 40 fd000050000100000000000000000002 "
      "fd000023000400000000000000000001 1b5f c000 0008 0000");
}

}  // namespace lab
