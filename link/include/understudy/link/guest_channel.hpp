// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What a host-agent and the guest-agent of one of its mirrors tell each other over the mirror's virtio-serial
/// port: JSON, one message a line.
///
///   host-agent  ── GuestOrder ──►  guest-agent        echo, certify, configure, activate, announce, quiesce, resume,
///   ...
///   host-agent  ◄── GuestEvent ──  guest-agent        hello, echoed, state, vote, ready, announced, quiesced, alarm
///   ...
///
/// Rules: the guest is not trusted (D6): a line is bounded, a bad one is counted and skipped, never a reason to
/// stop. A hello opens a conversation: whatever was said before it is void (the guest-agent was restarted, or
/// this is another boot of the guest), and the host answers it with echo, then with certify and configure. Orders
/// about serving carry a term; a guest's term is compared with what the host knows, never adopted (rule 8).

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "understudy/common/result.hpp"
#include "understudy/common/types.hpp"
#include "understudy/link/messages.hpp"
#include "understudy/link/tls_credentials.hpp"

namespace understudy::link::guest {

inline constexpr const char* agent_port_name = "org.understudy.agent.0";
inline constexpr const char* shell_port_name = "org.understudy.shell.0";
/// Longest line, a role's rule set and routes included.
inline constexpr std::size_t line_bytes_max = std::size_t{4} << 20;

// --- orders: host-agent -> guest-agent ---
struct Identify {  ///< first on every connection: answer Hello. A restarted host-agent may connect unnoticed
  bool operator==(const Identify&) const = default;
};
struct EchoOrder {  ///< the host has said its word in the region's echo line (shm/echo.hpp): hear it, say yours
  bool operator==(const EchoOrder&) const = default;
};
struct Configure {  ///< be the mirror of this role; a repeated one with a newer version is applied as a difference
  RunMirror mirror;
  /// Of the standby's own file: stays in the guest's memory and is in nothing that the control API carries (rule 25).
  std::string bfd_key = {};
  bool operator==(const Configure&) const = default;
};
/// How the mirror speaks to its active; goes before the first Configure and whenever it was renewed. Lives in the
/// guest's memory only (rule 25).
struct Certify {
  std::optional<tls::Credentials> credentials;  ///< none: plain text, as the host's operator has set it
  bool operator==(const Certify&) const = default;
};
struct Activate {  ///< make everything ready to serve under `term`, answer Ready; the tap's gate is still closed
  Term term;
  std::uint32_t deadline_ms = 0;  ///< the host closes the gate for good after it (rule 11); 0: the host has none
  bool operator==(const Activate&) const = default;
};
struct Announce {  ///< the gate is open: gratuitous ARP and unsolicited neighbour advertisements
  bool operator==(const Announce&) const = default;
};
/// The gate is blocked: take what has arrived before the marker, tell the final sequences, write nothing any more.
struct Quiesce {
  /// Of the frame that the host sends to each service NIC behind all others, and that is to be sent back; 0: of a host
  /// that sends none.
  std::uint64_t marker = 0;
  bool operator==(const Quiesce&) const = default;
};
struct Resume {  ///< the movement was rolled back: serve on under the old term
  bool operator==(const Resume&) const = default;
};
struct AllowGrants {  ///< leases: grant when the active asks under this term
  Term term;
  bool operator==(const AllowGrants&) const = default;
};
struct StopGrants {  ///< no more for this term; answer GrantsStopped
  Term term;
  bool operator==(const StopGrants&) const = default;
};
struct Shutdown {  ///< stop the application, power off
  bool operator==(const Shutdown&) const = default;
};
using GuestOrder = std::variant<Identify, EchoOrder, Certify, Configure, Activate, Announce, Quiesce, Resume, Shutdown,
                                AllowGrants, StopGrants>;

// --- events: guest-agent -> host-agent ---
enum class Activity : std::uint8_t { Idle, Mirroring, Activating, Serving, Quiescing, Quiesced };
struct Hello {             ///< first after every start of the guest-agent, and the answer to Identify
  std::string boot_nonce;  ///< one for each boot of the guest; SYNCED is bound to it (rule 15)
  std::string instance;    ///< one for each start of the guest-agent
  std::string version;
  std::string bundle;                  ///< version of the role's configuration that is applied already; empty: none
  Activity activity = Activity::Idle;  ///< what a restarted agent found the guest doing
  Term term;                           ///< under which it serves; 0: it does not
  /// Where it found the region's memory, and how long a load from it takes there, and one from the guest's own; zeros:
  /// it could not tell.
  std::string memory;
  double load_ns = 0;
  double private_load_ns = 0;
  bool operator==(const Hello&) const = default;
};
struct Echoed {
  std::uint64_t heard = 0;  ///< the host's word as the guest reads it in the region
  std::uint64_t said = 0;   ///< what the guest has written there
  std::string problem;      ///< why it could do neither; empty: it did
  bool operator==(const Echoed&) const = default;
};
enum class GuestPhase : std::uint8_t { Starting, Connected, Syncing, Synced, Failed };
struct State {
  GuestPhase phase = GuestPhase::Starting;
  std::string detail;
  Term whole_under = {};  ///< the copy is whole, whatever the stream does: of the active under this term; 0: it is not
  bool operator==(const State&) const = default;
};
struct PeerSeen {  ///< the mirror's vote about its active
  Vote vote = Vote::Unknown;
  bool operator==(const PeerSeen&) const = default;
};
struct Ready {
  Term term;
  std::vector<PhaseTime> phases;  ///< drain, install, handover, application
  bool operator==(const Ready&) const = default;
};
struct ActivateFailed {
  std::string detail;
  bool operator==(const ActivateFailed&) const = default;
};
struct Announced {
  bool operator==(const Announced&) const = default;
};
struct Quiesced {
  std::vector<std::pair<std::string, Sequence>> sequences;  ///< store -> last committed
  double ms = 0;
  std::vector<std::string> unmarked = {};  ///< ports whose marker did not come in time: what they held may be lost
  bool operator==(const Quiesced&) const = default;
};
struct QuiesceFailed {  ///< the application, which must be quiesced, was not in time: the movement must roll back
  std::string detail;
  bool operator==(const QuiesceFailed&) const = default;
};
struct Alarm {  ///< with a topic it stands until one of the same topic without a text, or the next hello
  std::string text;
  std::string topic = {};
  bool operator==(const Alarm&) const = default;
};
struct GrantsStopped {
  Term term;
  bool operator==(const GrantsStopped&) const = default;
};
using GuestEvent = std::variant<Hello, Echoed, State, PeerSeen, Ready, ActivateFailed, Announced, Quiesced,
                                QuiesceFailed, Alarm, GrantsStopped>;

/// One line, the newline included.
[[nodiscard]] std::string to_line(const GuestOrder& order);
[[nodiscard]] std::string to_line(const GuestEvent& event);
/// BadInput names what is wrong with the line.
Result<GuestOrder> parse_order(std::string_view line);
Result<GuestEvent> parse_event(std::string_view line);

[[nodiscard]] const char* to_string(GuestPhase phase);
[[nodiscard]] const char* to_string(Activity activity);

/// Cuts a byte stream from an untrusted peer into lines. Its memory is bounded: of a line longer than the limit
/// nothing is kept, it is counted, and reading goes on after its newline.
class LineReader {
 public:
  explicit LineReader(std::size_t longest = line_bytes_max) : longest_(longest) {}

