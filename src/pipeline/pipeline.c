#include "pipeline/pipeline.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "pipeline/frozen.h"
#include "pipeline/indexes.h"
#include "pipeline/run.h"
#include "source/heartbeat.h"

#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Between the receiver and a lane, or the resolver: enough to keep them busy, bounded in bytes. */
#define QUEUE_BYTES ((size_t)2 * 1024 * 1024)
#define REFRESH_WAIT_US 1000

void pipeline_default_slot(struct buf *out, const char *database, const char *module) {
    buf_add_text(out, "banyan_");
    size_t start = out->len;
    buf_add_text(out, database);
    if (strcmp(module, "all") != 0)
        buf_printf(out, "_%s", module);
    for (size_t i = start; i < out->len; i++) {
        char c = out->data[i];
        if (c >= 'A' && c <= 'Z')
            out->data[i] = (char)(c - 'A' + 'a');
        else if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
            out->data[i] = '_';
    }
    if (out->len > 63)
        out->len = 63;
}

/* ---- threads ---- */

static int wait_refreshes(void *context, struct err *err) {
    struct run *run = context;
    for (size_t i = 0; i < run->lane_count; i++) {
        uint64_t begun = lane_refreshes_begun(run->lanes[i]);
        while (lane_refreshes_ended(run->lanes[i]) < begun) {
            int rc = control_check(run, err);
            if (rc < 0)
                return rc;
            if (stop_forced_wait(REFRESH_WAIT_US))
                return err_set(err, ERR_STOPPED, "stopped while waiting for refreshes");
        }
    }
    return 0;
}

static int while_waiting(void *context, struct err *err) {
    if (stop_forced())
        return err_set(err, ERR_STOPPED, "stopped while a lane was full");
    return control_check(context, err);
}

static void fanned_out(void *context) {
    const struct run *run = context;
    fanouts_wake(run->fanouts);
}

static int start_lane(struct run *run, size_t i, struct err *err) {
    run->lane_queues[i] = queue_new(QUEUE_ITEMS, QUEUE_BYTES);
    run->lane_apps[i] = mem_printf("%s lane %zu;", run->app_prefix, i);
    struct lane_config config = {.number = i,
                                 .plan = run->plan,
                                 .source_uri = run->conf->source.uri,
                                 .source_app = run->lane_apps[i],
                                 .writer = {.uri = run->conf->target.uri,
                                            .database = run->conf->target.database,
                                            .app = run->lane_apps[i],
                                            .batch_operations = run->conf->target.batch_operations,
                                            .seed = i + 1},
                                 .rate = run->rate,
                                 .live = run->options->live,
                                 .queue = run->lane_queues[i],
                                 .events = {run, control_refused, control_is_parked,
                                            control_written, control_is_stopped, control_wake,
                                            control_failed}};
    return lane_start(&config, &run->lanes[i], err);
}

static int start_fanouts(struct run *run, struct err *err) {
    struct fanouts_config config = {.plan = run->plan,
                                    .state = run->state,
                                    .pipeline = run->name,
                                    .source_uri = run->conf->source.uri,
                                    .source_app = run->app_prefix,
                                    .target_uri = run->conf->target.uri,
                                    .target_app = run->app_prefix,
                                    .target_database = run->conf->target.database,
                                    .lanes = run->lane_queues,
                                    .lane_count = run->lane_count,
                                    .events = {run, control_is_stopped, control_stop_collection,
                                               control_lanes_passed, while_waiting, control_wake,
                                               control_failed}};
    return fanouts_start(&config, &run->fanouts, err);
}

static int start_resolver(struct run *run, struct err *err) {
    run->resolver_queue = queue_new(QUEUE_ITEMS, QUEUE_BYTES);
    run->resolver_app = mem_printf("%s resolver;", run->app_prefix);
    struct resolver_config config = {.plan = run->plan,
                                     .source_uri = run->conf->source.uri,
                                     .source_app = run->resolver_app,
                                     .target_uri = run->conf->target.uri,
                                     .target_app = run->resolver_app,
                                     .target_database = run->conf->target.database,
                                     .state = run->state,
                                     .pipeline = run->name,
                                     .fanout_documents = (size_t)run->conf->target.fanout_documents,
                                     .queue = run->resolver_queue,
                                     .lanes = run->lane_queues,
                                     .lane_count = run->lane_count,
                                     .events = {run, control_is_stopped, control_stop_collection,
                                                wait_refreshes, while_waiting, control_emptied,
                                                fanned_out, control_wake, control_failed}};
    return resolver_start(&config, &run->resolver, err);
}

