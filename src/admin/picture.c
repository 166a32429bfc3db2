#include "admin/picture.h"

#include "admin/flagstore.h"
#include "admin/redis.h"
#include "base/clock.h"
#include "base/mem.h"

#include <string.h>

static int count_parked(struct picture_module *m, struct state *state, struct err *err) {
    struct state_parked *list = NULL;
    size_t count = 0;
    int rc = state_parked_list(state, m->view.name, 0, SIZE_MAX, &list, &count, err);
    for (size_t i = 0; i < count; i++) {
        bool waits = !list[i].deferred;
        for (size_t c = 0; c < m->collection_count; c++) {
            bool its = strcmp(m->collections[c].stored.name, list[i].collection) == 0;
            m->collections[c].parked += its;
            m->collections[c].waiting += its && waits;
        }
        m->waiting += waits;
        state_parked_clear(&list[i]);
    }
    free(list);
    m->parked = (int64_t)count;
    return rc;
}

static int take_collections(struct picture_module *m, struct state *state, struct err *err) {
    struct state_collection *list = NULL;
    size_t count = 0;
    int rc = state_collection_list(state, m->view.name, &list, &count, err);
    if (rc == 0)
        m->collections = mem_zalloc(count + 1, sizeof *m->collections);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct picture_collection *c = &m->collections[m->collection_count++];
        c->stored = list[i];
        rc = state_fanouts_left(state, m->view.name, list[i].name, &c->fanouts, err);
    }
    free(list);
    return rc < 0 ? rc : count_parked(m, state, err);
}

static int take_module(const struct service *s, struct module *from, struct picture_module *m,
                       struct err *err) {
    module_view(from, &m->view);
    slots_view(s->slots, m->view.name, &m->slot);
    m->live = module_live(from);
    int rc = state_pipeline_get(s->state, m->view.name, &m->stored, &m->has_stored, err);
    return rc < 0 ? rc : take_collections(m, s->state, err);
}

int picture_take(struct service *s, struct picture *ret, struct err *err) {
    const struct conf *conf = s->conf;
    const size_t count = s->module_count;
    int rc = 0;
    *ret = (struct picture){.now_us = clock_wall_us(), .started_us = s->started_us, .conf = conf};
    if (s->redis)
        ret->redis_away_us = redis_away_since(s->redis, ret->redis_why);
    service_problem(s, ret->configuration_problem);
    flagstore_problem(s->flagstore, ret->flags_problem);
    if (s->edges)
        ret->edges = edges_list(s->edges, &ret->edge_count);
    ret->has_gateway = routestore_gateway(s->routestore, &ret->gateway);
    ret->modules = mem_zalloc(count + 1, sizeof *ret->modules);
    ret->verifications = mem_zalloc(conf->module_count + 1, sizeof *ret->verifications);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = take_module(s, s->modules[i], &ret->modules[ret->module_count++], err);
    for (size_t i = 0; rc == 0 && i < conf->module_count; i++) {
        struct picture_verification *v = &ret->verifications[ret->verification_count++];
        v->module = conf->modules[i].name.text;
        rc = state_verification_get(s->state, v->module, &v->last, &v->found, err);
    }
    return rc < 0 ? rc : routing_settings(conf, s->state, &ret->routing, err);
}

void picture_release(struct picture *p) {
    for (size_t i = 0; i < p->module_count; i++)
        free(p->modules[i].collections);
    for (size_t i = 0; i < p->verification_count; i++)
        state_verification_clear(&p->verifications[i].last);
    free(p->modules);
    free(p->verifications);
    free(p->edges);
    answered_release(&p->answered);
    *p = (struct picture){0};
}
