#include "compare/value.h"

#include <string.h>

static const char *const type_names[] = {"null",   "bool",  "int",  "double", "decimal",
                                         "string", "date",  "uuid", "binary", "objectid",
                                         "object", "array", "other"};

const char *compare_type_name(enum compare_type type) {
    return type_names[type];
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte is the lowest");

#define WORD 8
#define HASHED_WORDS 8 /* characters that count: 64 */
#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Letters in lower case; what is no letter may change, too: equality is for others to say. */
static uint64_t add_word(uint64_t h, uint64_t word) {
    h = (h ^ (word | EACH(0x20))) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 32;
}

/* The last word, which is never whole. */
static uint32_t end_hash(uint64_t h, uint64_t word, size_t len) {
    h = add_word(h + len, len ? word & (UINT64_MAX >> (64 - 8 * len)) : 0);
    return (uint32_t)(h ^ h >> 15);
}

/* What is not there reads as zero. */
static uint64_t load(const char *p, size_t len) {
    uint64_t word = 0;
    if (len >= WORD)
        memcpy(&word, p, WORD);
    else
        memcpy(&word, p, len);
    return word;
}

/* The highest bit of each byte that is zero; above the lowest of them, perhaps of others too. */
static uint64_t zeros(uint64_t word) {
    return (word - EACH(0x01)) & ~word & EACH(0x80);
}

static uint32_t hash(const char *p, size_t len) {
    uint64_t h = 0;
    size_t words = 0;
    for (; len >= WORD && words < HASHED_WORDS; words++, p += WORD, len -= WORD)
        h = add_word(h, load(p, len));
    return words < HASHED_WORDS ? end_hash(h, load(p, len), len) : end_hash(h, 0, 0);
}

uint32_t compare_hash(struct span name) {
    char kept[WORD * HASHED_WORDS];
    size_t n = 0;
    if (name.len == 0)
        return 0;
    if (!memchr(name.ptr, '_', name.len))
        return hash(name.ptr, name.len);
    for (size_t i = 0; i < name.len && n < sizeof kept; i++)
        if (name.ptr[i] != '_')
            kept[n++] = name.ptr[i];
    return n ? hash(kept, n) : 0;
}

/* Long, or with underscores. */
static struct span plain_name(const char *from, const char *end, uint32_t *ret_hash) {
    const char *zero = memchr(from, 0, (size_t)(end - from));
    if (!zero)
        return (struct span){0};
    struct span name = span_make(from, (size_t)(zero - from));
    *ret_hash = compare_hash(name);
    return name;
}

struct span compare_name(const char *from, const char *end, uint32_t *ret_hash) {
    uint64_t h = 0;
    const char *p = from;
    for (size_t words = 0; words < HASHED_WORDS; words++, p += WORD) {
        uint64_t word = load(p, (size_t)(end - p)), ends = zeros(word);
        if (zeros(word ^ EACH('_')))
            break;
        if (!ends) {
            h = add_word(h, word);
            continue;
        }
        size_t len = (size_t)__builtin_ctzll(ends) / 8;
        if (p + len >= end)
            return (struct span){0};
        struct span name = span_make(from, (size_t)(p - from) + len);
        *ret_hash = name.len ? end_hash(h, word, len) : 0;
        return name;
    }
    return plain_name(from, end, ret_hash);
}
