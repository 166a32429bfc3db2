/*
 * What counts as equal between the answers of a route or an operation: what the mapping says of the
 * fields, then what `compare` says. Pure.
 *
 * A mapped column says which forms its value may take (a numeric is a number, also as a text), an
 * embedded array by which member its elements belong together (its table's primary key), `nulls:
 * omit` that null is absent. Fields stand where the collection has them: from the root of what an
 * operation finds; in a route's answer at any depth, as a service wraps documents as it likes.
 * Where two collections of a module say different things of one path, the mapping says nothing; nor
 * of a column what does not hold for one of the same name in a table that is embedded.
 */
#ifndef BANYAN_PARALLEL_RULES_H
#define BANYAN_PARALLEL_RULES_H

#include "compare/compare.h"
#include "map/plan.h"

struct rules_of {
    const struct conf_compare *compare;
    const struct plan *plan;
    const char *module;
    const char *collection; /* NULL: all of the module, at any depth */
    bool any_order;         /* of what is found: `returns: set` */
};

/* *ret_left_out: what the mapping says and had no room (COMPARE_PATTERNS_MAX). ERR_CONF names the
 * path. */
int rules_compile(const struct rules_of *of, struct compare_rules **ret, size_t *ret_left_out,
                  struct err *err) must_check;

#endif
