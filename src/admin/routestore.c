#include "admin/routestore.h"

#include "base/log.h"
#include "base/mem.h"
#include "flagfile/snapshot.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_EVERY_US 200000
#define SETTINGS_MAX ((size_t)1024 * 1024)

struct routestore {
    struct service *service;
    struct gateway *gateway; /* NULL: none */
    struct watermark *watermark;
    int64_t next_look;
    bool failed;          /* the last publication: said once */
    pthread_mutex_t lock; /* publication: the newest settings are published last */
    pthread_mutex_t now_lock;
    struct route_settings now;    /* the newest; for calls of operations, and for edges ... */
    char etag[EXCHANGE_ETAG_MAX]; /* ... with its etag */
};

/* MongoDB lacks nothing that SQL has while the stream runs. */
static bool is_caught_up(const struct service *s, const char *name) {
    struct module *m = service_module(s, name);
    struct module_view view;
    if (!m)
        return false;
    module_view(m, &view);
    return view.state == MODULE_STREAMING;
}

/* With now_lock. */
static void note_etag(struct routestore *r) {
    _cleanup_(buf_release) struct buf bytes = {.max = SETTINGS_MAX};
    route_settings_write(&bytes, &r->now);
    exchange_etag(buf_span(&bytes), r->etag);
}

/* For our own gateway, where there is one, and for those of other machines. */
static int publish(struct routestore *r, struct err *err) {
    struct service *s = r->service;
    struct route_settings *settings = mem_zalloc(1, sizeof *settings);
    pthread_mutex_lock(&r->lock);
    int lock = r->gateway ? gateway_lock(r->gateway, err) : 0;
    int rc = lock < 0 ? lock : routing_settings(s->conf, s->state, settings, err);
    for (size_t i = 0; i < settings->count; i++)
        settings->modules[i].caught_up = is_caught_up(s, settings->modules[i].name);
    if (rc == 0) {
        pthread_mutex_lock(&r->now_lock);
        r->now = *settings;
        note_etag(r);
        pthread_mutex_unlock(&r->now_lock);
    }
    if (rc == 0 && r->gateway)
        rc = gateway_publish(r->gateway, settings, err);
    if (r->gateway && lock >= 0) /* 0 is a descriptor too, where standard input is closed */
        (void)close(lock);
    pthread_mutex_unlock(&r->lock);
    free(settings);
    return rc;
}

/* No gateway here; those of other machines still ask what holds, and how far it is applied. */
static int start_for_edges(struct routestore *r, struct err *err) {
    _cleanup_(mem_freep) char *folder = gateway_folder(r->service->options->state_path);
    _cleanup_(mem_freep) char *path = mem_printf("%s/applied", folder);
    int rc = publish(r, err);
    return rc == 0 && access(folder, W_OK) == 0 ? watermark_publish(path, &r->watermark, err) : rc;
}

int routestore_start(struct service *s, struct routestore **ret_store, struct err *err) {
    struct routestore *r = mem_zalloc(1, sizeof *r);
    struct err why = {0};
    r->service = s;
    pthread_mutex_init(&r->lock, NULL);
    pthread_mutex_init(&r->now_lock, NULL);
    *ret_store = r;
    if (s->conf->gateway.at.line == 0)
        return start_for_edges(r, err);
    _cleanup_(mem_freep) char *blob = snapshot_blob_path(s->options->state_path);
    int rc = gateway_new(s->conf, s->options->state_path, blob, &r->gateway, err);
    if (rc == 0)
        rc = watermark_publish(gateway_applied(r->gateway), &r->watermark, err);
    if (rc == 0)
        rc = publish(r, err);
    if (rc == 0 && gateway_run(r->gateway, &why) < 0)
        log_event(LOG_ERROR, "gateway_refused", LOG_STR("reason", why.text));
    else if (rc == 0)
        log_event(LOG_INFO, "gateway", LOG_STR("listen", s->conf->gateway.listen));
    return rc;
}

void routestore_stop(struct routestore *r) {
    if (!r)
        return;
    watermark_close(r->watermark);
    gateway_free(r->gateway);
    pthread_mutex_destroy(&r->lock);
    pthread_mutex_destroy(&r->now_lock);
    free(r);
}

void routestore_poll(struct routestore *r, int64_t now_us) {
    struct err err = {0};
    if (now_us < r->next_look)
        return;
    r->next_look = now_us + LOOK_EVERY_US;
    bool failed = publish(r, &err) < 0;
    if (failed && !r->failed)
        log_event(LOG_ERROR, "routing_not_published", LOG_STR("reason", err.text));
    r->failed = failed;
    if (r->gateway)
        gateway_poll(r->gateway, now_us);
}

int routestore_change(struct routestore *r, const struct conf_module *module,
                      const struct routing_change *change, int64_t *ret_version, bool *ret_conflict,
                      struct err *err) {
    int rc = routing_change(module, r->service->state, change, ret_version, ret_conflict, err);
    if (rc == 0 && !*ret_conflict)
        rc = publish(r, err);
    if (rc == 0 && !*ret_conflict)
        service_publish(r->service, "routing", SPAN_LIT("{}"));
    return rc;
}

bool routestore_get(struct routestore *r, const char *module, struct route_module *ret) {
    pthread_mutex_lock(&r->now_lock);
    const struct route_module *found = route_settings_find(&r->now, module);
    if (found)
        *ret = *found;
    pthread_mutex_unlock(&r->now_lock);
    return found != NULL;
}

struct watermark *routestore_watermark(struct routestore *r) {
    return r->watermark;
}

void routestore_published(struct routestore *r, struct buf *out) {
    pthread_mutex_lock(&r->now_lock);
    route_settings_write(out, &r->now);
    pthread_mutex_unlock(&r->now_lock);
}

void routestore_etag(struct routestore *r, char ret[EXCHANGE_ETAG_MAX]) {
    pthread_mutex_lock(&r->now_lock);
    memcpy(ret, r->etag, EXCHANGE_ETAG_MAX);
    pthread_mutex_unlock(&r->now_lock);
}

bool routestore_gateway(struct routestore *r, struct gateway_view *ret) {
    if (r->gateway)
        gateway_view(r->gateway, ret);
    return r->gateway != NULL;
}
