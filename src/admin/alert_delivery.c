#include "admin/alert_delivery.h"

#include "admin/alert_command.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#define REST_US INT64_C(3600000000) /* the longest wait when nothing is due */

enum way { WAY_WEBHOOK, WAY_COMMAND, WAY_LOG };
#define WAYS (WAY_LOG + 1)
static const char *const way_names[WAYS] = {"webhook", "command", "log"};

struct entry {
    struct alert_notice notice;
    struct {
        bool told_firing;
        int64_t told_us;
    } ways[WAYS];
};

struct counts {
    uint64_t delivered, failed, dropped;
};

struct alert_delivery {
    pthread_mutex_t lock; /* all but `options`, `stop` and `thread` */
    pthread_cond_t changed;
    struct entry *entries;
    size_t count;
    char *webhook; /* NULL: none */
    enum conf_alert_format format;
    char **command; /* ends with NULL; NULL: none */
    struct counts counts[WAYS];
    bool woken;

    struct backoff backoff[WAYS]; /* of the thread */
    int64_t not_before_us[WAYS];

    struct alert_delivery_options options;
    atomic_bool stop;
    pthread_t thread;
};

/* ---- what is configured ---- */

static void free_command(char **command) {
    for (size_t i = 0; command && command[i]; i++)
        free(command[i]);
    free(command);
}

static char **copy_command(char *const *from, const struct conf_list *list) {
    size_t count = list ? list->count : 0;
    while (from && from[count])
        count++;
    if (count == 0)
        return NULL;
    char **copy = mem_zalloc(count + 1, sizeof *copy);
    for (size_t i = 0; i < count; i++)
        copy[i] = mem_strdup(list ? list->items[i].text : from[i]);
    return copy;
}

static bool has_way(const struct alert_delivery *d, enum way way) {
    return way == WAY_LOG || (way == WAY_WEBHOOK ? d->webhook != NULL : d->command != NULL);
}

static void wake(struct alert_delivery *d) {
    d->woken = true;
    pthread_cond_signal(&d->changed);
}

void alert_delivery_set(struct alert_delivery *d, const struct conf_alerts *conf) {
    char *webhook = conf->webhook ? mem_strdup(conf->webhook) : NULL;
    char **command = copy_command(NULL, &conf->command);
    pthread_mutex_lock(&d->lock);
    char *old_webhook = d->webhook;
    char **old_command = d->command;
    d->webhook = webhook;
    d->command = command;
    d->format = conf->format;
    wake(d);
    pthread_mutex_unlock(&d->lock);
    free(old_webhook);
    free_command(old_command);
}

/* ---- the table ---- */

static struct entry *find(struct alert_delivery *d, uint64_t fingerprint) {
    for (size_t i = 0; i < d->count; i++)
        if (d->entries[i].notice.fingerprint == fingerprint)
            return &d->entries[i];
    return NULL;
}

static void note(struct alert_delivery *d, const struct alert_notice *notice, bool *ret_room) {
    struct entry *e = find(d, notice->fingerprint);
    if (!e && notice->firing && d->count < ALERT_DELIVERY_MAX) {
        e = &d->entries[d->count++];
        *e = (struct entry){0};
    }
    *ret_room = e || !notice->firing;
    if (!*ret_room)
        for (int way = 0; way < WAYS; way++)
            d->counts[way].dropped += has_way(d, (enum way)way);
    if (!e)
        return;
    /* What goes on, or ends, has the beginning that it had. */
    bool anew = notice->firing && !e->notice.firing;
    int64_t starts_us = anew ? notice->starts_us : e->notice.starts_us;
    e->notice = *notice;
    e->notice.starts_us = starts_us;
    wake(d);
}

bool alert_deliver(struct alert_delivery *d, enum obs_alert_event event,
                   const struct obs_alert *alert) {
    struct alert_notice notice;
    bool room;
    int64_t now_us = clock_wall_us();
    alert_notice_make(&notice, event, alert, now_us, now_us);
    pthread_mutex_lock(&d->lock);
    note(d, &notice, &room);
    pthread_mutex_unlock(&d->lock);
    return room;
}

/* When the alert is next to be told this way; INT64_MAX: not until it changes. */
static int64_t due_us(const struct alert_delivery *d, const struct entry *e, enum way way) {
    if (!has_way(d, way))
        return INT64_MAX;
    bool told = e->ways[way].told_firing;
    if (e->notice.firing)
        return told ? e->ways[way].told_us + d->options.repeat_us : 0;
    return told ? 0 : INT64_MAX;
}

