/*
 * The configuration read again, on SIGHUP and when its file changes: flags, alert rules, rate
 * limits and the certificates that it names, all or nothing. What else has changed needs a restart,
 * and is refused by name. @thread main
 */
#ifndef BANYAN_ADMIN_RELOAD_H
#define BANYAN_ADMIN_RELOAD_H

#include "admin/service.h"

#include <sys/stat.h>

struct reload {
    struct stat seen; /* of the configuration's file */
};

void reload_init(struct reload *r, const struct service *s);
/* Whether the file has changed since it was read. */
bool reload_is_due(struct reload *r, const struct service *s);
/* Logs what came of it. */
void reload_now(struct service *s);

#endif
