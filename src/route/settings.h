/*
 * What the gateway must know of each module, besides its flag: one small file, written beside and
 * renamed by whoever changes it, looked at by every nginx worker.
 *
 * Fixed layout, checked by a checksum; a foreign layout or damage is refused and the last good one
 * stays in use. Reading and building are pure.
 */
#ifndef BANYAN_ROUTE_SETTINGS_H
#define BANYAN_ROUTE_SETTINGS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "route/decide.h"

#include <stdint.h>

#define ROUTE_MODULES_MAX 256
#define ROUTE_NAME_MAX 128 /* with its NUL */

struct route_module {
    char name[ROUTE_NAME_MAX];
    enum route_reads reads;
    enum route_writes writes;
    bool fallback;  /* `banyan fallback off` was not said */
    bool caught_up; /* MongoDB has what SQL has, so that it may answer for it */
};

struct route_settings {
    uint64_t version;
    size_t count;
    struct route_module modules[ROUTE_MODULES_MAX];
};

/* Whether SQL may answer a read in MongoDB's place, where its route or operation covers for that:
 * as long as SQL gets every write. */
static inline bool route_may_fall_back(const struct route_module *m) {
    return m->fallback && m->writes != WRITES_MONGODB;
}

/* Appends. */
void route_settings_write(struct buf *out, const struct route_settings *settings);

/* ERR_STATE: damaged, or of another layout. */
int route_settings_read(struct span bytes, struct route_settings *ret, struct err *err) must_check;

/* NULL: no such module. */
const struct route_module *route_settings_find(const struct route_settings *settings,
                                               const char *name);

#endif
