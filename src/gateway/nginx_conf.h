/*
 * nginx's configuration, written from ours. Pure: text out.
 *
 * Each route has up to seven named locations that ngx_http_banyan_module chooses from: reads and
 * writes of both sides (a write is never tried twice), MongoDB with SQL behind it (for answers, for
 * WebSockets), and SQL in MongoDB's place. What stands in quotes was checked when the configuration
 * was read.
 */
#ifndef BANYAN_GATEWAY_NGINX_CONF_H
#define BANYAN_GATEWAY_NGINX_CONF_H

#include "base/buf.h"
#include "conf/conf.h"
#include "route/settings.h"

/* Absolute paths. */
struct nginx_paths {
    const char *folder;                   /* where nginx keeps its pid, logs and bodies */
    const char *module;                   /* ngx_http_banyan_module.so */
    const char *flags;                    /* the published blob */
    const char *settings;                 /* the published settings of modules */
    const char *applied;                  /* how far each module is applied */
    const char *samples;                  /* the socket that takes samples and statistics */
    const char *certificate, *key;        /* NULL: no TLS */
    const struct route_settings *routing; /* as it holds now; NULL: not known */
    const char *user; /* of the workers, when nginx is started by root; NULL: nginx's own */
};

/* The whole file of a managed nginx. */
void nginx_conf_whole(struct buf *out, const struct conf *conf, const struct nginx_paths *paths);

/* For an nginx of others: what its main context includes, and what its http context does. */
void nginx_conf_main(struct buf *out, const struct nginx_paths *paths);
void nginx_conf_http(struct buf *out, const struct conf *conf, const struct nginx_paths *paths);

#endif
