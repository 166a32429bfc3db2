#include "admin/redis.h"

#include "admin/flagstore.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/json_read.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "base/thread.h"
#include "conf/conf_check.h"
#include "flagfile/shared.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define KEY "banyan:flags"
#define INSTANCES "banyan:instances"
#define POLL_US 250000
#define CALL_US 300000 /* an answer is waited for this long */
#define ATTEMPTS 5     /* of compare-and-set */
#define FORGET_US                                                                                  \
    (INT64_C(24) * 3600 * 1000000) /* one that ended in good order is gone at once                 \
                                    */
#define INSTANCES_MAX 1000

struct redis {
    struct service *service;
    struct conf_redis where;
    char name[160]; /* of this instance */
    struct stop_scope *scope;
    pthread_t thread;
    bool started;

    pthread_mutex_t lock; /* the connection, and what was exchanged; held while Redis answers */
    redisContext *context;
    int64_t retry_us; /* monotonic: no connection is tried before */
    struct backoff backoff;
    char generation[20]; /* of the document, and its version, as they were read last ... */
    int64_t version;
    char used_generation[20]; /* ... and as they are in use here */
    int64_t used_version;
    int64_t taken, in_use; /* exchanges that brought news, and up to which of them it is in use */

    pthread_mutex_t view_lock; /* all below; never held for long */
    int64_t away_us;           /* wall clock; 0: Redis is there */
    char why[ERR_TEXT_MAX];
};

/* ---- the connection ---- */

static int away(struct redis *r, const char *what, struct err *err) {
    char words[200];
    (void)snprintf(words, sizeof words, "%s", r->context ? r->context->errstr : "no memory");
    redisFree(r->context);
    r->context = NULL;
    r->retry_us = clock_mono_us() + backoff_next_us(&r->backoff);
    return err_set_retriable(err, ERR_UNREACHABLE, "cannot %s Redis at %s:%d: %s", what,
                             r->where.host, r->where.port, words);
}

static int refused(struct redis *r, const char *what, const redisReply *reply, struct err *err) {
    err_set_retriable(err, ERR_UNREACHABLE, "Redis at %s:%d refuses %s: %.200s", r->where.host,
                      r->where.port, what, reply->type == REDIS_REPLY_ERROR ? reply->str : "?");
    redisFree(r->context);
    r->context = NULL;
    r->retry_us = clock_mono_us() + backoff_next_us(&r->backoff);
    return ERR_UNREACHABLE;
}

/* Takes the reply; an error reply is an error. */
static int ask(struct redis *r, redisReply *reply, const char *what, struct err *err) {
    int rc = !reply                             ? away(r, "ask", err)
             : reply->type == REDIS_REPLY_ERROR ? refused(r, what, reply, err)
                                                : 0;
    if (reply)
        freeReplyObject(reply);
    return rc;
}

static redisContext *dial(const struct conf_redis *where) {
    const struct timeval limit = {.tv_usec = CALL_US};
    redisContext *c = redisConnectWithTimeout(where->host, where->port, limit);
    if (c && !c->err)
        (void)redisSetTimeout(c, limit);
    return c;
}

static int log_in(struct redis *r, struct err *err) {
    const struct conf_redis *w = &r->where;
    int rc = 0;
    if (w->user[0])
        rc = ask(r, redisCommand(r->context, "AUTH %s %s", w->user, w->password), "our user", err);
    else if (w->password[0])
        rc = ask(r, redisCommand(r->context, "AUTH %s", w->password), "our password", err);
    if (rc == 0 && w->database)
        rc = ask(r, redisCommand(r->context, "SELECT %d", w->database), "the database", err);
    return rc;
}

static int connect_redis(struct redis *r, struct err *err) {
    if (r->context)
        return 0;
    if (clock_mono_us() < r->retry_us) {
        char why[ERR_TEXT_MAX];
        (void)redis_away_since(r, why);
        return err_set_retriable(err, ERR_UNREACHABLE, "%s", why);
    }
    r->context = dial(&r->where);
    return !r->context || r->context->err ? away(r, "reach", err) : log_in(r, err);
}

