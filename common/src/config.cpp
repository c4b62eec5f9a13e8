// SPDX-License-Identifier: Apache-2.0
#include "understudy/common/config.hpp"

#include <toml++/toml.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>

namespace understudy {

/// Shared by the reader and all its tables: the parsed file and the first problem.
struct ConfigReader::Impl {
  std::string path;
  toml::table document;
  std::optional<Error> first_problem;
  std::vector<std::shared_ptr<ConfigTable::Impl>> visited;

  void problem(const toml::source_position& at, const std::string& what) {
    if (first_problem) { return; }
    first_problem = failure(path + ":" + std::to_string(at.line) + ": " + what, Errc::BadInput);
  }
};

struct ConfigTable::Impl {
  ConfigReader::Impl* reader = nullptr;
  const toml::table* table = nullptr;  ///< null: an absent optional table
  std::string name;                    ///< for messages, e.g. "[role]"
  std::set<std::string> known;

  const toml::node* find(const std::string& key) {
    known.insert(key);
    return table != nullptr ? table->get(key) : nullptr;
  }
  toml::source_position position() const {
    return table != nullptr ? table->source().begin : toml::source_position{1, 1};
  }
  void missing(const std::string& key, const std::string& expected) {
    reader->problem(position(), "\"" + key + "\" is missing in " + name + "; write " + expected);
  }
  void wrong(const toml::node& node, const std::string& key, const std::string& expected) {
    reader->problem(node.source().begin, "\"" + key + "\" in " + name + " is wrong; write " + expected);
  }
  std::vector<std::string> read_strings(const toml::node& node, const std::string& key, const std::string& expected) {
    std::vector<std::string> values;
    const auto* array = node.as_array();
    if (array == nullptr) {
      wrong(node, key, expected);
      return values;
    }
    for (const auto& element : *array) {
      if (const auto value = element.value_exact<std::string>()) {
        values.push_back(*value);
      } else {
        wrong(element, key, expected);
      }
    }
    return values;
  }
};

std::string ConfigTable::string(const std::string& key, const std::string& expected) {
  const auto* node = impl_->find(key);
  if (node == nullptr) {
    impl_->missing(key, expected);
    return {};
  }
  const auto value = node->value_exact<std::string>();
  if (!value || value->empty()) { impl_->wrong(*node, key, expected); }
  return value.value_or("");
}

std::string ConfigTable::string_or(const std::string& key, const std::string& fallback, const std::string& expected) {
  return has(key) ? string(key, expected) : fallback;
}

std::int64_t ConfigTable::integer(const std::string& key, const std::string& expected, std::int64_t minimum,
                                  std::int64_t maximum) {
  const auto* node = impl_->find(key);
  const std::string wanted = expected + (maximum == std::numeric_limits<std::int64_t>::max()
                                             ? ", at least " + std::to_string(minimum)
                                             : ", " + std::to_string(minimum) + " to " + std::to_string(maximum));
  if (node == nullptr) {
    impl_->missing(key, wanted);
    return minimum;
  }
  const auto value = node->value_exact<std::int64_t>();
  if (!value || *value < minimum || *value > maximum) {
    impl_->wrong(*node, key, wanted);
    return minimum;
  }
  return *value;
}

std::int64_t ConfigTable::integer_or(const std::string& key, std::int64_t fallback, const std::string& expected,
                                     std::int64_t minimum, std::int64_t maximum) {
  return has(key) ? integer(key, expected, minimum, maximum) : fallback;
}

bool ConfigTable::boolean_or(const std::string& key, bool fallback) {
  const auto* node = impl_->find(key);
  if (node == nullptr) { return fallback; }
  const auto value = node->value_exact<bool>();
  if (!value) { impl_->wrong(*node, key, "true or false"); }
  return value.value_or(fallback);
}

std::vector<std::string> ConfigTable::strings(const std::string& key, const std::string& expected) {
  const auto* node = impl_->find(key);
  if (node == nullptr) {
    impl_->missing(key, expected);
    return {};
  }
  auto values = impl_->read_strings(*node, key, expected);
  if (values.empty()) { impl_->wrong(*node, key, expected); }
  return values;
}

std::vector<std::string> ConfigTable::strings_or_empty(const std::string& key) {
  const auto* node = impl_->find(key);
  return node != nullptr ? impl_->read_strings(*node, key, "a list of strings") : std::vector<std::string>{};
}

std::vector<ConfigTable> ConfigTable::tables(const std::string& key) {
  std::vector<ConfigTable> found;
  const auto* node = impl_->find(key);
  if (node == nullptr) { return found; }
  const auto* array = node->as_array();
  if (array == nullptr) {
    impl_->wrong(*node, key, "[[" + key + "]] tables");
    return found;
  }
  for (const auto& element : *array) {
    const auto* table = element.as_table();
    if (table == nullptr) {
      impl_->wrong(element, key, "[[" + key + "]] tables");
      continue;
    }
    auto child = std::make_shared<Impl>(Impl{impl_->reader, table, "[[" + key + "]]", {}});
    impl_->reader->visited.push_back(child);
    found.push_back(ConfigTable(child));
  }
  return found;
}

ConfigTable ConfigTable::table(const std::string& key) {
  const auto* node = impl_->find(key);
  const toml::table* table = node != nullptr ? node->as_table() : nullptr;
  if (node != nullptr && table == nullptr) { impl_->wrong(*node, key, "a table [" + key + "]"); }
  auto child = std::make_shared<Impl>(Impl{impl_->reader, table, "[" + key + "]", {}});
  impl_->reader->visited.push_back(child);
  return ConfigTable(child);
}

std::vector<std::pair<std::string, std::string>> ConfigTable::string_pairs(const std::string& key) {
  std::vector<std::pair<std::string, std::string>> pairs;
  const auto* node = impl_->find(key);
  if (node == nullptr) { return pairs; }
  const auto* table = node->as_table();
  if (table == nullptr) {
    impl_->wrong(*node, key, "a table [" + key + "] of name = \"value\"");
    return pairs;
  }
  for (const auto& [name, value] : *table) {
    const auto text = value.value_exact<std::string>();
    if (!text) { impl_->wrong(value, std::string(name.str()), "a string"); }
    pairs.emplace_back(std::string(name.str()), text.value_or(""));
  }
  return pairs;
}

bool ConfigTable::has(const std::string& key) const { return impl_->find(key) != nullptr; }

void ConfigTable::problem(const std::string& key, const std::string& what) {
  const auto* node = impl_->find(key);
  impl_->reader->problem(node != nullptr ? node->source().begin : impl_->position(), what);
}

namespace {
/// Empty when it can be read. The parser does not say why it cannot, and takes a directory for an empty file.
std::string why_unreadable(const std::string& path) {
  if (std::filesystem::is_directory(path)) { return "it is a directory"; }
  errno = 0;
  return std::ifstream(path).good() ? "" : std::generic_category().message(errno);
}
}  // namespace

ConfigReader::ConfigReader(const std::string& path) : impl_(std::make_shared<Impl>()) {
  impl_->path = path;
  if (const auto unreadable = why_unreadable(path); !unreadable.empty()) {
    impl_->problem({1, 1}, "cannot be read: " + unreadable + "; give the path of a readable file");
    return;
  }
  try {
    impl_->document = toml::parse_file(path);
  } catch (const toml::parse_error& error) { impl_->problem(error.source().begin, std::string(error.description())); }
}

ConfigReader::~ConfigReader() = default;

ConfigTable ConfigReader::root() {
  auto root = std::make_shared<ConfigTable::Impl>(ConfigTable::Impl{impl_.get(), &impl_->document, "the file", {}});
  impl_->visited.push_back(root);
  return ConfigTable(root);
}

Status ConfigReader::finish() {
  for (const auto& table : impl_->visited) {
    if (table->table == nullptr) { continue; }
    for (const auto& [key, value] : *table->table) {
      const std::string name(key.str());
      if (table->known.contains(name)) { continue; }
      std::string choices;
      for (const auto& known : table->known) { choices += (choices.empty() ? "" : ", ") + known; }
      impl_->problem(value.source().begin,
                     "unknown key \"" + name + "\" in " + table->name + "; known here: " + choices);
    }
  }
  if (impl_->first_problem) { return *impl_->first_problem; }
  return {};
}

}  // namespace understudy
