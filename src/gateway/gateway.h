/*
 * The gateway as the daemon sees it: nginx's configuration, its process, and the settings of
 * modules that its workers look at.
 *
 * Everything stands in the folder "<state>.gateway". nginx goes on when this ends. @thread one at a
 * time, but for gateway_view
 */
#ifndef BANYAN_GATEWAY_GATEWAY_H
#define BANYAN_GATEWAY_GATEWAY_H

#include "base/buf.h"
#include "base/err.h"
#include "conf/conf.h"
#include "route/settings.h"

#include <sys/types.h>

struct gateway;

struct gateway_view {
    bool managed;
    pid_t pid;                /* managed: 0: does not run */
    char error[ERR_TEXT_MAX]; /* of the last attempt; empty: fine */
};

/* "<state>.gateway"; free() it. */
char *gateway_folder(const char *state_path);

/* What a gateway works with and where. Makes the folder, and writes the keys of tokens into it;
 * nginx's configuration is left alone. ERR_CONF, ERR_STATE. */
int gateway_new(const struct conf *conf, const char *state_path, const char *flags_blob,
                struct gateway **ret_gateway, struct err *err) must_check;
void gateway_free(struct gateway *g); /* NULL is fine; nginx goes on */

/* Who publishes holds this lock since before it read what it publishes, so the newest is published
 * last. A descriptor to close. ERR_STATE. */
int gateway_lock(const struct gateway *g, struct err *err) must_check;
/* Replaces the settings; workers take them up within 200 ms. */
int gateway_publish(struct gateway *g, const struct route_settings *settings,
                    struct err *err) must_check;

/* Configuration tested and in place; nginx adopted where it runs (and told to read again where
 * something has changed), else started. external: includes written and the command run where
 * something has changed. On failure what ran goes on, and gateway_poll tries again. */
int gateway_run(struct gateway *g, struct err *err) must_check;

/* Looks whether nginx runs and knows its configuration, once a second; if not, tries again, later
 * and later. Writes the configuration anew where writes have moved: it says what answers without
 * settings. */
void gateway_poll(struct gateway *g, int64_t now_us);

/* Any thread. */
void gateway_view(struct gateway *g, struct gateway_view *ret);

/* Whether nginx takes the configuration; nothing is put in place. */
int gateway_check(struct gateway *g, struct err *err) must_check;

/* The file that says how far each module is applied (route/watermark.h). Borrowed. */
const char *gateway_applied(const struct gateway *g);

/* The socket that nginx's workers connect to with samples and statistics (route/frame.h): the
 * daemon listens there. Borrowed. */
const char *gateway_samples(const struct gateway *g);

/* The configuration, as it would be written. */
void gateway_conf(const struct gateway *g, struct buf *out);

/* Ends a managed nginx. */
int gateway_stop(struct gateway *g, struct err *err) must_check;

#endif
