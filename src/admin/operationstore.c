#include "admin/operationstore.h"

#include "admin/routestore.h"
#include "parallel/parallel.h"

static bool flag_is_on(struct service *s, const struct conf_module *module,
                       const struct flags_context *who, bool *ret_known) {
    _cleanup_(flagset_putp) struct flagset *flags = flagset_get(&s->flags);
    struct flags_result result = {0};
    *ret_known = flags != NULL;
    if (!flags || !module->flag.text)
        return false;
    uint32_t flag = flags_find(&flags->set, span_of(module->flag.text));
    if (flag != FLAGS_NONE)
        flagset_evaluate(flags, flag, who, &result);
    return result.on;
}

static void route(void *context, const struct conf_module *module, const struct flags_context *who,
                  struct operation_routing *ret) {
    struct service *s = context;
    struct route_module m;
    bool flags = true;
    if (!routestore_get(s->routestore, module->name.text, &m))
        return; /* not known: SQL */
    *ret = (struct operation_routing){
        .reads = m.reads, .writes = m.writes, .fallback = m.fallback, .caught_up = m.caught_up};
    if (m.reads == READS_FLAG)
        ret->flag_on = flag_is_on(s, module, who, &flags);
    ret->known = flags;
}

int operationstore_start(struct service *s, struct err *err) {
    const struct operations_config config = {.conf = s->conf,
                                             .app = "banyan operations",
                                             .route = route,
                                             .route_context = s,
                                             .observer = parallel_observer(s->parallel)};
    int rc = operations_new(&config, &s->operations, err);
    if (rc == 0)
        parallel_operations(s->parallel, s->operations);
    return rc;
}

void operationstore_stop(struct service *s) {
    operations_free(s->operations);
    s->operations = NULL;
}

static void sample_side(const struct operation_counts *c, enum route_side side,
                        const struct obs_histogram *took, struct obs_page *page) {
    const char *module = c->module->name.text, *name = c->operation->name.text;
    const struct operation_side_counts *n = &c->sides[side];
    const char *label = route_side_name(side);
    for (int o = OPERATION_OK; o < OPERATION_OUTCOME_COUNT; o++)
        obs_sample(page, METRIC_OPERATIONS, (double)n->outcomes[o], module, name, label,
                   operation_outcome_name((enum operation_outcome)o));
    obs_sample_histogram(page, METRIC_OPERATION_LATENCY, took, module, name, label);
    obs_sample(page, METRIC_OPERATION_SAMPLES, (double)n->samples, module, name, label);
    obs_sample(page, METRIC_OPERATION_RESCUED, (double)n->rescued, module, name, label);
}

void operationstore_sample(const struct service *s, struct obs_page *page) {
    size_t count = s->operations ? operations_count(s->operations) : 0;
    for (size_t i = 0; i < count; i++) {
        struct operation_counts c;
        operations_counts(s->operations, i, &c);
        for (int side = 0; side < OPERATION_SIDES; side++)
            sample_side(&c, (enum route_side)side,
                        operations_took(s->operations, i, (enum route_side)side), page);
        const char *module = c.module->name.text, *name = c.operation->name.text;
        obs_sample(page, METRIC_OPERATION_BREAKER, c.sides[ROUTE_MONGODB].breaker_open, module,
                   name);
        obs_sample(page, METRIC_OPERATION_DROPPED, (double)c.dropped_budget, module, name,
                   "budget");
        obs_sample(page, METRIC_OPERATION_DROPPED, (double)c.dropped_busy, module, name, "busy");
    }
    for (int side = 0; count && side < OPERATION_SIDES; side++)
        obs_sample(page, METRIC_OPERATION_SESSIONS,
                   (double)operations_sessions(s->operations, (enum route_side)side),
                   route_side_name((enum route_side)side));
}
