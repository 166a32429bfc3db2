/*
 * Everything that is known of the daemon at one moment, in one place: what the status, the page's
 * first words, /health, /metrics and the alerts are all made from, so that they agree.
 */
#ifndef BANYAN_ADMIN_PICTURE_H
#define BANYAN_ADMIN_PICTURE_H

#include "admin/answered.h"
#include "admin/edges.h"
#include "admin/routestore.h"
#include "admin/service.h"

struct picture_collection {
    struct state_collection stored;
    struct state_fanouts_left fanouts;
    int64_t parked, waiting;
};

struct picture_module {
    struct module_view view;
    const struct apply_live *live;
    struct state_pipeline stored; /* has_stored */
    bool has_stored;
    struct picture_collection *collections;
    size_t collection_count;
    int64_t parked, waiting; /* all; those that wait for a person and not for the run's next try */
    struct slot_view slot;
};

/* The last verification of a module of the configuration. */
struct picture_verification {
    const char *module;
    bool found;
    struct state_verification last;
};

struct picture {
    int64_t now_us, started_us; /* wall clock */
    struct picture_module *modules;
    size_t module_count;
    struct picture_verification *verifications; /* one for each module of the configuration */
    size_t verification_count;
    struct route_settings routing; /* one for each module of the configuration, in its order */
    const struct conf *conf;
    struct answered answered; /* of the last minutes; only where the words are wanted */
    int64_t redis_away_us;    /* wall clock: since when; 0: it is there, or there is none */
    char redis_why[ERR_TEXT_MAX];
    char configuration_problem[ERR_TEXT_MAX], flags_problem[ERR_TEXT_MAX]; /* "": none */
    struct edge_view *edges;
    size_t edge_count;
    bool has_gateway;
    struct gateway_view gateway;
};

/* Reads the state; thread: any. */
int picture_take(struct service *s, struct picture *ret, struct err *err) must_check;
void picture_release(struct picture *p);

#endif
