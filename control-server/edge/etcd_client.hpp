// SPDX-License-Identifier: Apache-2.0
#pragma once
/// etcd's v3 API by its JSON gateway: one POST, one answer, within a deadline.
///
///     call ──► the endpoint that answered last ──no answer, or it has no leader──► the next ──► ... each once
///
/// Surprising: a call that failed may have been done all the same, and one that was tried at a second endpoint may have
/// been done twice. Whoever writes compares, so that the second does nothing, and looks when the comparison fails.

#include <boost/json.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "understudy/common/result.hpp"

namespace understudy::control {

struct EtcdSettings {
  std::vector<std::string> endpoints;  ///< "http://10.0.0.1:2379" or https
  std::string prefix;                  ///< every key of the group begins with it and a slash
  std::string ca;                      ///< files; empty: none
  std::string certificate;
  std::string key;
  bool plain_text = false;                  ///< http beyond the own machine is wanted
  std::chrono::seconds lease{4};            ///< who leads is followed by another this long after its last word
  std::chrono::milliseconds deadline{700};  ///< for an endpoint's answer

  [[nodiscard]] std::string at(const std::string& name) const { return prefix + "/" + name; }
};

/// One thread at a time; it keeps its connection.
class EtcdClient {
 public:
  explicit EtcdClient(EtcdSettings settings);
  ~EtcdClient();
  EtcdClient(const EtcdClient&) = delete;
  EtcdClient& operator=(const EtcdClient&) = delete;

  [[nodiscard]] const EtcdSettings& settings() const;
  /// `path`: "kv/range". NotFound: etcd says that what the call is about (a lease) does not exist. Anything else: each
  /// endpoint and why it did not answer.
  Result<boost::json::value> call(const std::string& path, const boost::json::object& body);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace understudy::control
