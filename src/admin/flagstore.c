#include "admin/flagstore.h"

#include "admin/redis.h"
#include "base/clock.h"
#include "base/json_write.h"
#include "base/log.h"
#include "base/mem.h"
#include "flagfile/show.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Whether a file is still the one that was read. */
struct seen {
    bool there;
    ino_t inode;
    off_t size;
    struct timespec changed;
};

struct flagstore {
    struct service *service;
    char *blob_path;
    pthread_mutex_t lock; /* all below */
    struct snapshot *snapshot;
    struct seen file, blob;
    int64_t loaded, refused, changes;
};

static struct seen look(const char *path) {
    struct stat st;
    if (!path || stat(path, &st) < 0)
        return (struct seen){0};
    return (struct seen){
        .there = true, .inode = st.st_ino, .size = st.st_size, .changed = st.st_mtim};
}

static bool same(const struct seen *a, const struct seen *b) {
    return a->there == b->there && a->inode == b->inode && a->size == b->size &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

/* ---- in use ---- */

/* OFREP's clients ask again; the page too. */
static void tell(const struct flagstore *store) {
    _cleanup_(flagset_putp) struct flagset *flags = flagset_get(&store->service->flags);
    _cleanup_(buf_release) struct buf out = {.max = 1024};
    struct json_out j;
    json_out_begin(&j, &out);
    json_out_open(&j, NULL, '{');
    json_out_text(&j, "type", "refetchEvaluation");
    json_out_text(&j, "etag", flags ? flags->etag : "");
    json_out_int(&j, "lastModified", clock_wall_us() / 1000000);
    json_out_close(&j, '}');
    if (store->service->http)
        http_publish(store->service->http, SERVICE_FLAG_EVENTS, "message", buf_span(&out));
    service_publish(store->service, "flag", SPAN_LIT("{}"));
}

/* With the lock held. */
static int refresh(struct flagstore *store, struct err *err) {
    struct service *s = store->service;
    struct snapshot *fresh = NULL;
    bool news = false;
    /* Before they are read: a change that comes meanwhile is seen. What is published here itself
     * is looked at once more for that, and found to be in use. */
    store->file = look(snapshot_file(s->conf));
    store->blob = look(store->blob_path);
    int rc = snapshot_refresh(s->conf, s->options->state_path, s->state, &fresh, err);
    if (rc == 0)
        rc = flagset_swap(&s->flags, buf_span(&fresh->blob), &news, err);
    if (rc < 0) {
        snapshot_free(fresh);
        return rc;
    }
    snapshot_free(store->snapshot);
    store->snapshot = fresh;
    if (news) {
        store->changes++;
        tell(store);
    }
    return 0;
}

/* A file that was read, and how that went. With the lock held. */
static void say(struct flagstore *store, int rc, const struct err *err) {
    bool good = rc >= 0 && !store->snapshot->bad.code;
    (*(good ? &store->loaded : &store->refused))++;
    if (rc < 0)
        log_event(LOG_ERROR, "flags_refused", LOG_STR("reason", err->text));
    else if (store->snapshot->bad.code)
        log_event(LOG_ERROR, "flags_refused", LOG_STR("reason", store->snapshot->bad.text));
    else
        log_event(LOG_INFO, "flags_loaded", LOG_INT("flags", flags_count(&store->snapshot->set)));
}

void flagstore_poll(struct flagstore *store) {
    struct seen file = look(snapshot_file(store->service->conf)), blob = look(store->blob_path);
    pthread_mutex_lock(&store->lock);
    bool file_changed = !same(&file, &store->file);
    if (file_changed || !same(&blob, &store->blob)) {
        struct err err = {0};
        int rc = refresh(store, &err); /* once for each change, also after a failure */
        if (file_changed || rc < 0)
            say(store, rc, &err);
    }
    pthread_mutex_unlock(&store->lock);
}

void flagstore_problem(struct flagstore *store, char text[ERR_TEXT_MAX]) {
    pthread_mutex_lock(&store->lock);
    const struct err *bad = &store->snapshot->bad;
    (void)snprintf(text, ERR_TEXT_MAX, "%s", bad->code ? bad->text : "");
    pthread_mutex_unlock(&store->lock);
}

int flagstore_refresh(struct flagstore *store, struct err *err) {
    pthread_mutex_lock(&store->lock);
    int rc = refresh(store, err);
    pthread_mutex_unlock(&store->lock);
    return rc;
}

int flagstore_reload(struct flagstore *store, struct err *err) {
    pthread_mutex_lock(&store->lock);
    int rc = refresh(store, err);
    if (rc == 0 && store->snapshot->bad.code) {
        *err = store->snapshot->bad;
        rc = err->code;
    }
    pthread_mutex_unlock(&store->lock);
    return rc;
}

static int change_locked(struct flagstore *store, const struct snapshot_change *change, bool alone,
                         int64_t *ret_version, bool *ret_conflict, struct err *err) {
    pthread_mutex_lock(&store->lock);
    int rc = alone ? redis_may_change(store->snapshot, change, err) : 0;
    if (rc == 0)
        rc = snapshot_change(store->snapshot, store->service->state, change, ret_version,
                             ret_conflict, err);
    if (rc == 0 && !*ret_conflict)
        rc = refresh(store, err);
    pthread_mutex_unlock(&store->lock);
    return rc;
}

/* Another daemon that changed the flag in the same moment has won: our version is not ours. */
static int check_still_ours(struct service *s, const struct snapshot_change *change,
                            int64_t *version, bool *ret_conflict, struct err *err) {
    struct state_flag now;
    int rc = state_flag_get(s->state, change->name, &now, err);
    *ret_conflict = rc == 0 && (now.version != *version || strcmp(now.who, change->who) != 0 ||
                                strcmp(now.why, change->why) != 0);
    *version = now.version;
    state_flag_clear(&now);
    return rc;
}

/* With Redis: the newest of all first, then ours, then to all. */
int flagstore_change(struct flagstore *store, const struct snapshot_change *change,
                     int64_t *ret_version, bool *ret_conflict, struct err *err) {
    struct service *s = store->service;
    struct err why = {0};
    bool alone = s->redis && redis_exchange(s->redis, &why) < 0;
    int rc = change_locked(store, change, alone, ret_version, ret_conflict, err);
    if (rc < 0 || *ret_conflict || !s->redis || alone || redis_exchange(s->redis, &why) < 0)
        return rc;
    return check_still_ours(s, change, ret_version, ret_conflict, err);
}

static void sample_kinds(const struct flagstore *store, struct obs_page *page) {
    const struct snapshot *s = store->snapshot;
    struct err ignored;
    int64_t stale = 0;
    size_t enabled = 0, disabled = 0, killed = 0, overridden = 0;
    for (size_t i = 0; i < s->model.flag_count; i++) {
        const struct flags_flag *f = &s->model.flags[i];
        (*(f->killed ? &killed : f->enabled ? &enabled : &disabled))++;
    }
    for (size_t i = 0; i < s->change_count; i++)
        overridden += s->changes[i].changes && !s->changes[i].killed;
    obs_sample(page, METRIC_FLAGS, (double)enabled, "enabled");
    obs_sample(page, METRIC_FLAGS, (double)disabled, "disabled");
    obs_sample(page, METRIC_FLAGS, (double)killed, "killed");
    obs_sample(page, METRIC_FLAGS, (double)overridden, "overridden");
    if (state_flags_full_count(store->service->state, clock_wall_us() - FLAGFILE_STALE_US, &stale,
                               &ignored) == 0)
        obs_sample(page, METRIC_FLAGS, (double)stale, "stale");
}

void flagstore_sample(struct flagstore *store, struct obs_page *page) {
    pthread_mutex_lock(&store->lock);
    sample_kinds(store, page);
    obs_sample(page, METRIC_FLAGS_CHANGES, (double)store->changes);
    obs_sample(page, METRIC_FLAGS_LOADS, (double)store->loaded, "loaded");
    obs_sample(page, METRIC_FLAGS_LOADS, (double)store->refused, "refused");
    pthread_mutex_unlock(&store->lock);
}

const struct snapshot *flagstore_begin(struct flagstore *store) {
    pthread_mutex_lock(&store->lock);
    return store->snapshot;
}

void flagstore_end(struct flagstore *store) {
    pthread_mutex_unlock(&store->lock);
}

int flagstore_start(struct service *s, struct flagstore **ret_store, struct err *err) {
    struct flagstore *store = mem_zalloc(1, sizeof *store);
    store->service = s;
    store->blob_path = snapshot_blob_path(s->options->state_path);
    pthread_mutex_init(&store->lock, NULL);
    int rc = refresh(store, err);
    if (rc < 0) {
        flagstore_stop(store);
        return rc;
    }
    say(store, 0, err);
    *ret_store = store;
    return 0;
}

void flagstore_stop(struct flagstore *store) {
    if (!store)
        return;
    snapshot_free(store->snapshot);
    pthread_mutex_destroy(&store->lock);
    free(store->blob_path);
    free(store);
}
