/*
 * The sender: what nginx's workers have handed over goes to the control daemon.
 *
 * Samples are worth something only now: what cannot be sent at once is dropped and counted.
 * Statistics are sums that must be right: each batch is a file until it was taken, and numbered, so
 * that it counts once however often it is sent.
 */
#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/queue.h"
#include "base/thread.h"
#include "edge/core.h"
#include "edge/counts.h"
#include "edge/spool.h"
#include "gateway/batch.h"
#include "parallel/listener.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_SAMPLES 1000
#define QUEUE_BYTES ((size_t)32 << 20)
#define POST_MAX ((size_t)HTTP_BODY_MAX)
#define WAIT_US INT64_C(100000)
#define BATCH_US INT64_C(5000000)       /* how old counters may be ... */
#define BATCH_AWAY_US INT64_C(60000000) /* ... and while nothing can be sent */
#define RETRY_MIN_US INT64_C(200000)
#define RETRY_MAX_US INT64_C(5000000)
_Static_assert(FRAME_BODY_MAX + FRAME_ASK_MAX + 2 * FRAME_HEADERS_MAX + 65536 < HTTP_BODY_MAX,
               "every sample fits into one request");

struct held {
    size_t len;
    char bytes[];
};

struct sender {
    pthread_t thread;
    bool started;
    struct listener *listener;
    struct queue *samples;
    struct counts *counts;
    struct spool *spool;
    struct http_kept *kept;
    struct backoff backoff;
    int64_t next_try, next_batch; /* monotonic */
    struct held *held;            /* taken from the queue, did not fit into the last request */
    struct buf body, answer;
    char why[ERR_TEXT_MAX]; /* as the log was told */
    _Atomic int64_t sent, dropped, batches_sent, batches_lost, waiting;
    _Atomic uint64_t broken;
};

static void add(_Atomic int64_t *to, int64_t n) {
    atomic_fetch_add_explicit(to, n, memory_order_relaxed);
}

/* ---- from nginx's workers; thread: listener ---- */

static void on_sample(void *context, struct span frame) {
    struct sender *s = context;
    struct held *h = mem_alloc(sizeof *h + frame.len);
    h->len = frame.len;
    memcpy(h->bytes, frame.ptr, frame.len);
    if (queue_push(s->samples, h, sizeof *h + frame.len, 0) == QUEUE_OK)
        return;
    free(h);
    add(&s->dropped, 1);
}

static void on_statistics(void *context, const struct frame_statistics *f) {
    struct sender *s = context;
    if (!counts_add(s->counts, f))
        atomic_fetch_add(&s->broken, 1);
}

static void on_broken(void *context) {
    struct sender *s = context;
    atomic_fetch_add(&s->broken, 1);
}

/* ---- samples ---- */

static size_t collect(struct sender *s, int64_t wait_us) {
    size_t count = 0;
    buf_clear(&s->body);
    for (;;) {
        void *item = s->held;
        s->held = NULL;
        if (!item && queue_pop(s->samples, &item, count ? 0 : wait_us) != QUEUE_OK)
            return count;
        struct held *h = item;
        if (count && s->body.len + h->len > POST_MAX) {
            s->held = h;
            return count;
        }
        buf_add(&s->body, h->bytes, h->len);
        free(h);
        count++;
    }
}

/* {"taken":7,"dropped":0} */
static int64_t taken_of(struct buf *answer) {
    int64_t taken = 0;
    return sscanf(buf_text(answer), "{\"taken\":%" SCNd64, &taken) == 1 ? taken : 0;
}

static void say(struct sender *s, const struct err *err) {
    if (strcmp(s->why, err->text) == 0)
        return;
    (void)snprintf(s->why, sizeof s->why, "%s", err->text);
    if (err->text[0])
        log_event(LOG_WARN, "not_handed_over", LOG_STR("reason", err->text));
}

static void wait_longer(struct sender *s) {
    s->next_try = clock_mono_us() + backoff_next_us(&s->backoff);
}

static void send_samples(struct edge *e, size_t count) {
    struct sender *s = e->sender;
    struct err err = {0};
    char path[64];
    int status = 0, rc = ERR_UNREACHABLE;
    if (clock_mono_us() >= s->next_try) {
        (void)snprintf(path, sizeof path, "/v1/edge/samples?id=%s", e->id);
        buf_clear(&s->answer);
        rc = edge_call(e, s->kept, "POST", path, buf_span(&s->body), &s->answer, &status, &err);
        say(s, &err);
        if (rc == ERR_UNREACHABLE)
            wait_longer(s);
    }
    int64_t taken = rc == 0 ? taken_of(&s->answer) : 0;
    add(&s->sent, taken);
    add(&s->dropped, (int64_t)count - taken);
}

/* ---- statistics ---- */

static void lost(struct sender *s, int64_t count, const struct err *err) {
    add(&s->batches_lost, count);
    log_event(LOG_ERROR, "statistics_lost", LOG_INT("batches", count),
              LOG_STR("reason", err->text[0] ? err->text : "too many wait"));
}

