/*
 * ngx_http_banyan_module: the gateway's part of Banyan, inside nginx.
 *
 * Each request is decided once, in the worker, from what is published in two files (flags and
 * settings): nothing is asked outside, nothing is locked but one word of the breaker.
 *
 *   module.c   phases, the life of workers
 *   directives.c the route block and the other directives
 *   published.c the two files, looked at every 200 ms
 *   ask.c      the decision
 *   forward.c  the way to the named location of the side that answers
 *   asker.c    who asks: nginx's variables, claims of tokens
 *   headers.c  what comes in untrusted and what goes out
 *   shared.c   memory that all workers share, and its locks
 *   breaker.c  when MongoDB is left alone for a while
 *   own_writes.c who has just written, and reads from SQL for it
 *   sample.c   requests and answers that the daemon gets a copy of
 *   sockets.c  WebSockets, which end some time after a rollback
 *   counts.c   what is counted of each route and side
 *   wire.c     the way to the daemon
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
#include "jwt/jwt.h"
#include "route/decide.h"
#include "route/frame.h"
#include "route/marks.h"
#include "route/path.h"
#include "route/sampling.h"
#include "route/settings.h"
#include "route/watermark.h"

extern ngx_module_t ngx_http_banyan_module;
extern ngx_command_t banyan_commands[];

#define BANYAN_ATTRIBUTES_MAX 32
#define BANYAN_ROUTES_MAX 1024
#define BANYAN_MARK_BUCKETS 8192 /* 65,536 marks, 2.1 MiB */
#define BANYAN_COOKIE_LEN 32

/* Where something about the asker comes from. */
typedef struct {
    ngx_http_complex_value_t *value; /* NULL: a claim, or nothing */
    ngx_int_t variable;              /* `value` is just that, by its index; NGX_ERROR: it is not */
    ngx_str_t claim;
    const struct jwt_key *key;
} banyan_asker_t;

typedef struct {
    ngx_str_t name;
    banyan_asker_t from;
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
    ngx_str_t guarded_socket;            /* the same, for what becomes a WebSocket */
    ngx_str_t guarded;  /* named location of MongoDB with SQL behind it; empty: none */
    ngx_uint_t covered; /* bits of enum banyan_failure */
    banyan_asker_t user, tenant;
    ngx_array_t *attributes[2]; /* banyan_attribute_t; of the user, of the tenant */
    ngx_array_t *reads;         /* banyan_read_t */
    banyan_limits_t limits;
    uint32_t sample;        /* share that is compared, in millionths */
    ngx_array_t *compared;  /* ngx_str_t: headers of answers that are compared */
    ngx_uint_t never_stale; /* without settings: 503, because SQL lacks what was written */
    int64_t own_wait_us;    /* an own write keeps reads on SQL; 0: never */
    ngx_uint_t number;
} banyan_route_t;

typedef struct {
    ngx_array_t routes;      /* banyan_route_t */
    struct span *prefixes;   /* of the routes, in their order */
    ngx_str_t flags_path;    /* banyan_flags */
    ngx_str_t settings_path; /* banyan_settings */
    ngx_str_t samples_path;  /* banyan_samples: the daemon's socket; empty: nobody asks for them */
    ngx_str_t applied_path;  /* banyan_applied: how far MongoDB is; empty: nobody says */
    int64_t watermark_max_age_us;
    int64_t drain_us;      /* banyan_drain: of WebSockets */
    ngx_int_t cookie;      /* index of the variable */
    ngx_int_t request_id;  /* index of the variable */
    ngx_array_t *keys;     /* of tokens, by path (asker.c); NULL: none */
    ngx_array_t *trusted;  /* ngx_cidr_t; NULL: nobody */
    ngx_array_t *identity; /* ngx_str_t: headers that count only from the trusted */
    uint64_t suspects;     /* lengths of the names that are looked at: a bit each */
    ngx_shm_zone_t *zone;
} banyan_main_conf_t;

typedef struct {
    ngx_flag_t rescue; /* banyan_rescue: SQL answers in MongoDB's place */
} banyan_loc_conf_t;

/* A request whose answer is copied for the daemon. */
typedef struct {
    enum frame_why why;
    uint64_t weight;
    struct buf body;
    struct buf asked_body;
    size_t counted, asked_counted; /* bytes of both, in the worker's sum */
    unsigned truncated : 1;
    unsigned whole : 1;            /* the end of the answer was seen */
    unsigned large : 1;            /* the request's body is over the limit */
    unsigned no_room : 1;          /* the worker's memory for copies was full */
    struct frame_headers answered; /* texts are the pool's; last, and not cleared */
} banyan_sample_t;

