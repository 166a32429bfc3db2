#include "compare/value.h"

static const char *const type_names[] = {"null",   "bool",  "int",  "double", "decimal",
                                         "string", "date",  "uuid", "binary", "objectid",
                                         "object", "array", "other"};

const char *compare_type_name(enum compare_type type) {
    return type_names[type];
}

#define HASHED_MAX 64 /* characters that count */

/* Letters in lower case; what is no letter may change, too: equality is for others to say. */
static uint64_t load_folded(const char *p, size_t len) {
    uint64_t v = 0;
    memcpy(&v, p, len);
    return v | UINT64_C(0x2020202020202020);
}

/* Eight bytes at a time; the last eight overlap those before. */
static uint32_t hash(const char *p, size_t len) {
    const uint64_t k = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t h = len * k;
    if (len >= 8) {
        for (size_t i = 0; i < len - 8; i += 8) {
            h = (h ^ load_folded(p + i, 8)) * k;
            h ^= h >> 32;
        }
        h = (h ^ load_folded(p + len - 8, 8)) * k;
    } else if (len >= 4) {
        h = (h ^ load_folded(p, 4) ^ load_folded(p + len - 4, 4) << 32) * k;
    } else if (len > 0) {
        h = (h ^ (unsigned char)(p[0] | 0x20) ^ (uint64_t)(unsigned char)(p[len / 2] | 0x20) << 8 ^
             (uint64_t)(unsigned char)(p[len - 1] | 0x20) << 16) *
            k;
    }
    return (uint32_t)(h >> 32 ^ h >> 15);
}

uint32_t compare_hash(struct span name) {
    char kept[HASHED_MAX];
    size_t n = 0;
    if (name.len == 0)
        return 0;
    if (!memchr(name.ptr, '_', name.len))
        return hash(name.ptr, name.len < HASHED_MAX ? name.len : HASHED_MAX);
    for (size_t i = 0; i < name.len && n < HASHED_MAX; i++)
        if (name.ptr[i] != '_')
            kept[n++] = name.ptr[i];
    return n ? hash(kept, n) : 0;
}
