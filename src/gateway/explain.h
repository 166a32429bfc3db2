/*
 * What would happen to a request, and why: for `banyan routes explain`, the API and the page alike.
 *
 * The route is found and the side decided by the functions that nginx's workers use, so the two
 * cannot differ. What only a worker knows is left out: an open breaker, and marks of own writes.
 */
#ifndef BANYAN_GATEWAY_EXPLAIN_H
#define BANYAN_GATEWAY_EXPLAIN_H

#include "base/json_write.h"
#include "flagfile/snapshot.h"
#include "gateway/routing.h"

struct explanation {
    const char *method, *path;        /* the caller's */
    const struct conf_module *module; /* NULL: no route */
    const struct conf_route *route;
    bool ambiguous;
    struct route_question question;
    struct route_decision decision;
    struct buf flag; /* which step of the flag decided; empty: it was not asked. The caller's */
};

/* Step 1: the route. ERR_USAGE: no path. */
int explain_route(const struct conf *conf, struct explanation *x, struct err *err) must_check;
/* What is answered where no side is asked; NULL: one is. */
const char *explain_answer(const struct explanation *x);

/* Step 2, where a side is asked: settings as they hold now. *ret_ask: the flag is asked too. */
int explain_settings(struct explanation *x, struct state *s, bool *ret_ask,
                     struct err *err) must_check;
/* Step 3, where it is asked. A module's flag that is in no file is off. */
int explain_flag(struct explanation *x, const struct snapshot *snapshot,
                 const struct flags_context *context, struct err *err) must_check;
/* Step 4. */
void explain_decide(struct explanation *x);

/* An object. */
void explain_show(const struct explanation *x, struct json_out *j);

#endif
