#include "admin/edges.h"

#include "admin/relay.h"
#include "admin/routestore.h"
#include "admin/show.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "state/edge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORE_EVERY_US INT64_C(60000000)

struct edge {
    struct state_edge stored;
    bool dirty;       /* the state has it otherwise */
    int64_t put_us;   /* wall clock: when it was stored */
    bool heard;       /* since we started: what follows is known */
    bool away;        /* as the log was told */
    int64_t heard_us; /* monotonic */
    struct exchange_ask said;
};

struct edges {
    struct service *service;
    struct relay *relay;
    char routes[EXCHANGE_ETAG_MAX];
    pthread_mutex_t store_lock; /* what goes to the state; taken before the other */
    pthread_mutex_t lock;       /* all below; never held while the state waits */
    struct edge *list;          /* by name */
    size_t count;
};

static bool is_away(const struct edge *e, int64_t now_us) {
    return !e->heard || now_us - e->heard_us > EDGES_AWAY_US;
}

static struct edge *find(struct edges *e, const char *name) {
    for (size_t i = 0; i < e->count; i++)
        if (strcmp(e->list[i].stored.name, name) == 0)
            return &e->list[i];
    return NULL;
}

static struct edge *insert(struct edges *e, const char *name) {
    size_t at = 0;
    while (at < e->count && strcmp(e->list[at].stored.name, name) < 0)
        at++;
    e->list = mem_realloc(e->list, e->count + 1, sizeof *e->list);
    memmove(&e->list[at + 1], &e->list[at], (e->count - at) * sizeof *e->list);
    e->count++;
    e->list[at] = (struct edge){.away = true};
    (void)snprintf(e->list[at].stored.name, sizeof e->list[at].stored.name, "%s", name);
    return &e->list[at];
}

/* ---- an edge asks ---- */

static void what_holds(struct edges *e, struct exchange_answer *ret) {
    _cleanup_(flagset_putp) struct flagset *flags = flagset_get(&e->service->flags);
    (void)snprintf(ret->version, sizeof ret->version, "%s", BANYAN_VERSION);
    memcpy(ret->routes, e->routes, sizeof ret->routes);
    (void)snprintf(ret->flags, sizeof ret->flags, "%.16s", flags ? flags->etag : "");
    routestore_etag(e->service->routestore, ret->settings);
}

static void note_news(const struct edges *e, struct edge *edge, const struct exchange_ask *ask) {
    bool differs = strcmp(ask->routes, e->routes) != 0;
    if (!edge->heard || edge->away)
        log_event(LOG_INFO, "edge_is_here", LOG_STR("edge", ask->name),
                  LOG_STR("version", ask->version));
    if (differs && (!edge->heard || strcmp(edge->said.routes, ask->routes) != 0))
        log_event(LOG_WARN, "edge_has_other_routes", LOG_STR("edge", ask->name));
    if (strcmp(edge->said.problem, ask->problem) != 0)
        log_event(ask->problem[0] ? LOG_WARN : LOG_INFO, "edge_problem", LOG_STR("edge", ask->name),
                  LOG_STR("reason", ask->problem[0] ? ask->problem : "none"));
}

static int take(struct edges *e, const struct exchange_ask *ask, struct err *err) {
    int64_t now = clock_mono_us(), wall = clock_wall_us();
    struct edge *edge = find(e, ask->name);
    if (edge && edge->heard && strcmp(edge->stored.id, ask->id) != 0 && !is_away(edge, now))
        return err_set(err, ERR_BUSY,
                       "another edge is called '%s' and asks too; give each its own edge.name",
                       ask->name);
    if (!edge && e->count == EDGES_MAX)
        return err_set(err, ERR_LIMIT, "there are %d edges already; forget one that is gone",
                       EDGES_MAX);
    if (!edge)
        edge = insert(e, ask->name);
    note_news(e, edge, ask);
    edge->dirty = edge->dirty || strcmp(edge->stored.id, ask->id) != 0 ||
                  wall - edge->put_us > STORE_EVERY_US;
    memcpy(edge->stored.id, ask->id, sizeof edge->stored.id);
    edge->stored.seen_us = wall;
    edge->said = *ask;
    edge->heard = true;
    edge->heard_us = now;
    edge->away = false;
    return 0;
}

