/*
 * Documents from the source: reads roots and everything embedded in them, level by level, and
 * maps them. The one loader: snapshot, refresh and verification all use it.
 *
 * The caller's session is in a transaction begun by readback_begin, so all levels are of one
 * moment. Memory is bounded: roots are read in groups whose size follows the bytes they need; one
 * root alone may need ASSEMBLE_ROOT_MAX. @thread the owner of the session
 */
#ifndef BANYAN_SOURCE_ASSEMBLE_H
#define BANYAN_SOURCE_ASSEMBLE_H

#include "db/pg.h"
#include "map/document.h"
#include "source/query.h"

/* A document holds at most 16 MiB; the texts it is made from may be longer (bytea is hex). */
#define ASSEMBLE_ROOT_MAX ((size_t)96 * 1024 * 1024)
#define ASSEMBLE_DOCUMENT_MAX ((size_t)64 * 1024 * 1024)

struct assembler;

/* `document` is empty when the row cannot be mapped: `failure` then says why. Spans and row hold
 * until the function returns. A non-zero answer ends the reading and becomes its result. */
struct assembled {
    struct span identity;
    struct span document;
    const struct map_row *row;
    const struct err *failure; /* NULL: none */
    uint64_t version;          /* another one: some row was written; 0: nobody asked */
};
typedef int (*assemble_fn)(void *context, const struct assembled *doc, struct err *err);

struct assembler *assembler_new(struct pg *pg, const struct plan_collection *c);
void assembler_free(struct assembler *a);
DEFINE_CLEANUP(struct assembler *, assembler_free)

/* assemble_keys tells versions from now on, or no more. The role must be allowed to read tables as
 * a whole: system columns cannot be granted one by one. */
void assembler_versions(struct assembler *a, bool on);

/* The documents of these keys that exist; in no particular order, each once. */
int assemble_keys(struct assembler *a, const struct span *keys, size_t count, int64_t now_ms,
                  assemble_fn fn, void *context, struct err *err) must_check;

/* All documents of a range of root keys. */
int assemble_range(struct assembler *a, const struct key_range *range, int64_t now_ms,
                   assemble_fn fn, void *context, struct err *err) must_check;

/* The keys that a COPY gives (query_climb, query_all_keys), tuple by tuple. */
typedef int (*assemble_key_fn)(void *context, const struct span *key, struct err *err);
int assemble_read_keys(struct pg *pg, const char *sql, size_t width, assemble_key_fn fn,
                       void *context, struct err *err) must_check;

/* A statement whose text grew past QUERY_MAX is an error that says so. */
int query_check(const struct buf *q, struct err *err) must_check;

#endif
