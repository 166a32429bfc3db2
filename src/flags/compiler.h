/*
 * Shared by the parts of the compiler. Private to flags/. One thread.
 *
 * Parts append to `out` and hand back offsets; structs are built in `scratch` first, because `out`
 * moves when it grows. A part that fails leaves its reason in `err`.
 */
#ifndef BANYAN_FLAGS_COMPILER_H
#define BANYAN_FLAGS_COMPILER_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/spanmap.h"
#include "flags/blob.h"

struct compiler {
    const struct flags_model *model;
    struct buf *out;
    struct arena scratch; /* of one flag */
    /* What stands in `out` already, to be shared: bytes -> offset. */
    struct spanmap texts, structs;
    struct arena shared;  /* their keys */
    struct spanmap zones; /* name -> number */
    const struct flags_flag *flag;
    struct err *err;
};

/* Cleared memory, until the next flag. Sizes are bounded by the limits of model.h. */
void *compiler_scratch(struct compiler *c, size_t count, size_t size);

/* Appends at the next offset divisible by 8, or finds the same bytes there: flags of one file say
 * the same things, and what is shared stays in the processor's caches. */
uint32_t compiler_emit(struct compiler *c, const void *bytes, size_t len);
struct blob_list compiler_emit_list(struct compiler *c, const void *items, size_t count,
                                    size_t size);
struct blob_text compiler_emit_text(struct compiler *c, struct span s);
/* The same for what is surely there once. */
struct blob_text compiler_emit_name(struct compiler *c, struct span s);

/* "file:line:column: flag x: ..."; returns `code`. */
int compiler_error(struct compiler *c, int code, struct flags_place place, const char *fmt, ...)
    printf_like(4, 5);

/* A name: there, not too long, UTF-8. A text: not too long, UTF-8. `what` is for the error. */
int compiler_check_name(struct compiler *c, struct flags_place place, const char *what,
                        struct span name) must_check;
int compiler_check_text(struct compiler *c, struct flags_place place, const char *what,
                        struct span text) must_check;
int compiler_check_value(struct compiler *c, struct flags_place place, const char *what,
                         const struct flags_value *v) must_check;

/* Number of the variant; an error if there is none of that name. Without variants: on 0, off 1. */
int compiler_variant(struct compiler *c, struct span name, int32_t *ret_variant) must_check;

int compiler_conditions(struct compiler *c, const struct flags_condition *conditions, size_t count,
                        struct blob_list *ret_list) must_check;

/* The flag's rules and, unless rules_only, its rollout as the last one. */
int compiler_rules(struct compiler *c, int32_t on_variant, struct blob_list *ret_list) must_check;

int compiler_logic(struct compiler *c, const struct flags_node *node,
                   uint32_t *ret_logic) must_check;

/* For each flag, in the order of `flags`, everything it requires (arrays in `arena`). */
struct compiler_requires {
    struct blob_require *list;
    size_t count;
};
int compiler_requires(struct compiler *c, const struct flags_flag *const *flags,
                      const struct spanmap *numbers, struct arena *arena,
                      struct compiler_requires *ret_requires) must_check;

#endif
