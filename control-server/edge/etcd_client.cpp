// SPDX-License-Identifier: Apache-2.0
#include "edge/etcd_client.hpp"

#include <curl/curl.h>

#include <array>
#include <mutex>

namespace understudy::control {
namespace {

namespace json = boost::json;

constexpr std::size_t kAnswerBytes = std::size_t{32} << 20;  // etcd itself refuses requests of more than 1.5 MiB
constexpr int kGrpcNotFound = 5;

std::size_t take(char* bytes, std::size_t size, std::size_t count, void* user) {
  auto& answer = *static_cast<std::string*>(user);
  if (answer.size() + size * count > kAnswerBytes) { return 0; }
  answer.append(bytes, size * count);
  return size * count;
}

/// etcd's own words for a refusal, which are the gateway's; else the beginning of what came.
std::string words_of(const json::value& answer, const std::string& text) {
  const auto* object = answer.if_object();
  const auto* message = object != nullptr ? object->if_contains("message") : nullptr;
  if (message != nullptr && message->is_string()) { return std::string(message->as_string()); }
  return text.substr(0, text.find('\n')).substr(0, 80);
}

bool says_not_found(const json::value& answer) {
  const auto* object = answer.if_object();
  const auto* code = object != nullptr ? object->if_contains("code") : nullptr;
  return code != nullptr && code->is_int64() && code->as_int64() == kGrpcNotFound;
}

}  // namespace

struct EtcdClient::Impl {
  explicit Impl(EtcdSettings the_settings) : settings(std::move(the_settings)) {
    static std::once_flag once;
    std::call_once(once, [] { UNDERSTUDY_ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == 0); });
    UNDERSTUDY_ASSERT(!settings.endpoints.empty());
    headers = curl_slist_append(nullptr, "Content-Type: application/json");
    headers = curl_slist_append(headers, "Expect:");
    begin();
  }
  ~Impl() {
    curl_easy_cleanup(handle);
    curl_slist_free_all(headers);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void begin() {
    handle = curl_easy_init();
    UNDERSTUDY_ASSERT(handle != nullptr);
    curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, problem.data());
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_PROXY, "");  // a proxy has no business between us and our state
    curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(settings.deadline.count()));
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take);
    if (!settings.ca.empty()) { curl_easy_setopt(handle, CURLOPT_CAINFO, settings.ca.c_str()); }
    if (settings.certificate.empty()) { return; }
    curl_easy_setopt(handle, CURLOPT_SSLCERT, settings.certificate.c_str());
    curl_easy_setopt(handle, CURLOPT_SSLKEY, settings.key.c_str());
  }

  /// NotFound: an answer. Anything else: ask another endpoint.
  Result<json::value> ask(const std::string& endpoint, const std::string& path, const std::string& body) {
    const std::string url = endpoint + "/v3/" + path;
    std::string text;
    problem.fill('\0');
    curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
    curl_easy_setopt(handle, CURLOPT_POSTFIELDS, body.data());
    curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, &text);
    const auto code = curl_easy_perform(handle);
    if (code == CURLE_OPERATION_TIMEDOUT) {
      return failure("no answer within " + std::to_string(settings.deadline.count()) + " ms", Errc::Expired);
    }
    if (code != CURLE_OK) { return failure(problem.front() != '\0' ? problem.data() : curl_easy_strerror(code)); }
    long status = 0;
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    boost::system::error_code wrong;
    auto answer = json::parse(text, wrong);
    if (status != 200) {
      const auto code_of = !wrong && says_not_found(answer) ? Errc::NotFound : Errc::Failed;
      return failure("answers " + std::to_string(status) + ": " + words_of(answer, text), code_of);
    }
    if (wrong || !answer.is_object()) { return failure("answers what is no JSON of etcd's gateway"); }
    return answer;
  }

  EtcdSettings settings;
  CURL* handle = nullptr;
  curl_slist* headers = nullptr;
  std::array<char, CURL_ERROR_SIZE> problem{};
  std::size_t current = 0;
};

EtcdClient::EtcdClient(EtcdSettings settings) : impl_(std::make_unique<Impl>(std::move(settings))) {}
EtcdClient::~EtcdClient() = default;
const EtcdSettings& EtcdClient::settings() const { return impl_->settings; }

Result<json::value> EtcdClient::call(const std::string& path, const json::object& body) {
  const auto text = json::serialize(body);
  const auto& endpoints = impl_->settings.endpoints;
  std::string told;
  for (std::size_t tried = 0; tried < endpoints.size(); ++tried) {
    const auto& endpoint = endpoints[impl_->current];
    auto answer = impl_->ask(endpoint, path, text);
    if (answer || answer.error().code == Errc::NotFound) { return answer; }
    told += (told.empty() ? "" : "; ") + endpoint + ": " + answer.error().message;
    impl_->current = (impl_->current + 1) % endpoints.size();
  }
  return failure("etcd: " + told);
}

}  // namespace understudy::control