/* Data flows on without the index; status, and the end of the run, say so. */
static void index_ended(void *context, size_t collection, const struct err *failure) {
    struct run *run = context;
    struct err err = {0};
    if (failure) {
        log_event(LOG_ERROR, "index_failed", LOG_STR("reason", failure->text));
        pthread_mutex_lock(&run->lock);
        if (run->index_failure.code == 0)
            run->index_failure = *failure;
        pthread_mutex_unlock(&run->lock);
    }
    if (state_collection_note(run->state, run->name, run->plan->collections[collection]->name,
                              failure ? failure->text : "", &err) < 0)
        control_failed(run, &err);
    control_wake(run);
}

/* Of collections that caught up in an earlier run too: it may have ended in the middle. */
static int start_indexes(struct run *run, struct err *err) {
    struct indexes_config config = {.uri = run->conf->target.uri,
                                    .app = run->index_app,
                                    .database = run->conf->target.database,
                                    .file = run->conf->file,
                                    .events = {run, index_ended}};
    int rc = 0;
    run->indexes = indexes_new(&config);
    for (size_t c = 0; rc == 0 && c < run->plan->collection_count; c++)
        if (run->collections[c].phase == STATE_STREAMING && !run->options->repair_only)
            rc = indexes_add(run->indexes, c, run->plan->collections[c], err);
    return rc;
}

static int start_threads(struct run *run, struct err *err) {
    for (size_t i = 0; i < (size_t)run->conf->target.lanes; i++) {
        int rc = start_lane(run, i, err);
        run->lane_count++;
        if (rc < 0)
            return rc;
    }
    int rc = start_fanouts(run, err);
    if (rc == 0)
        rc = start_resolver(run, err);
    return rc < 0 ? rc : start_indexes(run, err);
}

static void empty_queue(struct queue *q, void (*destroy)(void *)) {
    void *item;
    while (queue_pop(q, &item, 0) == QUEUE_OK)
        destroy(item);
    queue_free(q);
}

static void free_change_batch(void *item) {
    change_batch_free(item);
}

static void free_resolve_batch(void *item) {
    resolve_batch_free(item);
}

/* From the source to the target: the resolver and fan-outs feed the lanes, so they end first. */
static void end_threads(struct run *run) {
    indexes_free(run->indexes);
    if (run->resolver_queue)
        queue_close(run->resolver_queue);
    if (run->resolver)
        resolver_join(run->resolver);
    if (run->fanouts) {
        fanouts_close(run->fanouts);
        fanouts_join(run->fanouts);
    }
    for (size_t i = 0; i < run->lane_count; i++)
        queue_close(run->lane_queues[i]);
    for (size_t i = 0; i < run->lane_count; i++)
        if (run->lanes[i])
            lane_join(run->lanes[i]);
    resolver_free(run->resolver);
    fanouts_free(run->fanouts);
    if (run->resolver_queue)
        empty_queue(run->resolver_queue, free_resolve_batch);
    for (size_t i = 0; i < run->lane_count; i++) {
        lane_free(run->lanes[i]);
        empty_queue(run->lane_queues[i], free_change_batch);
        free(run->lane_apps[i]);
    }
}

/* ---- the run ---- */

static int catch_up_position(struct run *run, void *context, struct err *err) {
    return heartbeat_position(run->pg, context, err);
}

static lsn_t last_catch_up(const struct run *run) {
    lsn_t last = 0;
    for (size_t i = 0; i < run->plan->collection_count; i++)
        if (run->collections[i].phase == STATE_CATCHING_UP &&
            run->collections[i].catch_up_lsn > last)
            last = run->collections[i].catch_up_lsn;
    return last;
}

/* What ended well but not wholly. */
static int verdict(struct run *run, struct err *err) {
    if (run->options->repair_only)
        return 0; /* whether it helped is for the verification to say */
    for (size_t i = 0; i < run->plan->collection_count; i++)
        if (run->collections[i].phase == STATE_STOPPED)
            return err_set(
                err, ERR_NO,
                "collection %s is stopped; `banyan parked list` says why, and --recopy %s "
                "copies it again once the cause is mended",
                run->plan->collections[i]->name, run->plan->collections[i]->name);
    if (run->index_failure.code)
        return err_set(err, ERR_NO, "%s", run->index_failure.text);
    if (parked_count(run->parked))
        return err_set(err, ERR_NO,
                       "%lld documents are parked; `banyan parked list` says why, `banyan parked "
                       "retry` writes them again once the cause is mended",
                       (long long)parked_count(run->parked));
    return 0;
}

