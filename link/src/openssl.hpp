// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Ownership of OpenSSL's objects, and its errors as words. Private to link.

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <vector>

#include "understudy/common/result.hpp"
#include "understudy/link/tls_credentials.hpp"

namespace understudy::link::tls {

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using BioPtr = std::unique_ptr<BIO, Freed<&BIO_free_all>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<&EVP_PKEY_free>>;
using X509Ptr = std::unique_ptr<X509, Freed<&X509_free>>;
using StorePtr = std::unique_ptr<X509_STORE, Freed<&X509_STORE_free>>;
using StoreContextPtr = std::unique_ptr<X509_STORE_CTX, Freed<&X509_STORE_CTX_free>>;

/// What this thread's OpenSSL said last, and forgets it.
std::string openssl_problem();

/// A view of the text for OpenSSL's readers.
BioPtr bio_of(const std::string& text);
std::string text_of(BIO* bio);

/// All certificates of a PEM text, in order.
std::vector<X509Ptr> certificates_of(const std::string& pem);
/// No password is ever asked for.
KeyPtr key_of(const std::string& pem);
Result<StorePtr> store_of(const std::string& ca_pem);

Certificate describe_certificate(X509& certificate);

}  // namespace understudy::link::tls
