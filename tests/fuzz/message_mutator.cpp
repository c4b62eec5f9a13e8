// SPDX-License-Identifier: Apache-2.0
#include "message_mutator.hpp"

#include <google/protobuf/descriptor.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

namespace understudy::fuzz {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using Random = std::mt19937_64;

constexpr int depth_max = 6;

std::uint64_t some_number(Random& random) {
  const std::uint64_t edges[] = {0,          1,          2,          3,          32,
                                 33,         128,        129,        255,        256,
                                 0x7fffffff, 0xffffffff, 1ULL << 40, 1ULL << 41, (1ULL << 62) - 1,
                                 1ULL << 62, 1ULL << 63, ~0ULL,      random()};
  return edges[random() % std::size(edges)];
}

double some_real(Random& random) {
  const double edges[] = {0,
                          -0.0,
                          1.5,
                          -1,
                          1e-320,
                          999999999999.0,
                          1e12,
                          1e300,
                          std::nan(""),
                          std::numeric_limits<double>::infinity(),
                          -std::numeric_limits<double>::infinity()};
  return edges[random() % std::size(edges)];
}

std::string some_text(Random& random) {
  const std::string edges[] = {"",
                               "a",
                               "role-2",
                               "../etc",
                               std::string(64, 'n'),
                               std::string(65, 'n'),
                               std::string(4096, 't'),
                               std::string(4097, 't'),
                               std::string("a\0b", 3),
                               "\xff\xfe",
                               "\xc3\xa9",
                               "\x1b[2J",
                               "line\nline",
                               "0123",
                               "012345",
                               std::string(16, '\xff'),
                               std::string(17, '\0')};
  return edges[random() % std::size(edges)];
}

void set_scalar(Message& message, const FieldDescriptor& field, Random& random) {
  const Reflection& at = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return at.SetBool(&message, &field, (random() & 1) != 0);
    case FieldDescriptor::CPPTYPE_UINT32:
      return at.SetUInt32(&message, &field, static_cast<std::uint32_t>(some_number(random)));
    case FieldDescriptor::CPPTYPE_UINT64:
      return at.SetUInt64(&message, &field, some_number(random));
    case FieldDescriptor::CPPTYPE_INT32:
      return at.SetInt32(&message, &field, static_cast<std::int32_t>(some_number(random)));
    case FieldDescriptor::CPPTYPE_INT64:
      return at.SetInt64(&message, &field, static_cast<std::int64_t>(some_number(random)));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return at.SetDouble(&message, &field, some_real(random));
    case FieldDescriptor::CPPTYPE_ENUM:
      return at.SetEnumValue(&message, &field, static_cast<int>(random() % 9) - 1);
    default:
      return at.SetString(&message, &field, some_text(random));
  }
}

void mutate_at(Message& message, Random& random, int depth);

void mutate_list(Message& message, const FieldDescriptor& field, Random& random, int depth) {
  const Reflection& at = *message.GetReflection();
  const int size = at.FieldSize(message, &field);
  if (size > 0 && random() % 4 == 0) { return at.RemoveLast(&message, &field); }
  const bool messages = field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
  if (messages && size > 0 && random() % 2 == 0) {
    return mutate_at(
        *at.MutableRepeatedMessage(&message, &field, static_cast<int>(random() % static_cast<unsigned>(size))), random,
        depth + 1);
  }
  const int more = random() % 16 == 0 ? 300 : 1;
  for (int i = 0; i < more; ++i) {
    if (!messages) {
      if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) { at.AddString(&message, &field, some_text(random)); }
      continue;
    }
    auto& added = *at.AddMessage(&message, &field);
    if (size > 0) { added.CopyFrom(at.GetRepeatedMessage(message, &field, 0)); }
    if (more == 1) { mutate_at(added, random, depth + 1); }
  }
}

void mutate_at(Message& message, Random& random, int depth) {
  const auto& fields = *message.GetDescriptor();
  if (fields.field_count() == 0 || depth > depth_max) { return; }
  const Reflection& at = *message.GetReflection();
  const auto* field = fields.field(static_cast<int>(random() % static_cast<unsigned>(fields.field_count())));
  // Mostly what is there, else hardly any message would stay of its kind.
  if (field->containing_oneof() != nullptr && random() % 8 != 0) {
    if (const auto* body = at.GetOneofFieldDescriptor(message, field->containing_oneof())) { field = body; }
  }
  if (field->is_repeated()) { return mutate_list(message, *field, random, depth); }
  if (random() % 16 == 0) { return at.ClearField(&message, field); }
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    return mutate_at(*at.MutableMessage(&message, field), random, depth + 1);
  }
  set_scalar(message, *field, random);
}

}  // namespace

void mutate(Message& message, Random& random) { mutate_at(message, random, 0); }

}  // namespace understudy::fuzz
