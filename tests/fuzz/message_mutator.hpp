// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Changes one field of a protobuf message, anywhere in it, to something that a hostile sender would try: numbers at
/// the ends of their ranges, texts too long, with NUL or no UTF-8, addresses of wrong lengths, unknown enumerators,
/// lists far too long, other bodies. It knows the schema and no message, so that a new field is tried too.

#include <google/protobuf/message.h>

#include <random>

namespace understudy::fuzz {

void mutate(google::protobuf::Message& message, std::mt19937_64& random);

}  // namespace understudy::fuzz
