// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Result<T>: the one way an expected failure travels.
///
/// Three tiers of "wrong": an expected failure is a Result; a bug is UNDERSTUDY_ASSERT (stays on in
/// release builds and aborts: the standby takes over); exceptions of libraries are caught where the
/// library is called and turned into a Result there.

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <source_location>
#include <string>
#include <utility>
#include <variant>

namespace understudy {

/// Kinds of failure that some caller reacts to differently. Everything else is `Failed`.
enum class Errc {
  Failed,    ///< no caller reacts to more than the message
  BadInput,  ///< configuration or argument is wrong; nothing was changed
  NotFound,  ///< the named thing does not exist
  Refused,   ///< a rule forbids it (stale term, second writer, closed gate)
  Full,      ///< a fixed capacity is used up
  Expired,   ///< the deadline or the kernel's timeout has passed
  Damaged,   ///< bytes that cannot be what they claim to be
};

/// A failure for a person at night: one sentence with names and numbers, and where it was noticed.
struct Error {
  Errc code = Errc::Failed;
  std::string message;
  std::source_location where = std::source_location::current();
};

[[nodiscard]] inline Error failure(std::string message, Errc code = Errc::Failed,
                                   std::source_location where = std::source_location::current()) {
  return Error{code, std::move(message), where};
}

/// Either a value or an Error. Asking for the one that is not there is a bug and aborts.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor): returned by value
  Result(Error error)
      : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor): returned by value

  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  [[nodiscard]] T& value() & { return get(*this); }
  [[nodiscard]] const T& value() const& { return get(*this); }
  [[nodiscard]] T value() && { return std::move(get(*this)); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const T& operator*() const& { return value(); }
  T& operator*() & { return value(); }
  T operator*() && { return std::move(*this).value(); }

  [[nodiscard]] const Error& error() const {
    if (ok()) { std::abort(); }
    return std::get<1>(state_);
  }

 private:
  template <class Self>
  static auto& get(Self& self) {
    if (!self.ok()) {
      std::fprintf(stderr, "bug: value() of a failed Result: %s\n", std::get<1>(self.state_).message.c_str());
      std::abort();
    }
    return std::get<0>(self.state_);
  }
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor): returned by value
  [[nodiscard]] bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  [[nodiscard]] const Error& error() const {
    if (ok()) { std::abort(); }
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

[[noreturn]] inline void assertion_failed(const char* expression, const std::source_location& where) {
  std::fprintf(stderr, "bug: %s does not hold at %s:%u\n", expression, where.file_name(), where.line());
  std::abort();
}

}  // namespace understudy

/// A bug check that stays on in release builds.
#define UNDERSTUDY_ASSERT(expression) \
  ((expression) ? void(0) : ::understudy::assertion_failed(#expression, std::source_location::current()))