/* Times are ours; an edge gets ages (gateway/exchange.h). */
static void how_far_applied(const struct edges *e, const struct exchange_ask *ask,
                            struct exchange_answer *ret) {
    struct watermark *file = routestore_watermark(e->service->routestore);
    const struct conf *conf = e->service->conf;
    int64_t now = clock_mono_us();
    struct watermark_slot *slot;
    for (size_t i = 0; file && i < ask->waiting_count; i++)
        if ((slot = watermark_find(file, ask->waiting[i])))
            watermark_want(slot, now);
    for (size_t i = 0; file && i < conf->module_count && ret->applied_count < ROUTE_MODULES_MAX;
         i++) {
        slot = watermark_find(file, conf->modules[i].name.text);
        int64_t applied = slot ? watermark_applied(slot) : 0;
        if (applied <= 0)
            continue;
        struct exchange_applied *a = &ret->applied[ret->applied_count++];
        int64_t beat = atomic_load_explicit(&slot->beat_us, memory_order_relaxed);
        (void)snprintf(a->module, sizeof a->module, "%.127s", conf->modules[i].name.text);
        a->age_us = now > applied ? now - applied : 0;
        a->beat_us = now > beat ? now - beat : 0;
    }
}

int edges_ask(struct edges *e, const struct exchange_ask *ask, struct exchange_answer *ret,
              struct err *err) {
    ret->applied_count = 0;
    what_holds(e, ret);
    how_far_applied(e, ask, ret);
    pthread_mutex_lock(&e->lock);
    int rc = take(e, ask, err);
    pthread_mutex_unlock(&e->lock);
    return rc;
}

static bool may_sample(struct edges *e, const char *id) {
    bool may = false;
    pthread_mutex_lock(&e->lock);
    for (size_t i = 0; i < e->count; i++)
        may = may || (e->list[i].heard && strcmp(e->list[i].stored.id, id) == 0 &&
                      strcmp(e->list[i].said.routes, e->routes) == 0);
    pthread_mutex_unlock(&e->lock);
    return may;
}

int edges_take_samples(struct edges *e, const char *id, struct span frames, size_t *ret_taken,
                       size_t *ret_all, struct err *err) {
    if (may_sample(e, id))
        return relay_samples(e->relay, frames, ret_taken, ret_all, err);
    return err_set(err, ERR_BUSY,
                   "no edge with this id asks for flags, or its routes are not ours; give edge and "
                   "control daemon the same modules and routes");
}

/* ---- what is known of them ---- */

static struct edge_view view_of(const struct edges *e, const struct edge *edge,
                                const struct exchange_answer *now, int64_t now_us) {
    const struct exchange_ask *said = &edge->said;
    struct edge_view v = {.seen_us = edge->stored.seen_us,
                          .away = is_away(edge, now_us),
                          .confirmed = edge->heard && strcmp(said->flags, now->flags) == 0 &&
                                       strcmp(said->settings, now->settings) == 0,
                          .same_routes = !edge->heard || strcmp(said->routes, e->routes) == 0,
                          .nginx = !edge->heard || said->nginx,
                          .samples_dropped = said->samples_dropped};
    (void)snprintf(v.name, sizeof v.name, "%.64s", edge->stored.name);
    memcpy(v.version, said->version, sizeof v.version);
    memcpy(v.problem, said->problem, sizeof v.problem);
    return v;
}

struct edge_view *edges_list(struct edges *e, size_t *ret_count) {
    _cleanup_(mem_freep) struct exchange_answer *now = mem_zalloc(1, sizeof *now);
    int64_t now_us = clock_mono_us();
    what_holds(e, now);
    pthread_mutex_lock(&e->lock);
    struct edge_view *list = mem_zalloc(e->count + 1, sizeof *list);
    for (size_t i = 0; i < e->count; i++)
        list[i] = view_of(e, &e->list[i], now, now_us);
    *ret_count = e->count;
    pthread_mutex_unlock(&e->lock);
    return list;
}

void edges_show(struct edges *e, struct json_out *j, const char *name) {
    size_t count = 0;
    _cleanup_(mem_freep) struct edge_view *list = edges_list(e, &count);
    edges_show_list(list, count, clock_wall_us(), j, name);
}

void edges_show_list(const struct edge_view *list, size_t count, int64_t now_us, struct json_out *j,
                     const char *name) {
    json_out_open(j, name, '[');
    for (size_t i = 0; i < count; i++) {
        const struct edge_view *v = &list[i];
        int64_t age = now_us - v->seen_us;
        json_out_open(j, NULL, '{');
        json_out_text(j, "name", v->name);
        json_out_text(j, "version", v->version[0] ? v->version : NULL);
        json_out_double(j, "seen_seconds_ago", (double)(age > 0 ? age : 0) / 1e6);
        json_out_bool(j, "away", v->away);
        json_out_bool(j, "confirmed", v->confirmed);
        json_out_bool(j, "same_routes", v->same_routes);
        json_out_bool(j, "nginx", v->nginx);
        json_out_text(j, "problem", v->problem[0] ? v->problem : NULL);
        json_out_int(j, "samples_dropped", v->samples_dropped);
        json_out_close(j, '}');
    }
    json_out_close(j, ']');
}

