// SPDX-License-Identifier: Apache-2.0
#include "edge/fence_agent.hpp"

#include <algorithm>
#include <boost/property_tree/ptree.hpp>
#include <boost/property_tree/xml_parser.hpp>
#include <cctype>
#include <sstream>
#include <thread>

#include "edge/command.hpp"

namespace understudy::control {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kSaysOn = 0;
constexpr int kSaysOff = 2;
constexpr milliseconds kStatusPause{200};

/// ipmitool's own: what it takes the password from with -E.
constexpr const char* kPasswordVariable = "IPMITOOL_PASSWORD";

std::string request(const std::string& action, const FenceOptions& options) {
  std::string text = "action=" + action + "\n";
  for (const auto& [name, value] : options) {
    if (name != kPasswordVariable) { text.append(name).append("=").append(value).append("\n"); }
  }
  return text;
}

std::vector<std::string> environment(const FenceOptions& options) {
  const auto found = options.find(kPasswordVariable);
  if (found == options.end()) { return {}; }
  return {found->first + "=" + found->second};
}

/// The last line that says something; agents end their complaints with empty ones.
std::string last_words(const std::string& text) {
  std::istringstream lines(text);
  std::string last;
  for (std::string line; std::getline(lines, line);) {
    if (line.find_first_not_of(" \t\r") != std::string::npos) { last = line; }
  }
  return last;
}

bool has_word_off(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return std::isalpha(static_cast<unsigned char>(c)) ? std::tolower(c) : ' '; });
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (word == "off") { return true; }
  }
  return false;
}

class FenceAgentPower final : public PowerDriver {
 public:
  FenceAgentPower(std::string agent, std::map<std::string, FenceOptions> blades, milliseconds limit)
      : agent_(std::move(agent)), blades_(std::move(blades)), limit_(limit) {}

  [[nodiscard]] Status off(const std::string& blade) const override { return change(blade, "off", false); }
  [[nodiscard]] Status on(const std::string& blade) const override { return change(blade, "on", true); }
  [[nodiscard]] Result<bool> is_on(const std::string& blade) const override {
    return ask(blade, steady_clock::now() + limit_);
  }

 private:
  using Deadline = steady_clock::time_point;

  [[nodiscard]] Result<CommandEnd> call(const std::string& action, const std::string& blade, Deadline deadline) const {
    const auto found = blades_.find(blade);
    if (found == blades_.end()) { return failure(agent_ + ": no options are known for " + blade); }
    const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
    return end_of_command({agent_}, request(action, found->second), std::max(left, milliseconds{0}),
                          environment(found->second));
  }

  [[nodiscard]] Error not_done(const std::string& action, const std::string& blade, const CommandEnd& end) const {
    const auto words = last_words(end.complaints.empty() ? end.output : end.complaints);
    return failure(agent_ + " " + action + " " + blade + " ended with status " + std::to_string(end.status) +
                   (words.empty() ? "" : ": " + words));
  }

  [[nodiscard]] Result<bool> ask(const std::string& blade, Deadline deadline) const {
    const auto end = call("status", blade, deadline);
    if (!end) { return end.error(); }
    const auto& [status, output, complaints] = end.value();
    if (status == kSaysOn) { return true; }
    if (status == kSaysOff && has_word_off(output)) { return false; }
    return not_done("status", blade, end.value());
  }

  /// Until the status is the wanted one: power units answer first and switch a moment later.
  [[nodiscard]] Status change(const std::string& blade, const std::string& action, bool wanted) const {
    const auto deadline = steady_clock::now() + limit_;
    const auto end = call(action, blade, deadline);
    if (!end) { return end.error(); }
    if (end.value().status != 0) { return not_done(action, blade, end.value()); }
    for (bool asked = false;; asked = true) {
      const auto on = ask(blade, deadline);
      if (!on && asked && steady_clock::now() >= deadline) { break; }  // the time is up; what it said before is told
      if (!on) { return on.error(); }
      if (on.value() == wanted) { return {}; }
      if (steady_clock::now() + kStatusPause >= deadline) { break; }
      std::this_thread::sleep_for(kStatusPause);
    }
    return failure(agent_ + " says that " + blade + " is " + (wanted ? "off" : "on") + " after " + action +
                   ", and still did after " + std::to_string(limit_.count()) + " ms");
  }

  std::string agent_;
  std::map<std::string, FenceOptions> blades_;
  milliseconds limit_;
};

}  // namespace

Result<FenceMetadata> parse_fence_metadata(const std::string& xml) {
  FenceMetadata metadata;
  try {
    boost::property_tree::ptree document;
    std::istringstream text(xml);
    boost::property_tree::read_xml(text, document);
    const auto& root = document.get_child("resource-agent");
    for (const auto& [tag, parameter] : root.get_child("parameters")) {
      if (tag != "parameter") { continue; }
      const auto name = parameter.get<std::string>("<xmlattr>.name");
      metadata.parameters.insert(name);
      const bool required = parameter.get("<xmlattr>.required", 0) != 0;
      if (!required || parameter.get("<xmlattr>.deprecated", 0) != 0 || name == "action") { continue; }
      metadata.required[name] = {parameter.get("<xmlattr>.obsoletes", name)};
    }
    for (const auto& [tag, action] : root.get_child("actions")) {
      if (tag == "action") { metadata.actions.insert(action.get<std::string>("<xmlattr>.name")); }
    }
  } catch (const boost::property_tree::ptree_error& error) {
    return failure(std::string("its metadata is not what a fence agent's is: ") + error.what(), Errc::BadInput);
  }
  return metadata;
}

Result<FenceMetadata> fence_metadata(const std::string& agent, milliseconds limit) {
  const auto end = end_of_command({agent, "-o", "metadata"}, "", limit);
  if (!end) { return end.error(); }
  if (end.value().status != 0) {
    return failure(agent + " -o metadata ended with status " + std::to_string(end.value().status));
  }
  auto metadata = parse_fence_metadata(end.value().output);
  if (!metadata) { return failure(agent + ": " + metadata.error().message, Errc::BadInput); }
  return metadata;
}

Status check_fence_options(const FenceMetadata& metadata, const FenceOptions& options) {
  for (const auto* action : {"off", "status"}) {
    if (!metadata.actions.contains(action)) {
      return failure(std::string("it has no action \"") + action + "\", so it can prove nothing", Errc::BadInput);
    }
  }
  for (const auto& [name, value] : options) {
    if (!metadata.parameters.contains(name)) {
      return failure("it has no parameter \"" + name + "\"; `-o metadata` tells which it has", Errc::BadInput);
    }
  }
  for (const auto& [name, older] : metadata.required) {
    const bool given = options.contains(name) || std::any_of(older.begin(), older.end(), [&](const std::string& one) {
                         return options.contains(one);
                       });
    if (!given) { return failure("it needs the parameter \"" + name + "\"", Errc::BadInput); }
  }
  return {};
}

void hide_password(const FenceMetadata& metadata, const std::string& ipmitool, FenceOptions& options) {
  if (!metadata.parameters.contains("ipmitool_path") || options.contains("ipmitool_path")) { return; }
  for (const auto* name : {"password", "passwd"}) {
    auto node = options.extract(name);
    if (node.empty()) { continue; }
    options["ipmitool_path"] = ipmitool;
    options[kPasswordVariable] = node.mapped();
  }
}

std::unique_ptr<PowerDriver> fence_agent_power(std::string agent, std::map<std::string, FenceOptions> blades,
                                               milliseconds limit) {
  return std::make_unique<FenceAgentPower>(std::move(agent), std::move(blades), limit);
}

}  // namespace understudy::control
