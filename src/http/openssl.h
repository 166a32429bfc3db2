/*
 * OpenSSL's headers. One of them declares a type ERR_STATE, which is an error code of ours
 * (base/err.h): it gets another name here, and nothing of ours uses it. Private to http/.
 */
#ifndef BANYAN_HTTP_OPENSSL_H
#define BANYAN_HTTP_OPENSSL_H

#define ERR_STATE openssl_err_state
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#undef ERR_STATE

#endif
