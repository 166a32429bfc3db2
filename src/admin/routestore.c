#include "admin/routestore.h"

#include "base/log.h"
#include "base/mem.h"
#include "flagfile/snapshot.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_EVERY_US 200000

struct routestore {
    struct service *service;
    struct gateway *gateway; /* NULL: none */
    int64_t next_look;
    bool failed;          /* the last publication: said once */
    pthread_mutex_t lock; /* publication: the newest settings are published last */
};

/* SQL lacks nothing that MongoDB has while the stream runs. */
static bool is_caught_up(const struct service *s, const char *name) {
    struct module *m = service_module(s, name);
    struct module_view view;
    if (!m)
        return false;
    module_view(m, &view);
    return view.state == MODULE_STREAMING;
}

static int publish(struct routestore *r, struct err *err) {
    struct service *s = r->service;
    if (!r->gateway)
        return 0;
    struct route_settings *settings = mem_zalloc(1, sizeof *settings);
    pthread_mutex_lock(&r->lock);
    int rc = routing_settings(s->conf, s->state, settings, err);
    for (size_t i = 0; i < settings->count; i++)
        settings->modules[i].caught_up = is_caught_up(s, settings->modules[i].name);
    if (rc == 0)
        rc = gateway_publish(r->gateway, settings, err);
    pthread_mutex_unlock(&r->lock);
    free(settings);
    return rc;
}

int routestore_start(struct service *s, struct routestore **ret_store, struct err *err) {
    struct routestore *r = mem_zalloc(1, sizeof *r);
    struct err why = {0};
    r->service = s;
    pthread_mutex_init(&r->lock, NULL);
    *ret_store = r;
    if (s->conf->gateway.at.line == 0)
        return 0;
    _cleanup_(mem_freep) char *blob = snapshot_blob_path(s->options->state_path);
    int rc = gateway_new(s->conf, s->options->state_path, blob, &r->gateway, err);
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
    gateway_free(r->gateway);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

void routestore_poll(struct routestore *r, int64_t now_us) {
    struct err err = {0};
    if (!r->gateway || now_us < r->next_look)
        return;
    r->next_look = now_us + LOOK_EVERY_US;
    bool failed = publish(r, &err) < 0;
    if (failed && !r->failed)
        log_event(LOG_ERROR, "routing_not_published", LOG_STR("reason", err.text));
    r->failed = failed;
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

bool routestore_gateway(struct routestore *r, struct gateway_view *ret) {
    if (r->gateway)
        gateway_view(r->gateway, ret);
    return r->gateway != NULL;
}
