/*
 * Read-back for a lane: the documents of dirty keys, as the source has them now.
 *
 * Owns a session to the source (opened when first needed, again after it was lost). @thread lane
 */
#ifndef BANYAN_APPLY_REFRESH_H
#define BANYAN_APPLY_REFRESH_H

#include "apply/fold.h"

struct refresh;

/* `document` empty: the row is gone. `failure`: the row cannot be mapped. */
struct refreshed {
    struct span identity;
    struct span document;
    const struct err *failure;
};
typedef int (*refresh_fn)(void *context, const struct refreshed *doc, struct err *err);

struct refresh *refresh_new(const struct plan *plan, const char *source_uri, const char *app);
void refresh_free(struct refresh *r);

/* Calls `fn` for each change of kind CHANGE_REFRESH in the fold: what its row is now. All are read
 * in one transaction that sees the fold's transactions. After a retriable error everything may be
 * asked again; documents given before are then given twice. */
int refresh_run(struct refresh *r, size_t collection, const struct fold *fold, refresh_fn fn,
                void *context, struct err *err) must_check;

#endif
