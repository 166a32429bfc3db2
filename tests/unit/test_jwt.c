/* Tokens that hold and tokens that do not. */
#include "jwt/jwt.h"

#include "base/buf.h"

#define ERR_STATE openssl_err_state
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#undef ERR_STATE

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECRET "0123456789abcdef0123456789abcdef"
#define NOW 1700000000

static void add_base64(struct buf *out, const void *data, size_t len) {
    unsigned char *text = malloc(len * 2 + 8);
    int n = EVP_EncodeBlock(text, data, (int)len);
    for (int i = 0; i < n && text[i] != '='; i++)
        buf_add_char(out, (char)(text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i]));
    free(text);
}

static void begin(struct buf *out, const char *header, const char *claims) {
    buf_clear(out);
    buf_add_text(out, "Bearer ");
    add_base64(out, header, strlen(header));
    buf_add_char(out, '.');
    add_base64(out, claims, strlen(claims));
}

static struct span signed_part(const struct buf *out) {
    return span_make(out->data + 7, out->len - 7);
}

static void sign_secret(struct buf *out, const char *secret) {
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    struct span text = signed_part(out);
    HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)text.ptr, text.len, mac,
         &n);
    buf_add_char(out, '.');
    add_base64(out, mac, n);
}

static void sign_public(struct buf *out, EVP_PKEY *key) {
    unsigned char mac[1024], raw[64];
    size_t n = sizeof mac;
    struct span text = signed_part(out);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestSign(c, mac, &n, (const unsigned char *)text.ptr, text.len), 1);
    EVP_MD_CTX_free(c);
    buf_add_char(out, '.');
    if (!EVP_PKEY_is_a(key, "EC")) {
        add_base64(out, mac, n);
        return;
    }
    const unsigned char *der = mac;
    ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &der, (long)n);
    BN_bn2binpad(ECDSA_SIG_get0_r(s), raw, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(s), raw + 32, 32);
    ECDSA_SIG_free(s);
    add_base64(out, raw, sizeof raw);
}

static char *public_pem(EVP_PKEY *key) {
    BIO *b = BIO_new(BIO_s_mem());
    char *data = NULL, *text;
    assert_int_equal(PEM_write_bio_PUBKEY(b, key), 1);
    size_t n = (size_t)BIO_get_mem_data(b, &data);
    text = calloc(1, n + 1); /* what the BIO holds does not end in a NUL */
    assert_non_null(text);
    memcpy(text, data, n);
    BIO_free(b);
    return text;
}

static struct jwt_key *key_of(const char *text) {
    struct jwt_key *key = NULL;
    struct err err = {0};
    if (jwt_key_new(span_of(text), &key, &err) < 0)
        fail_msg("%s", err.text);
    return key;
}

static bool holds(const struct jwt_key *key, const struct buf *token) {
    struct jwt ret;
    return jwt_verify(key, buf_span(token), NOW, &ret);
}

#define HS "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"

static bool holds_with(const struct jwt_key *key, const char *header, const char *claims) {
    struct buf t = {.max = 65536};
    begin(&t, header, claims);
    sign_secret(&t, SECRET);
    bool is = holds(key, &t);
    buf_release(&t);
    return is;
}

/* RFC 7515, A.1: its key has bytes that no text has. */
static void the_rfc_example(void **state) {
    (void)state;
    static const char token[] =
        "Bearer eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0c"
        "nVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    static const unsigned char secret[] = {
        3,   35,  53, 75,  43,  15, 165, 188, 131, 126, 6,   101, 119, 123, 166, 143,
        90,  179, 40, 230, 240, 84, 201, 40,  169, 15,  132, 178, 210, 80,  46,  191,
        211, 251, 90, 146, 210, 6,  71,  239, 150, 138, 180, 195, 119, 98,  61,  34,
        61,  46,  33, 114, 5,   46, 79,  8,   192, 205, 154, 245, 103, 208, 128, 163};
    struct jwt_key *key = NULL;
    struct err err = {0};
    struct jwt jwt;
    enum json_type type;
    assert_int_equal(jwt_key_new(span_make(secret, sizeof secret), &key, &err), 0);
    assert_true(jwt_verify(key, span_of(token), 1300819370, &jwt));
    assert_true(span_is(jwt_claim(&jwt, SPAN_LIT("iss"), NULL, 0, &type), "joe"));
    assert_true(
        span_is(jwt_claim(&jwt, SPAN_LIT("http://example.com/is_root"), NULL, 0, &type), "true"));
    assert_int_equal(type, JSON_BOOL);
    assert_false(jwt_verify(key, span_of(token), 1300819380 + JWT_LEEWAY_S, &jwt));
    jwt_key_free(key);
}

