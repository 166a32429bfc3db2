/* One value of a declared type, from a JSON node. Private to operation/. Pure. */
#ifndef BANYAN_OPERATION_SCALAR_H
#define BANYAN_OPERATION_SCALAR_H

#include "base/arena.h"
#include "base/err.h"
#include "base/json_read.h"
#include "conf/conf.h"
#include "model/bsonw.h"

/* Where a value goes. */
struct scalar_out {
    struct arena *arena;
    const struct conf_types *policy;
    struct bsonw *bson;
    struct span key;  /* in `bson` */
    struct span text; /* set: PostgreSQL's text */
};

/* ERR_VALUE: what it must be ("a whole number from ..."), to be read behind the parameter's name.
 */
int scalar_read(const struct conf_param *p, const struct json_doc *d, const struct json_node *n,
                struct scalar_out *out, struct err *err) must_check;

#endif
