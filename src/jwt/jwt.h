/*
 * Who asks, by a JSON Web Token (RFC 7519) that somebody else has signed (RFC 7515, compact form).
 *
 * A key knows its one algorithm, so a token cannot choose: text is a secret of HS256, a public key
 * in PEM means RS256 (RSA) or ES256 (P-256). "none" and everything else is refused, and so is a
 * token with critical extensions. `exp` and `nbf` are held, with a minute for clocks that differ.
 * A token that does not hold says nothing at all about who asks.
 *
 * Pure but for OpenSSL's memory; a key may be used by many threads at once.
 */
#ifndef BANYAN_JWT_JWT_H
#define BANYAN_JWT_JWT_H

#include "base/err.h"
#include "base/json_read.h"
#include "base/span.h"

#define JWT_MAX 8192          /* bytes of a token; longer ones do not hold */
#define JWT_NODES_MAX 256     /* values in its claims */
#define JWT_SECRET_MIN 32     /* bytes, RFC 7518, 3.2 */
#define JWT_RSA_BITS_MIN 2048 /* RFC 7518, 3.3 */
#define JWT_LEEWAY_S 60

struct jwt_key;

/* ERR_CONF: too short, or a PEM that is no public key of these kinds. */
int jwt_key_new(struct span text, struct jwt_key **ret_key, struct err *err) must_check;
void jwt_key_free(struct jwt_key *key); /* NULL is fine */

/* The claims of a token that holds. */
struct jwt {
    char payload[JWT_MAX];
    struct json_node nodes[JWT_NODES_MAX];
    struct json_doc claims;
};

/* `authorization`: the value of that header, "Bearer <token>". `now_s`: since 1970. */
bool jwt_verify(const struct jwt_key *key, struct span authorization, int64_t now_s,
                struct jwt *ret) must_check;

/* A claim as text: a string (decoded into `space` where something is escaped), a number as it is
 * written, true or false; *ret_type is its type. Empty: there is none, or it is a list or an
 * object. */
struct span jwt_claim(const struct jwt *token, struct span name, char *space, size_t size,
                      enum json_type *ret_type);

#endif
