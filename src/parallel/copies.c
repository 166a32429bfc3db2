#include "parallel/copies.h"

#include "base/json_write.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/queue.h"
#include "base/stop.h"
#include "base/thread.h"
#include "db/mongo.h"

#include <stdatomic.h>
#include <stdlib.h>

#define WAITING_MAX 1000
#define WAITING_BYTES ((size_t)32 << 20)
#define POP_US 200000
#define DOCUMENT_MAX (4 * 1024 * 1024)

struct copies {
    const struct conf *conf;
    struct stop_scope *scope;
    struct queue *waiting; /* bson_t: commands */
    pthread_t thread;
    atomic_bool ending;
    _Atomic uint64_t dropped;
};

/* ---- documents ---- */

static void add_raw(struct json_out *j, const char *name, struct span json) {
    if (json.ptr && json.len)
        json_out_raw(j, name, json);
}

static void write_document(const struct state_divergence_found *found, size_t count,
                           struct buf *out) {
    struct json_out j;
    const struct state_divergence_found *first = &found[0];
    json_out_begin(&j, out);
    json_out_open(&j, NULL, '{');
    json_out_text(&j, "module", first->module);
    json_out_text(&j, "operation", first->subject);
    add_raw(&j, "params", first->parameters);
    json_out_span(&j, "request", first->request);
    json_out_open(&j, "differences", '[');
    for (size_t i = 0; i < count; i++) {
        json_out_open(&j, NULL, '{');
        json_out_span(&j, "path", found[i].path);
        json_out_text(&j, "type", found[i].kind);
        add_raw(&j, "sql", found[i].sql);
        add_raw(&j, "mongo", found[i].mongodb);
        json_out_close(&j, '}');
    }
    json_out_close(&j, ']');
    add_raw(&j, "sqlResult", first->sql_document);
    add_raw(&j, "mongoResult", first->mongodb_document);
    json_out_span(&j, "reproducer", first->reproducer);
    json_out_bool(&j, "analyzed", false);
    json_out_close(&j, '}');
    json_out_end(&j);
}

/* {insert: ..., documents: [...]}; NULL: too large, or with what BSON does not have. */
static bson_t *insert_command(const struct copies *c, const struct state_divergence_found *found,
                              size_t count) {
    _cleanup_(buf_release) struct buf json = {.max = DOCUMENT_MAX};
    bson_error_t ignored;
    write_document(found, count, &json);
    if (!buf_ok(&json))
        return NULL;
    bson_t *document = bson_new_from_json((const uint8_t *)json.data, (ssize_t)json.len, &ignored);
    if (!document)
        return NULL;
    BSON_APPEND_DATE_TIME(document, "timestamp", found[0].at_us / 1000);
    if (found[0].user.ptr)
        BSON_APPEND_BINARY(document, "user", BSON_SUBTYPE_BINARY,
                           (const uint8_t *)found[0].user.ptr, (uint32_t)found[0].user.len);
    bson_t *command = bson_new(), list;
    BSON_APPEND_UTF8(command, "insert", c->conf->divergences.collection.text);
    BSON_APPEND_ARRAY_BEGIN(command, "documents", &list);
    BSON_APPEND_DOCUMENT(&list, "0", document);
    bson_append_array_end(command, &list);
    bson_destroy(document);
    return command;
}

/* {delete: ..., deletes: [{q: {name: value}, limit: 0}]} */
static bson_t *delete_command(const struct conf *conf, const bson_t *query) {
    bson_t *command = bson_new(), list, one;
    BSON_APPEND_UTF8(command, "delete", conf->divergences.collection.text);
    BSON_APPEND_ARRAY_BEGIN(command, "deletes", &list);
    BSON_APPEND_DOCUMENT_BEGIN(&list, "0", &one);
    BSON_APPEND_DOCUMENT(&one, "q", query);
    BSON_APPEND_INT32(&one, "limit", 0);
    bson_append_document_end(&list, &one);
    bson_append_array_end(command, &list);
    return command;
}

/* ---- the thread ---- */

