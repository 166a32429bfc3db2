/*
 * Where the daemon listens: the admin listener, and the one of OFREP where the configuration names
 * it. @thread main
 */
#ifndef BANYAN_ADMIN_LISTENERS_H
#define BANYAN_ADMIN_LISTENERS_H

#include "admin/service.h"

struct listeners;

/* Sets s->http and s->traffic. */
int listeners_start(struct service *s, struct listeners **ret_listeners,
                    struct err *err) must_check;
void listeners_stop(struct service *s, struct listeners *l); /* NULL is fine */

/* NULL: there is no listener of its own for OFREP. */
const char *listeners_ofrep_address(const struct service *s);

#endif
