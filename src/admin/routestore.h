/*
 * The daemon's part of who answers: the settings of modules as people set them, published for the
 * gateway's workers; and the gateway itself, where the configuration has one.
 *
 * Changes by others on the same state (the command line) are taken up at the next look. Any thread,
 * but for poll.
 */
#ifndef BANYAN_ADMIN_ROUTESTORE_H
#define BANYAN_ADMIN_ROUTESTORE_H

#include "admin/service.h"
#include "gateway/exchange.h"
#include "gateway/gateway.h"
#include "gateway/routing.h"
#include "route/watermark.h"

struct routestore;

/* What keeps the gateway from running is logged and shown, and does not keep the daemon from it:
 * data goes on flowing. ERR_CONF where the configuration itself is wrong. @thread main */
int routestore_start(struct service *s, struct routestore **ret_store, struct err *err) must_check;
void routestore_stop(struct routestore *r); /* NULL is fine; nginx goes on */

/* Once in a tick: settings published where they differ, nginx watched. @thread main */
void routestore_poll(struct routestore *r, int64_t now_us);

/* The settings as they were published last, and their etag (gateway/exchange.h). Any thread; never
 * waits. */
void routestore_published(struct routestore *r, struct buf *out);
void routestore_etag(struct routestore *r, char ret[EXCHANGE_ETAG_MAX]);

int routestore_change(struct routestore *r, const struct conf_module *module,
                      const struct routing_change *change, int64_t *ret_version, bool *ret_conflict,
                      struct err *err) must_check;

/* What holds for a module, as of the last look; at once. False: it was never read. */
bool routestore_get(struct routestore *r, const char *module, struct route_module *ret);

/* The file that says how far modules are applied; NULL: no gateway. Borrowed. */
struct watermark *routestore_watermark(struct routestore *r);

/* False: the configuration has no gateway. */
bool routestore_gateway(struct routestore *r, struct gateway_view *ret);

#endif
