/*
 * Who falls into which bucket: the hashes of Banyan and of those it imports from.
 *
 * The functions are fixed for ever: their values decide which users are moved, and docs/flags.md
 * publishes vectors for them. Pure, no allocation, any thread.
 */
#ifndef BANYAN_FLAGS_BUCKET_H
#define BANYAN_FLAGS_BUCKET_H

#include "base/span.h"

#include <stdint.h>

/* XXH3-64 of "banyan1:" and the group: what all keys of the group are hashed with. */
uint64_t bucket_banyan1_seed(struct span group);

/* floor(h * total / 2^64), h = XXH3-64 of the key with the group's seed. Below `total`. */
uint32_t bucket_banyan1(uint64_t seed, struct span key, uint32_t total);

/* h = 31 h + c over UTF-16 units in 32 bits, its absolute value (2147483648 for the smallest)
 * modulo 100. Bytes that are not UTF-8 count as U+FFFD. */
uint32_t bucket_java31(struct span key);

/* MurmurHash3 x86_32 of `a` followed by `b`, without joining them. */
uint32_t bucket_murmur3(struct span a, struct span b, uint32_t seed);

/* (murmur3(a b) * total) >> 32: flagd's fractional, version 2. Below `total`. */
uint32_t bucket_flagd(struct span a, struct span b, uint32_t total);

/* murmur3(group ":" id) mod total + 1: from 1 to `total`; total > 0. */
uint32_t bucket_unleash(struct span group, struct span id, uint32_t total, uint32_t seed);

/* The first 60 bits of a SHA-1 over 2^60, in float: 0 to 1. `prefix` is "<seed>." or
 * "<key>.<salt>.". */
float bucket_launchdarkly(struct span prefix, struct span value);

/* FIPS 180-4, of `a` followed by `b`. */
void bucket_sha1(struct span a, struct span b, unsigned char ret_digest[20]);

#endif
