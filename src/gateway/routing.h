/*
 * Who answers the requests of each module: the configuration, with what people set at run time laid
 * over it, and where both say auto, the phase.
 */
#ifndef BANYAN_GATEWAY_ROUTING_H
#define BANYAN_GATEWAY_ROUTING_H

#include "conf/conf.h"
#include "route/settings.h"
#include "state/state.h"

struct routing {
    struct state_routing set;   /* at run time */
    struct route_module module; /* what holds; caught_up is for the caller to say */
};

/* As the configuration says, where nobody set anything: ret->set is empty. */
void routing_configured(const struct conf_module *module, struct routing *ret);

/* As it holds now. */
int routing_get(const struct conf_module *module, struct state *s, struct routing *ret,
                struct err *err) must_check;

/* The stage (LaunchDarkly's names) that reads and writes are together; NULL: none. */
const char *routing_stage(const struct route_module *module);

/* As the configuration has it: "auto" where the phase says. */
const char *routing_configured_reads(const struct conf_module *module);
const char *routing_configured_writes(const struct conf_module *module);

/* Of all modules. */
int routing_settings(const struct conf *conf, struct state *s, struct route_settings *ret,
                     struct err *err) must_check;

/* What somebody wants; NULL and -1: as it is. "auto": as configured. */
struct routing_change {
    const char *reads, *writes, *stage;
    int fallback;
    int64_t version; /* it was made for this one; -1: for any */
    const char *who, *role, *why;
};

/* Checks, stores, audits. ERR_CONF: it cannot be, with the reason and the way out. The caller
 * publishes the settings. *ret_conflict: somebody else changed it, *ret_version is theirs. */
int routing_change(const struct conf_module *module, struct state *s,
                   const struct routing_change *change, int64_t *ret_version, bool *ret_conflict,
                   struct err *err) must_check;

#endif
