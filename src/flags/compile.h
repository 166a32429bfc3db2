/*
 * Flags as written -> one position-independent blob (flags.h reads it).
 *
 * Equal models give equal bytes; the order of flags in the model does not matter. Pure, any
 * thread. Errors say "file:line:column: flag x: ..." as far as places are known.
 */
#ifndef BANYAN_FLAGS_COMPILE_H
#define BANYAN_FLAGS_COMPILE_H

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "flags/model.h"

/* Appends nothing else: `ret_blob` is cleared first. It must allow FLAGS_BLOB_MAX bytes, or less
 * where the caller wants less. ERR_CONF for what is wrong in the model, ERR_LIMIT for what passes a
 * limit of model.h. `ret_blob` is empty on failure. */
int flags_compile(const struct flags_model *model, struct buf *ret_blob,
                  struct err *err) must_check;

/* The predicates that a `custom` condition may name; NULL past the last. */
const char *flags_custom_name(size_t i);

#endif