/* Nobody has to hear of it any more. A way that is not configured now has forgotten it. */
static bool is_settled(const struct alert_delivery *d, const struct entry *e) {
    for (int way = 0; way < WAYS; way++)
        if (e->notice.firing || due_us(d, e, (enum way)way) != INT64_MAX)
            return false;
    return true;
}

static void sweep(struct alert_delivery *d) {
    size_t left = 0;
    for (size_t i = 0; i < d->count; i++)
        if (!is_settled(d, &d->entries[i])) {
            if (left != i)
                d->entries[left] = d->entries[i];
            left++;
        }
    d->count = left;
}

/* ---- telling ---- */

struct batch {
    enum way way;
    struct alert_notice notices[ALERT_BATCH_MAX];
    size_t count;
    char *webhook;
    char **command;
    enum conf_alert_format format;
};

/* Copies what is due now this way; the lock is held. */
static void take(struct alert_delivery *d, enum way way, int64_t now_us, struct batch *b) {
    b->way = way;
    b->count = 0;
    if (now_us < d->not_before_us[way])
        return;
    for (size_t i = 0; i < d->count && b->count < ALERT_BATCH_MAX; i++)
        if (due_us(d, &d->entries[i], way) <= now_us)
            b->notices[b->count++] = d->entries[i].notice;
    if (b->count == 0)
        return;
    b->webhook = way == WAY_WEBHOOK ? mem_strdup(d->webhook) : NULL;
    b->command = way == WAY_COMMAND ? copy_command(d->command, NULL) : NULL;
    b->format = d->format;
}

static int post(struct alert_delivery *d, const struct batch *b, struct span body,
                bool *ret_given_up, struct err *err) {
    int status = 0;
    int rc = d->options.post(d->options.post_context, b->webhook, body, ALERT_POST_LIMIT_US,
                             &d->stop, &status, err);
    if (rc < 0)
        return rc;
    if (status >= 200 && status < 300)
        return 0;
    *ret_given_up = status >= 400 && status < 500 && status != 408 && status != 429;
    return err_set(err, ERR_UNREACHABLE, "it answered %d", status);
}

static int tell(struct alert_delivery *d, const struct batch *b, bool *ret_given_up,
                struct err *err) {
    _cleanup_(buf_release) struct buf body = {.max = ALERT_BODY_MAX};
    if (b->way == WAY_LOG) {
        for (size_t i = 0; i < b->count; i++)
            log_event(LOG_WARN, b->notices[i].firing ? "alert_firing" : "alert_resolved",
                      LOG_STR("alert", b->notices[i].words),
                      LOG_STR("severity", b->notices[i].severity));
        return 0;
    }
    enum alert_form form =
        b->way == WAY_WEBHOOK ? alert_form_of(b->webhook, b->format) : ALERT_FORM_WEBHOOK;
    alert_body_write(form, b->notices, b->count, clock_wall_us(), d->options.repeat_us, &body);
    assert(buf_ok(&body));
    if (b->way == WAY_WEBHOOK)
        return post(d, b, buf_span(&body), ret_given_up, err);
    return alert_command_run(b->command, buf_span(&body), d->options.command_limit_us, &d->stop,
                             err);
}

static void mark(struct alert_delivery *d, const struct batch *b, bool told, int64_t now_us) {
    for (size_t i = 0; i < b->count; i++) {
        struct entry *e = find(d, b->notices[i].fingerprint);
        if (e) {
            e->ways[b->way].told_firing = b->notices[i].firing;
            e->ways[b->way].told_us = now_us;
        }
        if (told)
            d->counts[b->way].delivered++;
    }
}

static void settle(struct alert_delivery *d, const struct batch *b, int rc, bool given_up) {
    int64_t now_us = clock_mono_us();
    pthread_mutex_lock(&d->lock);
    if (rc < 0)
        d->counts[b->way].failed += b->count;
    if (rc == 0 || given_up)
        mark(d, b, rc == 0, now_us);
    if (rc == 0 || given_up)
        backoff_reset(&d->backoff[b->way]);
    d->not_before_us[b->way] =
        rc == 0 || given_up ? 0 : now_us + backoff_next_us(&d->backoff[b->way]);
    pthread_mutex_unlock(&d->lock);
}

/* The address may hold a secret. */
static void log_failure(const struct batch *b, bool given_up, const struct err *err) {
    _cleanup_(buf_release) struct buf to = {.max = 4096};
    if (b->webhook)
        conf_redact_uri(b->webhook, &to);
    else
        buf_add_text(&to, b->command[0]);
    log_event(LOG_WARN, given_up ? "alert_refused" : "alert_not_delivered",
              LOG_STR("to", buf_text(&to)), LOG_STR("error", err->text),
              LOG_INT("alerts", b->count));
}

