/*
 * Parameters: what a caller gave as JSON, as values of the declared types. Pure.
 *
 * Each value has two forms, made once: PostgreSQL's text, to be bound to $n, and BSON, to be put
 * into a template. A text never becomes a document or an operator: only a parameter of type json
 * may be a document, and none of its keys may begin with '$'.
 */
#ifndef BANYAN_OPERATION_PARAM_H
#define BANYAN_OPERATION_PARAM_H

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"

#include <bson/bson.h>

#define PARAM_NODES_MAX 20000 /* values in the JSON of one call */

struct params {
    const struct conf_operation *operation;
    struct span texts[CONF_PARAMS_MAX]; /* PostgreSQL's; ptr NULL: null */
    bson_t bson;                        /* {name: value}; bytes in the arena */
};

/* `json`: an object, or empty. ERR_USAGE names the parameter. Everything is in the arena, or points
 * into `json`. */
int params_read(const struct conf_operation *o, const struct conf_types *policy, struct span json,
                struct arena *arena, struct params *ret, struct err *err) must_check;

/* The default of a parameter is of its type. ERR_USAGE. */
int param_check_default(const struct conf_operation *o, size_t number,
                        const struct conf_types *policy, struct err *err) must_check;

/* Number of the parameter; -1: there is none. */
int param_find(const struct conf_operation *o, struct span name);

/* OID that a parameter is bound with; 0: the server finds out, as with an application's own text.
 */
uint32_t param_oid(const struct conf_param *p);

/* A text as a pattern of LIKE that finds just it. In the arena; ptr NULL: no room. */
struct span param_like(struct span text, struct arena *arena);

#endif