/* Of one request; a pool cleanup holds it too, because internal redirects clear module contexts. */
typedef struct {
    banyan_route_t *route;
    struct route_decision decision;
    enum banyan_failure failure; /* what SQL covers for, if rescued */
    int64_t started_us;          /* monotonic: handed to the side that answers, or to be rescued */
    int64_t headed_us;           /* the answer's header was there; 0: not yet */
    int64_t failed_us;           /* rescued: what MongoDB took to fail */
    banyan_sample_t *sample;     /* NULL: none */
    struct span user;            /* with user_known */
    uint64_t writer;             /* whose mark the write holds; 0: nobody's */
    u_char cookie[BANYAN_COOKIE_LEN];
    unsigned set_cookie : 1;
    unsigned user_known : 1;
    unsigned
        mongodb_reads : 1; /* some reads of the module may go to MongoDB while SQL is written */
    unsigned rescued : 1;
    unsigned read : 1;
    unsigned asked_breaker : 1;
    unsigned trial : 1; /* the one call that may go through an open breaker */
} banyan_request_t;

/* ---- published.c ---- */

/* Maps what is there and looks again every 200 ms, as long as the worker lives. */
ngx_int_t banyan_published_start(ngx_cycle_t *cycle, const banyan_main_conf_t *conf);
/* NULL: never published. Valid until the worker returns to its event loop. */
const struct flags_set *banyan_published_flags(void);
const struct route_settings *banyan_published_settings(void);

/* ---- ask.c ---- */

ngx_int_t banyan_ask(ngx_http_request_t *r);
/* Whether reads of who asks would go to MongoDB by what is published now; sets asker->now_us. */
bool banyan_wants_mongodb(const banyan_route_t *route, struct flags_context *asker);
/* NULL: not ours. */
banyan_request_t *banyan_request(ngx_http_request_t *r);
enum route_side banyan_answered_by(const banyan_request_t *b);
/* What the last call to a service ended with. */
enum banyan_failure banyan_failure_of(ngx_http_request_t *r, ngx_uint_t *ret_status);

/* ---- forward.c ---- */

/* The rest of a content handler: a named location of the server answers. */
ngx_int_t banyan_forward(ngx_http_request_t *r, const ngx_str_t *name);

/* ---- asker.c ---- */

/* Reads the file of a key; what it holds lives as long as the configuration. */
char *banyan_key_load(ngx_conf_t *cf, ngx_str_t *path, const struct jwt_key **ret);
void banyan_asker_fill(ngx_http_request_t *r, const banyan_route_t *route,
                       struct flags_attribute *of_user, struct flags_attribute *of_tenant,
                       struct flags_context *context);
/* The same, in memory of its own that lives as long as the request. */
ngx_int_t banyan_asker_keep(ngx_http_request_t *r, const banyan_route_t *route,
                            struct flags_context *ret);
struct span banyan_asker_user(ngx_http_request_t *r, const banyan_route_t *route);

/* ---- headers.c ---- */

/* Takes identity headers of untrusted peers away, and ours of everybody. */
ngx_int_t banyan_clean_request(ngx_http_request_t *r);
ngx_int_t banyan_headers_init(ngx_conf_t *cf);
void banyan_headers_prepare(banyan_main_conf_t *conf); /* all directives are read */
const char *banyan_fallback_reason(const banyan_request_t *b);

/* A header of the request; NULL: none, or it was taken away. */
const ngx_table_elt_t *banyan_asked_header(ngx_http_request_t *r, const char *name);
extern const char banyan_shadow_header[];

/* ---- shared.c ---- */

typedef struct {
    uint64_t *owners;           /* one a route: a hash of its prefix */
    void *breakers;             /* one a route */
    sampling_word *sampling;    /* one a route */
    struct marks_bucket *marks; /* BANYAN_MARK_BUCKETS */
} banyan_shared_t;

char *banyan_shared_init(ngx_conf_t *cf, banyan_main_conf_t *conf);
static inline banyan_shared_t *banyan_shared(const banyan_main_conf_t *conf) {
    return conf->zone->data;
}
/* For a few instructions. One that is held by a worker which was killed is taken over. */
void banyan_lock(ngx_atomic_t *lock);
void banyan_unlock(ngx_atomic_t *lock);

/* ---- breaker.c ---- */

