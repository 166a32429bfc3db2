/*
 * ngx_http_banyan_module: the gateway's part of Banyan, inside nginx.
 *
 * Each request is decided once, in the worker, from what is published in two files (flags and
 * settings): nothing is asked outside, nothing is locked but one word of the breaker.
 *
 *   module.c   directives, phases, the life of workers
 *   published.c the two files, looked at every 200 ms
 *   ask.c      the decision, and the way to the side's named location
 *   headers.c  what comes in untrusted and what goes out
 *   breaker.c  when MongoDB is left alone for a while; shared by all workers
 *   vars.c     variables for the log
 */
#ifndef BANYAN_GATEWAY_H
#define BANYAN_GATEWAY_H

/* OpenSSL, which nginx includes, has a type of that name; ours is an error code. */
#define ERR_STATE ERR_STATE_of_openssl
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#undef ERR_STATE

#include "flags/flags.h"
#include "route/decide.h"
#include "route/path.h"
#include "route/settings.h"

extern ngx_module_t ngx_http_banyan_module;

#define BANYAN_ATTRIBUTES_MAX 32
#define BANYAN_ROUTES_MAX 1024

typedef struct {
    ngx_str_t name;
    ngx_http_complex_value_t value;
} banyan_attribute_t;

typedef struct {
    ngx_str_t method;
    ngx_str_t path; /* and what is below */
} banyan_read_t;

typedef struct {
    ngx_uint_t errors; /* percent of `of` calls; 0: no breaker */
    ngx_uint_t of;
    ngx_msec_t open;
    ngx_uint_t budget; /* hundredths of a percent: calls that SQL may answer in MongoDB's place */
} banyan_limits_t;

/* What SQL may cover for. */
enum banyan_failure { BANYAN_CONNECT, BANYAN_TIMEOUT, BANYAN_5XX, BANYAN_404, BANYAN_FAILURES };
extern const char *const banyan_failure_names[BANYAN_FAILURES];

/* banyan_route PREFIX { ... } */
typedef struct {
    ngx_str_t prefix;
    ngx_str_t module;
    ngx_str_t flag;
    ngx_str_t service[2];                /* by enum route_side */
    ngx_str_t reads_at[2], writes_at[2]; /* named locations */
    ngx_str_t guarded;  /* named location of MongoDB with SQL behind it; empty: none */
    ngx_uint_t covered; /* bits of enum banyan_failure */
    ngx_http_complex_value_t *user, *tenant;
    ngx_array_t *attributes[2]; /* banyan_attribute_t; of the user, of the tenant */
    ngx_array_t *reads;         /* banyan_read_t */
    banyan_limits_t limits;
    ngx_uint_t number;
} banyan_route_t;

typedef struct {
    ngx_array_t routes;      /* banyan_route_t */
    struct span *prefixes;   /* of the routes, in their order */
    ngx_str_t flags_path;    /* banyan_flags */
    ngx_str_t settings_path; /* banyan_settings */
    ngx_array_t *trusted;    /* ngx_cidr_t; NULL: nobody */
    ngx_array_t *identity;   /* ngx_str_t: headers that count only from the trusted */
    ngx_shm_zone_t *breakers;
} banyan_main_conf_t;

typedef struct {
    ngx_flag_t gateway; /* banyan: this location asks */
    ngx_flag_t rescue;  /* banyan_rescue: SQL answers in MongoDB's place */
} banyan_loc_conf_t;

/* Of one request; lives in a pool cleanup, because internal redirects clear module contexts. */
typedef struct {
    banyan_route_t *route;
    struct route_decision decision;
    enum banyan_failure failure; /* what SQL covers for, if rescued */
    unsigned rescued : 1;
    unsigned read : 1;
    unsigned trial : 1; /* the one call that may go through an open breaker */
} banyan_request_t;

/* ---- published.c ---- */

/* Maps what is there and looks again every 200 ms, as long as the worker lives. */
ngx_int_t banyan_published_start(ngx_cycle_t *cycle, banyan_main_conf_t *conf);
/* NULL: never published. Valid until the worker returns to its event loop. */
const struct flags_set *banyan_published_flags(void);
const struct route_settings *banyan_published_settings(void);

/* ---- ask.c ---- */

ngx_int_t banyan_ask(ngx_http_request_t *r);
/* NULL: not ours. */
banyan_request_t *banyan_request(ngx_http_request_t *r);
enum route_side banyan_answered_by(const banyan_request_t *b);
/* What the last call to a service ended with. */
enum banyan_failure banyan_failure_of(ngx_http_request_t *r, ngx_uint_t *ret_status);

/* ---- headers.c ---- */

/* Takes identity headers of untrusted peers away, and ours of everybody. */
ngx_int_t banyan_clean_request(ngx_http_request_t *r);
ngx_int_t banyan_headers_init(ngx_conf_t *cf);
const char *banyan_fallback_reason(const banyan_request_t *b);

/* ---- breaker.c ---- */

char *banyan_breakers_init(ngx_conf_t *cf, banyan_main_conf_t *conf);
/* Whether MongoDB is left alone; *trial: this call may try whether it is back. */
ngx_uint_t banyan_breaker_is_open(banyan_main_conf_t *conf, const banyan_route_t *route,
                                  ngx_uint_t *trial);
void banyan_breaker_count(banyan_main_conf_t *conf, const banyan_route_t *route, ngx_uint_t failed,
                          ngx_uint_t trial);
/* Whether SQL may still take over a failed call; banyan_budget_take when it does. */
ngx_uint_t banyan_budget_left(banyan_main_conf_t *conf, const banyan_route_t *route);
void banyan_budget_take(banyan_main_conf_t *conf, const banyan_route_t *route);

/* ---- vars.c ---- */

ngx_int_t banyan_vars_init(ngx_conf_t *cf);

static inline struct span banyan_span(ngx_str_t s) {
    return span_make(s.data, s.len);
}

#endif