static void claims(void **state) {
    (void)state;
    struct jwt_key *key = key_of(SECRET "\n"); /* as a file ends */
    struct buf t = {.max = 65536};
    struct jwt jwt;
    char space[64];
    enum json_type type;
    begin(&t, HS,
          "{\"sub\":\"a\\u00e4\\n\",\"n\":42.50,\"list\":[1],\"o\":{\"sub\":\"x\"},\"z\":null}");
    sign_secret(&t, SECRET);
    assert_true(jwt_verify(key, buf_span(&t), NOW, &jwt));
    assert_true(
        span_is(jwt_claim(&jwt, SPAN_LIT("sub"), space, sizeof space, &type), "a\xc3\xa4\n"));
    assert_int_equal(type, JSON_STRING);
    assert_true(span_is(jwt_claim(&jwt, SPAN_LIT("n"), space, sizeof space, &type), "42.50"));
    assert_int_equal(type, JSON_NUMBER);
    assert_int_equal(jwt_claim(&jwt, SPAN_LIT("list"), space, sizeof space, &type).len, 0);
    assert_int_equal(jwt_claim(&jwt, SPAN_LIT("o"), space, sizeof space, &type).len, 0);
    assert_int_equal(jwt_claim(&jwt, SPAN_LIT("z"), space, sizeof space, &type).len, 0);
    assert_int_equal(jwt_claim(&jwt, SPAN_LIT("none"), space, sizeof space, &type).len, 0);
    assert_int_equal(jwt_claim(&jwt, SPAN_LIT("sub"), space, 2, &type).len, 0);
    buf_release(&t);
    jwt_key_free(key);
}

static void times(void **state) {
    (void)state;
    struct jwt_key *key = key_of(SECRET);
    assert_true(holds_with(key, HS, "{}"));
    assert_true(holds_with(key, HS, "{\"exp\":1700000001,\"nbf\":1699999999.5}"));
    assert_true(holds_with(key, HS, "{\"exp\":1699999941}"));
    assert_false(holds_with(key, HS, "{\"exp\":1699999940}"));
    assert_true(holds_with(key, HS, "{\"nbf\":1700000060}"));
    assert_false(holds_with(key, HS, "{\"nbf\":1700000061}"));
    assert_false(holds_with(key, HS, "{\"exp\":\"1700000001\"}"));
    assert_false(holds_with(key, HS, "{\"exp\":null}"));
    assert_false(holds_with(key, HS, "{\"exp\":1e999}"));
    jwt_key_free(key);
}

static void what_does_not_hold(void **state) {
    (void)state;
    struct jwt_key *key = key_of(SECRET);
    struct buf t = {.max = 65536};
    assert_false(holds_with(key, "{\"alg\":\"none\"}", "{}"));
    assert_false(holds_with(key, "{\"alg\":\"hs256\"}", "{}"));
    assert_false(holds_with(key, "{\"alg\":\"HS512\"}", "{}"));
    assert_false(holds_with(key, "{\"alg\":5}", "{}"));
    assert_false(holds_with(key, "{}", "{}"));
    assert_false(holds_with(key, "[]", "{}"));
    assert_false(holds_with(key, "{\"alg\":\"HS256\",\"alg\":\"HS256\"}", "{}"));
    assert_false(holds_with(key, "{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", "{}"));
    assert_false(holds_with(key, HS, "[]"));
    assert_false(holds_with(key, HS, "{"));
    assert_false(holds_with(key, HS, ""));
    begin(&t, HS, "{\"sub\":\"a\"}");
    sign_secret(&t, SECRET "x");
    assert_false(holds(key, &t));
    begin(&t, HS, "{\"sub\":\"a\"}");
    buf_add_char(&t, '.');
    assert_false(holds(key, &t));
    jwt_key_free(key);
    buf_release(&t);
}