/* NULL: no room. */
void *banyan_breakers_new(ngx_slab_pool_t *pool);
/* The place is another route's. */
void banyan_breaker_begin_anew(banyan_shared_t *shared, ngx_uint_t number);
/* Whether MongoDB is left alone; *trial: this call may try whether it is back. */
ngx_uint_t banyan_breaker_is_open(banyan_main_conf_t *conf, const banyan_route_t *route,
                                  ngx_uint_t *trial);
void banyan_breaker_count(banyan_main_conf_t *conf, const banyan_route_t *route, ngx_uint_t failed,
                          ngx_uint_t trial);
/* A trial that has ended without saying anything of MongoDB. */
void banyan_breaker_give_back(banyan_main_conf_t *conf, const banyan_route_t *route);
/* Whether SQL may still take over a failed call; banyan_budget_take when it does. A trial is taken
 * over in any case, and free. */
ngx_uint_t banyan_budget_left(banyan_main_conf_t *conf, const banyan_route_t *route);
void banyan_budget_take(banyan_main_conf_t *conf, const banyan_route_t *route);

/* ---- sockets.c ---- */

void banyan_sockets_start(void);
/* The request has become a WebSocket. */
ngx_int_t banyan_socket_add(ngx_http_request_t *r, const banyan_request_t *b);
void banyan_sockets_look(const banyan_main_conf_t *conf);

/* ---- own_writes.c ---- */

/* Maps the file of applied times when it is there, or another. */
void banyan_applied_look(const banyan_main_conf_t *conf);
void banyan_write_begin(ngx_http_request_t *r, const banyan_main_conf_t *conf, banyan_request_t *b);
void banyan_write_end(ngx_http_request_t *r, const banyan_main_conf_t *conf,
                      const banyan_request_t *b);
bool banyan_has_written(ngx_http_request_t *r, const banyan_main_conf_t *conf, banyan_request_t *b);
/* Whose user is unknown is known by a cookie. */
ngx_int_t banyan_write_cookie(ngx_http_request_t *r, const banyan_request_t *b);

/* ---- sample.c ---- */

/* Takes the request as a sample, if it is one. */
void banyan_sample_begin(ngx_http_request_t *r, const banyan_main_conf_t *conf,
                         banyan_request_t *b);
/* MongoDB said 404, and SQL is asked: one in any case. */
void banyan_sample_missing(ngx_http_request_t *r, const banyan_main_conf_t *conf,
                           banyan_request_t *b);
/* The header of the answer is there. */
void banyan_sample_header(ngx_http_request_t *r, banyan_request_t *b);
/* After all that counts: hands the sample over. */
void banyan_sample_end(ngx_http_request_t *r, const banyan_main_conf_t *conf, banyan_request_t *b);
void banyan_sample_init(void);

/* ---- counts.c ---- */

ngx_int_t banyan_counts_start(ngx_cycle_t *cycle, const banyan_main_conf_t *conf);
/* The request is over. */
void banyan_count(ngx_http_request_t *r, const banyan_request_t *b);
/* A read that is wanted on MongoDB stays on SQL, by an own write or by the breaker. */
void banyan_count_kept(const banyan_route_t *route, enum route_reason reason);
void banyan_count_pin_ended(const banyan_route_t *route);
void banyan_count_sampled(const banyan_route_t *route, enum route_side side);
void banyan_count_dropped(const banyan_route_t *route, enum route_side side, enum frame_drop drop);
/* What the call to the side that answers took, until the end of its answer. */
int64_t banyan_latency_us(ngx_http_request_t *r, const banyan_request_t *b);
/* Hands over what is there. */
void banyan_counts_flush(const banyan_main_conf_t *conf);

/* ---- wire.c ---- */

void banyan_wire_start(ngx_cycle_t *cycle, const banyan_main_conf_t *conf);
/* Connects where it is time to. */
void banyan_wire_poll(const banyan_main_conf_t *conf);
ngx_uint_t banyan_wire_is_up(void);
/* Never waits. False: there is no way, or it is full. */
bool banyan_wire_sample(const struct frame_sample *s);
bool banyan_wire_statistics(const struct frame_statistics *s);
/* Waits at most 50 ms for what is there to go, and closes. */
void banyan_wire_end(void);

/* ---- vars.c ---- */

ngx_int_t banyan_vars_init(ngx_conf_t *cf);

static inline struct span banyan_span(ngx_str_t s) {
    return span_make(s.data, s.len);
}

static inline int64_t banyan_now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

#endif
