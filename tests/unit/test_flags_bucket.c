/*
 * Buckets: published vectors, the vectors of docs/flags.md (read from that page), evenness over the
 * kinds of keys that people have, and monotony.
 */
#include "flags/bucket.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S(text) span_of(text)

static const struct span none;

static void murmur3_is_the_published_one(void **state) {
    (void)state;
    assert_int_equal(bucket_murmur3(S(""), none, 0), 0);
    assert_int_equal(bucket_murmur3(S(""), none, 1), 0x514e28b7u);
    assert_int_equal(bucket_murmur3(S("test"), none, 0), 0xba6bd213u);
    assert_int_equal(bucket_murmur3(S("test"), none, 0x9747b28cu), 0x704b81dcu);
    assert_int_equal(bucket_murmur3(S("Hello, world!"), none, 0), 0xc0363e43u);
    assert_int_equal(bucket_murmur3(S("Hello, world!"), none, 0x9747b28cu), 0x24884cbau);
    assert_int_equal(
        bucket_murmur3(S("The quick brown fox jumps over the lazy dog"), none, 0x9747b28cu),
        0x2fa826cdu);
}

static void parts_hash_like_the_whole(void **state) {
    (void)state;
    const char text[] = "The quick brown fox jumps over the lazy dog";
    uint32_t whole = bucket_murmur3(S(text), none, 7);
    unsigned char digest[20], again[20];
    bucket_sha1(S(text), none, digest);
    for (size_t i = 0; i <= strlen(text); i++) {
        struct span a = span_make(text, i), b = span_of(text + i);
        assert_int_equal(bucket_murmur3(a, b, 7), whole);
        bucket_sha1(a, b, again);
        assert_memory_equal(digest, again, sizeof digest);
    }
}