/* ---- the document ---- */

static int get(struct redis *r, struct buf *ret, struct err *err) {
    redisReply *reply = redisCommand(r->context, "GET " KEY);
    if (!reply)
        return away(r, "ask", err);
    if (reply->type == REDIS_REPLY_STRING && reply->len <= (long)SHARED_MAX)
        buf_add(ret, reply->str, (size_t)reply->len);
    int rc = reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_NIL
                 ? 0
                 : refused(r, "GET", reply, err);
    freeReplyObject(reply);
    return rc;
}

/* Compare-and-set by WATCH. *ret_set false: somebody was faster. */
static int put(struct redis *r, struct span document, bool *ret_set, struct err *err) {
    redisReply *reply = NULL;
    *ret_set = false;
    redisAppendCommand(r->context, "MULTI");
    redisAppendCommand(r->context, "SET " KEY " %b", document.ptr, document.len);
    redisAppendCommand(r->context, "PUBLISH " KEY " changed");
    redisAppendCommand(r->context, "EXEC");
    for (int i = 0; i < 4; i++) {
        if (redisGetReply(r->context, (void **)&reply) != REDIS_OK || !reply)
            return away(r, "write to", err);
        int rc = reply->type == REDIS_REPLY_ERROR ? refused(r, "SET", reply, err) : 0;
        if (i == 3)
            *ret_set = rc == 0 && reply->type == REDIS_REPLY_ARRAY;
        freeReplyObject(reply);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- what comes here ---- */

static int take(struct redis *r, const struct state_flag *f, struct err *err) {
    _cleanup_(buf_release) struct buf after = {.max = 2 * STATE_CHANGES_MAX};
    buf_printf(&after, "{\"killed\":%s,\"override\":%s}", f->killed ? "true" : "false",
               f->changes ? f->changes : "null");
    const struct state_audit_line line = {.who = f->who,
                                          .role = "shared",
                                          .action = "flag_shared",
                                          .subject = f->name,
                                          .after = buf_text(&after),
                                          .why = f->why[0] ? f->why : "shared by Redis"};
    return state_flag_put(r->service->state, f, &line, err);
}

static void release_flags(struct state_flag *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        state_flag_clear(&list[i]);
    free(list);
}

struct round {
    struct shared_flags shared;
    bool taken, settled;
};

/* A document that is not there, or cannot be read, is begun anew; what in it can be no override is
 * taken out of it. *ret_mended: so it must be written. */
static int read_shared(struct span document, struct shared_flags *ret, bool *ret_mended,
                       struct err *err) {
    struct err why = {0};
    uint64_t random = 0;
    if (document.len && shared_read(document, ret, &why) == 0) {
        size_t dropped = shared_drop_bad(ret);
        if (dropped)
            log_event(LOG_ERROR, "shared_flags_refused", LOG_INT("flags", dropped),
                      LOG_STR("reason", "overrides that cannot be read"));
        *ret_mended = dropped > 0;
        return 0;
    }
    if (document.len)
        log_event(LOG_ERROR, "shared_flags_refused", LOG_STR("reason", why.text));
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return err_set(err, ERR_INTERNAL, "the system gives no random number");
    shared_begin(ret, random);
    *ret_mended = true;
    return 0;
}

static int merge(struct redis *r, struct round *round, bool *ret_given, struct err *err) {
    const struct state_flag **taken = NULL;
    struct state_flag *own = NULL;
    size_t own_count = 0, taken_count = 0;
    int rc = state_flag_list(r->service->state, &own, &own_count, err);
    if (rc == 0)
        rc = shared_merge(&round->shared, own, own_count, &taken, &taken_count, ret_given, err);
    for (size_t i = 0; rc == 0 && i < taken_count; i++)
        rc = take(r, taken[i], err);
    round->taken |= taken_count > 0;
    free(taken);
    release_flags(own, own_count);
    return rc;
}

/* One attempt; what is given is in Redis when `settled`. */
static int attempt(struct redis *r, struct round *round, struct err *err) {
    _cleanup_(buf_release) struct buf document = {.max = SHARED_MAX};
    _cleanup_(buf_release) struct buf fresh = {.max = SHARED_MAX};
    bool given = false, mended = false;
    int rc = ask(r, redisCommand(r->context, "WATCH " KEY), "WATCH", err);
    if (rc == 0)
        rc = get(r, &document, err);
    if (rc < 0)
        return rc;
    shared_clear(&round->shared);
    rc = read_shared(buf_span(&document), &round->shared, &mended, err);
    if (rc == 0)
        rc = merge(r, round, &given, err);
    if (rc < 0)
        return rc;
    round->settled = !given && !mended;
    if (round->settled)
        return ask(r, redisCommand(r->context, "UNWATCH"), "UNWATCH", err);
    round->shared.version += !given;
    shared_write(&round->shared, &fresh);
    if (fresh.full)
        return err_set(err, ERR_LIMIT, "the shared flags have more than %zu bytes", SHARED_MAX);
    return put(r, buf_span(&fresh), &round->settled, err);
}

static int exchange_locked(struct redis *r, struct err *err) {
    struct round round = {0};
    int rc = connect_redis(r, err);
    for (int i = 0; rc == 0 && !round.settled && i < ATTEMPTS; i++)
        rc = attempt(r, &round, err);
    r->taken += round.taken;
    if (rc == 0 && round.settled) {
        backoff_reset(&r->backoff);
        r->version = round.shared.version;
        (void)snprintf(r->generation, sizeof r->generation, "%s", round.shared.generation);
    }
    shared_clear(&round.shared);
    return rc;
}

/* ---- who uses what ---- */

/* Written down after it is in use: that is what it confirms. */
static int confirm(struct redis *r, struct err *err) {
    int rc = connect_redis(r, err);
    if (rc < 0 || !r->used_generation[0])
        return rc;
    redisReply *reply = redisCommand(r->context, "HSET " INSTANCES " %s %s:%" PRId64 ":%" PRId64,
                                     r->name, r->used_generation, r->used_version, clock_wall_us());
    return ask(r, reply, "HSET", err);
}

static void note(struct redis *r, int rc, const struct err *err) {
    pthread_mutex_lock(&r->view_lock);
    bool was_away = r->away_us != 0;
    r->away_us = rc == 0 ? 0 : was_away ? r->away_us : clock_wall_us();
    (void)snprintf(r->why, sizeof r->why, "%s", rc == 0 ? "" : err->text);
    pthread_mutex_unlock(&r->view_lock);
    if (rc < 0 && !was_away)
        log_event(LOG_ERROR, "redis_is_away", LOG_STR("reason", err->text));
    if (rc == 0 && was_away)
        log_event(LOG_INFO, "redis_is_back");
}

/* What was taken comes into use; whoever took something later does that himself. */
static int use_taken(struct redis *r, struct err *err) {
    int rc = flagstore_refresh(r->service->flagstore, err);
    if (rc < 0)
        log_event(LOG_ERROR, "flags_refused", LOG_STR("reason", err->text));
    return rc;
}

/* Flags are built without our lock: that takes its time. What was taken meanwhile by another thread
 * is not in use yet, and so nothing is confirmed; what could not be used is tried again with the
 * next exchange. */
int redis_exchange(struct redis *r, struct err *err) {
    pthread_mutex_lock(&r->lock);
    int rc = exchange_locked(r, err);
    int64_t taken = r->taken;
    bool stale = r->in_use < taken;
    pthread_mutex_unlock(&r->lock);
    note(r, rc, err);
    struct err why = {0};
    int used = stale ? use_taken(r, &why) : 0;
    pthread_mutex_lock(&r->lock);
    if (used == 0 && r->in_use < taken)
        r->in_use = taken;
    if (rc == 0 && r->in_use == r->taken) {
        r->used_version = r->version;
        memcpy(r->used_generation, r->generation, sizeof r->generation);
        rc = confirm(r, err);
    }
    pthread_mutex_unlock(&r->lock);
    return rc;
}

int64_t redis_away_since(struct redis *r, char *why) {
    pthread_mutex_lock(&r->view_lock);
    int64_t since = r->away_us;
    (void)snprintf(why, ERR_TEXT_MAX, "%s", r->why);
    pthread_mutex_unlock(&r->view_lock);
    return since;
}

static void show_instance(struct redis *r, const char *name, const char *value,
                          struct json_out *j) {
    int64_t version = 0, at = 0, age;
    char generation[20];
    if (sscanf(value, "%16[0-9a-f]:%" SCNd64 ":%" SCNd64, generation, &version, &at) != 3)
        return;
    age = clock_wall_us() - at;
    if (age > FORGET_US) {
        redisReply *reply = redisCommand(r->context, "HDEL " INSTANCES " %s", name);
        if (reply)
            freeReplyObject(reply);
        return;
    }
    json_out_open(j, NULL, '{');
    json_out_text(j, "name", name);
    json_out_int(j, "version", version);
    json_out_double(j, "seen_seconds_ago", (double)(age > 0 ? age : 0) / 1e6);
    json_out_bool(j, "confirmed", strcmp(generation, r->generation) == 0 && version >= r->version);
    json_out_close(j, '}');
}

int redis_show_instances(struct redis *r, struct json_out *j, const char *name, struct err *err) {
    pthread_mutex_lock(&r->lock);
    int rc = connect_redis(r, err);
    redisReply *all = rc == 0 ? redisCommand(r->context, "HGETALL " INSTANCES) : NULL;
    if (rc == 0 && !all)
        rc = away(r, "ask", err);
    else if (rc == 0 && all->type != REDIS_REPLY_ARRAY)
        rc = refused(r, "HGETALL", all, err);
    json_out_open(j, name, '[');
    size_t n = rc == 0 ? all->elements : 0;
    for (size_t i = 0; r->context && i + 1 < n && i < 2 * INSTANCES_MAX; i += 2)
        if (all->element[i]->type == REDIS_REPLY_STRING &&
            all->element[i + 1]->type == REDIS_REPLY_STRING)
            show_instance(r, all->element[i]->str, all->element[i + 1]->str, j);
    json_out_close(j, ']');
    if (all)
        freeReplyObject(all);
    pthread_mutex_unlock(&r->lock);
    return rc;
}

/* ---- what may be done without it ---- */

static bool only_lowers(const struct flags_flag *now, struct span json) {
    struct json_node nodes[64];
    struct json_doc d;
    double percent;
    bool enabled;
    if (json_parse(&d, json, nodes, 64, NULL) < 0 || json_root(&d)->type != JSON_OBJECT)
        return false;
    for (const struct json_node *n = json_first(&d, json_root(&d)); n;
         n = json_next(&d, json_root(&d), n)) {
        const struct json_node *v = json_value(n);
        bool off = json_is(&d, n, "enabled") && json_bool(v, &enabled) && !enabled;
        bool lower = json_is(&d, n, "rollout_percentage") && json_double(&d, v, &percent) &&
                     percent * 1000 <= now->rollout;
        if (!off && !lower)
            return false;
    }
    return true;
}

int redis_may_change(const struct snapshot *now, const struct snapshot_change *change,
                     struct err *err) {
    const struct flags_flag *flag = flagfile_find(&now->model, change->name);
    if (change->action == SNAPSHOT_KILL ||
        (flag && change->action == SNAPSHOT_SET && only_lowers(flag, change->json)))
        return 0;
    return err_set_retriable(err, ERR_UNREACHABLE,
                             "Redis is away, so other daemons would not know: until it is back, a "
                             "flag can only be switched off or its percentage lowered");
}

/* ---- the watcher ---- */

/* A subscription of its own; what it says is only that something changed. */
static redisContext *subscribe(const struct redis *r) {
    const struct conf_redis *w = &r->where;
    redisContext *c = dial(w);
    redisReply *reply = NULL;
    bool ok = c && !c->err;
    if (ok && w->user[0])
        reply = redisCommand(c, "AUTH %s %s", w->user, w->password);
    else if (ok && w->password[0])
        reply = redisCommand(c, "AUTH %s", w->password);
    if (reply)
        freeReplyObject(reply);
    reply = ok ? redisCommand(c, "SUBSCRIBE " KEY) : NULL;
    ok = reply && reply->type == REDIS_REPLY_ARRAY;
    if (reply)
        freeReplyObject(reply);
    if (ok)
        return c;
    redisFree(c);
    return NULL;
}

/* Until something is told, or it is time to look. NULL: the subscription is lost. */
static redisContext *wait_for_news(redisContext *c) {
    struct pollfd p[] = {{.fd = stop_fd(), .events = POLLIN},
                         {.fd = c ? c->fd : -1, .events = POLLIN}};
    redisReply *reply = NULL;
    if (poll(p, 2, POLL_US / 1000) <= 0 || !c || !p[1].revents)
        return c;
    if (redisGetReply(c, (void **)&reply) != REDIS_OK) {
        redisFree(c);
        return NULL;
    }
    if (reply)
        freeReplyObject(reply);
    return c;
}

static void *watch_main(void *argument) {
    struct redis *r = argument;
    redisContext *news = NULL;
    stop_scope_enter(r->scope);
    while (!stop_requested()) {
        struct err err = {0};
        int rc = redis_exchange(r, &err);
        if (rc == 0 && !news)
            news = subscribe(r);
        news = wait_for_news(news);
    }
    redisFree(news);
    return NULL;
}

int redis_start(struct service *s, struct redis **ret_redis, struct err *err) {
    struct redis *r = mem_zalloc(1, sizeof *r);
    char host[64] = "?";
    struct err first = {0};
    r->service = s;
    (void)gethostname(host, sizeof host - 1);
    (void)snprintf(r->name, sizeof r->name, "%s/%s", host, s->conf->serve.listen);
    pthread_mutex_init(&r->lock, NULL);
    pthread_mutex_init(&r->view_lock, NULL);
    backoff_init(&r->backoff, 200000, 5000000, (uint64_t)clock_mono_us());
    if (!conf_read_redis(s->conf->redis, &r->where))
        return err_set(err, ERR_INTERNAL, "redis was not checked");
    *ret_redis = r;
    (void)!redis_exchange(r, &first);
    r->scope = stop_scope_new();
    r->started = thread_start(&r->thread, watch_main, r);
    return r->started ? 0 : err_set(err, ERR_LIMIT, "the system has no room for another thread");
}

void redis_end(struct redis *r) {
    if (!r || !r->started)
        return;
    stop_scope_request(r->scope);
    pthread_join(r->thread, NULL);
    r->started = false;
}

void redis_stop(struct redis *r) {
    if (!r)
        return;
    redis_end(r);
    if (r->scope)
        stop_scope_free(r->scope);
    if (r->context) { /* nobody waits for one that ended */
        redisReply *reply = redisCommand(r->context, "HDEL " INSTANCES " %s", r->name);
        if (reply)
            freeReplyObject(reply);
    }
    redisFree(r->context);
    pthread_mutex_destroy(&r->lock);
    pthread_mutex_destroy(&r->view_lock);
    free(r);
}
