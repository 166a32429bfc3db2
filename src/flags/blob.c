#include "flags/blob.h"

/* Inlined rather than linked: the library must fit into a process that has no libxxhash. */
#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t blob_hash(struct span s, uint64_t seed) {
    return XXH3_64bits_withSeed(s.ptr, s.len, seed);
}

uint64_t blob_checksum(const void *bytes, size_t len) {
    return XXH3_64bits((const char *)bytes + BLOB_CHECKED_FROM, len - BLOB_CHECKED_FROM);
}
