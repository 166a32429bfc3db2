#include "apply/writer.h"

#include "apply/write_command.h"
#include "base/arena.h"
#include "base/backoff.h"
#include "base/mem.h"
#include "base/spanmap.h"
#include "base/stop.h"
#include "db/mongo.h"

#include <stdatomic.h>

#define COMMAND_BYTES ((size_t)4 * 1024 * 1024)
#define COMMAND_MAX ((size_t)47 * 1000 * 1000) /* MongoDB's limit for a message is 48,000,000 */
#define RETRY_MIN_US 50000
#define RETRY_MAX_US 5000000
#define QUIESCE_WAIT_US 120000000
#define REASONS_MAX ((size_t)16 * 1024 * 1024)

#define CODE_UNAUTHORIZED 13
#define CODE_AUTHENTICATION_FAILED 18
#define CODE_COMMAND_NOT_FOUND 59

struct writer {
    struct writer_config config;
    struct mongo *mongo;
    struct mongo_server server;
    struct buf command;
    struct arena reasons;
    struct backoff backoff;
    uint32_t *todo; /* operations of the run that have no outcome yet */
    size_t todo_count, todo_cap;
    struct write_error *errors;
    size_t error_cap;
    bool one_by_one; /* some command was refused as a whole: whose fault was it? */
    atomic_uint_fast64_t retries;
};

/* The run reached the target a moment ago: a failure that may pass is waited out. */
static int ask_server(struct writer *w, struct err *err) {
    for (;;) {
        struct err failure = {0};
        int rc = mongo_server_info(w->mongo, &w->server, &failure);
        if (rc == 0)
            return 0;
        if (!failure.retriable) {
            *err = failure;
            return rc;
        }
        if (stop_wait(backoff_next_us(&w->backoff)))
            return err_set(err, ERR_STOPPED, "stopped while waiting for the target: %s",
                           failure.text);
    }
}

int writer_new(const struct writer_config *config, struct writer **ret_writer, struct err *err) {
    struct writer *w = mem_zalloc(1, sizeof *w);
    w->config = *config;
    buf_init(&w->command, COMMAND_MAX);
    arena_init(&w->reasons, REASONS_MAX);
    backoff_init(&w->backoff, RETRY_MIN_US, RETRY_MAX_US, config->seed);
    int rc = mongo_connect(config->uri, config->app, &w->mongo, err);
    if (rc == 0)
        rc = ask_server(w, err);
    if (rc < 0) {
        writer_free(w);
        return rc;
    }
    *ret_writer = w;
    return 0;
}

void writer_free(struct writer *w) {
    if (!w)
        return;
    mongo_free(w->mongo);
    buf_release(&w->command);
    arena_release(&w->reasons);
    free(w->todo);
    free(w->errors);
    free(w);
}

uint64_t writer_retries(const struct writer *w) {
    return atomic_load(&w->retries);
}

/* ---- outcomes ---- */

static void refuse(struct writer *w, struct target_op *op, int code, struct span reason) {
    op->outcome = TARGET_REFUSED;
    op->code = code;
    struct span copy = arena_copy(&w->reasons, reason);
    op->reason = copy.ptr ? copy.ptr : "refused";
}

static int wait_to_retry(struct writer *w, const char *why, struct err *err) {
    atomic_fetch_add(&w->retries, 1);
    if (stop_forced_wait(backoff_next_us(&w->backoff)))
        return err_set(err, ERR_STOPPED, "stopped while waiting for the target: %s", why);
    return 0;
}

/* Takes the first `count` entries of the to-do list off it, but for those that stay. */
static void shorten(struct writer *w, size_t count, const bool *stays) {
    size_t kept = 0;
    for (size_t i = 0; i < w->todo_count; i++)
        if (i >= count || stays[i])
            w->todo[kept++] = w->todo[i];
    w->todo_count = kept;
}

/* One operation that the reply has an error for: final, or to be sent again (true). */
static bool judge(struct writer *w, struct target_op *op, const struct write_error *e) {
    if (e->duplicate_id && op->kind == TARGET_INSERT && w->config.snapshot) {
        op->outcome = TARGET_ALREADY;
        return false;
    }
    if (e->duplicate_id && op->kind == TARGET_INSERT) {
        op->kind = TARGET_PUT; /* leaves this run; the next run of puts takes it */
        return false;
    }
    if (e->duplicate_id || mongo_code_verdict(e->code) != MONGO_REFUSED)
        return true; /* two upserts met, or an error that passes */
    refuse(w, op, e->code, e->message);
    return false;
}

