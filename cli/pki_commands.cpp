// SPDX-License-Identifier: Apache-2.0
#include "pki_commands.hpp"

#include <time.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "understudy/link/pki.hpp"

namespace understudy::cli {
namespace tls = link::tls;

struct PkiCommands::Impl {
  CLI::App* pki = nullptr;
  CLI::App* init = nullptr;
  CLI::App* issue = nullptr;
  CLI::App* renew = nullptr;
  CLI::App* show = nullptr;
  std::string directory = "/etc/understudy/pki";
  std::string chassis;
  std::string kind;
  std::vector<std::string> names;
  std::string file;
  int ca_days = 3650;
  int days = 397;
  bool force = false;
  bool new_key = false;
};

namespace {

int complain(const Error& error) {
  std::fprintf(stderr, "understudy pki: %s\n", error.message.c_str());
  return error.code == Errc::BadInput ? 2 : 1;
}

int told(const Result<tls::PkiFile>& files) {
  if (!files) { return complain(files.error()); }
  std::printf("%s\n%s\n", files->certificate.c_str(), files->key.c_str());
  return 0;
}

int issue_all(const std::string& directory, const std::string& kind_text, const std::vector<std::string>& names,
              tls::Validity validity, bool force) {
  const auto kind = tls::parse_kind(kind_text);
  if (!kind) { return complain(kind.error()); }
  const bool mirror = kind.value() == tls::Kind::Mirror;
  if (mirror && names.size() < 2) {
    return complain(
        failure("a mirror has a blade and roles; write e.g. `issue mirror blade-4 role-1 role-2`", Errc::BadInput));
  }
  for (std::size_t i = mirror ? 1 : 0; i < names.size(); ++i) {
    const auto status = told(tls::pki_issue(directory, kind.value(), mirror ? names.front() : names[i],
                                            mirror ? names[i] : "", validity, force));
    if (status != 0) { return status; }
  }
  return 0;
}

int show_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) { return complain(failure(path + " cannot be read", Errc::NotFound)); }
  const auto found = tls::read_certificate(std::string(std::istreambuf_iterator<char>(file), {}));
  if (!found) { return complain(failure(path + ": " + found.error().message, Errc::BadInput)); }
  const auto now = static_cast<std::int64_t>(time(nullptr));
  const auto row = [](const char* name, const std::string& text) { std::printf("%-12s %s\n", name, text.c_str()); };
  row("who", found->identity ? describe(*found->identity) : found->authority ? "a CA" : "nobody of a chassis");
  if (found->identity) { row("uri", tls::to_uri(*found->identity)); }
  row("subject", found->subject);
  row("issuer", found->issuer);
  row("valid from", tls::utc_text(found->not_before));
  row("valid to",
      tls::utc_text(found->not_after) +
          (found->not_after <= now ? " EXPIRED" : ", " + std::to_string(found->days_left(now)) + " days left"));
  row("serial", found->serial);
  row("sha-256", found->fingerprint);
  return 0;
}

}  // namespace

PkiCommands::PkiCommands(CLI::App& app) : impl_(std::make_unique<Impl>()) {
  auto& my = *impl_;
  my.pki = app.add_subcommand("pki", "a chassis's own certificates");
  my.pki->require_subcommand(1);
  const auto common = [&my](CLI::App* command, int& days) {
    command->add_option("--directory", my.directory, "where the CA and what it issued lie")->capture_default_str();
    command->add_option("--days", days, "how long it is valid")->check(CLI::Range(1, 36'500))->capture_default_str();
  };
  my.init = my.pki->add_subcommand("init", "make the CA of a chassis");
  my.init->add_option("--chassis", my.chassis, "the chassis's name; it stands in every certificate")->required();
  common(my.init, my.ca_days);
  my.init->add_flag("--force", my.force, "replace a CA that is there: all that it issued is void then");
  my.issue = my.pki->add_subcommand("issue", "make key and certificate");
  my.issue->add_option("KIND", my.kind, "control-server, blade, operator, viewer or mirror")->required();
  my.issue->add_option("NAME", my.names, "whose; of a mirror: BLADE ROLE...")->required();
  common(my.issue, my.days);
  my.issue->add_flag("--force", my.force, "replace what is there");
  my.renew = my.pki->add_subcommand("renew", "a new certificate for the same");
  my.renew->add_option("FILE", my.file, "the certificate; its key lies beside it (.key)")->required();
  common(my.renew, my.days);
  my.renew->add_flag("--new-key", my.new_key, "make a new key as well");
  my.show = my.pki->add_subcommand("show", "whose a certificate is, and until when");
  my.show->add_option("FILE", my.file, "the certificate")->required();
}

PkiCommands::~PkiCommands() = default;

bool PkiCommands::parsed() const { return impl_->pki->parsed(); }

int PkiCommands::run() const {
  const auto& my = *impl_;
  const auto now = static_cast<std::int64_t>(time(nullptr));
  if (my.show->parsed()) { return show_file(my.file); }
  if (my.init->parsed()) {
    return told(tls::pki_init(my.directory, my.chassis, tls::valid_for(my.ca_days, now), my.force));
  }
  const auto validity = tls::valid_for(my.days, now);
  if (my.renew->parsed()) { return told(tls::pki_renew(my.directory, my.file, validity, my.new_key)); }
  return issue_all(my.directory, my.kind, my.names, validity, my.force);
}

}  // namespace understudy::cli
