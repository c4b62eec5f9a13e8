// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Reads a TOML file strictly: an unknown key, a wrong type or a missing value is one clear line with
/// file, line and what to write instead. Getters record the first problem and return the default, so that a
/// reader is straight-line code; finish() tells.
///
/// Use:   ConfigReader reader(path);          // or reads nothing and keeps the problem
///        auto root = reader.root();
///        config.blade = root.string("blade", "the blade's name, e.g. \"blade-2\"");
///        for (auto role : root.tables("role")) { ... }
///        if (auto done = reader.finish(); !done) return done.error();   // unknown keys are noticed here

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "understudy/common/result.hpp"

namespace understudy {

class ConfigReader;

/// One table of the file. Valid while its ConfigReader lives.
class ConfigTable {
 public:
  /// Required values. `expected` completes "write ..." in the message.
  std::string string(const std::string& key, const std::string& expected);
  std::int64_t integer(const std::string& key, const std::string& expected, std::int64_t minimum, std::int64_t maximum);
  std::vector<std::string> strings(const std::string& key, const std::string& expected);
  /// Values with a default.
  std::string string_or(const std::string& key, const std::string& fallback, const std::string& expected);
  std::int64_t integer_or(const std::string& key, std::int64_t fallback, const std::string& expected,
                          std::int64_t minimum, std::int64_t maximum);
  bool boolean_or(const std::string& key, bool fallback);
  std::vector<std::string> strings_or_empty(const std::string& key);
  /// `[[key]]` tables in order; empty when absent.
  std::vector<ConfigTable> tables(const std::string& key);
  /// `[key]`; an absent one reads as empty.
  ConfigTable table(const std::string& key);
  /// `[key]` as name = "value" pairs.
  std::vector<std::pair<std::string, std::string>> string_pairs(const std::string& key);
  [[nodiscard]] bool has(const std::string& key) const;
  /// Records a problem of meaning (duplicate address, size not a power of two) at `key`'s line.
  void problem(const std::string& key, const std::string& what);

 private:
  friend class ConfigReader;
  struct Impl;
  explicit ConfigTable(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

class ConfigReader {
 public:
  explicit ConfigReader(const std::string& path);
  ConfigReader(const ConfigReader&) = delete;
  ConfigReader& operator=(const ConfigReader&) = delete;
  ~ConfigReader();
  ConfigTable root();
  /// The first problem met, with file and line; unknown keys of every visited table included.
  Status finish();

 private:
  struct Impl;
  friend class ConfigTable;
  std::shared_ptr<Impl> impl_;
};

}  // namespace understudy
