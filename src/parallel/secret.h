/*
 * The key of the hashes that stand for masked values and users: made once, kept beside the state
 * (not in it: a copy of the state shall not tell what it hides), readable by its owner only.
 */
#ifndef BANYAN_PARALLEL_SECRET_H
#define BANYAN_PARALLEL_SECRET_H

#include "base/err.h"
#include "base/span.h"

#define SECRET_LEN 32

struct secret {
    unsigned char key[SECRET_LEN];
};

/* Of "<state>.mask-key"; made where it is not there. ERR_STATE. */
int secret_open(const char *state_path, struct secret *ret, struct err *err) must_check;

static inline struct span secret_span(const struct secret *s) {
    return span_make(s->key, SECRET_LEN);
}

/* STATE_USER_LEN bytes that stand for a user. */
void secret_hash_user(const struct secret *s, struct span user, unsigned char *ret);

#endif