  /// Takes bytes, calls `on_line(std::string_view)` for each complete line, without newline, empty ones left out.
  /// `on_line` must not call feed().
  template <class OnLine>
  void feed(std::string_view bytes, OnLine&& on_line) {
    while (!bytes.empty()) {
      const auto end = bytes.find('\n');
      const auto piece = bytes.substr(0, end);
      if (!skipping_ && pending_.size() + piece.size() > longest_) { start_skipping(); }
      if (!skipping_) { pending_.append(piece); }
      if (end == std::string_view::npos) { return; }
      bytes.remove_prefix(end + 1);
      if (!skipping_ && !pending_.empty()) {
        const std::string line = std::exchange(pending_, {});
        on_line(std::string_view(line));
      }
      skipping_ = false;
    }
  }
  /// Forgets an unfinished line: the peer is another one now.
  void reset() {
    pending_.clear();
    skipping_ = false;
  }
  [[nodiscard]] std::uint64_t skipped_count() const { return skipped_count_; }

 private:
  void start_skipping() {
    pending_.clear();
    pending_.shrink_to_fit();
    skipping_ = true;
    ++skipped_count_;
  }
  std::size_t longest_;
  std::string pending_;
  bool skipping_ = false;
  std::uint64_t skipped_count_ = 0;
};

}  // namespace understudy::link::guest
