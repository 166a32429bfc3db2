#include "jwt/jwt.h"

#include "base/mem.h"

/* OpenSSL's own headers have a type with the name of one of our errors. */
#define ERR_STATE ERR_STATE_of_openssl
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#undef ERR_STATE

#include <stdlib.h>
#include <string.h>

#define P256_HALF 32 /* bytes of each number of an ES256 signature, RFC 7518, 3.4 */
#define HEADER_NODES_MAX 64
#define SIGNATURE_MAX 1024 /* RSA of 8192 bits */

enum algorithm { HS256, RS256, ES256 };

struct jwt_key {
    enum algorithm algorithm;
    EVP_PKEY *public; /* of RS256 and ES256 */
    size_t secret_len;
    unsigned char secret[];
};

/* ---- keys ---- */

static bool is_p256(const EVP_PKEY *key) {
    char name[64];
    return EVP_PKEY_get_group_name(key, name, sizeof name, NULL) == 1 &&
           (strcmp(name, "prime256v1") == 0 || strcmp(name, "P-256") == 0);
}

static int take_public(struct jwt_key *key, struct span text, struct err *err) {
    BIO *in = BIO_new_mem_buf(text.ptr, text.len > INT32_MAX ? 0 : (int)text.len);
    key->public = in ? PEM_read_bio_PUBKEY(in, NULL, NULL, NULL) : NULL;
    BIO_free(in);
    if (!key->public)
        return err_set(err, ERR_CONF, "is no public key in PEM (\"BEGIN PUBLIC KEY\")");
    key->algorithm = EVP_PKEY_is_a(key->public, "RSA") ? RS256 : ES256;
    if (key->algorithm == RS256 && EVP_PKEY_get_bits(key->public) < JWT_RSA_BITS_MIN)
        return err_set(err, ERR_CONF, "has an RSA key of less than %d bits", JWT_RSA_BITS_MIN);
    if (key->algorithm == ES256 && !is_p256(key->public))
        return err_set(err, ERR_CONF, "has a key that is neither RSA nor EC on the curve P-256");
    return 0;
}

int jwt_key_new(struct span text, struct jwt_key **ret_key, struct err *err) {
    static const char pem[] = "-----BEGIN ";
    while (text.len && strchr("\r\n", text.ptr[text.len - 1])) /* of a file */
        text.len--;
    struct jwt_key *key = mem_zalloc(1, sizeof *key + text.len);
    int rc = 0;
    if (text.len > strlen(pem) && memcmp(text.ptr, pem, strlen(pem)) == 0)
        rc = take_public(key, text, err);
    else if (text.len < JWT_SECRET_MIN)
        rc = err_set(err, ERR_CONF, "is a secret of less than %d characters", JWT_SECRET_MIN);
    else
        memcpy(key->secret, text.ptr, key->secret_len = text.len);
    if (rc < 0) {
        jwt_key_free(key);
        return rc;
    }
    *ret_key = key;
    return 0;
}

void jwt_key_free(struct jwt_key *key) {
    if (!key)
        return;
    EVP_PKEY_free(key->public);
    OPENSSL_cleanse(key->secret, key->secret_len);
    free(key);
}

/* ---- base64url without padding, RFC 7515, appendix C ---- */

static int sextet(char c) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* The length of what was decoded; -1: it is no base64url, or there is no room. */
static ssize_t decode(struct span text, void *space, size_t size) {
    unsigned char *out = space;
    unsigned bits = 0, count = 0;
    size_t n = 0;
    if (text.len % 4 == 1)
        return -1;
    for (size_t i = 0; i < text.len; i++) {
        int six = sextet(text.ptr[i]);
        if (six < 0)
            return -1;
        bits = (bits << 6 | (unsigned)six) & 0xffffff;
        count += 6;
        if (count < 8)
            continue;
        count -= 8;
        if (n == size)
            return -1;
        out[n++] = (unsigned char)(bits >> count);
    }
    /* What is left over is nothing: else two texts would be one token. */
    return bits & ((1U << count) - 1) ? -1 : (ssize_t)n;
}

/* ---- signatures ---- */