/* ---- SETs that found nothing ---- */

static int mark_found(void *context, const bson_t *document, struct err *err) {
    struct spanmap *found = context;
    (void)err;
    uint32_t *value =
        (uint32_t *)spanmap_get(found, span_make(bson_get_data(document), document->len));
    if (value)
        *value = 1;
    return 0;
}

static int find_existing(struct writer *w, const char *collection, const struct target_op *ops,
                         size_t count, struct spanmap *found, struct err *err) {
    struct span *ids = mem_zalloc(count, sizeof *ids);
    for (size_t i = 0; i < count; i++) {
        bool fresh;
        ids[i] = ops[w->todo[i]].id;
        *spanmap_put(found, ids[i], &fresh) = 0;
    }
    int rc = mongo_find_ids(w->mongo, w->config.database, collection, ids, count, true, mark_found,
                            found, err);
    free(ids);
    return rc;
}

/* Nothing else writes these documents (they are this lane's), so what is not there was not there.
 */
static int mark_missing(struct writer *w, const char *collection, struct target_op *ops,
                        size_t count, struct err *err) {
    struct spanmap found = {0};
    int rc = find_existing(w, collection, ops, count, &found, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct target_op *op = &ops[w->todo[i]];
        const uint32_t *there = spanmap_get(&found, op->id);
        if (w->errors[i].code == 0 && (!there || *there == 0))
            op->outcome = TARGET_MISSING;
    }
    spanmap_release(&found);
    return rc;
}

/* ---- one command ---- */

static size_t count_clean(const struct writer *w, size_t count) {
    size_t clean = 0;
    for (size_t i = 0; i < count; i++)
        clean += w->errors[i].code == 0;
    return clean;
}

/* Fewer documents than operations without an error: only a SET may find nothing, and a DELETE
 * whose document is gone already. */
static int check_count(struct writer *w, const char *collection, enum target_op_kind kind,
                       struct target_op *ops, size_t count, int64_t n, struct err *err) {
    size_t clean = count_clean(w, count);
    if (n > (int64_t)clean)
        return err_set(err, ERR_TARGET, "target: acknowledged %lld of %zu writes", (long long)n,
                       clean);
    if (n == (int64_t)clean || kind == TARGET_DELETE)
        return 0;
    if (kind == TARGET_SET)
        return mark_missing(w, collection, ops, count, err);
    return err_set(err, ERR_TARGET,
                   "target: acknowledged only %lld of %zu writes and named no error", (long long)n,
                   clean);
}

static int take_reply(struct writer *w, const char *collection, enum target_op_kind kind,
                      struct target_op *ops, size_t count, const bson_t *reply, struct err *err) {
    struct write_reply r;
    int rc = write_reply_read(reply, count, w->errors, &r, err);
    if (rc < 0)
        return err ? (err->code = ERR_TARGET) : ERR_TARGET;
    if (r.concern_code) { /* no acknowledgement at all: everything again */
        if (mongo_code_verdict(r.concern_code) == MONGO_REFUSED)
            return err_set(err, ERR_TARGET, "target: write concern majority: %.*s (code %d)",
                           SPAN_ARG(r.concern_message), r.concern_code);
        return wait_to_retry(w, "write concern", err);
    }
    for (size_t i = 0; i < count; i++)
        ops[w->todo[i]].outcome = TARGET_DONE;
    rc = check_count(w, collection, kind, ops, count, r.n, err);
    if (rc < 0)
        return rc;
    bool *stays = mem_zalloc(count, sizeof *stays);
    bool any = false;
    for (size_t i = 0; i < count; i++)
        if (w->errors[i].code)
            any |= stays[i] = judge(w, &ops[w->todo[i]], &w->errors[i]);
    shorten(w, count, stays);
    free(stays);
    if (any)
        return wait_to_retry(w, "single documents", err);
    backoff_reset(&w->backoff);
    return 0;
}

static int quiesce(struct writer *w, const char *collection, struct err *err) {
    for (;;) {
        struct err failure = {0};
        int rc = mongo_quiesce(w->mongo, w->config.database, collection, w->config.app,
                               QUIESCE_WAIT_US, &failure);
        if (rc == 0)
            return 0;
        if (!failure.retriable) {
            if (err)
                *err = failure;
            return rc;
        }
        rc = wait_to_retry(w, failure.text, err);
        if (rc < 0)
            return rc;
    }
}

