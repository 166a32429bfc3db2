/*
 * Divergences as the state keeps them: one row a cause, with a counter and its newest examples.
 *
 * A cause is what differences of one origin have in common: module, subject (operation or route),
 * shape of the path, kind; its fingerprint is the caller's. How many of them, and of their newest
 * examples, are kept is the caller's too: a cause beyond that is counted as "other" of its subject.
 * Any thread.
 */
#ifndef BANYAN_STATE_DIVERGENCE_H
#define BANYAN_STATE_DIVERGENCE_H

#include "state/state.h"

#define STATE_DIVERGENCES_MAX 100000 /* that one list can have */
#define STATE_SHAPE_MAX 513          /* bytes of a shape or path, with NUL */
#define STATE_USER_LEN 16            /* bytes of the keyed hash of a user */

/* One difference that was found. Spans and texts are borrowed; a span with ptr NULL is not there.
 */
struct state_divergence_found {
    const char *module, *subject;
    uint64_t fingerprint;
    struct span shape, path;
    const char *kind;         /* missing, extra, mismatch, type_difference */
    int64_t at_us;            /* wall clock */
    struct span sql, mongodb; /* the differing values, as JSON */
    struct span request;      /* its id */
    struct span parameters;   /* JSON */
    struct span reproducer;
    const char *collection;                     /* NULL: which document it is about is not known */
    struct span key;                            /* keyblob of the id columns */
    struct span sql_document, mongodb_document; /* JSON */
    struct span user;                           /* STATE_USER_LEN bytes */
};

/* All in one transaction. At most `causes` causes (and one "other" a subject), of each at most
 * `examples` examples. */
int state_divergences_add(struct state *s, const struct state_divergence_found *found, size_t count,
                          int causes, int examples, struct err *err) must_check;

struct state_divergence {
    int64_t id;
    char module[STATE_NAME_MAX];
    char subject[STATE_NAME_MAX];
    uint64_t fingerprint;
    char shape[STATE_SHAPE_MAX];
    char kind[32];
    int64_t count, first_us, last_us;
    bool analyzed;
};

/* Which ones: NULL is any; analyzed -1: both. */
struct state_divergence_filter {
    const char *module, *subject;
    int analyzed;
    size_t max;
};
/* The most frequent first. free() it. */
int state_divergence_list(struct state *s, const struct state_divergence_filter *filter,
                          struct state_divergence **ret, size_t *ret_count,
                          struct err *err) must_check;
int state_divergence_get(struct state *s, int64_t id, struct state_divergence *ret, bool *ret_found,
                         struct err *err) must_check;

struct state_example {
    int64_t id, at_us;
    char path[STATE_SHAPE_MAX];
    char *sql, *mongodb, *request, *parameters, *reproducer; /* NULL: not there */
    char collection[STATE_NAME_MAX];                         /* "": not known */
    char *key;
    size_t key_len;
    char *sql_document, *mongodb_document;
};
void state_example_clear(struct state_example *e);
/* The newest first. free() the array after clearing each, on an error too. */
int state_example_list(struct state *s, int64_t divergence, struct state_example **ret,
                       size_t *ret_count, struct err *err) must_check;

/* With its audit line, in one transaction; *ret_found false: there is none, and no line. */
int state_divergence_analyze(struct state *s, int64_t id, bool analyzed,
                             const struct state_audit_line *line, bool *ret_found,
                             struct err *err) must_check;

/* Forgets the examples of one user (what else was counted has no user), with its audit line. */
int state_divergence_purge(struct state *s, struct span user, const struct state_audit_line *line,
                           int64_t *ret_count, struct err *err) must_check;

/* Forgets examples from before `until_us` and causes not seen since, some in a transaction. */
int state_divergence_expire(struct state *s, int64_t until_us, struct err *err) must_check;

#endif
