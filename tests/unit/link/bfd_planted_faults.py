# SPDX-License-Identifier: Apache-2.0
"""Plants a fault into BFD's sources, one at a time, and wants a test red for each: what the tests are worth.

    bfd_planted_faults.py BUILD     the build directory, with bfd_test built; the tree is not changed
"""
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "support"))
import planter  # noqa: E402

AUTHENTICATION, SESSION = "link/src/bfd_authentication.cpp", "link/src/bfd_session.cpp"
# what is broken, where, what is replaced, by what, the tests that could find it
FAULTS = [
    ("the window is not looked at", AUTHENTICATION, "  return ahead >= least && ahead <= most;",
     "  return ahead + least + most > 0 || true;", "*Replay*:*Window*:*NotMeticulous*"),
    ("a number counts before its digest is checked", AUTHENTICATION,
     "  if (const auto wrong = check_digest(bytes); wrong != Discard::Kept) { return wrong; }\n  known_ = true;\n"
     "  received_ = sequence;",
     "  known_ = true;\n  received_ = sequence;\n"
     "  if (const auto wrong = check_digest(bytes); wrong != Discard::Kept) { return wrong; }", "*Forged*"),
    ("a freeze of our own does not open the window", AUTHENTICATION,
     "  open_until_ = now + detection_time;\n  forget_at_ = std::max", "  forget_at_ = std::max", "*Freeze*"),
    ("a freeze of our own forgets the number", AUTHENTICATION,
     "  forget_at_ = std::max(forget_at_, now + 2 * detection_time);", "", "*Freeze*"),
    ("the number is never forgotten", AUTHENTICATION, "if (!known_ || now >= forget_at_)", "if (!known_)",
     "*Forgotten*"),
    ("the digest is not compared", AUTHENTICATION,
     "  const bool right = digest && same(*digest, packet.subspan(digest_at, digest_bytes));",
     "  const bool right = digest.has_value();", "BfdAuthentication*"),
    ("the key is not in the digest", AUTHENTICATION,
     "  std::fill(std::copy(bytes.begin(), bytes.end(), place.begin()), place.end(), std::byte{0});",
     "  std::fill(place.begin(), place.end(), std::byte(bytes.size() * 0));", "BfdAuthentication*"),
    ("a packet without authentication is taken", AUTHENTICATION,
     "return in_use ? Discard::AuthenticationMissing : Discard::Kept;", "return Discard::Kept;",
     "BfdAuthentication*:BfdSessionAuthentication*"),
    ("the key id is not compared", AUTHENTICATION,
     "  if (byte_at(section_at + 2) != authentication_.key_id) { return Discard::AuthenticationOtherKey; }\n", "",
     "BfdAuthentication*"),
    ("the section's length is not checked", AUTHENTICATION, "if (!sized || bytes.size() != section_at + section)",
     "if (section_at + section == 0 && !sized)", "BfdAuthentication*"),
    ("the number is not kept over a restart", "link/src/bfd_service.cpp",
     "    if (peer.last_sequence != nullptr) { *peer.last_sequence = peer.session.transmit_sequence(); }\n", "",
     "*Restarted*"),
    ("the file is begun anew each time", "link/src/bfd_sequence_file.cpp", "  if (content->magic != magic) {",
     "  if (content->magic != 1) {", "BfdSequenceFile*"),
    ("a key file that others may read is taken", "link/src/bfd_key_file.cpp", "(found.st_mode & 077) != 0",
     "(found.st_mode & 0) != 0", "BfdKeyFile*"),
    ("no memory is locked", "link/src/bfd_service.cpp",
     "  if (mlockall(MCL_CURRENT | MCL_ONFAULT) != 0 && !warned.exchange(true)) {",
     "  if (false && !warned.exchange(true)) {", "*LockedMemory*"),
    ("a packet that waited is not noticed", SESSION, "if (is_late(now) && late_restarts_",
     "if (false && late_restarts_", "*Freeze*"),
    ("the number does not advance", SESSION, "{ ++transmit_sequence_; }", "{ transmit_sequence_ += 0; }",
     "BfdSessionAuthentication*"),
    ("answers out of turn are not bounded", SESSION, "if (out_of_turn_ < out_of_turn_max)",
     "if (out_of_turn_ < ~0U)", "BfdStorm*"),
]


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    faults = [(name, path, good, bad, "bfd_test", tests) for name, path, good, bad, tests in FAULTS]
    with tempfile.TemporaryDirectory() as folder:
        raise SystemExit(1 if planter.run(sys.argv[1], folder, faults) else 0)


if __name__ == "__main__":
    main()