static bool run(const struct copies *c, struct mongo **mongo, const bson_t *command) {
    struct mongo_failure failure = {.verdict = MONGO_OK};
    struct err err = {0};
    bson_t reply;
    if (!*mongo && mongo_connect(c->conf->target.uri, "banyan divergences", mongo, &err) < 0) {
        log_event(LOG_WARN, "divergence_not_copied", LOG_STR("reason", err.text));
        return false;
    }
    enum mongo_verdict verdict =
        mongo_command(*mongo, c->conf->target.database, command, &reply, &failure);
    bool refused = bson_has_field(&reply, "writeErrors");
    bson_destroy(&reply);
    if (verdict == MONGO_OK && !refused)
        return true;
    log_event(LOG_WARN, "divergence_not_copied",
              LOG_STR("reason", verdict == MONGO_OK ? "the target refused it" : failure.err.text));
    return false;
}

static void *copies_main(void *argument) {
    struct copies *c = argument;
    struct mongo *mongo = NULL;
    void *item;
    enum queue_result result;
    bool away = false; /* the last one could not be written */
    stop_scope_enter(c->scope);
    while ((result = queue_pop(c->waiting, &item, POP_US)) != QUEUE_CLOSED) {
        if (result != QUEUE_OK)
            continue;
        bool given_up = stop_forced() || (away && atomic_load(&c->ending));
        away = given_up || !run(c, &mongo, item);
        if (away)
            atomic_fetch_add(&c->dropped, 1);
        bson_destroy(item);
    }
    mongo_free(mongo);
    stop_scope_enter(NULL);
    return NULL;
}

static void push(struct copies *c, bson_t *command) {
    if (command && queue_push(c->waiting, command, command->len, 0) == QUEUE_OK)
        return;
    atomic_fetch_add(&c->dropped, 1);
    bson_destroy(command);
}

void copies_add(struct copies *c, const struct state_divergence_found *found, size_t count) {
    if (count)
        push(c, insert_command(c, found, count));
}

void copies_expire(struct copies *c, int64_t until_us) {
    bson_t query = BSON_INITIALIZER, before;
    BSON_APPEND_DOCUMENT_BEGIN(&query, "timestamp", &before);
    BSON_APPEND_DATE_TIME(&before, "$lt", until_us / 1000);
    bson_append_document_end(&query, &before);
    push(c, delete_command(c->conf, &query));
    bson_destroy(&query);
}

uint64_t copies_dropped(const struct copies *c) {
    return atomic_load(&c->dropped);
}

struct copies *copies_new(const struct conf *conf) {
    struct copies *c = mem_zalloc(1, sizeof *c);
    c->conf = conf;
    c->scope = stop_scope_new();
    c->waiting = queue_new(WAITING_MAX, WAITING_BYTES);
    if (thread_start(&c->thread, copies_main, c))
        return c;
    queue_free(c->waiting);
    stop_scope_free(c->scope);
    free(c);
    return NULL;
}

void copies_free(struct copies *c) {
    if (!c)
        return;
    atomic_store(&c->ending, true);
    queue_close(c->waiting);
    pthread_join(c->thread, NULL);
    queue_free(c->waiting);
    stop_scope_free(c->scope);
    free(c);
}

int copies_purge(const struct conf *conf, struct span user, struct err *err) {
    _cleanup_(mongo_freep) struct mongo *mongo = NULL;
    struct mongo_failure failure = {.verdict = MONGO_OK};
    bson_t query = BSON_INITIALIZER, reply;
    int rc = mongo_connect(conf->target.uri, "banyan divergences", &mongo, err);
    if (rc < 0)
        return rc;
    BSON_APPEND_BINARY(&query, "user", BSON_SUBTYPE_BINARY, (const uint8_t *)user.ptr,
                       (uint32_t)user.len);
    bson_t *command = delete_command(conf, &query);
    if (mongo_command(mongo, conf->target.database, command, &reply, &failure) != MONGO_OK) {
        *err = failure.err;
        rc = err_prefix(err, "collection %s", conf->divergences.collection.text);
    }
    bson_destroy(&reply);
    bson_destroy(command);
    bson_destroy(&query);
    return rc;
}
