/* A call and its set. Private to operation/. */
#ifndef BANYAN_OPERATION_CALL_H
#define BANYAN_OPERATION_CALL_H

#include "base/arena.h"
#include "base/spanmap.h"
#include "operation/compiled.h"
#include "operation/param.h"
#include "operation/side_mongodb.h"

struct sampler;

struct operations {
    struct operations_config config;
    struct compiled *items;
    size_t count;
    struct spanmap by_name;
    struct side_sql *sql;
    struct side_mongodb *mongodb;
    struct sampler *sampler;
};

struct call {
    struct operation_call public; /* first: callers see this */
    atomic_size_t references;
    struct operations *ops;
    struct compiled *compiled;
    struct arena arena; /* params, texts */
    struct params values;
    /* Of a call that is sampled. */
    enum route_side sampled_side;
    struct operation_answer sample;
    atomic_int parts; /* the caller's and the sample's: who ends last hands both over */
};

/* Asks a side and counts: as a sample, where the times are those of one. */
void call_ask(struct operations *ops, struct compiled *c, const struct params *p,
              enum route_side side, const struct side_times *times, struct operation_answer *ret);

#endif
