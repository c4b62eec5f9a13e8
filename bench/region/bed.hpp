// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The engines of one size side by side, and the measured calls on them. All peers of a size stay filled, so that one
/// operation is measured for all of them within seconds: a busy machine slows all alike.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine.hpp"

namespace understudy::bench {

/// One kind of engine, by the name that the report has for it.
struct Peer {
  std::string name;
  std::unique_ptr<Engine> (*make)(const EngineSettings&);
  std::string directory;  ///< for its files
  std::vector<Operation> cannot;
  bool slow = false;  ///< is filled only once where there are many records
};

struct BedSettings {
  std::size_t key_bytes = 8;
  std::size_t picks = 0;  ///< of one measurement
  double budget_s = 0;    ///< a measurement ends after as long, and says so
  std::string redis_socket;
};

struct Measured {
  double seconds = 0;
  std::size_t items = 0;
  bool bounded = false;  ///< ended by its budget
};

class Bed {
 public:
  Bed(BedSettings settings, std::vector<Peer> peers);

  [[nodiscard]] const std::vector<Peer>& peers() const { return peers_; }
  /// An empty engine takes all records; it is kept for what follows.
  Measured insert(const Peer& peer, std::size_t records, Operation operation = Operation::Insert);
  /// Throws std::runtime_error when anything but everything was found. Churn is the last of a size: its keys are others
  /// afterwards.
  Measured run(const Peer& peer, std::size_t records, Operation operation);
  [[nodiscard]] Memory memory(const Peer& peer) const { return filled_.at(peer.name)->memory(); }
  [[nodiscard]] Engine& filled(const Peer& peer, std::size_t records);

 private:
  void take_size(std::size_t records);
  std::unique_ptr<Engine> make(const Peer& peer) const;
  Measured in_steps(Engine& engine, Operation operation, const Work& work) const;
  Measured churn(Engine& engine, std::size_t& oldest) const;

  BedSettings settings_;
  std::vector<Peer> peers_;
  std::size_t records_ = 0;
  std::optional<Work> insertion_;
  std::optional<Work> updates_;
  std::optional<Work> gets_;
  std::size_t attached_ = 0;  ///< so many times; each takes another key
  std::map<std::string, std::unique_ptr<Engine>> filled_;
  std::map<std::string, std::size_t> oldest_;  ///< record that each holds; not 0: it was churned
};

}  // namespace understudy::bench
