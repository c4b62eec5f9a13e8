// SPDX-License-Identifier: Apache-2.0
#include "nft_set.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <cctype>

namespace understudy::net {
namespace {

namespace json = boost::json;

std::string text_of(const json::object& object, const char* name) {
  const json::value* found = object.if_contains(name);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}

/// An element is "tap0", or {"elem": {"val": "tap0", "timeout": 1, "expires": 0}} when it is timed.
std::string element_name(const json::value& element) {
  if (element.is_string()) { return std::string(element.get_string()); }
  const json::object* const outer = element.if_object();
  const json::value* const inner = outer != nullptr ? outer->if_contains("elem") : nullptr;
  return inner != nullptr && inner->is_object() ? text_of(inner->get_object(), "val") : std::string();
}

/// A rule [match iifname/oifname == @set, accept/drop].
void read_rule(const json::object& rule, std::vector<ChainReadBack>& chains) {
  const auto chain = std::find_if(chains.begin(), chains.end(),
                                  [&](const ChainReadBack& known) { return known.name == text_of(rule, "chain"); });
  const json::value* const expressions = rule.if_contains("expr");
  if (chain == chains.end() || expressions == nullptr || !expressions->is_array()) { return; }
  std::string set;
  for (const json::value& expression : expressions->get_array()) {
    const json::object* const object = expression.if_object();
    if (object == nullptr) { continue; }
    if (const json::value* match = object->if_contains("match"); match != nullptr && match->is_object()) {
      if (text_of(match->get_object(), "op") == "==") { set = text_of(match->get_object(), "right"); }
    }
    if (set.empty() || set.front() != '@') { continue; }
    if (object->contains("drop")) { chain->sets_dropped.push_back(set.substr(1)); }
    if (object->contains("accept")) { chain->sets_accepted.push_back(set.substr(1)); }
  }
}

void read_item(const json::object& item, const std::string& set_name, TableReadBack& table) {
  if (const json::value* chain = item.if_contains("chain"); chain != nullptr && chain->is_object()) {
    const json::object& object = chain->get_object();
    table.chains.push_back(
        {text_of(object, "name"), text_of(object, "dev"), text_of(object, "policy") == "drop", {}, {}});
  }
  if (const json::value* rule = item.if_contains("rule"); rule != nullptr && rule->is_object()) {
    read_rule(rule->get_object(), table.chains);
  }
  const json::value* set = item.if_contains("set");
  if (set == nullptr || !set->is_object() || text_of(set->get_object(), "name") != set_name) { return; }
  const json::value* elements = set->get_object().if_contains("elem");
  if (elements == nullptr || !elements->is_array()) { return; }
  for (const json::value& element : elements->get_array()) { table.elements.push_back(element_name(element)); }
}

}  // namespace

const ChainReadBack* TableReadBack::chain(const std::string& name) const {
  const auto found =
      std::find_if(chains.begin(), chains.end(), [&](const ChainReadBack& known) { return known.name == name; });
  return found == chains.end() ? nullptr : &*found;
}

Status check_interface_name(const std::string& name) {
  const bool good = !name.empty() && name.size() < 16 && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
  });
  if (!good) { return failure("\"" + name + "\" is not the name of an interface", Errc::BadInput); }
  return {};
}

std::string quoted_list(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) { list += (list.empty() ? "\"" : ", \"") + name + "\""; }
  return list;
}

NftSet::NftSet(Nft nft, std::string family, std::string table, std::string set,
               std::vector<std::string> chains_with_policy_drop)
    : nft_(std::move(nft)),
      table_(std::move(family) + " " + std::move(table)),
      set_(std::move(set)),
      chains_(std::move(chains_with_policy_drop)) {}

std::string NftSet::element(const char* verb, const std::vector<std::string>& names,
                            std::optional<std::chrono::milliseconds> duration) const {
  const std::string timeout = duration ? " timeout " + std::to_string(duration->count()) + "ms" : "";
  return std::string(verb) + " element " + table_ + " " + set_ + " { " + quoted_list(names) + timeout + " }\n";
}

Status NftSet::add(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (const auto good = check_interface_name(name); !good) { return good; }
  }
  if (names.empty()) { return {}; }
  return nft_.run(element("add", names));
}

Status NftSet::put(const std::string& name, std::optional<std::chrono::milliseconds> duration) {
  if (const auto good = check_interface_name(name); !good) { return good; }
  if (duration && duration->count() <= 0) { return failure("a gate cannot open for no time", Errc::BadInput); }
  // Adding to an element that exists does not change its time: whatever is there goes first, in the same transaction.
  return nft_.run(element("add", {name}) + element("delete", {name}) + element("add", {name}, duration));
}

Status NftSet::refresh(const std::string& name, std::chrono::milliseconds duration) {
  if (const auto good = check_interface_name(name); !good) { return good; }
  if (duration.count() <= 0) { return failure("a gate cannot open for no time", Errc::BadInput); }
  const auto refreshed = nft_.run(element("delete", {name}) + element("add", {name}, duration));
  if (!refreshed && refreshed.error().code == Errc::NotFound) {
    return failure("port " + name + " closed before it was refreshed", Errc::Expired);
  }
  return refreshed;
}

Status NftSet::remove(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (const auto good = check_interface_name(name); !good) { return good; }
  }
  if (names.empty()) { return {}; }
  // Added first, so that the deletion fails only when there is no set: absent and no gate must not look alike.
  return nft_.run(element("add", names) + element("delete", names));
}

Result<TableReadBack> NftSet::read_back() {
  const auto text = nft_.list_json("list table " + table_);
  if (!text) { return text.error(); }
  boost::system::error_code error;
  const json::value parsed = json::parse(text.value(), error);
  const json::object* const top = parsed.if_object();
  const json::value* const items = top != nullptr ? top->if_contains("nftables") : nullptr;
  if (error || items == nullptr || !items->is_array()) {
    return failure("nftables listed table " + table_ + " in an unknown form", Errc::Damaged);
  }
  TableReadBack table;
  for (const json::value& item : items->get_array()) {
    if (item.is_object()) { read_item(item.get_object(), set_, table); }
  }
  return table;
}

Result<std::vector<std::string>> NftSet::members() {
  auto table = read_back();
  if (!table) { return table.error(); }
  for (const std::string& name : chains_) {
    const ChainReadBack* const chain = table.value().chain(name);
    if (chain == nullptr || !chain->policy_drop) {
      return failure("table " + table_ + " has no chain " + name + " with policy drop: it holds nothing back",
                     Errc::Damaged);
    }
  }
  return std::move(table).value().elements;
}

}  // namespace understudy::net
