/*
 * What several daemons share about flags: one JSON document with every change that people made, and
 * how a daemon's own changes and the shared ones become one. Pure, any thread.
 *
 *   {"generation":"5f0c...","version":7,"flags":[{"name":"f","version":3,"killed":false,"override":{...}|null,
 *                          "who":"...","why":"...","changed_us":...}]}
 */
#ifndef BANYAN_FLAGFILE_SHARED_H
#define BANYAN_FLAGFILE_SHARED_H

#include "base/buf.h"
#include "state/state.h"

#define SHARED_MAX ((size_t)4 * 1024 * 1024) /* bytes of the document */
#define SHARED_FLAGS_MAX 10000

#define SHARED_VERSION_MAX (INT64_C(1) << 53)

struct shared_flags {
    char generation[20]; /* of the document: one that was lost begins a new one */
    int64_t version;     /* grows with each change of the document */
    struct state_flag *flags;
    size_t count;
};
void shared_clear(struct shared_flags *s);

/* A document that begins. */
void shared_begin(struct shared_flags *s, uint64_t random);

/* Removes what no flag can have: it would keep every change from taking effect. What only the flags
 * of one's own file cannot have (a percentage, where rules decide) stays: other daemons may have
 * another file. Returns how many. */
size_t shared_drop_bad(struct shared_flags *s);

/* ERR_VALUE with the place of what is wrong; nothing of a bad document is taken. */
int shared_read(struct span json, struct shared_flags *ret, struct err *err) must_check;
void shared_write(const struct shared_flags *s, struct buf *out);

/*
 * Flag by flag the higher version holds. Equal versions that differ come from a time without
 * contact, or from the same moment: a kill holds, else what is shared. *ret_taken: the shared flags
 * that are news here (borrowed from `s`; free() the array); *ret_given: `s` has got news from here,
 * with a version of its own. ERR_LIMIT: too many flags.
 */
int shared_merge(struct shared_flags *s, const struct state_flag *own, size_t own_count,
                 const struct state_flag ***ret_taken, size_t *ret_taken_count, bool *ret_given,
                 struct err *err) must_check;

#endif
