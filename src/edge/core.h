/*
 * What the threads of an edge share. Private to edge/.
 *
 *   follower   asks the control daemon what holds; publishes it for nginx's workers
 *   listener   (parallel/) gets samples and statistics of nginx's workers
 *   sender     hands them over
 *   main       watches nginx, tells systemd; HTTP has threads of its own
 */
#ifndef BANYAN_EDGE_CORE_H
#define BANYAN_EDGE_CORE_H

#include "edge/edge.h"
#include "gateway/exchange.h"
#include "gateway/gateway.h"
#include "http/client.h"
#include "http/http.h"
#include "obs/metrics.h"

#include <pthread.h>
#include <stdatomic.h>

#define EDGE_CALL_US INT64_C(3000000) /* for an answer of the control daemon */

struct counts;
struct follower;
struct sender;
struct served;

struct edge {
    const struct conf *conf;
    const struct edge_options *options;
    const char *control; /* its URL, without a path */
    char name[CONF_EDGE_NAME_MAX + 1];
    char id[EXCHANGE_ETAG_MAX];
    char *folder, *blob_path, *settings_path;
    int64_t started_us; /* wall clock */
    int lock_fd;        /* one edge in a folder */
    struct gateway *gateway;
    struct follower *follower;
    struct sender *sender;
    struct served *served;
    struct http_server *http;
    atomic_bool stop;
};

/* A call of the control daemon's API. The error names the control daemon, and what a status other
 * than 2xx says. */
int edge_call(const struct edge *e, struct http_kept *kept, const char *method, const char *path,
              struct span body, struct buf *ret_body, int *ret_status, struct err *err) must_check;

/* ---- identity.c ---- */

/* Folder, lock, name and id. ERR_CONF, ERR_BUSY, ERR_STATE. */
int identity_take(struct edge *e, struct err *err) must_check;
void identity_release(struct edge *e);

/* ---- follow.c ---- */

struct follow_view {
    bool ready;      /* flags and settings are there, from now or from before */
    bool answered;   /* since the start */
    int64_t away_us; /* wall clock: since when; 0: it answers */
    char why[ERR_TEXT_MAX];
    bool same_routes;   /* or not known */
    int64_t changed_us; /* wall clock: when something new was published; 0: not since the start */
};

int follow_start(struct edge *e, struct err *err) must_check;
void follow_stop(struct edge *e);
void follow_view(struct edge *e, struct follow_view *ret); /* any thread */

/* ---- send.c ---- */

struct send_view {
    int64_t samples_sent, samples_dropped, batches_sent, batches_lost;
    int64_t batches_waiting;
};

int send_start(struct edge *e, struct err *err) must_check;
void send_stop(struct edge *e); /* what was counted is on the disk afterwards */
void send_view(struct edge *e, struct send_view *ret); /* any thread */
void send_sample(struct edge *e, struct obs_page *page);

/* ---- serve.c ---- */

int serve_start(struct edge *e, struct err *err) must_check;
void serve_stop(struct edge *e);

#endif
