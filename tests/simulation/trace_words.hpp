// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Messages as a person reads them in a trace: name, subject, term. Templates, since each core has event and effect
/// types of its own that have the same names.

#include <string>
#include <type_traits>
#include <variant>

#include "../support/type_word.hpp"
#include "understudy/link/messages.hpp"

namespace understudy::sim {

template <class T>
std::string describe(const T& value);

template <class... T>
std::string describe_any(const std::variant<T...>& value) {
  return std::visit([](const auto& one) { return describe(one); }, value);
}

inline std::string describe_held(const link::Hello& hello) {
  std::string text;
  for (const auto& held : hello.held) {
    text += " " + held.role.value + ":" + std::to_string(held.term.value) + (held.serving ? "*" : "") +
            (held.kind == PlaceKind::Mirror ? "m" : "");
  }
  return text;
}

template <class T>
std::string describe_fields(const T& value) {
  std::string text;
  const auto add = [&text](const std::string& word) { text += (word.empty() ? "" : " ") + word; };
  if constexpr (requires { value.blade.value; }) { add(value.blade.value); }
  if constexpr (requires { value.peer.value; }) { add(value.peer.value); }
  if constexpr (requires { value.role.value; }) { add(value.role.value); }
  if constexpr (requires { value.spec.id; }) { add(value.spec.id.value); }
  if constexpr (requires { value.mirror.spec.id; }) { add(value.mirror.spec.id.value); }
  if constexpr (requires { value.next.term; }) {
    add(value.next.role.value + " term " + std::to_string(value.next.term.value) + " at " +
        to_string(value.next.place) +
        (value.next.reserved.value != 0 ? ", reserved " + std::to_string(value.next.reserved.value) : ""));
  }
  if constexpr (requires { value.term.value; }) { add("term " + std::to_string(value.term.value)); }
  if constexpr (requires { value.step; }) { add("step " + std::to_string(static_cast<int>(value.step))); }
  if constexpr (requires { value.phase; }) {
    if constexpr (std::is_enum_v<std::decay_t<decltype(value.phase)>>) {
      add("phase " + std::to_string(static_cast<int>(value.phase)));
    }
  }
  if constexpr (requires { value.vote; }) { add("vote " + std::to_string(static_cast<int>(value.vote))); }
  if constexpr (requires { value.event.text; }) {
    add(value.event.kind + " " + value.event.role.value + ": " + value.event.text);
  }
  if constexpr (requires { value.detail; }) { add(value.detail); }
  if constexpr (requires { value.text; }) { add(value.text); }
  return text;
}

template <class T>
struct IsVariant : std::false_type {};
template <class... T>
struct IsVariant<std::variant<T...>> : std::true_type {};

template <class T>
std::string describe(const T& value) {
  if constexpr (IsVariant<T>::value) {
    return describe_any(value);
  } else if constexpr (std::is_same_v<T, link::Hello>) {
    return "Hello" + describe_held(value);
  } else {
    std::string text = test::type_word<T>() + describe_fields(value);
    if constexpr (requires { value.order; }) {
      if constexpr (IsVariant<std::decay_t<decltype(value.order)>>::value) { text += " " + describe(value.order); }
      if constexpr (std::is_enum_v<std::decay_t<decltype(value.order)>>) {
        text += " order " + std::to_string(static_cast<int>(value.order));
      }
    }
    if constexpr (requires { value.report; }) { text += " " + describe(value.report); }
    return text;
  }
}

}  // namespace understudy::sim
