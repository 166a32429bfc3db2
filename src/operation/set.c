/* A set of operations: compiled together, with the sessions of both sides. */
#include "base/mem.h"
#include "operation/call.h"
#include "operation/sampler.h"

#include <stdlib.h>

/* Room for asking one side again while all samples are under way. */
#define SESSIONS_FOR_ASKING 4

static int compile_all(const struct conf *conf, struct compiled *items, size_t *ret_count,
                       struct spanmap *by_name, struct err *err) {
    size_t count = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < conf->module_count; i++)
        for (size_t j = 0; rc == 0 && j < conf->modules[i].operation_count; j++) {
            const struct conf_operation *o = &conf->modules[i].operations[j];
            struct compiled *c = &items[count];
            bool fresh;
            c->number = count++;
            *spanmap_put(by_name, span_of(o->name.text), &fresh) = (uint32_t)c->number;
            rc = compiled_init(c, conf, i, o, err);
        }
    *ret_count = count; /* the last may be half built: it can be released */
    return rc;
}

static size_t count_all(const struct conf *conf) {
    size_t all = 0;
    for (size_t i = 0; i < conf->module_count; i++)
        all += conf->modules[i].operation_count;
    return all;
}

static struct side_limits limits_of(const struct operations *ops) {
    struct side_limits l = {.app = ops->config.app,
                            .operations = ops->count,
                            .sample_sessions =
                                sampler_threads(ops->config.conf) + SESSIONS_FOR_ASKING};
    for (size_t i = 0; i < ops->count; i++) {
        const struct conf_operation *o = ops->items[i].conf;
        l.longest_us = o->timeout_us > l.longest_us ? o->timeout_us : l.longest_us;
        l.connect_us =
            o->fallback.connect_us > l.connect_us ? o->fallback.connect_us : l.connect_us;
    }
    return l;
}

int operations_new(const struct operations_config *config, struct operations **ret_operations,
                   struct err *err) {
    struct operations *ops = mem_zalloc(1, sizeof *ops);
    ops->config = *config;
    ops->items = mem_zalloc(count_all(config->conf) + 1, sizeof *ops->items);
    int rc = compile_all(config->conf, ops->items, &ops->count, &ops->by_name, err);
    if (rc == 0) {
        const struct side_limits limits = limits_of(ops);
        rc = side_sql_new(config->conf, &limits, &ops->sql, err);
        if (rc == 0) {
            ops->mongodb = side_mongodb_new(config->conf, &limits, ops->sql);
            ops->sampler = sampler_new(ops);
        }
    }
    if (rc < 0)
        operations_free(ops);
    else
        *ret_operations = ops;
    return rc;
}

void operations_free(struct operations *ops) {
    if (!ops)
        return;
    sampler_free(ops->sampler);
    side_mongodb_free(ops->mongodb);
    side_sql_free(ops->sql);
    for (size_t i = 0; i < ops->count; i++)
        compiled_release(&ops->items[i]);
    spanmap_release(&ops->by_name);
    free(ops->items);
    free(ops);
}

int operations_check(const struct conf *conf, struct err *err) {
    struct compiled *items = mem_zalloc(count_all(conf) + 1, sizeof *items);
    struct spanmap by_name = {0};
    size_t count = 0;
    int rc = compile_all(conf, items, &count, &by_name, err);
    for (size_t i = 0; i < count; i++)
        compiled_release(&items[i]);
    spanmap_release(&by_name);
    free(items);
    return rc;
}

/* ---- what was measured ---- */

size_t operations_count(const struct operations *ops) {
    return ops->count;
}

void operations_counts(struct operations *ops, size_t i, struct operation_counts *ret) {
    struct compiled *c = &ops->items[i];
    *ret = (struct operation_counts){.module = c->module,
                                     .operation = c->conf,
                                     .dropped_budget = atomic_load(&c->dropped_budget),
                                     .dropped_busy = atomic_load(&c->dropped_busy)};
    for (int side = 0; side < OPERATION_SIDES; side++) {
        struct operation_side_counts *to = &ret->sides[side];
        to->calls = atomic_load(&c->sides[side].calls);
        to->samples = atomic_load(&c->sides[side].samples);
        to->rescued = atomic_load(&c->sides[side].rescued);
        for (int outcome = 0; outcome < OPERATION_OUTCOME_COUNT; outcome++)
            to->outcomes[outcome] = atomic_load(&c->sides[side].outcomes[outcome]);
    }
    ret->sides[ROUTE_MONGODB].breaker_open = breaker_looks_open(&c->breaker);
}

const struct obs_histogram *operations_took(const struct operations *ops, size_t i,
                                            enum route_side side) {
    return ops->items[i].sides[side].took;
}

size_t operations_sessions(struct operations *ops, enum route_side side) {
    return side == ROUTE_SQL ? side_sql_sessions(ops->sql) : side_mongodb_sessions(ops->mongodb);
}