/* Any change of any byte, and any cut. */
static void changed_tokens(void **state) {
    (void)state;
    struct jwt_key *key = key_of(SECRET);
    struct buf t = {.max = 65536};
    struct jwt jwt;
    begin(&t, HS, "{\"sub\":\"a\"}");
    sign_secret(&t, SECRET);
    assert_true(holds(key, &t));
    for (size_t i = 7; i < t.len; i++) {
        char saved = t.data[i];
        for (const char *c = "A_b.= "; *c; c++) {
            t.data[i] = *c;
            assert_true(*c == saved || !holds(key, &t));
        }
        t.data[i] = saved;
        assert_false(jwt_verify(key, span_make(t.data, i), NOW, &jwt));
    }
    buf_add_char(&t, '=');
    assert_false(holds(key, &t));
    jwt_key_free(key);
    buf_release(&t);
}

static void other_schemes(void **state) {
    (void)state;
    struct jwt_key *key = key_of(SECRET);
    struct buf t = {.max = 65536};
    struct jwt jwt;
    begin(&t, HS, "{}");
    sign_secret(&t, SECRET);
    memcpy(t.data, "bEARER", 6);
    assert_true(holds(key, &t));
    memcpy(t.data, "Basic ", 6);
    assert_false(holds(key, &t));
    assert_false(jwt_verify(key, SPAN_LIT("Bearer "), NOW, &jwt));
    assert_false(jwt_verify(key, SPAN_LIT("Bearer .."), NOW, &jwt));
    assert_false(jwt_verify(key, (struct span){0}, NOW, &jwt));
    char *claims = calloc(1, JWT_MAX);
    (void)snprintf(claims, JWT_MAX, "{\"a\":\"%0*d\"}", JWT_MAX - 100, 0);
    assert_false(holds_with(key, HS, claims));
    free(claims);
    buf_release(&t);
    jwt_key_free(key);
}

static void signed_by(EVP_PKEY *own, EVP_PKEY *other, const char *header) {
    struct buf t = {.max = 65536};
    char *pem = public_pem(own);
    struct jwt_key *key = key_of(pem);
    begin(&t, header, "{\"sub\":\"a\"}");
    sign_public(&t, own);
    assert_true(holds(key, &t));
    begin(&t, header, "{\"sub\":\"a\"}");
    sign_public(&t, other);
    assert_false(holds(key, &t));
    begin(&t, HS, "{\"sub\":\"a\"}"); /* the public key taken for a secret */
    sign_secret(&t, pem);
    assert_false(holds(key, &t));
    begin(&t, "{\"alg\":\"none\"}", "{\"sub\":\"a\"}");
    buf_add_char(&t, '.');
    assert_false(holds(key, &t));
    jwt_key_free(key);
    free(pem);
    buf_release(&t);
}

static void public_keys(void **state) {
    (void)state;
    EVP_PKEY *rsa[] = {EVP_RSA_gen(2048), EVP_RSA_gen(2048)};
    EVP_PKEY *ec[] = {EVP_EC_gen("P-256"), EVP_EC_gen("P-256")};
    signed_by(rsa[0], rsa[1], "{\"alg\":\"RS256\"}");
    signed_by(ec[0], ec[1], "{\"alg\":\"ES256\"}");
    for (int i = 0; i < 2; i++) {
        EVP_PKEY_free(rsa[i]);
        EVP_PKEY_free(ec[i]);
    }
}

static void refuse_key(const char *text, const char *words) {
    struct jwt_key *key = NULL;
    struct err err = {0};
    assert_int_equal(jwt_key_new(span_of(text), &key, &err), ERR_CONF);
    if (!strstr(err.text, words))
        fail_msg("%s", err.text);
}

static void wrong_keys(void **state) {
    (void)state;
    refuse_key("", "less than 32 characters");
    refuse_key("0123456789012345678901234567890\n\n", "less than 32 characters");
    refuse_key("-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----\n", "no public key");
    EVP_PKEY *small = EVP_RSA_gen(1024), *other = EVP_EC_gen("P-384");
    char *texts[] = {public_pem(small), public_pem(other)};
    refuse_key(texts[0], "less than 2048 bits");
    refuse_key(texts[1], "neither RSA nor EC on the curve P-256");
    for (int i = 0; i < 2; i++)
        free(texts[i]);
    EVP_PKEY_free(small);
    EVP_PKEY_free(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rfc_example), cmocka_unit_test(claims),
        cmocka_unit_test(times),           cmocka_unit_test(what_does_not_hold),
        cmocka_unit_test(changed_tokens),  cmocka_unit_test(other_schemes),
        cmocka_unit_test(public_keys),     cmocka_unit_test(wrong_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
