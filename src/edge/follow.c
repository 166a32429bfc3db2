/*
 * The follower: asks what holds, every ASK_US, and publishes it as the control daemon's own gateway
 * has it: two files that nginx's workers look at every 200 ms. What cannot be read, or is damaged,
 * replaces nothing.
 *
 * How far modules have been applied comes as ages. An age is measured between two readings of the
 * control daemon's monotonic clock; here it is taken back from the moment *before* we asked, less a
 * thousandth for clocks that do not run alike. So a time is never later than the true one, and at
 * most one round trip earlier.
 */
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "base/thread.h"
#include "edge/core.h"
#include "flags/flags.h"
#include "route/watermark.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ASK_US INT64_C(200000)
#define ASK_WAITING_US INT64_C(50000) /* while a reader waits for his own write */
#define WAITING_US INT64_C(2000000)   /* after nginx's workers have said that one does */
#define APART 1000                    /* clocks of two machines run alike to one part in so many */
#define BLOB_MAX ((size_t)HTTP_ANSWER_MAX)

struct follower {
    pthread_t thread;
    bool started;
    struct http_kept *kept;
    struct watermark *applied;
    struct exchange_ask ask;
    struct exchange_answer answer;
    struct buf body;
    pthread_mutex_t lock; /* view */
    struct follow_view view;
};

/* ---- what is published ---- */

static int check_flags(struct span bytes, struct err *err) {
    struct flags_set ignored;
    _cleanup_(mem_freep) void *aligned = mem_alloc(bytes.len ? bytes.len : 1);
    memcpy(aligned, bytes.ptr, bytes.len);
    return flags_open(aligned, bytes.len, &ignored, err);
}

static int check_settings(struct span bytes, struct err *err) {
    _cleanup_(mem_freep) struct route_settings *s = mem_alloc(sizeof *s);
    return route_settings_read(bytes, s, err);
}

struct published {
    const char *what, *url;
    const char *path;
    int (*check)(struct span bytes, struct err *err);
    char *etag; /* in use */
};

static struct published flags_of(struct edge *e) {
    return (struct published){"flags", "/v1/edge/flags", e->blob_path, check_flags,
                              e->follower->ask.flags};
}

static struct published settings_of(struct edge *e) {
    return (struct published){"settings", "/v1/edge/settings", e->settings_path, check_settings,
                              e->follower->ask.settings};
}

/* What was kept from before: in use by nginx already, where that runs. */
static void take_kept(const struct published *p) {
    _cleanup_(buf_release) struct buf bytes = {.max = BLOB_MAX};
    struct err err = {0};
    if (access(p->path, F_OK) < 0)
        return;
    if (file_read(p->path, &bytes, &err) < 0 || p->check(buf_span(&bytes), &err) < 0)
        log_event(LOG_ERROR, "kept_file_refused", LOG_STR("path", p->path),
                  LOG_STR("reason", err.text));
    else
        exchange_etag(buf_span(&bytes), p->etag);
}

static int fetch(struct edge *e, const struct published *p, const char *wanted, struct err *err) {
    struct follower *f = e->follower;
    int status = 0;
    if (strcmp(p->etag, wanted) == 0)
        return 0;
    buf_clear(&f->body);
    int rc = edge_call(e, f->kept, "GET", p->url, (struct span){0}, &f->body, &status, err);
    if (rc == 0)
        rc = p->check(buf_span(&f->body), err);
    if (rc == 0)
        rc = file_replace(p->path, buf_span(&f->body), err);
    if (rc < 0)
        return err_prefix(err, "%s", p->what);
    exchange_etag(buf_span(&f->body), p->etag); /* it may be newer than what was wanted */
    pthread_mutex_lock(&f->lock);
    f->view.changed_us = clock_wall_us();
    pthread_mutex_unlock(&f->lock);
    log_event(LOG_INFO, "published", LOG_STR("what", p->what), LOG_STR("etag", p->etag));
    return 0;
}

/* ---- one exchange ---- */

static void say_who(struct edge *e) {
    struct exchange_ask *ask = &e->follower->ask;
    struct gateway_view g;
    struct send_view sent;
    gateway_view(e->gateway, &g);
    send_view(e, &sent);
    memcpy(ask->name, e->name, sizeof ask->name);
    memcpy(ask->id, e->id, sizeof ask->id);
    (void)snprintf(ask->version, sizeof ask->version, "%s", BANYAN_VERSION);
    ask->nginx = !g.managed || g.pid != 0;
    (void)snprintf(ask->problem, sizeof ask->problem, "%.500s", g.error);
    ask->samples_dropped = sent.samples_dropped;
}

/* Which modules somebody waits for here. */
static void say_who_waits(struct edge *e, int64_t now_us) {
    struct follower *f = e->follower;
    f->ask.waiting_count = 0;
    for (size_t i = 0; i < e->conf->module_count; i++) {
        const char *name = e->conf->modules[i].name.text;
        const struct watermark_slot *slot = watermark_find(f->applied, name);
        if (slot && watermark_is_wanted(slot, now_us, WAITING_US))
            (void)snprintf(f->ask.waiting[f->ask.waiting_count++], ROUTE_NAME_MAX, "%s", name);
    }
}

/* What is said to be so old was so at the latest when we asked; see the top. */
static int64_t time_of(int64_t age_us, int64_t asked_us) {
    return asked_us - age_us - age_us / APART;
}

