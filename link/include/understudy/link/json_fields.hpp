// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Reads JSON from the other side of a trust boundary: every getter checks type and range, keeps the first
/// problem and returns a default, so that a reader is straight-line code; finish() tells.
///
/// Use:   JsonFields fields(object, "configure");
///        order.term.value = fields.number("term");
///        if (auto done = fields.finish(); !done) return done.error();

#include <boost/json.hpp>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include "understudy/common/result.hpp"

namespace understudy::link {

class JsonFields {
 public:
  /// `value` must outlive this. `what` names the object in problems.
  JsonFields(const boost::json::value& value, std::string what) : object_(value.if_object()), what_(std::move(what)) {
    if (object_ == nullptr) { problem("is not an object"); }
  }

  /// Null when absent; absence of a required field is the caller's problem() to record.
  [[nodiscard]] const boost::json::value* find(const char* key) const {
    return object_ == nullptr ? nullptr : object_->if_contains(key);
  }

  std::string string(const char* key) {
    const auto* found = find(key);
    const auto* text = found == nullptr ? nullptr : found->if_string();
    if (text == nullptr) {
      problem(std::string(key) + " is not a string");
      return {};
    }
    return {text->data(), text->size()};
  }

  std::uint64_t number(const char* key, std::uint64_t maximum = std::numeric_limits<std::uint64_t>::max()) {
    const auto* found = find(key);
    std::uint64_t number = 0;
    if (found != nullptr && found->is_uint64()) {
      number = found->get_uint64();
    } else if (found != nullptr && found->is_int64() && found->get_int64() >= 0) {
      number = static_cast<std::uint64_t>(found->get_int64());
    } else {
      problem(std::string(key) + " is not a natural number");
      return 0;
    }
    if (number > maximum) {
      problem(std::string(key) + " is " + std::to_string(number) + ", at most " + std::to_string(maximum) +
              " is allowed");
      return 0;
    }
    return number;
  }

  std::uint32_t number32(const char* key) {
    return static_cast<std::uint32_t>(number(key, std::numeric_limits<std::uint32_t>::max()));
  }

  std::uint8_t number8(const char* key) {
    return static_cast<std::uint8_t>(number(key, std::numeric_limits<std::uint8_t>::max()));
  }

  double real(const char* key) {
    const auto* found = find(key);
    if (found == nullptr || !found->is_number()) {
      problem(std::string(key) + " is not a number");
      return 0;
    }
    return found->to_number<double>();
  }

  bool boolean(const char* key) {
    const auto* found = find(key);
    if (found == nullptr || !found->is_bool()) {
      problem(std::string(key) + " is not true or false");
      return false;
    }
    return found->get_bool();
  }

  /// The array's elements; an empty one with a problem recorded when there is none or it is longer than `most`.
  const boost::json::array& array(const char* key, std::size_t most) {
    static const boost::json::array none;
    const auto* found = find(key);
    const auto* elements = found == nullptr ? nullptr : found->if_array();
    if (elements == nullptr) {
      problem(std::string(key) + " is not an array");
      return none;
    }
    if (elements->size() > most) {
      problem(std::string(key) + " has " + std::to_string(elements->size()) + " elements, at most " +
              std::to_string(most) + " are allowed");
      return none;
    }
    return *elements;
  }

  /// A string that T::parse understands, or what an unset T prints ("none").
  template <class T>
  T parsed(const char* key) {
    const std::string text = string(key);
    if (problem_ || text == T{}.to_string()) { return {}; }
    auto value = T::parse(text);
    if (!value) {
      problem(value.error().message);
      return {};
    }
    return *std::move(value);
  }

  /// Records the first problem only.
  void problem(std::string text) {
    if (!problem_) { problem_ = what_ + ": " + std::move(text); }
  }
  void take(const Status& inner) {
    if (!inner) { problem(inner.error().message); }
  }

  [[nodiscard]] Status finish() const {
    if (problem_) { return failure(*problem_, Errc::BadInput); }
    return {};
  }

 private:
  const boost::json::object* object_;
  std::string what_;
  std::optional<std::string> problem_;
};

}  // namespace understudy::link
