/* An operation, compiled. Private to operation/. Immutable but for what is marked. */
#ifndef BANYAN_OPERATION_COMPILED_H
#define BANYAN_OPERATION_COMPILED_H

#include "operation/breaker.h"
#include "operation/key.h"
#include "operation/operation.h"
#include "operation/sql_text.h"

#include <stdatomic.h>

struct compiled_side {
    _Atomic uint64_t calls, samples, rescued;
    _Atomic uint64_t outcomes[OPERATION_OUTCOME_COUNT];
    struct obs_histogram *took;
};

struct compiled {
    const struct conf *whole;
    const struct conf_module *module;
    const struct conf_operation *conf;
    size_t number, module_number;
    struct sql_text sql;
    struct key key;         /* of the collection that a find looks in; any thread */
    struct breaker breaker; /* of MongoDB; any thread */
    struct compiled_side sides[OPERATION_SIDES]; /* any thread */
    _Atomic uint64_t dropped_budget, dropped_busy;
};

/* Checks and compiles. ERR_CONF with the place. */
int compiled_init(struct compiled *c, const struct conf *conf, size_t module_number,
                  const struct conf_operation *o, struct err *err) must_check;
void compiled_release(struct compiled *c);

#endif