static void publish_applied(struct edge *e, int64_t asked_us) {
    struct follower *f = e->follower;
    for (size_t i = 0; i < f->answer.applied_count; i++) {
        const struct exchange_applied *a = &f->answer.applied[i];
        struct watermark_slot *slot = watermark_find(f->applied, a->module);
        if (slot)
            watermark_set(slot, time_of(a->age_us, asked_us), time_of(a->beat_us, asked_us));
    }
}

static int ask(struct edge *e, struct err *err) {
    struct follower *f = e->follower;
    _cleanup_(buf_release) struct buf json = {.max = EXCHANGE_ASK_MAX};
    int status = 0;
    int64_t asked = clock_mono_us();
    say_who(e);
    say_who_waits(e, asked);
    exchange_ask_write(&json, &f->ask);
    buf_clear(&f->body);
    int rc = edge_call(e, f->kept, "POST", "/v1/edge", buf_span(&json), &f->body, &status, err);
    if (rc == 0)
        rc = exchange_answer_read(buf_span(&f->body), &f->answer, err);
    if (rc == 0)
        publish_applied(e, asked);
    return rc;
}

/* Settings first: they say who writes; and flags only choose among what settings allow. */
static int exchange(struct edge *e, bool *ret_news, struct err *err) {
    struct follower *f = e->follower;
    struct published flags = flags_of(e), settings = settings_of(e);
    int rc = ask(e, err);
    *ret_news = rc == 0 && (strcmp(flags.etag, f->answer.flags) != 0 ||
                            strcmp(settings.etag, f->answer.settings) != 0);
    if (rc == 0)
        rc = fetch(e, &settings, f->answer.settings, err);
    if (rc == 0)
        rc = fetch(e, &flags, f->answer.flags, err);
    return rc;
}

static void note(struct edge *e, int rc, const struct err *err) {
    struct follower *f = e->follower;
    pthread_mutex_lock(&f->lock);
    struct follow_view before = f->view, *v = &f->view;
    v->ready = f->ask.flags[0] && f->ask.settings[0];
    v->away_us = rc == 0 ? 0 : before.away_us ? before.away_us : clock_wall_us();
    v->answered = before.answered || rc == 0;
    if (rc == 0)
        v->same_routes = strcmp(f->answer.routes, f->ask.routes) == 0;
    (void)snprintf(v->why, sizeof v->why, "%s", rc == 0 ? "" : err->text);
    struct follow_view now = *v;
    pthread_mutex_unlock(&f->lock);
    if (rc < 0 && strcmp(before.why, now.why) != 0)
        log_event(LOG_ERROR, "control_is_away", LOG_STR("reason", err->text));
    if (rc == 0 && (before.away_us || !before.answered))
        log_event(LOG_INFO, "control_answers", LOG_STR("version", f->answer.version));
    if (rc == 0 && !now.same_routes && (before.same_routes || !before.answered))
        log_event(LOG_ERROR, "routes_are_not_those_of_control",
                  LOG_STR("way_out", "give edge and control daemon the same modules and routes"));
}

static void *follow_main(void *argument) {
    struct edge *e = argument;
    while (!atomic_load(&e->stop)) {
        struct err err = {0};
        int64_t begin = clock_mono_us();
        bool news = false;
        int rc = exchange(e, &news, &err);
        if (rc == ERR_STOPPED)
            break;
        note(e, rc, &err);
        int64_t every = e->follower->ask.waiting_count ? ASK_WAITING_US : ASK_US;
        int64_t left = every - (clock_mono_us() - begin);
        if (left > 0 && (rc < 0 || !news)) /* news are confirmed at once */
            stop_wait(left);
    }
    return NULL;
}

/* ---- life ---- */

int follow_start(struct edge *e, struct err *err) {
    struct follower *f = e->follower = mem_zalloc(1, sizeof *f);
    f->kept = http_kept_new();
    f->body.max = BLOB_MAX + 1;
    f->view.same_routes = true;
    pthread_mutex_init(&f->lock, NULL);
    exchange_routes(e->conf, f->ask.routes);
    struct published flags = flags_of(e), settings = settings_of(e);
    take_kept(&settings);
    take_kept(&flags);
    int rc = watermark_publish(gateway_applied(e->gateway), &f->applied, err);
    for (size_t i = 0; rc == 0 && i < e->conf->module_count; i++)
        (void)watermark_add(f->applied, e->conf->modules[i].name.text); /* NULL: too many */
    f->view.ready = f->ask.flags[0] && f->ask.settings[0];
    if (!f->view.ready)
        log_event(LOG_WARN, "edge_has_nothing_yet",
                  LOG_STR("reason", "nginx starts when the control daemon has said what holds"));
    f->started = rc == 0 && thread_start(&f->thread, follow_main, e);
    if (rc < 0 || f->started)
        return rc;
    return err_set(err, ERR_INTERNAL, "cannot start the thread that follows the control daemon");
}

void follow_stop(struct edge *e) {
    struct follower *f = e->follower;
    if (!f)
        return;
    if (f->started)
        pthread_join(f->thread, NULL);
    http_kept_free(f->kept);
    watermark_close(f->applied);
    buf_release(&f->body);
    pthread_mutex_destroy(&f->lock);
    free(f);
    e->follower = NULL;
}

void follow_view(struct edge *e, struct follow_view *ret) {
    pthread_mutex_lock(&e->follower->lock);
    *ret = e->follower->view;
    pthread_mutex_unlock(&e->follower->lock);
}
