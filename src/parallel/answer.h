/*
 * Two answers to one request: whether they can be compared, and in what they differ.
 *
 * What can be: whole bodies, also gzip and deflate (inflated, with a limit). Not 304, 206, HEAD,
 * event streams and other encodings. Both JSON: value by value (compare/compare.h). Else: type and
 * hash of the body. Headers only where they are named, Set-Cookie never. Where a side has failed
 * (5xx), only the class of its status counts. Pure; any thread, an arena each.
 */
#ifndef BANYAN_PARALLEL_ANSWER_H
#define BANYAN_PARALLEL_ANSWER_H

#include "compare/compare.h"
#include "parallel/reason.h"

#define ANSWER_INFLATED_MAX (4 * 1024 * 1024) /* bytes of a body, inflated or sent so */
#define ANSWER_DIFFERENCES_MAX 50             /* that are kept of one comparison */
#define ANSWER_SHOWN_MAX 1000                 /* bytes of one value */
#define ANSWER_DOCUMENT_MAX (64 * 1024)       /* bytes of one document that is kept */
#define ANSWER_ARENA_MAX (96 * 1024 * 1024)   /* what both answers may become as trees */

/* Spans are the caller's. */
struct answer {
    int status;       /* of an operation what HTTP would say: 200, 404, 500 */
    struct span head; /* with a first line; of an operation empty */
    struct span body; /* inflated, once answer_open has said COMPARABLE */
    bool cut;         /* not the whole body */
    enum answer_form {
        ANSWER_HTTP,
        ANSWER_ROWS, /* `body` is an array of rows, as BSON */
        ANSWER_ROW   /* ... of which the only one counts */
    } form;
};

/* Whether it can be compared, by its head alone. */
enum parallel_reason answer_comparable(const struct answer *a, bool is_head);

/* The same, and inflates the body where it has to, into `inflated` (initialised with
 * ANSWER_INFLATED_MAX). */
enum parallel_reason answer_open(struct answer *a, bool is_head, struct buf *inflated);

/* "gzip" or "deflate" (with or without zlib's head). False: damaged, or longer than the buffer's
 * maximum (*ret_too_large). */
bool answer_inflate(struct span body, struct buf *out, bool *ret_too_large) must_check;

/* What holds for the answers of one route or operation. */
struct answer_rules {
    struct compare_rules *rules;
    const char *const *headers;
    size_t header_count;
    bool store_documents;
};

/* As it may be kept: values that are masked are so already. In the arena. */
struct answer_difference {
    struct span path, shape;
    enum compare_kind kind;
    struct span sql, mongodb; /* JSON; ptr NULL: not there */
};

struct answer_compared {
    bool equal;
    uint32_t found; /* differences */
    struct answer_difference *differences;
    size_t count; /* of them, at most ANSWER_DIFFERENCES_MAX */
    uint32_t explained[COMPARE_RULE_COUNT];
    struct span sql_document, mongodb_document; /* where they are kept */
};

/* Both opened. `details` false: only whether they are equal. The key is that of masked values.
 * `memory` keeps what is returned, `scratch` is used and reset. ERR_LIMIT: too large to be read,
 * or too much work. */
int answer_compare(const struct answer_rules *rules, const struct answer *sql,
                   const struct answer *mongodb, bool details, struct span mask_key,
                   struct arena *memory, struct arena *scratch, struct answer_compared *ret,
                   struct err *err) must_check;

/* What is in the body, as a tree whose memory is the arena and the body. ERR_VALUE: neither JSON
 * nor BSON; ERR_LIMIT: too large. */
int answer_tree(const struct answer *a, struct arena *memory, struct compare_tree *ret,
                struct err *err) must_check;

/* JSON as it may be kept, masked members masked; "null" for what is no JSON. In `memory`. */
struct span answer_show(const struct compare_rules *rules, struct span json, struct span mask_key,
                        size_t max, struct arena *memory, struct arena *scratch);

#endif
