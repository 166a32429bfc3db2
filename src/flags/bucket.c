#include "flags/bucket.h"

#include "base/utf8.h"

/* Inlined rather than linked: the library must fit into a process that has no libxxhash. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#define BANYAN1_PREFIX "banyan1:"

/* Longer groups than any blob holds are hashed too, just slower. */
uint64_t bucket_banyan1_seed(struct span group) {
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    XXH3_64bits_update(&state, BANYAN1_PREFIX, sizeof BANYAN1_PREFIX - 1);
    if (group.len)
        XXH3_64bits_update(&state, group.ptr, group.len);
    return XXH3_64bits_digest(&state);
}

uint32_t bucket_banyan1(uint64_t seed, struct span key, uint32_t total) {
    uint64_t h = XXH3_64bits_withSeed(key.ptr, key.len, seed);
    return (uint32_t)(((unsigned __int128)h * total) >> 64);
}

static uint32_t code_point(const unsigned char *p, size_t len) {
    switch (len) {
    case 1:
        return p[0];
    case 2:
        return (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
    case 3:
        return (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
    default:
        return (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 |
               (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3f);
    }
}

uint32_t bucket_java31(struct span key) {
    uint32_t h = 0;
    for (size_t i = 0; i < key.len;) {
        size_t n = utf8_char_len(span_make(key.ptr + i, key.len - i));
        uint32_t c = n ? code_point((const unsigned char *)key.ptr + i, n) : 0xfffd;
        i += n ? n : 1;
        if (c >= 0x10000) {
            h = 31 * h + (0xd800 + ((c - 0x10000) >> 10));
            c = 0xdc00 + (c & 0x3ff);
        }
        h = 31 * h + c;
    }
    /* As JavaScript's Math.abs, whose numbers have room for the absolute value of INT_MIN. */
    uint32_t absolute = h & 0x80000000u ? 0u - h : h;
    return absolute % 100;
}

/* MurmurHash3 x86_32 in parts: blocks of 4 bytes, little-endian, whatever the parts' lengths. */
struct murmur {
    uint32_t h;
    uint32_t block; /* bytes of an unfinished block */
    size_t len;
};

static inline uint32_t rotate_left(uint32_t v, unsigned by) {
    return v << by | v >> (32 - by);
}

static inline uint32_t murmur_scramble(uint32_t k) {
    return rotate_left(k * 0xcc9e2d51u, 15) * 0x1b873593u;
}

static inline void murmur_block(struct murmur *m, uint32_t k) {
    m->h = rotate_left(m->h ^ murmur_scramble(k), 13) * 5 + 0xe6546b64u;
}

static void murmur_add(struct murmur *m, struct span s) {
    const unsigned char *p = (const unsigned char *)s.ptr;
    size_t i = 0;
    while (i < s.len) {
        if (m->len % 4 == 0 && s.len - i >= 4) {
            murmur_block(m, (uint32_t)p[i] | (uint32_t)p[i + 1] << 8 | (uint32_t)p[i + 2] << 16 |
                                (uint32_t)p[i + 3] << 24);
            m->len += 4;
            i += 4;
            continue;
        }
        m->block |= (uint32_t)p[i++] << (8 * (m->len % 4));
        if (++m->len % 4 == 0) {
            murmur_block(m, m->block);
            m->block = 0;
        }
    }
}

static uint32_t murmur_end(struct murmur *m) {
    uint32_t h = m->h;
    if (m->len % 4)
        h ^= murmur_scramble(m->block);
    h ^= (uint32_t)m->len;
    h = (h ^ h >> 16) * 0x85ebca6bu;
    h = (h ^ h >> 13) * 0xc2b2ae35u;
    return h ^ h >> 16;
}

uint32_t bucket_murmur3(struct span a, struct span b, uint32_t seed) {
    struct murmur m = {.h = seed};
    murmur_add(&m, a);
    murmur_add(&m, b);
    return murmur_end(&m);
}

uint32_t bucket_flagd(struct span a, struct span b, uint32_t total) {
    return (uint32_t)(((uint64_t)bucket_murmur3(a, b, 0) * total) >> 32);
}

uint32_t bucket_unleash(struct span group, struct span id, uint32_t total, uint32_t seed) {
    struct murmur m = {.h = seed};
    murmur_add(&m, group);
    murmur_add(&m, SPAN_LIT(":"));
    murmur_add(&m, id);
    return murmur_end(&m) % total + 1;
}

/* SHA-1, of its own because nothing here may need a library of ciphers. */
struct sha1 {
    uint32_t h[5];
    unsigned char block[64];
    size_t len;
};

static inline uint32_t big_endian(const unsigned char *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Five rounds, after which every variable has its own name again, and the window of 16 words makes
 * its next ones on the way: written out, because that is three times as fast as the plain loop. */
#define SHA1_WORD(i)                                                                               \
    ((i) < 16 ? w[(i)&15]                                                                          \
              : (w[(i)&15] = rotate_left(                                                          \
                     w[((i) + 13) & 15] ^ w[((i) + 8) & 15] ^ w[((i) + 2) & 15] ^ w[(i)&15], 1)))
#define SHA1_ROUND(a, b, c, d, e, f, k, i)                                                         \
    do {                                                                                           \
        e += rotate_left(a, 5) + f(b, c, d) + (k) + SHA1_WORD(i);                                  \
        b = rotate_left(b, 30);                                                                    \
    } while (0)
#define SHA1_FIVE(f, k, i)                                                                         \
    do {                                                                                           \
        SHA1_ROUND(a, b, c, d, e, f, k, (i));                                                      \
        SHA1_ROUND(e, a, b, c, d, f, k, (i) + 1);                                                  \
        SHA1_ROUND(d, e, a, b, c, f, k, (i) + 2);                                                  \
        SHA1_ROUND(c, d, e, a, b, f, k, (i) + 3);                                                  \
        SHA1_ROUND(b, c, d, e, a, f, k, (i) + 4);                                                  \
    } while (0)
#define SHA1_TWENTY(f, k, i)                                                                       \
    do {                                                                                           \
        SHA1_FIVE(f, k, i);                                                                        \
        SHA1_FIVE(f, k, (i) + 5);                                                                  \
        SHA1_FIVE(f, k, (i) + 10);                                                                 \
        SHA1_FIVE(f, k, (i) + 15);                                                                 \
    } while (0)
#define SHA1_CHOOSE(b, c, d) ((d) ^ ((b) & ((c) ^ (d))))
#define SHA1_PARITY(b, c, d) ((b) ^ (c) ^ (d))
#define SHA1_MAJORITY(b, c, d) (((b) & (c)) | ((d) & ((b) | (c))))

static void sha1_block(uint32_t h[5], const unsigned char block[64]) {
    uint32_t w[16];
    for (int i = 0; i < 16; i++)
        w[i] = big_endian(block + 4 * i);
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    SHA1_TWENTY(SHA1_CHOOSE, 0x5a827999u, 0);
    SHA1_TWENTY(SHA1_PARITY, 0x6ed9eba1u, 20);
    SHA1_TWENTY(SHA1_MAJORITY, 0x8f1bbcdcu, 40);
    SHA1_TWENTY(SHA1_PARITY, 0xca62c1d6u, 60);
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
}

static void sha1_add(struct sha1 *s, struct span bytes) {
    for (size_t i = 0; i < bytes.len;) {
        size_t at = s->len % 64, n = 64 - at;
        if (n > bytes.len - i)
            n = bytes.len - i;
        memcpy(s->block + at, bytes.ptr + i, n);
        s->len += n;
        i += n;
        if (s->len % 64 == 0)
            sha1_block(s->h, s->block);
    }
}

static void sha1_end(struct sha1 *s) {
    size_t at = s->len % 64;
    s->block[at++] = 0x80;
    if (at > 56) {
        memset(s->block + at, 0, 64 - at);
        sha1_block(s->h, s->block);
        at = 0;
    }
    memset(s->block + at, 0, 56 - at);
    uint64_t bits = (uint64_t)s->len * 8;
    for (int i = 0; i < 8; i++)
        s->block[56 + i] = (unsigned char)(bits >> (56 - 8 * i));
    sha1_block(s->h, s->block);
}

static void sha1(struct sha1 *s, struct span a, struct span b) {
    static const uint32_t start[5] = {0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u,
                                      0xc3d2e1f0u};
    memcpy(s->h, start, sizeof start);
    s->len = 0;
    sha1_add(s, a);
    sha1_add(s, b);
    sha1_end(s);
}

void bucket_sha1(struct span a, struct span b, unsigned char ret_digest[20]) {
    struct sha1 s;
    sha1(&s, a, b);
    for (int i = 0; i < 20; i++)
        ret_digest[i] = (unsigned char)(s.h[i / 4] >> (24 - 8 * (i % 4)));
}

float bucket_launchdarkly(struct span prefix, struct span value) {
    struct sha1 s;
    sha1(&s, prefix, value);
    uint64_t first60 = ((uint64_t)s.h[0] << 32 | s.h[1]) >> 4;
    return (float)first60 / (float)0xfffffffffffffffULL;
}
