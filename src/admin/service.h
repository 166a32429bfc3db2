/*
 * What the parts of the daemon share. Private to admin/.
 */
#ifndef BANYAN_ADMIN_SERVICE_H
#define BANYAN_ADMIN_SERVICE_H

#include "admin/daemon.h"
#include "admin/module.h"
#include "admin/slots.h"

#define SERVICE_MODULES_MAX 256

struct service {
    const struct conf *conf;
    const struct daemon_options *options;
    struct state *state;
    int64_t started_us; /* wall clock */

    /* Made at the start, never changed: any thread may read. One for each module, or the one
     * pipeline "all" where `run all` made it. */
    struct slots *slots;
    struct module *modules[SERVICE_MODULES_MAX];
    size_t module_count;
};

/* The pipeline that has the module: its own, or "all"; NULL: there is no such module. */
struct module *service_module(const struct service *s, const char *name);

#endif
