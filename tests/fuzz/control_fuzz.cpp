// SPDX-License-Identifier: Apache-2.0
/// What a coverage-guided fuzzer gives to the conversions of the control API and to what becomes of a guest's lines.
///
///   input   first byte: which kind of message (control_check.hpp); the rest: its bytes as they would arrive
///
/// Half of the changes are made to the bytes, half to a message by its schema: by bytes alone a fuzzer hardly gets
/// behind the first check.
#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "control_check.hpp"
#include "message_mutator.hpp"

namespace {

using namespace understudy::link::fuzz;

/// protobuf tells each text that is no UTF-8.
const google::protobuf::LogSilencer silent;

What what_of(std::uint8_t byte) { return static_cast<What>(byte % what_count); }

std::size_t put(std::uint8_t* data, std::size_t size_max, const Seed& seed) {
  if (seed.bytes.size() + 1 > size_max) { return 0; }
  data[0] = static_cast<std::uint8_t>(seed.what);
  std::memcpy(data + 1, seed.bytes.data(), seed.bytes.size());
  return seed.bytes.size() + 1;
}

}  // namespace

// NOLINTBEGIN(readability-identifier-naming): the fuzzer calls them so
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                               unsigned seed);
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t size_max)
    __attribute__((weak));  // none in the ordinary run

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) { return 0; }
  const auto found = check(what_of(data[0]), {reinterpret_cast<const char*>(data) + 1, size - 1});
  if (!found.problem.empty()) {
    std::fprintf(stderr, "%s\n", found.problem.c_str());
    std::abort();
  }
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max, unsigned seed) {
  static const std::vector<Seed> begin_with = seeds();
  std::mt19937_64 random(seed);
  if (size < 2 || random() % 64 == 0) {
    if (const auto fits = put(data, size_max, begin_with[random() % begin_with.size()]); fits != 0) { return fits; }
  }
  const auto message = message_of(what_of(data[0]));
  if (message && random() % 2 == 0 && message->ParseFromArray(data + 1, static_cast<int>(size - 1))) {
    understudy::fuzz::mutate(*message, random);
    if (const auto fits = put(data, size_max, {what_of(data[0]), message->SerializeAsString()}); fits != 0) {
      return fits;
    }
  }
  return LLVMFuzzerMutate != nullptr ? LLVMFuzzerMutate(data, size, size_max) : size;
}
// NOLINTEND(readability-identifier-naming)