/* The command as a whole will fail again. Alone in it, the operation is to blame. */
static int command_refused(struct writer *w, struct target_op *ops, size_t count,
                           const struct mongo_failure *failure, struct err *err) {
    bool ours = failure->code == CODE_UNAUTHORIZED || failure->code == CODE_COMMAND_NOT_FOUND ||
                failure->code == CODE_AUTHENTICATION_FAILED || failure->code == 0;
    if (ours)
        return err_set(err, ERR_TARGET, "%s", failure->err.text);
    if (count > 1) {
        w->one_by_one = true;
        return 0;
    }
    refuse(w, &ops[w->todo[0]], failure->code, span_of(failure->err.text));
    shorten(w, 1, &(bool){false});
    return 0;
}

/* As many as fit; one at least. */
static size_t slice(const struct writer *w, const struct target_op *ops) {
    size_t count = 0, bytes = 0;
    size_t most = w->one_by_one ? 1 : (size_t)w->config.batch_operations;
    while (count < w->todo_count && count < most) {
        const struct target_op *op = &ops[w->todo[count]];
        bytes += op->id.len + op->document.len + 64;
        if (count && bytes > COMMAND_BYTES)
            break;
        count++;
    }
    return count;
}

static int send_slice(struct writer *w, const char *collection, enum target_op_kind kind,
                      struct target_op *ops, struct err *err) {
    size_t count = slice(w, ops);
    bson_t command, reply;
    struct mongo_failure failure;
    if (!write_command_build(&w->command, collection, kind, ops, w->todo, count) ||
        !bson_init_static(&command, (const uint8_t *)w->command.data, w->command.len))
        return err_set(err, ERR_INTERNAL, "write command over %zu documents is not BSON", count);
    int rc = 0;
    switch (mongo_command(w->mongo, w->config.database, &command, &reply, &failure)) {
    case MONGO_OK:
        rc = take_reply(w, collection, kind, ops, count, &reply, err);
        if (rc < 0 && err && err->retriable) /* the look-up of missing ones failed: send again */
            rc = wait_to_retry(w, "look-up", err);
        break;
    case MONGO_RETRY:
        rc = wait_to_retry(w, failure.err.text, err);
        break;
    case MONGO_AMBIGUOUS:
        rc = quiesce(w, collection, err);
        if (rc == 0)
            rc = wait_to_retry(w, failure.err.text, err);
        break;
    case MONGO_REFUSED:
        rc = command_refused(w, ops, count, &failure, err);
        break;
    }
    bson_destroy(&reply);
    return rc;
}

/* ---- runs ---- */

static bool is_too_large(const struct writer *w, const struct target_op *op) {
    return op->document.len > (size_t)w->server.max_document;
}

static void collect(struct writer *w, enum target_op_kind kind, const struct target_op *ops,
                    size_t count, const bool *settled) {
    w->todo_count = 0;
    for (size_t i = 0; i < count; i++)
        if (ops[i].kind == kind && !settled[i])
            w->todo[w->todo_count++] = (uint32_t)i;
}

static int run(struct writer *w, const char *collection, enum target_op_kind kind,
               struct target_op *ops, size_t count, bool *settled, struct err *err) {
    collect(w, kind, ops, count, settled);
    w->one_by_one = false;
    int rc = 0;
    while (rc == 0 && w->todo_count)
        rc = send_slice(w, collection, kind, ops, err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        settled[i] |= ops[i].kind == kind;
    return rc;
}

static void make_room(struct writer *w, size_t count) {
    if (w->todo_cap < count) {
        w->todo_cap = count;
        w->todo = mem_realloc(w->todo, count, sizeof *w->todo);
    }
    if (w->error_cap < count) {
        w->error_cap = count;
        w->errors = mem_realloc(w->errors, count, sizeof *w->errors);
    }
}

int writer_write(struct writer *w, const char *collection, struct target_op *ops, size_t count,
                 struct err *err) {
    /* Inserts that met their `_id` come back as puts, hence the last run. */
    static const enum target_op_kind order[] = {TARGET_DELETE, TARGET_PUT, TARGET_SET,
                                                TARGET_INSERT, TARGET_PUT};
    arena_reset(&w->reasons);
    make_room(w, count);
    bool *settled = mem_zalloc(count, sizeof *settled);
    int rc = 0;
    for (size_t i = 0; i < count; i++) {
        settled[i] = is_too_large(w, &ops[i]);
        if (settled[i])
            refuse(w, &ops[i], 0, SPAN_LIT("document is larger than the target's limit of 16 MiB"));
    }
    for (size_t i = 0; rc == 0 && i < sizeof order / sizeof *order; i++)
        rc = run(w, collection, order[i], ops, count, settled, err);
    free(settled);
    return rc;
}