static bool check_secret(const struct jwt_key *key, struct span text, const unsigned char *given,
                         size_t len) {
    unsigned char ours[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    return HMAC(EVP_sha256(), key->secret, (int)key->secret_len, (const unsigned char *)text.ptr,
                text.len, ours, &n) &&
           len == n && CRYPTO_memcmp(ours, given, n) == 0;
}

/* The two numbers as OpenSSL wants them. -1: it is no signature. */
static int to_der(const unsigned char *given, size_t len, unsigned char *der, size_t size) {
    if (len != (size_t)2 * P256_HALF)
        return -1;
    ECDSA_SIG *s = ECDSA_SIG_new();
    BIGNUM *a = BN_bin2bn(given, P256_HALF, NULL),
           *b = BN_bin2bn(given + P256_HALF, P256_HALF, NULL);
    int n = -1;
    if (s && a && b && ECDSA_SIG_set0(s, a, b) == 1) {
        a = b = NULL;
        if ((n = i2d_ECDSA_SIG(s, NULL)) > 0 && (size_t)n <= size)
            n = i2d_ECDSA_SIG(s, &der);
    }
    BN_free(a);
    BN_free(b);
    ECDSA_SIG_free(s);
    return n;
}

static bool check_public(const struct jwt_key *key, struct span text, const unsigned char *given,
                         size_t len) {
    unsigned char der[2 * P256_HALF + 16];
    if (key->algorithm == ES256) {
        int n = to_der(given, len, der, sizeof der);
        if (n <= 0)
            return false;
        given = der;
        len = (size_t)n;
    }
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool holds =
        context && EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key->public) == 1 &&
        EVP_DigestVerify(context, given, len, (const unsigned char *)text.ptr, text.len) == 1;
    EVP_MD_CTX_free(context);
    return holds;
}

static bool check_signature(const struct jwt_key *key, struct span text, struct span signature) {
    unsigned char given[SIGNATURE_MAX];
    ssize_t len = decode(signature, given, sizeof given);
    if (len < 0)
        return false;
    return key->algorithm == HS256 ? check_secret(key, text, given, (size_t)len)
                                   : check_public(key, text, given, (size_t)len);
}

/* ---- tokens ---- */

static bool is_header(const struct jwt_key *key, struct span part) {
    static const char *const names[] = {[HS256] = "HS256", [RS256] = "RS256", [ES256] = "ES256"};
    char text[JWT_MAX];
    struct json_node nodes[HEADER_NODES_MAX];
    struct json_doc d;
    ssize_t len = decode(part, text, sizeof text);
    if (len <= 0 || json_parse(&d, span_make(text, (size_t)len), nodes, HEADER_NODES_MAX, NULL) < 0)
        return false;
    const struct json_node *algorithm = json_member(&d, json_root(&d), "alg");
    return algorithm && algorithm->type == JSON_STRING &&
           json_is(&d, algorithm, names[key->algorithm]) && !json_member(&d, json_root(&d), "crit");
}

/* RFC 7519, 2: NumericDate may have a fraction. */
static bool time_of(const struct json_doc *d, const char *name, double otherwise, double *ret) {
    const struct json_node *n = json_member(d, json_root(d), name);
    *ret = otherwise;
    return !n || json_double(d, n, ret);
}

static bool is_in_time(const struct json_doc *d, double now) {
    double until, from;
    return time_of(d, "exp", now + 1, &until) && time_of(d, "nbf", now, &from) &&
           now < until + JWT_LEEWAY_S && now >= from - JWT_LEEWAY_S;
}

static bool split(struct span token, struct span part[3]) {
    for (int i = 0; i < 2; i++) {
        const char *dot = token.len ? memchr(token.ptr, '.', token.len) : NULL;
        if (!dot)
            return false;
        part[i] = span_make(token.ptr, (size_t)(dot - token.ptr));
        token = span_make(dot + 1, token.len - part[i].len - 1);
    }
    part[2] = token;
    return true;
}

static struct span bearer(struct span authorization) {
    static const char scheme[] = "bearer ";
    size_t n = strlen(scheme);
    if (authorization.len <= n || strncasecmp(authorization.ptr, scheme, n) != 0)
        return (struct span){0};
    while (n < authorization.len && authorization.ptr[n] == ' ')
        n++;
    return span_make(authorization.ptr + n, authorization.len - n);
}

bool jwt_verify(const struct jwt_key *key, struct span authorization, int64_t now_s,
                struct jwt *ret) {
    struct span token = bearer(authorization), part[3];
    if (token.len == 0 || token.len > JWT_MAX || !split(token, part) || !is_header(key, part[0]))
        return false;
    struct span text = span_make(token.ptr, part[0].len + 1 + part[1].len);
    if (!check_signature(key, text, part[2]))
        return false;
    ssize_t len = decode(part[1], ret->payload, sizeof ret->payload);
    return len > 0 &&
           json_parse(&ret->claims, span_make(ret->payload, (size_t)len), ret->nodes, JWT_NODES_MAX,
                      NULL) == 0 &&
           json_root(&ret->claims)->type == JSON_OBJECT && is_in_time(&ret->claims, (double)now_s);
}

struct span jwt_claim(const struct jwt *token, struct span name, char *space, size_t size,
                      enum json_type *ret_type) {
    const struct json_doc *d = &token->claims;
    const struct json_node *object = json_root(d);
    struct span own, text = {0};
    for (const struct json_node *n = json_first(d, object); n; n = json_next(d, object, n)) {
        const struct json_node *value = json_value(n);
        if (!json_string(d, n, space, size, &own) || !span_eq(own, name))
            continue;
        *ret_type = (enum json_type)value->type;
        if (value->type == JSON_NUMBER || value->type == JSON_BOOL)
            return json_raw(d, value);
        return json_string(d, value, space, size, &text) ? text : (struct span){0};
    }
    return text;
}
