#include "parallel/parallel.h"

#include "base/mem.h"
#include "parallel/core.h"
#include "parallel/mapping.h"

#include <stdlib.h>

static int start_threads(struct parallel *p, struct err *err) {
    int rc = writer_start(p, &p->writer, err);
    if (rc == 0)
        rc = mapping_start(p, &p->mapping, err);
    if (rc == 0 && (!settling_start(p, &p->settling) || !workers_start(p, &p->workers)))
        rc = err_set(err, ERR_INTERNAL, "cannot start the threads of the parallel run");
    const struct listener_sink sink = frames_sink(p);
    if (rc == 0 && p->config.socket_path)
        rc = listener_start(p->config.socket_path, &sink, &p->listener, err);
    return rc;
}

int parallel_start(const struct parallel_config *config, struct parallel **ret_parallel,
                   struct err *err) {
    struct parallel *p = mem_zalloc(1, sizeof *p);
    p->config = *config;
    p->samples = queue_new(PARALLEL_QUEUE_MAX, PARALLEL_QUEUE_BYTES);
    p->weights = weights_new();
    subjects_init(&p->subjects, config->conf);
    int rc = secret_open(state_path(config->state), &p->secret, err);
    if (rc == 0)
        rc = start_threads(p, err);
    if (rc < 0) {
        parallel_free(p);
        return rc;
    }
    *ret_parallel = p;
    return 0;
}

/* From where samples come to where they end. */
void parallel_stop(struct parallel *p) {
    if (!p)
        return;
    atomic_store(&p->stop, true);
    listener_stop(p->listener);
    p->listener = NULL;
    workers_stop(p->workers);
    p->workers = NULL;
    if (p->settling)
        settling_stop(p->settling);
}

void parallel_free(struct parallel *p) {
    if (!p)
        return;
    parallel_stop(p);
    settling_free(p->settling);
    writer_stop(p->writer);
    mapping_stop(p->mapping);
    queue_free(p->samples);
    subjects_release(&p->subjects);
    weights_free(p->weights);
    free(p);
}

void parallel_operations(struct parallel *p, struct operations *operations) {
    p->operations = operations;
}

/* ---- metrics ---- */

static void sample_subject(const struct subject *s, struct obs_page *page) {
    static const char *const sides[] = {"sql", "mongodb"};
    const char *operation = s->route ? "" : s->name, *route = s->route ? s->name : "";
    const struct tally *t = &s->tally;
    obs_sample(page, METRIC_COMPARED, tally_get(t, TALLY_COMPARED), s->module, operation, route);
    obs_sample(page, METRIC_DIVERGENT, tally_get(t, TALLY_REAL), s->module, operation, route);
    uint64_t weight = tally_get(t, TALLY_WEIGHT_COMPARED);
    if (weight)
        obs_sample(page, METRIC_DIVERGENCE_RATIO,
                   (double)tally_get(t, TALLY_WEIGHT_REAL) / (double)weight, s->module, operation,
                   route);
    obs_sample(page, METRIC_COMPARED_LAG, tally_get(t, TALLY_LAG), s->module, operation, route);
    obs_sample(page, METRIC_COMPARED_UNSETTLED, tally_get(t, TALLY_UNSETTLED), s->module, operation,
               route);
    obs_sample(page, METRIC_NOISE_RUNS, tally_get(t, TALLY_NOISE_RUNS), s->module, operation,
               route);
    obs_sample(page, METRIC_NOISE, tally_get(t, TALLY_NOISE_HITS), s->module, operation, route);
    for (int i = 0; i < COMPARE_RULE_COUNT; i++)
        if (tally_get(t, TALLY_EXPLAINED + i))
            obs_sample(page, METRIC_EXPLAINED, tally_get(t, TALLY_EXPLAINED + i), s->module,
                       operation, route, compare_rule_name((enum compare_rule)i));
    for (int i = 1; i < PARALLEL_REASON_COUNT; i++)
        if (tally_get(t, TALLY_NOT_COMPARED + i))
            obs_sample(page, METRIC_NOT_COMPARED, tally_get(t, TALLY_NOT_COMPARED + i), s->module,
                       operation, route, parallel_reason_name((enum parallel_reason)i));
    if (s->route)
        tally_sample_gateway(t, page, s->module, route);
    for (int side = 0; side < 2; side++) {
        obs_sample(page, METRIC_SIDE_CALLS, tally_get(t, TALLY_CALLS + side), s->module, operation,
                   route, sides[side]);
        obs_sample(page, METRIC_SIDE_ERRORS, tally_get(t, TALLY_ERRORS + side), s->module,
                   operation, route, sides[side]);
        obs_sample_histogram(page, METRIC_SIDE_LATENCY, &t->calls_us[side], s->module, operation,
                             route, sides[side]);
        obs_sample(page, METRIC_SHADOW_CALLS, tally_get(t, TALLY_SHADOW_CALLS + side), s->module,
                   operation, route, sides[side]);
        obs_sample(page, METRIC_SHADOW_ERRORS, tally_get(t, TALLY_SHADOW_ERRORS + side), s->module,
                   operation, route, sides[side]);
        obs_sample_histogram(page, METRIC_SHADOW_LATENCY, &t->shadow_us[side], s->module, operation,
                             route, sides[side]);
    }
    obs_sample(page, METRIC_RESCUED, tally_get(t, TALLY_RESCUED + ROUTE_MONGODB), s->module,
               operation, route);
}

void parallel_sample_metrics(struct parallel *p, struct obs_page *page) {
    for (size_t i = 0; i < p->subjects.count; i++)
        sample_subject(&p->subjects.list[i], page);
    obs_sample(page, METRIC_SAMPLES_WAITING, queue_length(p->samples));
    obs_sample(page, METRIC_SETTLING, settling_length(p->settling));
    obs_sample(page, METRIC_DIVERGENCES_DROPPED, writer_dropped(p->writer));
    obs_sample(page, METRIC_SAMPLES_FOREIGN, p->foreign, "unknown");
    obs_sample(page, METRIC_SAMPLES_FOREIGN, p->broken, "broken");
    if (p->listener)
        obs_sample(page, METRIC_GATEWAY_WORKERS, listener_connections(p->listener));
}
