/*
 * OFREP 0.3: OpenFeature's remote evaluation (open-feature/protocol, service/openapi.yaml).
 *
 * The body gives the evaluation context: targetingKey (or userId) is the user, tenantId the tenant,
 * userAttributes and tenantAttributes objects of attributes; any other key is an attribute of the
 * user. The functions here are pure but for counting; the routes are in ofrep_routes.
 */
#ifndef BANYAN_ADMIN_OFREP_H
#define BANYAN_ADMIN_OFREP_H

#include "admin/flagset.h"
#include "base/arena.h"
#include "base/buf.h"

#define OFREP_NODES_MAX 20000 /* values in a context */

struct ofrep_question {
    const struct flagset *flags; /* NULL: there are none */
    struct span body;            /* as sent; empty is an empty context */
    struct arena *arena;         /* for the time of the answer */
    int64_t now_us;              /* wall clock */
    uint64_t random;
    const char *events; /* ofrep_all: the address of the changes */
};

/* The answer's JSON in `out`; returns the HTTP status. *ret: what was found, for counting. */
int ofrep_one(const struct ofrep_question *q, struct span key, struct buf *out,
              struct flags_result *ret);
int ofrep_all(const struct ofrep_question *q, struct buf *out);

#endif