static int copy_and_stream(struct run *run, struct err *err) {
    lsn_t until = 0;
    int rc = run->options->catch_up ? control_on_source(run, catch_up_position, &until, err) : 0;
    if (rc == 0)
        rc = snapshot_run(run, err);
    if (rc < 0)
        return rc;
    /* The log must also have healed what the copy read late. */
    lsn_t healed = last_catch_up(run);
    if (run->options->snapshot_only && !healed)
        return 0;
    if ((run->options->snapshot_only || run->options->catch_up) && healed > until)
        rc = control_on_source(run, catch_up_position, &until, err);
    if (run->pg)
        pg_end_on_stop(run->pg, false); /* from here on a stop drains */
    if (rc == 0)
        rc = start_threads(run, err);
    if (rc == 0)
        rc = stream_run(run, until, err);
    if (rc < 0)
        stop_force();
    end_threads(run);
    return rc;
}

static int check_options(const struct run *run, struct err *err) {
    const char *which = run->options->recopy;
    if (which && strcmp(which, "all") != 0 &&
        plan_collection_index(run->plan, which) == run->plan->collection_count)
        return err_set(err, ERR_USAGE, "--recopy: no collection '%s' in module %s", which,
                       run->name);
    return 0;
}

static int load_parked(struct run *run, struct err *err) {
    run->parked = parked_new(run->state, run->name, run->plan);
    return parked_load(run->parked, err);
}

static int run_all(struct run *run, struct err *err) {
    int rc = pg_connect(run->conf->source.uri, PG_SQL, run->app_prefix, &run->pg, err);
    if (rc == 0) {
        pg_end_on_stop(run->pg, true); /* a locked table may keep us waiting, with nothing begun */
        rc = setup_plan(run, err);
    }
    if (rc == 0)
        rc = check_options(run, err);
    if (rc == 0)
        rc = load_parked(run, err);
    if (rc == 0)
        rc = mongo_connect(run->conf->target.uri, run->app_prefix, &run->mongo, err);
    if (rc == 0)
        rc = setup_source(run, err);
    if (rc == 0)
        rc = setup_target(run, err);
    if (rc == 0)
        rc = copy_and_stream(run, err);
    return rc < 0 ? rc : verdict(run, err);
}

/* The configured name, or the default one; a single module's is told apart by the module. */
static char *pipeline_name(const struct run *run, const char *configured, const char *database) {
    _cleanup_(buf_release) struct buf name = {.max = 1024};
    if (!configured)
        pipeline_default_slot(&name, database, run->name);
    else if (strcmp(run->name, "all") == 0)
        buf_add_text(&name, configured);
    else
        buf_printf(&name, "%s_%s", configured, run->name);
    return mem_strdup(buf_text(&name));
}

static int set_names(struct run *run, struct err *err) {
    _cleanup_(pg_freep) struct pg *pg = NULL;
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    int rc = pg_connect(run->conf->source.uri, PG_SQL, "banyan", &pg, err);
    if (rc == 0)
        rc = pg_exec(pg, "SELECT pg_catalog.current_database()", &r, err);
    if (rc < 0)
        return rc;
    const char *database = pg_value(r, 0, 0).ptr;
    const struct conf_source *source = &run->conf->source;
    run->slot = pipeline_name(run, source->slot, database);
    run->publication =
        pipeline_name(run, source->publication ? source->publication : source->slot, database);
    /* PostgreSQL cuts application names at 63 bytes, so the pipeline's own part comes short. */
    run->app_prefix = mem_printf("banyan %.38s:", run->slot);
    run->index_app = mem_printf("banyan indexes %.38s;", run->slot);
    return 0;
}

static void release(struct run *run) {
    frozen_end(run);
    pg_free(run->pg);
    mongo_free(run->mongo);
    parked_free(run->parked);
    plan_free(run->plan);
    pg_catalog_free(run->catalog);
    rate_release(&run->own_rate);
    rate_release(&run->own_read_rate);
    pthread_mutex_destroy(&run->lock);
    if (run->wake_fd >= 0)
        close(run->wake_fd);
    free(run->collections);
    free(run->slot);
    free(run->publication);
    free(run->app_prefix);
    free(run->index_app);
    free(run->resolver_app);
    free(run->running);
    free(run);
}

int pipeline_run(const struct conf *conf, struct state *state,
                 const struct pipeline_options *options, struct err *err) {
    struct run *run = mem_zalloc(1, sizeof *run);
    run->conf = conf;
    run->state = state;
    run->options = options;
    run->name = options->module;
    run->catalog = pg_catalog_new();
    run->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    pthread_mutex_init(&run->lock, NULL);
    rate_init(&run->own_rate, conf->target.writes_per_second);
    run->rate = options->write_rate ? options->write_rate : &run->own_rate;
    rate_init(&run->own_read_rate, conf->source.snapshot_rows_per_second);
    run->read_rate = options->read_rate ? options->read_rate : &run->own_read_rate;
    int rc = set_names(run, err);
    if (rc == 0)
        rc = run_all(run, err);
    release(run);
    return rc == ERR_STOPPED ? 0 : rc;
}
