/* After an ambiguous failure: is the old command over? */
#include "db/mongo_session.h"

#include "base/clock.h"
#include "base/stop.h"

#include <string.h>

#define CODE_UNAUTHORIZED 13
#define LOOK_EVERY_US 100000

struct look {
    struct mongo *m;
    const char *app_prefix;
    const char *ns;
    size_t running;
};

static bool text_is(const bson_t *op, const char *field, const char **ret) {
    bson_iter_t it;
    if (!bson_iter_init_find(&it, op, field) || !BSON_ITER_HOLDS_UTF8(&it))
        return false;
    *ret = bson_iter_utf8(&it, NULL);
    return true;
}

/* A write of one of the pipeline's connections to this collection. (Our looking is none.) */
static bool is_ours(const struct look *l, const bson_t *op) {
    const char *app, *ns, *kind;
    if (!text_is(op, "appName", &app) || strncmp(app, l->app_prefix, strlen(l->app_prefix)) != 0)
        return false;
    if (!text_is(op, "ns", &ns) || strcmp(ns, l->ns) != 0 || !text_is(op, "op", &kind))
        return false;
    return strcmp(kind, "query") != 0 && strcmp(kind, "getmore") != 0 && strcmp(kind, "none") != 0;
}

static void kill_op(struct mongo *m, const bson_t *op) {
    bson_iter_t it;
    bson_t command = BSON_INITIALIZER, reply;
    if (!bson_iter_init_find(&it, op, "opid"))
        return;
    BSON_APPEND_INT32(&command, "killOp", 1);
    bson_append_iter(&command, "op", -1, &it);
    (void)mongoc_client_command_simple(m->client, "admin", &command, NULL, &reply, NULL);
    bson_destroy(&reply);
    bson_destroy(&command);
}

/* *ret_code: of the server, with an error. */
static int look(struct look *l, int *ret_code, struct err *err) {
    bson_t *pipeline = BCON_NEW("pipeline", "[", "{", "$currentOp", "{", "allUsers",
                                BCON_BOOL(true), "idleConnections", BCON_BOOL(false), "}", "}", "{",
                                "$match", "{", "active", BCON_BOOL(true), "}", "}", "]");
    mongoc_database_t *admin = mongoc_client_get_database(l->m->client, "admin");
    mongoc_cursor_t *cursor = mongoc_database_aggregate(admin, pipeline, NULL, NULL);
    const bson_t *op;
    bson_error_t e = {0};
    int rc = 0;
    l->running = 0;
    *ret_code = 0;
    while (mongoc_cursor_next(cursor, &op))
        if (is_ours(l, op)) {
            l->running++;
            kill_op(l->m, op);
        }
    if (mongoc_cursor_error(cursor, &e)) {
        struct mongo_failure failure = {0};
        (void)mongo_describe(&e, &failure);
        *ret_code = failure.code;
        rc = mongo_fail(&failure, "look for running operations", err);
    }
    mongoc_cursor_destroy(cursor);
    mongoc_database_destroy(admin);
    bson_destroy(pipeline);
    return rc;
}

/* Codes with which a server says that we may not, or that it cannot. */
static bool is_blind(int code) {
    return code == CODE_UNAUTHORIZED || code == 59 || code == 115 || code == 40324;
}

int mongo_quiesce(struct mongo *m, const char *database, const char *collection,
                  const char *app_prefix, int64_t wait_us, struct err *err) {
    _cleanup_(buf_release) struct buf ns = {.max = 1024};
    buf_printf(&ns, "%s.%s", database, collection);
    struct look l = {.m = m, .app_prefix = app_prefix, .ns = buf_text(&ns)};
    int64_t give_up = clock_mono_us() + wait_us;
    for (;;) {
        int code = 0;
        int rc = look(&l, &code, err);
        if (rc < 0 && !is_blind(code))
            return rc;
        if (rc < 0)
            return stop_forced_wait(MONGO_WRITE_MAX_MS * INT64_C(1000))
                       ? err_set(err, ERR_STOPPED, "stopped while waiting for old writes to end")
                       : 0;
        if (l.running == 0)
            return 0;
        if (clock_mono_us() > give_up)
            return err_set(
                err, ERR_TARGET,
                "%zu earlier writes to %s still run on the target and could not be ended; "
                "end them (db.currentOp, appName \"%s\") and start again",
                l.running, l.ns, app_prefix);
        if (stop_forced_wait(LOOK_EVERY_US))
            return err_set(err, ERR_STOPPED, "stopped while waiting for old writes to end");
    }
}
