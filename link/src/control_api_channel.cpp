// SPDX-License-Identifier: Apache-2.0
#include "control_api_channel.hpp"

#include <grpc/support/log.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <time.h>

#include <map>
#include <mutex>

#include "understudy/common/log.hpp"

namespace understudy::link {
namespace {

namespace grpc_tls = grpc::experimental;

constexpr unsigned reload_s = 2;

/// After gRPC has checked the chain: the other end is the control-server of our chassis, and no blade that poses as it.
class ControlServerVerifier : public grpc_tls::ExternalCertificateVerifier {
 public:
  explicit ControlServerVerifier(std::string chassis) : chassis_(std::move(chassis)) {}
  bool Verify(grpc_tls::TlsCustomVerificationCheckRequest* request, std::function<void(grpc::Status)> /*callback*/,
              grpc::Status* status) override {
    for (const auto& uri : request->uri_names()) {
      const auto identity = tls::parse_uri(std::string(uri.data(), uri.size()));
      if (!identity) { continue; }
      if (identity->kind == tls::Kind::ControlServer && identity->chassis == chassis_) { return true; }
      *status = {grpc::StatusCode::UNAUTHENTICATED, "its certificate is that of " + describe(*identity) + " of " +
                                                        identity->chassis + ", not of a control-server of " + chassis_};
      return true;
    }
    *status = {grpc::StatusCode::UNAUTHENTICATED, "its certificate names nobody of a chassis"};
    return true;
  }
  void Cancel(grpc_tls::TlsCustomVerificationCheckRequest* /*request*/) override {}

 private:
  std::string chassis_;
};

struct Watchers {
  std::mutex mutex;
  std::map<const void*, std::function<void(const std::string&)>> told;
};
Watchers& watchers() {
  static auto* const all = new Watchers;  // gRPC's threads may outlive static objects
  return *all;
}

/// "Handshake failed with fatal error SSL_ERROR_SSL: error:0A000086:SSL routines::certificate verify failed."
void tell_watchers(std::string_view text) {
  if (!text.starts_with("Handshake failed")) { return; }
  if (const auto reason = text.rfind("::"); reason != std::string_view::npos) { text.remove_prefix(reason + 2); }
  while (text.ends_with('.')) { text.remove_suffix(1); }
  auto& all = watchers();
  const std::lock_guard lock(all.mutex);
  for (const auto& [owner, told] : all.told) {
    told("a TLS handshake at the control API failed: " + std::string(text));
  }
}

/// gRPC's own words: of a failed handshake nobody else tells. That no certificate has the name of the address that was
/// called is no news here: names of hosts are not used.
void route_log() {
  static std::once_flag once;
  std::call_once(once, [] {
    gpr_set_log_function([](gpr_log_func_args* said) {
      const std::string_view text(said->message);
      if (said->severity != GPR_LOG_SEVERITY_ERROR || text.starts_with("No match found for server name")) { return; }
      log::warn("control API: {}", text);
      tell_watchers(text);
    });
  });
}

struct Own {
  tls::Credentials credentials;
  std::string chassis;
};

Result<Own> read_own(const tls::CredentialFiles& files) {
  auto credentials = tls::read_credentials(files);
  if (!credentials) { return credentials.error(); }
  const auto own = tls::check_credentials(credentials.value(), time(nullptr));
  if (!own) { return failure(files.certificate + ": " + own.error().message, own.error().code); }
  return Own{std::move(credentials).value(), own->identity->chassis};
}

Result<std::shared_ptr<grpc::ChannelCredentials>> channel_credentials(const tls::Wire& wire) {
  if (wire.plain_text) { return grpc::InsecureChannelCredentials(); }
  const auto own = read_own(wire.files);
  if (!own) { return own.error(); }
  const auto provider = std::make_shared<grpc_tls::StaticDataCertificateProvider>(
      own->credentials.ca,
      std::vector<grpc_tls::IdentityKeyCertPair>{{own->credentials.key, own->credentials.certificate}});
  grpc_tls::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(provider);
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_check_call_host(false);  // names of hosts are not what is trusted
  options.set_certificate_verifier(grpc_tls::ExternalCertificateVerifier::Create<ControlServerVerifier>(own->chassis));
  return grpc_tls::TlsCredentials(options);
}

}  // namespace

Result<std::shared_ptr<grpc::Channel>> open_channel(const std::string& address, const tls::Wire& wire) {
  const auto credentials = channel_credentials(wire);
  if (!credentials) { return credentials.error(); }
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);          // a proxy has no business on the maintenance network
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a new channel starts without an old one's backoff
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kFirstReconnectMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kLastReconnectMs);  // also the limit of one connect
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kLastReconnectMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  return grpc::CreateCustomChannel(address, credentials.value(), arguments);
}

Result<std::shared_ptr<grpc::ServerCredentials>> server_credentials(const tls::Wire& wire) {
  route_log();
  if (wire.plain_text) { return grpc::InsecureServerCredentials(); }
  if (const auto own = read_own(wire.files); !own) { return own.error(); }
  grpc_tls::TlsServerCredentialsOptions options(std::make_shared<grpc_tls::FileWatcherCertificateProvider>(
      wire.files.key, wire.files.certificate, wire.files.ca, reload_s));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  return grpc_tls::TlsServerCredentials(options);
}

void watch_failed_handshakes(const void* owner, std::function<void(const std::string& what)> told) {
  auto& all = watchers();
  const std::lock_guard lock(all.mutex);
  if (told) {
    all.told[owner] = std::move(told);
  } else {
    all.told.erase(owner);
  }
}

std::string Caller::who() const {
  if (!certificate) { return peer + " in plain text"; }
  return certificate->identity ? describe(*certificate->identity) : "nobody of a chassis";
}

Caller caller_of(const grpc::ServerContextBase& context, const std::string& chassis) {
  Caller caller{std::nullopt, chassis, context.peer()};
  if (chassis.empty()) { return caller; }
  caller.certificate.emplace();  // nobody, until a certificate says otherwise
  for (const auto& pem : context.auth_context()->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME)) {
    if (auto found = tls::read_certificate(std::string(pem.data(), pem.size()))) {
      caller.certificate = std::move(found).value();
    }
  }
  return caller;
}

Status check_right(const Caller& caller, Right right) {
  if (!caller.certificate) { return {}; }
  const auto& identity = caller.certificate->identity;
  const bool ours = identity && identity->chassis == caller.chassis;
  switch (right) {
    case Right::Attach:
      if (ours && identity->kind == tls::Kind::Blade) { return {}; }
      return failure(caller.who() + " may not attach: only a blade of " + caller.chassis + " may", Errc::Refused);
    case Right::Look:
      if (ours && (identity->kind == tls::Kind::Operator || identity->kind == tls::Kind::Viewer)) { return {}; }
      return failure(caller.who() + " may not look: only an operator or a viewer of " + caller.chassis + " may",
                     Errc::Refused);
    case Right::Change:
      if (ours && identity->kind == tls::Kind::Operator) { return {}; }
      return failure(caller.who() + " may not change anything: only an operator of " + caller.chassis + " may",
                     Errc::Refused);
  }
  return failure("no such right", Errc::Refused);
}

Status check_claim(const Caller& caller, const BladeId& claimed) {
  if (!caller.certificate) { return {}; }
  const auto& identity = caller.certificate->identity;
  if (identity && identity->kind == tls::Kind::Blade && identity->name == claimed.value) { return {}; }
  return failure(caller.who() + " says that it is " + claimed.value + ": a blade speaks for itself only",
                 Errc::Refused);
}

}  // namespace understudy::link
