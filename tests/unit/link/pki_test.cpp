// SPDX-License-Identifier: Apache-2.0
/// Certificates: what they say, how their files lie, what is refused.
/// Covers: link/src/pki.cpp, link/src/tls_credentials.cpp, link/src/tls_identity.cpp, link/src/tls_settings.cpp
#include "understudy/link/pki.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>

#include "support/pki.hpp"
#include "understudy/link/tls_settings.hpp"

namespace understudy::link::tls {
namespace {

constexpr std::int64_t day = 86'400;

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
void write_text(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }
unsigned mode_of(const std::string& path) {
  struct stat found {};
  EXPECT_EQ(stat(path.c_str(), &found), 0) << path;
  return found.st_mode & 0777U;
}
std::int64_t now() { return time(nullptr); }

class PkiTest : public testing::Test {
 protected:
  /// The sentence of a refusal.
  static std::string complaint(const Status& status) { return status ? "none" : status.error().message; }
  template <class Value>
  static std::string complaint(const Result<Value>& result) {
    return result ? "none" : result.error().message;
  }
  test::Pki pki_;
};

TEST_F(PkiTest, AnIdentitySurvivesItsUriAndNothingElseIsOne) {
  for (const Identity& identity :
       {Identity{Kind::ControlServer, "c", "control", ""}, Identity{Kind::Blade, "c-1", "blade-2", ""},
        Identity{Kind::Operator, "c", "alice", ""}, Identity{Kind::Viewer, "c", "bob", ""},
        Identity{Kind::Mirror, "c", "blade-4", "role-1"}}) {
    const auto read = parse_uri(to_uri(identity));
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(read.value(), identity);
  }
  for (const std::string wrong :
       {"", "understudy://", "https://c/blade/b", "understudy://c/blade", "understudy://c/blade/", "understudy://c//b",
        "understudy://c/blade/b/r", "understudy://c/mirror/b", "understudy://c/mirror/b/r/x", "understudy://c/king/b",
        "understudy://c/blade/b c", "understudy://../blade/b", "understudy://c/blade/b\n"}) {
    EXPECT_FALSE(parse_uri(wrong).ok()) << wrong;
  }
}

TEST_F(PkiTest, EveryKindIsSignedByTheCaAndNamesItsBearer) {
  for (const auto kind : {Kind::ControlServer, Kind::Blade, Kind::Operator, Kind::Viewer, Kind::Mirror}) {
    const auto credentials = pki_.credentials(kind, "some-name", kind == Kind::Mirror ? "role-1" : "");
    const auto good = check_credentials(credentials, now());
    ASSERT_TRUE(good.ok()) << good.error().message;
    EXPECT_EQ(good->identity->kind, kind);
    EXPECT_EQ(good->identity->chassis, "chassis-1");
    EXPECT_EQ(good->identity->name, "some-name");
    EXPECT_FALSE(good->authority);
  }
  const auto ca = read_certificate(text_of(pki_.folder() + "/ca.crt"));
  ASSERT_TRUE(ca.ok());
  EXPECT_TRUE(ca->authority);
  EXPECT_FALSE(ca->identity.has_value()) << "a CA is nobody on a wire";
}

TEST_F(PkiTest, KeysAreForTheirOwnerOnlyWhateverTheUmask) {
  const auto old = umask(0);
  const auto files = pki_.issue(Kind::Mirror, "blade-4", "role-1");
  umask(old);
  EXPECT_EQ(mode_of(files.key), 0600U);
  EXPECT_EQ(mode_of(pki_.folder() + "/ca.key"), 0600U);
  EXPECT_EQ(mode_of(files.certificate), 0644U);
  ASSERT_EQ(chmod(files.key.c_str(), 0640), 0);
  EXPECT_NE(complaint(read_credentials(files)).find("chmod 600"), std::string::npos);
  ASSERT_EQ(chmod((pki_.folder() + "/ca.key").c_str(), 0644), 0);
  EXPECT_NE(complaint(pki_issue(pki_.folder(), Kind::Blade, "b", "", valid_for(1, now()), false)).find("chmod 600"),
            std::string::npos);
}

TEST_F(PkiTest, NothingIsOverwrittenUnlessAsked) {
  const auto validity = valid_for(5, now());
  const auto files = pki_issue(pki_.folder(), Kind::Blade, "blade-1", "", validity, false);
  ASSERT_TRUE(files.ok()) << files.error().message;
  const auto key = text_of(files->key);
  EXPECT_NE(complaint(pki_issue(pki_.folder(), Kind::Blade, "blade-1", "", validity, false)).find("is there already"),
            std::string::npos);
  EXPECT_EQ(text_of(files->key), key);
  EXPECT_NE(complaint(pki_init(pki_.folder(), "other", validity, false)).find("is there already"), std::string::npos);
  ASSERT_TRUE(pki_issue(pki_.folder(), Kind::Blade, "blade-1", "", validity, true).ok());
  EXPECT_NE(text_of(files->key), key);
}

TEST_F(PkiTest, RenewingKeepsWhoItIsAndTheKeyOrMakesANewOne) {
  const auto files = pki_.issue(Kind::Mirror, "blade-4", "role-1", -1);
  EXPECT_EQ(check_credentials(read_credentials(files).value(), now()).error().code, Errc::Expired);
  const auto key = text_of(files.key);
  ASSERT_TRUE(pki_renew(pki_.folder(), files.certificate, valid_for(5, now()), false).ok());
  const auto renewed = check_credentials(read_credentials(files).value(), now());
  ASSERT_TRUE(renewed.ok()) << renewed.error().message;
  EXPECT_EQ(to_uri(*renewed->identity), "understudy://chassis-1/mirror/blade-4/role-1");
  EXPECT_EQ(text_of(files.key), key);
  ASSERT_TRUE(pki_renew(pki_.folder(), files.certificate, valid_for(5, now()), true).ok());
  EXPECT_NE(text_of(files.key), key);
  EXPECT_TRUE(check_credentials(read_credentials(files).value(), now()).ok());
  EXPECT_EQ(mode_of(files.key), 0600U);
  EXPECT_NE(complaint(pki_renew(pki_.folder(), pki_.folder() + "/ca.crt", valid_for(5, now()), false)).find("pki init"),
            std::string::npos);
}

TEST_F(PkiTest, WhatAnotherCaHasIssuedIsNotRenewed) {
  test::Pki other("chassis-1");
  const auto files = other.issue(Kind::Operator, "mallory", "", 5);
  for (const bool new_key : {false, true}) {
    const auto refused = pki_renew(pki_.folder(), files.certificate, valid_for(5, now()), new_key);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, Errc::Refused);
    EXPECT_NE(refused.error().message.find("was not issued by"), std::string::npos) << refused.error().message;
  }
  EXPECT_TRUE(pki_renew(other.folder(), files.certificate, valid_for(5, now()), false).ok());
}

TEST_F(PkiTest, WhatCannotBeIssuedIsToldClearly) {
  const auto validity = valid_for(5, now());
  EXPECT_NE(complaint(pki_init(pki_.folder() + "/x", "../x", validity, false)).find("is no name"), std::string::npos);
  EXPECT_NE(complaint(pki_issue(pki_.folder(), Kind::Blade, "a/b", "", validity, false)).find("one name is needed"),
            std::string::npos);
  EXPECT_NE(complaint(pki_issue(pki_.folder(), Kind::Mirror, "b", "", validity, false)).find("names have"),
            std::string::npos);
  EXPECT_NE(complaint(pki_issue(pki_.folder() + "/none", Kind::Blade, "b", "", validity, false)).find("pki init"),
            std::string::npos);
  EXPECT_NE(complaint(pki_issue(pki_.folder(), Kind::Blade, "b", "", valid_for(300, now()), false))
                .find("the CA itself is valid until"),
            std::string::npos);
  EXPECT_NE(complaint(parse_kind("king")).find("no kind of certificate"), std::string::npos);
}

TEST_F(PkiTest, CredentialsThatDoNotFitAreRefusedForWhatIsWrong) {
  test::Pki other("chassis-1");
  const auto good = pki_.credentials(Kind::Blade, "blade-1");
  const auto says = [](const Credentials& credentials, std::int64_t at) {
    const auto checked = check_credentials(credentials, at);
    return checked ? "none" : checked.error().message;
  };
  EXPECT_EQ(says(good, now()), "none");
  EXPECT_NE(says({good.ca, good.certificate, other.credentials(Kind::Blade, "blade-1").key}, now())
                .find("do not belong together"),
            std::string::npos);
  EXPECT_NE(says({other.credentials(Kind::Blade, "b").ca, good.certificate, good.key}, now()).find("is not good"),
            std::string::npos);
  EXPECT_NE(says(good, now() + 11 * day).find("expired"), std::string::npos);
  EXPECT_NE(says(good, now() - 40 * day).find("not yet valid"), std::string::npos);
  EXPECT_NE(says({good.ca, "x", good.key}, now()).find("no certificate"), std::string::npos);
  EXPECT_NE(says({good.ca, good.certificate, "x"}, now()).find("no private key"), std::string::npos);
  EXPECT_NE(says({"x", good.certificate, good.key}, now()).find("CA's file"), std::string::npos);
  const auto ca_key = text_of(pki_.folder() + "/ca.key");
  EXPECT_NE(says({good.ca, good.ca, ca_key}, now()).find("has no URI understudy://"), std::string::npos);
}

TEST_F(PkiTest, SettingsAskForCertificatesOrForPlainTextByName) {
  const auto path = pki_.folder() + "/group.toml";
  const auto says = [&](const std::string& text, Whose whose, const std::string& name) {
    write_text(path, text);
    ConfigReader reader(path);
    auto root = reader.root();
    const auto settings = read_settings(root, whose, name, true);
    const auto done = reader.finish();
    return done ? std::string(settings.wire.plain_text ? "plain" : "tls") : done.error().message;
  };
  const auto section = [](const CredentialFiles& files, const std::string& more = "") {
    return "[tls]\nca = \"" + files.ca + "\"\ncertificate = \"" + files.certificate + "\"\nkey = \"" + files.key +
           "\"\n" + more;
  };
  const auto server = pki_.issue(Kind::ControlServer, "control");
  const auto blade = pki_.issue(Kind::Blade, "blade-1");
  const std::string mirrors = "mirrors = \"" + pki_.folder() + "/mirror/blade-1\"\n";
  EXPECT_EQ(says("[tls]\nplain_text = true\n", Whose::Blade, "blade-1"), "plain");
  EXPECT_EQ(says(section(server), Whose::ControlServer, ""), "tls");
  EXPECT_EQ(says(section(blade, mirrors), Whose::Blade, "blade-1"), "tls");
  for (const auto& [text, whose, words] :
       {std::tuple(std::string("x = 1\n"), Whose::Blade, "there is no [tls]"),
        std::tuple(std::string("[tls]\n"), Whose::Blade, "[tls] has no ca; write ca, certificate and key"),
        std::tuple(section(blade), Whose::Blade, "[tls] has no mirrors"),
        std::tuple(section(server, mirrors), Whose::Blade, "that of control-server control; issue one of a blade"),
        std::tuple(section(blade), Whose::ControlServer, "that of blade blade-1; issue one of a control-server"),
        std::tuple(section(pki_.issue(Kind::Blade, "blade-2"), mirrors), Whose::Blade, "this is blade-1"),
        std::tuple(section(server, "plain_text = true\n"), Whose::ControlServer, "exclude each other")}) {
    EXPECT_NE(says(text, whose, "blade-1").find(words), std::string::npos) << says(text, whose, "blade-1");
  }
  pki_.issue(Kind::Blade, "blade-1", "", -1);
  EXPECT_NE(says(section(blade, mirrors), Whose::Blade, "blade-1").find("expired"), std::string::npos);
}

TEST_F(PkiTest, AGuestIsGivenNobodysKeyButItsOwn) {
  Settings settings;
  settings.wire.files = pki_.issue(Kind::Blade, "blade-4");
  settings.mirrors = pki_.folder() + "/mirror/blade-4";
  const auto reads = [&] { return read_mirror_credentials(settings, "blade-4", "role-1", now()); };
  EXPECT_NE(complaint(reads()).find("`understudy pki issue mirror blade-4 role-1` makes one"), std::string::npos);
  const auto own = pki_.issue(Kind::Mirror, "blade-4", "role-1");
  ASSERT_TRUE(reads().ok()) << complaint(reads());
  EXPECT_EQ(reads()->key, text_of(own.key));
  const auto lies_there = [&](const CredentialFiles& files) {
    write_text(own.certificate, text_of(files.certificate));
    write_text(own.key, text_of(files.key));
  };
  for (const auto& [files, words] : {std::pair(pki_.issue(Kind::Mirror, "blade-4", "role-2"), "mirror of role-2"),
                                     std::pair(pki_.issue(Kind::Mirror, "blade-3", "role-1"), "on blade-3"),
                                     std::pair(settings.wire.files, "that of blade blade-4")}) {
    lies_there(files);
    EXPECT_FALSE(reads().ok()) << words;
    EXPECT_NE(complaint(reads()).find(words), std::string::npos) << complaint(reads());
  }
  pki_.issue(Kind::Mirror, "blade-4", "role-1", -1);
  EXPECT_NE(complaint(reads()).find("expired"), std::string::npos) << complaint(reads());
}

TEST_F(PkiTest, CertificatesThatEndSoonAreToldMirrorsIncluded) {
  Settings settings;
  settings.wire.files = pki_.issue(Kind::Blade, "blade-4", "", 10);
  settings.mirrors = pki_.folder() + "/mirror/blade-4";
  settings.warn_days = 5;
  pki_.issue(Kind::Mirror, "blade-4", "role-1", 10);
  EXPECT_EQ(certificate_alarms(settings, now()), std::vector<std::string>{});
  pki_.issue(Kind::Mirror, "blade-4", "role-2", 4);
  auto told = certificate_alarms(settings, now());
  ASSERT_EQ(told.size(), 1U);
  EXPECT_NE(told[0].find("the mirror of role-2 on blade-4"), std::string::npos) << told[0];
  EXPECT_EQ(mirror_alarms(settings, "role-2", now()), told);
  EXPECT_TRUE(mirror_alarms(settings, "role-1", now()).empty());
  settings.warn_days = 40;
  told = certificate_alarms(settings, now());
  ASSERT_EQ(told.size(), 4U) << "the blade's, two mirrors', and the CA's once";
  EXPECT_NE(told[0].find("the CA ("), std::string::npos) << told[0];
}

}  // namespace
}  // namespace understudy::link::tls
