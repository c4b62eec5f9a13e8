// SPDX-License-Identifier: Apache-2.0
#pragma once
/// SHA-256 of a stream.

#include <openssl/evp.h>

#include <memory>
#include <string>
#include <string_view>

namespace lab {

class Sha256 {
 public:
  Sha256() { EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr); }
  void add(std::string_view bytes) { EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()); }
  /// Hex; the stream ends with it.
  std::string finish() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    EVP_DigestFinal_ex(context_.get(), digest, &length);
    std::string text;
    for (unsigned int at = 0; at < length; ++at) {
      text += "0123456789abcdef"[digest[at] >> 4];
      text += "0123456789abcdef"[digest[at] & 15];
    }
    return text;
  }

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_{EVP_MD_CTX_new()};
};

}  // namespace lab