/* Sums that do not fit into one batch come with the next. False: there were none. */
static bool make_batch(struct edge *e) {
    struct sender *s = e->sender;
    struct err err = {0};
    size_t rows = 0, dropped = 0;
    _cleanup_(buf_release) struct buf batch = {.max = BATCH_MAX};
    batch_begin(&batch, e->id, spool_next(s->spool));
    counts_batch(s->counts, &batch, &rows);
    if (rows == 0)
        return false;
    int rc = spool_put(s->spool, clock_wall_us(), buf_span(&batch), &dropped, &err);
    if (rc < 0 || dropped)
        lost(s, rc < 0 ? 1 : (int64_t)dropped, &err);
    return true;
}

/* False: not now. */
static bool send_first(struct edge *e) {
    struct sender *s = e->sender;
    struct err err = {0};
    char path[96];
    int64_t made = 0;
    int status = 0;
    buf_clear(&s->body);
    buf_clear(&s->answer);
    int rc = spool_first(s->spool, &s->body, &made, &err);
    bool readable = rc == 0;
    int64_t age = (clock_wall_us() - made) / 1000000;
    (void)snprintf(path, sizeof path, "/v1/edge/statistics?age=%" PRId64, age > 0 ? age : 0);
    if (readable)
        rc = edge_call(e, s->kept, "POST", path, buf_span(&s->body), &s->answer, &status, &err);
    say(s, &err);
    if (rc < 0 && readable && status != 400) { /* away, or it does not let us: later */
        wait_longer(s);
        return false;
    }
    spool_drop_first(s->spool);
    if (rc < 0)
        lost(s, 1, &err);
    else
        add(&s->batches_sent, 1);
    backoff_reset(&s->backoff);
    return true;
}

static void send_statistics(struct edge *e) {
    struct sender *s = e->sender;
    int64_t now = clock_mono_us();
    if (now >= s->next_batch) {
        (void)make_batch(e);
        s->next_batch = now + (spool_count(s->spool) > 1 ? BATCH_AWAY_US : BATCH_US);
    }
    while (spool_count(s->spool) && clock_mono_us() >= s->next_try && !atomic_load(&e->stop) &&
           send_first(e))
        continue;
    atomic_store(&s->waiting, (int64_t)spool_count(s->spool));
}

static void *send_main(void *argument) {
    struct edge *e = argument;
    struct sender *s = e->sender;
    while (!atomic_load(&e->stop)) {
        size_t count = collect(s, WAIT_US);
        if (count)
            send_samples(e, count);
        send_statistics(e);
    }
    return NULL;
}

/* ---- life ---- */

static int start(struct edge *e, struct sender *s, struct err *err) {
    const struct listener_sink sink = {on_sample, on_statistics, on_broken, s, NULL};
    int rc = spool_open(e->folder, &s->spool, err);
    if (rc == 0)
        rc = listener_start(gateway_samples(e->gateway), &sink, &s->listener, err);
    if (rc == 0) {
        s->started = thread_start(&s->thread, send_main, e);
        rc = s->started ? 0 : err_set(err, ERR_INTERNAL, "cannot start the thread that sends");
    }
    return rc;
}

int send_start(struct edge *e, struct err *err) {
    struct sender *s = e->sender = mem_zalloc(1, sizeof *s);
    s->samples = queue_new(QUEUE_SAMPLES, QUEUE_BYTES);
    s->counts = counts_new(e->conf);
    s->kept = http_kept_new();
    s->body.max = POST_MAX;
    s->answer.max = HTTP_CLIENT_ANSWER_MAX;
    backoff_init(&s->backoff, RETRY_MIN_US, RETRY_MAX_US, (uint64_t)clock_mono_us());
    s->next_batch = clock_mono_us() + BATCH_US;
    return start(e, s, err);
}

void send_stop(struct edge *e) {
    struct sender *s = e->sender;
    void *item;
    if (!s)
        return;
    listener_stop(s->listener);
    if (s->started)
        pthread_join(s->thread, NULL);
    while (s->spool && make_batch(e))
        continue;
    while (queue_pop(s->samples, &item, 0) == QUEUE_OK)
        free(item);
    free(s->held);
    queue_free(s->samples);
    counts_free(s->counts);
    spool_close(s->spool);
    http_kept_free(s->kept);
    buf_release(&s->body);
    buf_release(&s->answer);
    free(s);
    e->sender = NULL;
}

void send_view(struct edge *e, struct send_view *ret) {
    struct sender *s = e->sender;
    *ret = (struct send_view){.samples_sent = atomic_load(&s->sent),
                              .samples_dropped = atomic_load(&s->dropped),
                              .batches_sent = atomic_load(&s->batches_sent),
                              .batches_lost = atomic_load(&s->batches_lost),
                              .batches_waiting = atomic_load(&s->waiting)};
}

void send_sample(struct edge *e, struct obs_page *page) {
    struct sender *s = e->sender;
    struct send_view v;
    send_view(e, &v);
    counts_sample(s->counts, page);
    obs_sample(page, METRIC_HANDED_OVER, v.samples_sent, "samples", "sent");
    obs_sample(page, METRIC_HANDED_OVER, v.samples_dropped, "samples", "dropped");
    obs_sample(page, METRIC_HANDED_OVER, v.batches_sent, "statistics", "sent");
    obs_sample(page, METRIC_HANDED_OVER, v.batches_lost, "statistics", "lost");
    obs_sample(page, METRIC_BATCHES_WAITING, v.batches_waiting);
    obs_sample(page, METRIC_SAMPLES_FOREIGN, atomic_load(&s->broken), "broken");
    obs_sample(page, METRIC_GATEWAY_WORKERS, listener_connections(s->listener));
}