void edges_sample(struct edges *e, struct obs_page *page) {
    size_t count = 0;
    _cleanup_(mem_freep) struct edge_view *list = edges_list(e, &count);
    for (size_t i = 0; i < count; i++) {
        obs_sample(page, METRIC_EDGE_UP, !list[i].away, list[i].name);
        obs_sample(page, METRIC_EDGE_CONFIRMED, list[i].confirmed, list[i].name);
        obs_sample(page, METRIC_EDGE_SAMPLES_DROPPED, list[i].samples_dropped, list[i].name);
    }
}

/* ---- what is kept ---- */

int edges_forget(struct edges *e, const char *name, const struct state_audit_line *line,
                 bool *ret_there, struct err *err) {
    pthread_mutex_lock(&e->store_lock);
    int rc = state_edge_forget(e->service->state, name, line, ret_there, err);
    pthread_mutex_lock(&e->lock);
    struct edge *edge = rc == 0 ? find(e, name) : NULL;
    if (edge) {
        size_t at = (size_t)(edge - e->list);
        memmove(edge, edge + 1, (e->count - at - 1) * sizeof *edge);
        e->count--;
        *ret_there = true;
    }
    pthread_mutex_unlock(&e->lock);
    pthread_mutex_unlock(&e->store_lock);
    return rc;
}

static bool next_dirty(struct edges *e, struct state_edge *ret) {
    bool found = false;
    pthread_mutex_lock(&e->lock);
    for (size_t i = 0; i < e->count && !found; i++) {
        struct edge *edge = &e->list[i];
        found = edge->dirty;
        if (!found)
            continue;
        *ret = edge->stored;
        edge->dirty = false;
        edge->put_us = edge->stored.seen_us;
    }
    pthread_mutex_unlock(&e->lock);
    return found;
}

static void say_who_left(struct edges *e, int64_t now_us) {
    pthread_mutex_lock(&e->lock);
    for (size_t i = 0; i < e->count; i++) {
        struct edge *edge = &e->list[i];
        if (edge->away || !is_away(edge, now_us))
            continue;
        edge->away = true;
        log_event(LOG_WARN, "edge_is_away", LOG_STR("edge", edge->stored.name));
    }
    pthread_mutex_unlock(&e->lock);
}

void edges_poll(struct edges *e, int64_t now_us) {
    struct state_edge edge;
    struct err err = {0};
    say_who_left(e, now_us);
    pthread_mutex_lock(&e->store_lock);
    while (next_dirty(e, &edge))
        if (state_edge_put(e->service->state, &edge, &err) < 0)
            log_event(LOG_ERROR, "edge_not_kept", LOG_STR("edge", edge.name),
                      LOG_STR("reason", err.text));
    pthread_mutex_unlock(&e->store_lock);
}

int edges_start(struct service *s, struct edges **ret_edges, struct err *err) {
    _cleanup_(mem_freep) struct state_edge *kept = NULL;
    size_t count = 0;
    int rc = state_edge_list(s->state, &kept, &count, err);
    if (rc < 0)
        return rc;
    struct edges *e = mem_zalloc(1, sizeof *e);
    _cleanup_(mem_freep) char *folder = gateway_folder(s->options->state_path);
    _cleanup_(mem_freep) char *socket = mem_printf("%s/samples.sock", folder);
    e->service = s;
    e->relay = relay_new(socket);
    exchange_routes(s->conf, e->routes);
    pthread_mutex_init(&e->store_lock, NULL);
    pthread_mutex_init(&e->lock, NULL);
    for (size_t i = 0; i < count && i < EDGES_MAX; i++) {
        struct edge *edge = insert(e, kept[i].name);
        edge->stored = kept[i];
        edge->put_us = kept[i].seen_us;
    }
    *ret_edges = e;
    return 0;
}

void edges_stop(struct edges *e) {
    if (!e)
        return;
    edges_poll(e, clock_mono_us());
    pthread_mutex_destroy(&e->store_lock);
    pthread_mutex_destroy(&e->lock);
    relay_free(e->relay);
    free(e->list);
    free(e);
}
