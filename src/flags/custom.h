/*
 * Predicates that a `custom` condition names. Private to flags/. Constant data, pure functions.
 *
 * A new one is a line in the table of custom.c, and two functions.
 */
#ifndef BANYAN_FLAGS_CUSTOM_H
#define BANYAN_FLAGS_CUSTOM_H

#include "flags/flags.h"

/* 64-bit words of one value, at most. */
#define CUSTOM_WORDS_MAX 4

struct custom {
    const char *name;
    size_t words; /* that compile fills for each value */
    /* NULL, or what is wrong with the value. */
    const char *(*compile)(const struct flags_value *value, uint64_t *ret_words);
    /* 1: one of the `count` values holds; 0: none; -1: the context has not what it takes. */
    int (*holds)(const struct flags_context *context, const uint64_t *words, size_t count);
};

/* NULL past the last. */
const struct custom *custom_at(size_t i);

#endif
