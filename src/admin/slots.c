#include "admin/slots.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/stop.h"
#include "base/thread.h"
#include "db/pg.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_EVERY_US 10000000
#define AGAIN_AFTER_US 1000000 /* a failure */
#define KNOWN_FOR_US 60000000
#define SLOTS_MAX 256

struct entry {
    char pipeline[STATE_NAME_MAX];
    struct slot_view view;
    int64_t seen_us; /* monotonic */
};

struct slots {
    const struct conf *conf;
    struct state *state;
    struct stop_scope *scope;
    pthread_t thread;
    pthread_mutex_t lock; /* entries, count */
    struct entry entries[SLOTS_MAX];
    size_t count;
};

static const char slot_sql[] = "SELECT coalesce(wal_status, 'reserved'), "
                               "coalesce(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn()"
                               ", restart_lsn), -1)::bigint "
                               "FROM pg_catalog.pg_replication_slots WHERE slot_name = $1";

/* wal_status is there from PostgreSQL 13 on. */
static const char slot_sql_12[] = "SELECT 'reserved', "
                                  "coalesce(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_"
                                  "lsn(), restart_lsn), -1)::bigint "
                                  "FROM pg_catalog.pg_replication_slots WHERE slot_name = $1";

static void keep(struct slots *s, const char *pipeline, const struct slot_view *view) {
    pthread_mutex_lock(&s->lock);
    size_t i = 0;
    while (i < s->count && strcmp(s->entries[i].pipeline, pipeline) != 0)
        i++;
    if (i < SLOTS_MAX) {
        s->count = i == s->count ? i + 1 : s->count;
        (void)snprintf(s->entries[i].pipeline, sizeof s->entries[i].pipeline, "%s", pipeline);
        s->entries[i].view = *view;
        s->entries[i].seen_us = clock_mono_us();
    }
    pthread_mutex_unlock(&s->lock);
}

static int ask(struct slots *s, struct pg *pg, const struct state_pipeline *p, struct err *err) {
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    const struct span slot[] = {span_of(p->slot)};
    struct slot_view view = {.known = true, .status = "missing", .retained = -1};
    int rc =
        pg_query(pg, pg_server_version(pg) < 130000 ? slot_sql_12 : slot_sql, 1, slot, &r, err);
    if (rc < 0)
        return rc;
    if (pg_rows(r) == 1) {
        struct span status = pg_value(r, 0, 0);
        (void)snprintf(view.status, sizeof view.status, "%.*s", (int)status.len, status.ptr);
        view.retained = strtoll(pg_value(r, 0, 1).ptr, NULL, 10); /* a value ends with NUL */
    }
    keep(s, p->name, &view);
    return 0;
}

static int look(struct slots *s, struct pg **pg, struct err *err) {
    struct state_pipeline *list = NULL;
    size_t count = 0;
    int rc = state_pipeline_list(s->state, &list, &count, err);
    if (rc == 0 && count && !*pg)
        rc = pg_connect(s->conf->source.uri, PG_SQL, "banyan slots", pg, err);
    if (rc == 0 && *pg)
        pg_end_on_stop(*pg, true);
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (list[i].slot_state == STATE_SLOT_CREATED)
            rc = ask(s, *pg, &list[i], err);
    free(list);
    return rc;
}

static void *slots_main(void *argument) {
    struct slots *s = argument;
    struct pg *pg = NULL;
    int64_t wait_us;
    stop_scope_enter(s->scope);
    do {
        struct err ignored = {0}; /* the pipelines say themselves that the source is away */
        wait_us = LOOK_EVERY_US;
        if (look(s, &pg, &ignored) < 0) {
            pg_free(pg);
            pg = NULL;
            wait_us = AGAIN_AFTER_US;
        }
    } while (!stop_wait(wait_us));
    stop_scope_enter(NULL);
    pg_free(pg);
    return NULL;
}

static void release(struct slots *s) {
    stop_scope_free(s->scope);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

int slots_start(const struct conf *conf, struct state *state, struct slots **ret_slots,
                struct err *err) {
    struct slots *s = mem_zalloc(1, sizeof *s);
    s->conf = conf;
    s->state = state;
    s->scope = stop_scope_new();
    pthread_mutex_init(&s->lock, NULL);
    if (!thread_start(&s->thread, slots_main, s)) {
        release(s);
        return err_set(err, ERR_INTERNAL, "cannot start the thread that watches slots");
    }
    *ret_slots = s;
    return 0;
}

void slots_stop(struct slots *s) {
    if (!s)
        return;
    stop_scope_request(s->scope);
    pthread_join(s->thread, NULL);
    release(s);
}

void slots_view(struct slots *s, const char *pipeline, struct slot_view *ret) {
    *ret = (struct slot_view){.retained = -1};
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->entries[i].pipeline, pipeline) == 0 &&
            clock_mono_us() - s->entries[i].seen_us < KNOWN_FOR_US)
            *ret = s->entries[i].view;
    pthread_mutex_unlock(&s->lock);
}