static void tell_batch(struct alert_delivery *d, struct batch *b) {
    struct err err = {0};
    bool given_up = false;
    int rc = tell(d, b, &given_up, &err);
    settle(d, b, rc, given_up);
    if (rc < 0 && !atomic_load(&d->stop))
        log_failure(b, given_up, &err);
    free(b->webhook);
    free_command(b->command);
    b->webhook = NULL;
    b->command = NULL;
}

static int64_t next_us(const struct alert_delivery *d, int64_t now_us) {
    int64_t next = now_us + REST_US;
    for (size_t i = 0; i < d->count; i++)
        for (int way = 0; way < WAYS; way++) {
            int64_t at = due_us(d, &d->entries[i], (enum way)way);
            if (at != INT64_MAX && at < d->not_before_us[way])
                at = d->not_before_us[way];
            if (at < next)
                next = at;
        }
    return next;
}

static void rest(struct alert_delivery *d) {
    int64_t until_us = next_us(d, clock_mono_us());
    struct timespec until = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};
    while (!d->woken && !atomic_load(&d->stop))
        if (pthread_cond_timedwait(&d->changed, &d->lock, &until) != 0)
            break;
    d->woken = false;
}

static void *deliver(void *argument) {
    struct alert_delivery *d = argument;
    _cleanup_(mem_freep) struct batch *b = mem_zalloc(1, sizeof *b);
    while (!atomic_load(&d->stop)) {
        for (int way = WAY_LOG; way >= 0 && !atomic_load(&d->stop); way--) {
            pthread_mutex_lock(&d->lock);
            take(d, (enum way)way, clock_mono_us(), b);
            pthread_mutex_unlock(&d->lock);
            if (b->count > 0)
                tell_batch(d, b);
        }
        pthread_mutex_lock(&d->lock);
        sweep(d);
        rest(d);
        pthread_mutex_unlock(&d->lock);
    }
    return NULL;
}

/* ---- beginning and end ---- */

static void release(struct alert_delivery *d) {
    pthread_mutex_destroy(&d->lock);
    pthread_cond_destroy(&d->changed);
    free(d->entries);
    free(d->webhook);
    free_command(d->command);
    free(d);
}

int alert_delivery_start(const struct conf_alerts *conf,
                         const struct alert_delivery_options *options, struct alert_delivery **ret,
                         struct err *err) {
    struct alert_delivery *d = mem_zalloc(1, sizeof *d);
    pthread_condattr_t monotonic;
    pthread_mutex_init(&d->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&d->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    d->entries = mem_zalloc(ALERT_DELIVERY_MAX, sizeof *d->entries);
    d->options = *options;
    if (d->options.repeat_us == 0)
        d->options.repeat_us = ALERT_REPEAT_US;
    if (d->options.retry_us == 0)
        d->options.retry_us = ALERT_RETRY_US;
    if (d->options.command_limit_us == 0)
        d->options.command_limit_us = ALERT_COMMAND_LIMIT_US;
    for (int way = 0; way < WAYS; way++)
        backoff_init(&d->backoff[way], d->options.retry_us, ALERT_RETRY_MAX_US,
                     (uint64_t)clock_mono_us() + (uint64_t)way);
    alert_delivery_set(d, conf);
    if (!thread_start(&d->thread, deliver, d)) {
        release(d);
        return err_set(err, ERR_INTERNAL, "cannot start the thread that delivers alerts");
    }
    *ret = d;
    return 0;
}

void alert_delivery_stop(struct alert_delivery *d) {
    if (!d)
        return;
    pthread_mutex_lock(&d->lock);
    atomic_store(&d->stop, true);
    wake(d);
    pthread_mutex_unlock(&d->lock);
    pthread_join(d->thread, NULL);
    release(d);
}

void alert_delivery_sample(struct alert_delivery *d, struct obs_page *page) {
    struct counts counts[WAYS];
    bool has[WAYS];
    pthread_mutex_lock(&d->lock);
    memcpy(counts, d->counts, sizeof counts);
    for (int way = 0; way < WAYS; way++)
        has[way] = has_way(d, (enum way)way);
    pthread_mutex_unlock(&d->lock);
    for (int way = 0; way < WAYS; way++) {
        if (!has[way])
            continue;
        obs_sample(page, METRIC_ALERT_DELIVERIES, counts[way].delivered, way_names[way],
                   "delivered");
        obs_sample(page, METRIC_ALERT_DELIVERIES, counts[way].failed, way_names[way], "failed");
        obs_sample(page, METRIC_ALERT_DELIVERIES, counts[way].dropped, way_names[way], "dropped");
    }
}
