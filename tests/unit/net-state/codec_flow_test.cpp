// SPDX-License-Identifier: Apache-2.0
/// Messages are built by us and read by libnetfilter_conntrack, and the other way round.
#include <gtest/gtest.h>
#include <libmnl/libmnl.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "flows.hpp"

namespace understudy::net::test {
namespace {

struct Destroy {
  void operator()(nf_conntrack* ct) const { nfct_destroy(ct); }
};
using Conntrack = std::unique_ptr<nf_conntrack, Destroy>;

struct Message {
  alignas(nlmsghdr) char memory[1024] = {};
  nlmsghdr* header = nullptr;
};

/// What the library reads in a message of ours.
Conntrack read_by_library(const nlmsghdr* message) {
  Conntrack ct(nfct_new());
  EXPECT_EQ(nfct_nlmsg_parse(message, ct.get()), 0);
  return ct;
}

/// A message as the kernel sends it, built by the library.
nlmsghdr* build_by_library(Message& message, const nf_conntrack* ct, std::uint8_t family) {
  message.header = mnl_nlmsg_put_header(message.memory);
  message.header->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW;
  auto* extra = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(message.header, sizeof(nfgenmsg)));
  extra->nfgen_family = family == 4 ? AF_INET : AF_INET6;
  EXPECT_EQ(nfct_nlmsg_build(message.header, ct), 0);
  return message.header;
}

Conntrack make(std::uint8_t family, std::uint8_t protocol) {
  Conntrack ct(nfct_new());
  for (const auto attribute : {ATTR_ORIG_L3PROTO, ATTR_REPL_L3PROTO}) {
    nfct_set_attr_u8(ct.get(), attribute, family == 4 ? AF_INET : AF_INET6);
  }
  for (const auto attribute : {ATTR_ORIG_L4PROTO, ATTR_REPL_L4PROTO}) {
    nfct_set_attr_u8(ct.get(), attribute, protocol);
  }
  return ct;
}

void set_v4(nf_conntrack* ct, nf_conntrack_attr attribute, const char* address) {
  std::uint32_t value = 0;
  ASSERT_EQ(inet_pton(AF_INET, address, &value), 1);
  nfct_set_attr_u32(ct, attribute, value);
}

Conntrack library_tcp() {
  auto ct = make(4, IPPROTO_TCP);
  set_v4(ct.get(), ATTR_ORIG_IPV4_SRC, "10.50.1.2");
  set_v4(ct.get(), ATTR_ORIG_IPV4_DST, "10.23.4.1");
  set_v4(ct.get(), ATTR_REPL_IPV4_SRC, "10.23.4.1");
  set_v4(ct.get(), ATTR_REPL_IPV4_DST, "10.23.4.121");
  nfct_set_attr_u16(ct.get(), ATTR_ORIG_PORT_SRC, htons(4000));
  nfct_set_attr_u16(ct.get(), ATTR_ORIG_PORT_DST, htons(80));
  nfct_set_attr_u16(ct.get(), ATTR_REPL_PORT_SRC, htons(80));
  nfct_set_attr_u16(ct.get(), ATTR_REPL_PORT_DST, htons(61000));
  nfct_set_attr_u8(ct.get(), ATTR_TCP_STATE, TCP_CONNTRACK_ESTABLISHED);
  nfct_set_attr_u8(ct.get(), ATTR_TCP_WSCALE_ORIG, 7);
  nfct_set_attr_u8(ct.get(), ATTR_TCP_WSCALE_REPL, 9);
  nfct_set_attr_u8(ct.get(), ATTR_TCP_FLAGS_ORIG, IP_CT_TCP_FLAG_WINDOW_SCALE | IP_CT_TCP_FLAG_BE_LIBERAL);
  nfct_set_attr_u8(ct.get(), ATTR_TCP_MASK_ORIG, 0xff);
  nfct_set_attr_u32(ct.get(), ATTR_STATUS, IPS_SEEN_REPLY | IPS_ASSURED | IPS_CONFIRMED);
  nfct_set_attr_u32(ct.get(), ATTR_TIMEOUT, 300);
  nfct_set_attr_u32(ct.get(), ATTR_MARK, 0x1234);
  return ct;
}

TEST(FlowCodec, DecodesATcpFlowAsTheLibraryWritesIt) {
  Message message;
  const auto change = decode_flow(build_by_library(message, library_tcp().get(), 4), {});
  ASSERT_TRUE(change);
  EXPECT_FALSE(change->gone);
  EXPECT_TRUE(change->has_tcp);
  EXPECT_TRUE(change->has_status);
  const FlowKey wanted = tcp_key();
  EXPECT_EQ(std::memcmp(&change->key, &wanted, sizeof wanted), 0);
  EXPECT_TRUE(same_in_kernel(change->value, tcp_value()));
  EXPECT_EQ(change->value.timeout_seconds, 300U);
  EXPECT_EQ(change->value.tcp_wscale_original, 7);
  EXPECT_EQ(change->value.tcp_wscale_reply, 9);
  EXPECT_EQ(change->value.tcp_flags_original, IP_CT_TCP_FLAG_WINDOW_SCALE) << "liberal does not travel";
}

TEST(FlowCodec, ADeletionIsGone) {
  Message message;
  nlmsghdr* const header = build_by_library(message, library_tcp().get(), 4);
  header->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE;
  const auto change = decode_flow(header, {});
  ASSERT_TRUE(change);
  EXPECT_TRUE(change->gone);
}

TEST(FlowCodec, HalfOpenTcpIsNotARecordAndAnsweredTcpIs) {
  for (const auto& [state, kept] : {std::pair<std::uint8_t, bool>{TCP_CONNTRACK_SYN_SENT, false},
                                    {TCP_CONNTRACK_SYN_RECV, true},
                                    {TCP_CONNTRACK_TIME_WAIT, true}}) {
    Message message;
    auto ct = library_tcp();
    nfct_set_attr_u8(ct.get(), ATTR_TCP_STATE, state);
    EXPECT_EQ(decode_flow(build_by_library(message, ct.get(), 4), {}).has_value(), kept) << int{state};
  }
}

TEST(FlowCodec, ExcludedPrefixesLoopbackAndLinkLocalAreNobodysBusiness) {
  const auto kept = [](const char* source, const char* destination, const FlowFilter& filter) {
    Message message;
    auto ct = library_tcp();
    set_v4(ct.get(), ATTR_ORIG_IPV4_SRC, source);
    set_v4(ct.get(), ATTR_ORIG_IPV4_DST, destination);
    return decode_flow(build_by_library(message, ct.get(), 4), filter).has_value();
  };
  const FlowFilter maintenance{{IpPrefix::parse("192.168.1.0/25").value()}};
  EXPECT_TRUE(kept("10.1.1.1", "10.2.2.2", maintenance));
  EXPECT_FALSE(kept("192.168.1.3", "10.2.2.2", maintenance));
  EXPECT_FALSE(kept("10.1.1.1", "192.168.1.127", maintenance));
  EXPECT_TRUE(kept("10.1.1.1", "192.168.1.128", maintenance));
  EXPECT_FALSE(kept("127.0.0.1", "127.0.0.2", {}));
  EXPECT_FALSE(kept("169.254.1.1", "10.2.2.2", {}));
}

TEST(FlowCodec, AnIcmpv6EchoKeepsIdTypeAndCode) {
  auto ct = make(6, IPPROTO_ICMPV6);
  nfct_set_attr(ct.get(), ATTR_ORIG_IPV6_SRC, bytes("fd00:50:1::2").data());
  nfct_set_attr(ct.get(), ATTR_ORIG_IPV6_DST, bytes("fd00:23:4::1").data());
  nfct_set_attr(ct.get(), ATTR_REPL_IPV6_SRC, bytes("fd00:23:4::1").data());
  nfct_set_attr(ct.get(), ATTR_REPL_IPV6_DST, bytes("fd00:50:1::2").data());
  nfct_set_attr_u16(ct.get(), ATTR_ICMP_ID, htons(321));
  nfct_set_attr_u8(ct.get(), ATTR_ICMP_TYPE, 128);
  nfct_set_attr_u8(ct.get(), ATTR_ICMP_CODE, 0);
  Message message;
  const auto change = decode_flow(build_by_library(message, ct.get(), 6), {});
  ASSERT_TRUE(change);
  EXPECT_EQ(change->key.family, 6);
  EXPECT_EQ(change->key.source_port, htons(321));
  EXPECT_EQ(change->key.destination_port, htons(128 << 8));
}

TEST(FlowCodec, CreationSaysTheNatApartAndTheReplyUntranslated) {
  Message message;
  nlmsghdr* const header = encode_flow(message.memory, FlowMessage::Create, tcp_key(), tcp_value(), 86400);
  ASSERT_NE(header, nullptr);
  EXPECT_EQ(header->nlmsg_flags & (NLM_F_CREATE | NLM_F_EXCL), NLM_F_CREATE | NLM_F_EXCL);
  const auto ct = read_by_library(header);
  std::uint32_t client = 0;
  ASSERT_EQ(inet_pton(AF_INET, "10.50.1.2", &client), 1);
  EXPECT_EQ(nfct_get_attr_u32(ct.get(), ATTR_REPL_IPV4_DST), client);
  EXPECT_EQ(nfct_get_attr_u16(ct.get(), ATTR_REPL_PORT_DST), htons(4000));
  EXPECT_EQ(nfct_get_attr_u32(ct.get(), ATTR_TIMEOUT), 86400U);
  EXPECT_EQ(nfct_get_attr_u32(ct.get(), ATTR_STATUS), std::uint32_t{IPS_SEEN_REPLY | IPS_ASSURED | IPS_CONFIRMED});
  EXPECT_EQ(nfct_get_attr_u32(ct.get(), ATTR_MARK), 0x1234U);
  EXPECT_EQ(nfct_get_attr_u8(ct.get(), ATTR_TCP_STATE), TCP_CONNTRACK_ESTABLISHED);
  EXPECT_EQ(nfct_get_attr_u8(ct.get(), ATTR_TCP_WSCALE_ORIG), 7);
  EXPECT_EQ(nfct_get_attr_u8(ct.get(), ATTR_TCP_FLAGS_ORIG) & IP_CT_TCP_FLAG_BE_LIBERAL, IP_CT_TCP_FLAG_BE_LIBERAL);
  // The library does not parse CTA_NAT_SRC: read with what follows in the round trip between two kernels.
}

TEST(FlowCodec, CreationIsByteForByteWhatTheLibraryUndoesAndBuilds) {
  auto ct = library_tcp();
  nfct_set_attr_u8(ct.get(), ATTR_TCP_FLAGS_ORIG,
                   IP_CT_TCP_FLAG_WINDOW_SCALE | IP_CT_TCP_FLAG_SACK_PERM | IP_CT_TCP_FLAG_BE_LIBERAL);
  nfct_set_attr_u32(ct.get(), ATTR_STATUS, IPS_SEEN_REPLY | IPS_ASSURED | IPS_CONFIRMED | IPS_SRC_NAT);
  nfct_setobjopt(ct.get(), NFCT_SOPT_UNDO_SNAT);
  nfct_setobjopt(ct.get(), NFCT_SOPT_UNDO_SPAT);
  Message theirs;
  build_by_library(theirs, ct.get(), 4);
  Message ours;
  ours.header = encode_flow(ours.memory, FlowMessage::Create, tcp_key(), tcp_value(), 300);
  // The NAT attribute is the part that no parser of the library reads back.
  const auto nat_of = [](const nlmsghdr* message) {
    std::vector<std::uint8_t> found;
    const auto* position = static_cast<const char*>(mnl_nlmsg_get_payload(message)) + sizeof(nfgenmsg);
    std::size_t left = mnl_nlmsg_get_payload_len(message) - sizeof(nfgenmsg);
    while (left >= sizeof(nlattr)) {
      const auto* attribute = reinterpret_cast<const nlattr*>(position);
      const std::size_t step = (attribute->nla_len + std::size_t{3}) & ~std::size_t{3};
      if (mnl_attr_get_type(attribute) == CTA_NAT_SRC) {
        const auto* payload = static_cast<const std::uint8_t*>(mnl_attr_get_payload(attribute));
        found.assign(payload, payload + mnl_attr_get_payload_len(attribute));
      }
      position += step;
      left -= std::min(step, left);
    }
    return found;
  };
  EXPECT_FALSE(nat_of(ours.header).empty());
  // Ours names the maximum address too, which is the default: compare address and ports.
  const auto contains = [&](const std::vector<std::uint8_t>& part) {
    const auto all = nat_of(ours.header);
    const auto reference = nat_of(theirs.header);
    return std::search(all.begin(), all.end(), part.begin(), part.end()) != all.end() &&
           std::search(reference.begin(), reference.end(), part.begin(), part.end()) != reference.end();
  };
  EXPECT_TRUE(contains({10, 23, 4, 121}));
  EXPECT_TRUE(contains({61000 >> 8, 61000 & 0xff}));
}

TEST(FlowCodec, AnUpdateCarriesNoNatSinceTheKernelRefusesIt) {
  Message message;
  nlmsghdr* const header = encode_flow(message.memory, FlowMessage::Update, tcp_key(), tcp_value(), 300);
  ASSERT_NE(header, nullptr);
  EXPECT_EQ(header->nlmsg_flags & NLM_F_CREATE, 0);
  const auto ct = read_by_library(header);
  EXPECT_EQ(nfct_attr_is_set(ct.get(), ATTR_REPL_IPV4_DST), 0);
  EXPECT_EQ(nfct_attr_is_set(ct.get(), ATTR_SNAT_IPV4), 0);
  EXPECT_EQ(nfct_get_attr_u8(ct.get(), ATTR_TCP_STATE), TCP_CONNTRACK_ESTABLISHED);
}

TEST(FlowCodec, RecordsThatCannotBeAreNotEncoded) {
  Message message;
  const auto encodes = [&](FlowKey key, FlowValue value) {
    return encode_flow(message.memory, FlowMessage::Create, key, value, 30) != nullptr;
  };
  EXPECT_TRUE(encodes(tcp_key(), tcp_value()));
  auto key = tcp_key();
  key.family = 5;
  EXPECT_FALSE(encodes(key, tcp_value()));
  key = tcp_key();
  key.protocol = 250;
  EXPECT_FALSE(encodes(key, tcp_value()));
  key.protocol = IPPROTO_ICMPV6;  // in IPv4
  EXPECT_FALSE(encodes(key, tcp_value()));
  auto value = tcp_value();
  value.tcp_state = 200;
  EXPECT_FALSE(encodes(tcp_key(), value));
  value = tcp_value();
  value.tcp_wscale_reply = 15;
  EXPECT_FALSE(encodes(tcp_key(), value));
}

TEST(FlowCodec, NoPrefixOfAMessageAndNoFlippedByteMakesTheDecoderReadOutside) {
  Message message;
  nlmsghdr* const header = build_by_library(message, library_tcp().get(), 4);
  const std::uint32_t length = header->nlmsg_len;
  for (std::uint32_t cut = sizeof(nlmsghdr); cut < length; ++cut) {
    std::vector<char> copy(message.memory, message.memory + cut);  // the end is where a sanitizer watches
    auto* shortened = reinterpret_cast<nlmsghdr*>(copy.data());
    shortened->nlmsg_len = cut;
    (void)decode_flow(shortened, {});
  }
  for (std::uint32_t at = sizeof(nlmsghdr); at < length; ++at) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      std::vector<char> copy(message.memory, message.memory + length);
      copy[at] = static_cast<char>(copy[at] ^ flip);
      (void)decode_flow(reinterpret_cast<const nlmsghdr*>(copy.data()), {});
    }
  }
}

TEST(FlowCodec, TimeAloneIsNoChangeAndEverythingElseIs) {
  const FlowValue value = tcp_value();
  FlowValue other = value;
  other.timeout_seconds = 1;
  other.tcp_flags_original |= IP_CT_TCP_FLAG_BE_LIBERAL;
  EXPECT_TRUE(same_in_kernel(value, other));
  other = value;
  other.tcp_state = TCP_CONNTRACK_FIN_WAIT;
  EXPECT_FALSE(same_in_kernel(value, other));
  other = value;
  other.status = IPS_CONFIRMED | IPS_SEEN_REPLY;
  EXPECT_FALSE(same_in_kernel(value, other));
  other = value;
  other.mark = 1;
  EXPECT_FALSE(same_in_kernel(value, other));
  other = value;
  other.reply_destination_port = 1;
  EXPECT_FALSE(same_in_kernel(value, other));
}

}  // namespace
}  // namespace understudy::net::test