static void assert_sha1(struct span text, const char *hex) {
    unsigned char digest[20];
    char out[41];
    bucket_sha1(text, none, digest);
    for (int i = 0; i < 20; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(out, hex);
}

static void sha1_is_the_published_one(void **state) {
    (void)state;
    assert_sha1(S(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    assert_sha1(S("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_sha1(S("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
                "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    static char million[1000000];
    memset(million, 'a', sizeof million);
    assert_sha1(span_make(million, sizeof million), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

static void launchdarkly_buckets_are_the_published_ones(void **state) {
    (void)state;
    struct span prefix = S("hashKey.saltyA.");
    assert_true(bucket_launchdarkly(prefix, S("userKeyA")) == 0.42157587f);
    assert_true(bucket_launchdarkly(prefix, S("userKeyB")) == 0.6708485f);
    assert_true(bucket_launchdarkly(prefix, S("userKeyC")) == 0.10343106f);
    assert_true(bucket_launchdarkly(S("61."), S("userKeyA")) == 0.09801207f);
}

static void unleash_buckets_are_the_published_ones(void **state) {
    (void)state;
    assert_int_equal(bucket_unleash(S("gr1"), S("123"), 100, 0), 73);
    assert_int_equal(bucket_unleash(S("groupX"), S("999"), 100, 0), 25);
    assert_int_equal(bucket_unleash(S("gr1"), S("123"), 100, 86028157), 96);
    assert_int_equal(bucket_unleash(S("groupX"), S("999"), 100, 86028157), 60);
}

/* The reference's own function, on texts whose hash is known from Java's String.hashCode. */
static void java31_is_string_hash_code(void **state) {
    (void)state;
    assert_int_equal(bucket_java31(S("")), 0);
    assert_int_equal(bucket_java31(S("a")), 97);
    assert_int_equal(bucket_java31(S("hello")), 99162322 % 100);
    /* Java: "polygenelubricants".hashCode() == Integer.MIN_VALUE */
    assert_int_equal(bucket_java31(S("polygenelubricants")), 48);
    /* A character outside the first plane is two units: d83d de00. */
    assert_int_equal(bucket_java31(S("\xf0\x9f\x98\x80")), (0xd83du * 31 + 0xde00u) % 100);
    /* A byte that is no UTF-8 counts as U+FFFD. */
    assert_int_equal(bucket_java31(S("\xff")), 0xfffd % 100);
    assert_int_equal(bucket_java31(S("\xef\xbf\xbd")), 0xfffd % 100);
}

static void buckets_stay_below_the_total(void **state) {
    (void)state;
    static const uint32_t totals[] = {1, 2, 3, 100, 1000, 99999, 100000, 0x7fffffff};
    char key[32];
    for (size_t t = 0; t < sizeof totals / sizeof totals[0]; t++) {
        for (int i = 0; i < 2000; i++) {
            snprintf(key, sizeof key, "user_%d", i);
            assert_true(bucket_banyan1(5, S(key), totals[t]) < totals[t]);
            assert_true(bucket_flagd(S("f"), S(key), totals[t]) < totals[t]);
            uint32_t u = bucket_unleash(S("g"), S(key), totals[t], 0);
            assert_true(u >= 1 && u <= totals[t]);
        }
    }
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof key, "user_%d", i);
        float f = bucket_launchdarkly(S("k.s."), S(key));
        assert_true(f >= 0 && f <= 1);
    }
}

/* ---- evenness ---- */

enum kind { NUMERIC, UUIDS, EMAILS, KINDS };

static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static struct span make_key(enum kind kind, uint32_t i, char *room, size_t size) {
    static const char *const names[] = {"anna", "ben", "chloe", "david", "emma", "felix", "greta"};
    static const char *const hosts[] = {"example.com", "bank.example", "mail.example.org"};
    uint64_t high = mix(i * 2 + 1), low = mix(i * 2 + 2);
    int n = 0;
    if (kind == NUMERIC)
        n = snprintf(room, size, "%u", i);
    else if (kind == UUIDS)
        n = snprintf(room, size, "%08x-%04x-4%03x-%04x-%012llx", (unsigned)(high >> 32),
                     (unsigned)(high >> 16 & 0xffff), (unsigned)(high & 0xfff),
                     (unsigned)(0x8000 | (low >> 48 & 0x3fff)),
                     (unsigned long long)(low & 0xffffffffffffULL));
    else
        n = snprintf(room, size, "%s.%u@%s", names[i % 7], i / 7, hosts[i % 3]);
    return span_make(room, (size_t)n);
}

/* Chi-square of `cells` counts against even ones, as a number of standard deviations. */
static double deviations(const uint32_t *counts, uint32_t cells, uint32_t total) {
    double expected = (double)total / cells, sum = 0;
    for (uint32_t i = 0; i < cells; i++)
        sum += (counts[i] - expected) * (counts[i] - expected) / expected;
    return (sum - (cells - 1)) / sqrt(2.0 * (cells - 1));
}

static void banyan1_is_even(void **state) {
    (void)state;
    enum { KEYS = 200000, CELLS = 1000 };
    static const char *const groups[] = {"orders_mongodb", "banking", "a"};
    static uint32_t counts[CELLS];
    char room[64];
    for (int kind = 0; kind < KINDS; kind++) {
        for (size_t g = 0; g < 3; g++) {
            uint64_t seed = bucket_banyan1_seed(S(groups[g]));
            memset(counts, 0, sizeof counts);
            for (uint32_t i = 0; i < KEYS; i++)
                counts[bucket_banyan1(seed, make_key((enum kind)kind, i, room, sizeof room),
                                      100000) /
                       (100000 / CELLS)]++;
            assert_true(fabs(deviations(counts, CELLS, KEYS)) < 4);
        }
    }
}

/* The low digits too: 0.001 % is a real step, not a rounding of 1 %. */
static void banyan1_is_even_in_its_finest_step(void **state) {
    (void)state;
    enum { KEYS = 200000, CELLS = 100 };
    uint32_t counts[CELLS] = {0};
    char room[64];
    uint64_t seed = bucket_banyan1_seed(S("orders_mongodb"));
    for (uint32_t i = 0; i < KEYS; i++)
        counts[bucket_banyan1(seed, make_key(NUMERIC, i, room, sizeof room), 100000) % CELLS]++;
    assert_true(fabs(deviations(counts, CELLS, KEYS)) < 4);
}

/* Who is in the first tenth of one flag is not so in another one. */
static void groups_are_independent(void **state) {
    (void)state;
    enum { KEYS = 200000 };
    uint32_t both[100] = {0};
    char room[64];
    uint64_t a = bucket_banyan1_seed(S("orders")), b = bucket_banyan1_seed(S("orders2"));
    for (uint32_t i = 0; i < KEYS; i++) {
        struct span key = make_key(EMAILS, i, room, sizeof room);
        both[bucket_banyan1(a, key, 10) * 10 + bucket_banyan1(b, key, 10)]++;
    }
    assert_true(fabs(deviations(both, 100, KEYS)) < 4);
}

/* ---- the page ---- */

/* Cuts the cell up to the next '|' off a line of a table, without blanks and back quotes. */
static struct span cell(const char **at) {
    const char *start = *at, *end = strchr(start, '|');
    if (!end)
        return (struct span){0};
    *at = end + 1;
    while (start < end && (*start == ' ' || *start == '`'))
        start++;
    while (end > start && (end[-1] == ' ' || end[-1] == '`'))
        end--;
    return span_make(start, (size_t)(end - start));
}

static bool check_vector(struct span hash, struct span group, struct span key, struct span value) {
    char expected[64], got[64];
    snprintf(expected, sizeof expected, "%.*s", SPAN_ARG(value));
    if (span_is(hash, "banyan1"))
        snprintf(got, sizeof got, "%u", bucket_banyan1(bucket_banyan1_seed(group), key, 100000));
    else if (span_is(hash, "java31"))
        snprintf(got, sizeof got, "%u", bucket_java31(key));
    else if (span_is(hash, "flagd"))
        snprintf(got, sizeof got, "%u", bucket_flagd(group, key, 100));
    else if (span_is(hash, "unleash"))
        snprintf(got, sizeof got, "%u", bucket_unleash(group, key, 100, 0));
    else if (span_is(hash, "unleash variants"))
        snprintf(got, sizeof got, "%u", bucket_unleash(group, key, 1000, 86028157));
    else if (span_is(hash, "launchdarkly"))
        snprintf(got, sizeof got, "%.8g", (double)bucket_launchdarkly(group, key));
    else
        return false;
    assert_string_equal(got, expected);
    return true;
}

static void the_page_tells_the_truth(void **state) {
    (void)state;
    char path[4096], line[1024];
    assert_non_null(getenv("BANYAN_DOCS"));
    snprintf(path, sizeof path, "%s/flags.md", getenv("BANYAN_DOCS"));
    FILE *page = fopen(path, "r");
    assert_non_null(page);
    unsigned vectors = 0;
    bool here = false;
    while (fgets(line, sizeof line, page)) {
        const char *at = line + 1;
        if (line[0] == '#')
            here = strcmp(line, "### Vectors\n") == 0;
        if (!here || line[0] != '|')
            continue;
        struct span hash = cell(&at), group = cell(&at), key = cell(&at), value = cell(&at);
        vectors += value.len && check_vector(hash, group, key, value);
    }
    fclose(page);
    assert_true(vectors >= 30);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(murmur3_is_the_published_one),
        cmocka_unit_test(parts_hash_like_the_whole),
        cmocka_unit_test(sha1_is_the_published_one),
        cmocka_unit_test(launchdarkly_buckets_are_the_published_ones),
        cmocka_unit_test(unleash_buckets_are_the_published_ones),
        cmocka_unit_test(java31_is_string_hash_code),
        cmocka_unit_test(buckets_stay_below_the_total),
        cmocka_unit_test(banyan1_is_even),
        cmocka_unit_test(banyan1_is_even_in_its_finest_step),
        cmocka_unit_test(groups_are_independent),
        cmocka_unit_test(the_page_tells_the_truth),
    };
    return cmocka_run_group_tests_name("flags_bucket", tests, NULL, NULL);
}
