#include "db/mongo_session.h"

#include "base/mem.h"
#include "base/stop.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static void ignore_log(mongoc_log_level_t level, const char *domain, const char *message,
                       void *context) {
    (void)level;
    (void)domain;
    (void)message;
    (void)context;
}

void mongo_global_init(void) {
    mongoc_init();
    mongoc_log_set_handler(ignore_log, NULL);
}

void mongo_global_cleanup(void) {
    mongoc_cleanup();
}

void mongo_forget_counters(void) {
    char name[40];
    (void)snprintf(name, sizeof name, "/mongoc-%ld", (long)getpid());
    (void)shm_unlink(name); /* there is none where its making is switched off */
}

/* ---- connecting ---- */

/* libmongoc's defaults are long for a program that must say soon what is wrong, or endless. */
static void set_defaults(mongoc_uri_t *uri) {
    static const struct {
        const char *option;
        int32_t ms;
    } defaults[] = {{MONGOC_URI_SERVERSELECTIONTIMEOUTMS, 10000},
                    {MONGOC_URI_CONNECTTIMEOUTMS, 10000},
                    {MONGOC_URI_SOCKETTIMEOUTMS, 120000}};
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
        if (!mongoc_uri_has_option(uri, defaults[i].option))
            mongoc_uri_set_option_as_int32(uri, defaults[i].option, defaults[i].ms);
    /* What documents depend on is ours to say, whatever the URI says. */
    mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYWRITES, true);
}

static void set_concerns(mongoc_client_t *client) {
    mongoc_write_concern_t *write = mongoc_write_concern_new();
    mongoc_write_concern_set_w(write, MONGOC_WRITE_CONCERN_W_MAJORITY);
    mongoc_write_concern_set_journal(write, true);
    mongoc_client_set_write_concern(client, write);
    mongoc_write_concern_destroy(write);
    mongoc_read_concern_t *read = mongoc_read_concern_new();
    mongoc_read_concern_set_level(read, MONGOC_READ_CONCERN_LEVEL_MAJORITY);
    mongoc_client_set_read_concern(client, read);
    mongoc_read_concern_destroy(read);
    mongoc_read_prefs_t *primary = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);
    mongoc_client_set_read_prefs(client, primary);
    mongoc_read_prefs_destroy(primary);
}

int mongo_connect(const char *uri_text, const char *app, struct mongo **ret_mongo,
                  struct err *err) {
    return mongo_open(uri_text, app, 0, ret_mongo, err);
}

int mongo_open(const char *uri_text, const char *app, int32_t connect_ms, struct mongo **ret_mongo,
               struct err *err) {
    bson_error_t ignored; /* its text may repeat the URI, password and all */
    mongoc_uri_t *uri = mongoc_uri_new_with_error(uri_text, &ignored);
    if (!uri)
        return err_set(err, ERR_CONF,
                       "target.uri is not a connection URI of MongoDB: "
                       "mongodb://host:27017/?replicaSet=rs0");
    set_defaults(uri);
    /* Instead of what the URI has: what still runs is found by it. */
    if (!mongoc_uri_set_appname(uri, app)) {
        mongoc_uri_destroy(uri);
        return err_set(err, ERR_INTERNAL, "'%s' cannot be an application name", app);
    }
    if (connect_ms) {
        mongoc_uri_set_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS, connect_ms);
        mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, connect_ms);
    }
    mongoc_client_t *client = mongoc_client_new_from_uri(uri);
    mongoc_uri_destroy(uri);
    if (!client)
        return err_set(err, ERR_CONF, "target.uri asks for something this libmongoc cannot do");
    mongoc_client_set_error_api(client, MONGOC_ERROR_API_VERSION_2);
    set_concerns(client);
    struct mongo *m = mem_zalloc(1, sizeof *m);
    m->client = client;
    mongoc_client_set_stream_initiator(client, mongo_stream_open, m);
    *ret_mongo = m;
    return 0;
}

void mongo_free(struct mongo *m) {
    if (!m)
        return;
    mongoc_client_destroy(m->client);
    free(m);
}

/* ---- commands ---- */

static enum mongo_verdict client_verdict(const bson_error_t *e) {
    switch (e->domain) {
    case MONGOC_ERROR_SERVER_SELECTION:
        return MONGO_RETRY; /* nothing was sent */
    case MONGOC_ERROR_STREAM:
    case MONGOC_ERROR_PROTOCOL:
        return MONGO_AMBIGUOUS;
    default:
        return MONGO_REFUSED;
    }
}

/* Authentication that fails in the handshake is reported as "no suitable servers"; it stays so. */
static bool is_authentication(const bson_error_t *e) {
    return e->domain == MONGOC_ERROR_CLIENT && e->code == MONGOC_ERROR_CLIENT_AUTHENTICATE;
}

enum mongo_verdict mongo_describe(const bson_error_t *e, struct mongo_failure *failure) {
    if (e->domain == MONGOC_ERROR_SERVER || e->domain == MONGOC_ERROR_WRITE_CONCERN)
        failure->verdict = mongo_code_verdict((int)e->code);
    else
        failure->verdict = is_authentication(e) ? MONGO_REFUSED : client_verdict(e);
    failure->code = e->domain == MONGOC_ERROR_SERVER ? (int)e->code : 0;
    if (failure->verdict == MONGO_OK)
        failure->verdict = MONGO_REFUSED; /* an error without a code is still one */
    if (failure->verdict == MONGO_REFUSED)
        err_set(&failure->err, ERR_TARGET, "target: %s", e->message);
    else
        err_set_retriable(&failure->err, ERR_UNREACHABLE, "target: %s", e->message);
    return failure->verdict;
}

enum mongo_verdict mongo_command(struct mongo *m, const char *database, const bson_t *command,
                                 bson_t *reply, struct mongo_failure *failure) {
    bson_error_t e = {0};
    *failure = (struct mongo_failure){0};
    if (mongoc_client_write_command_with_opts(m->client, database, command, NULL, reply, &e))
        return MONGO_OK;
    /* Errors of single documents are the caller's to read in the reply. */
    bson_iter_t it;
    if (bson_iter_init_find(&it, reply, "ok") && bson_iter_as_bool(&it) &&
        (bson_has_field(reply, "writeErrors") || bson_has_field(reply, "writeConcernError")))
        return MONGO_OK;
    return mongo_describe(&e, failure);
}

/* {code, errmsg} of a reply that is "ok" all the same. */
static enum mongo_verdict judge_error(const bson_iter_t *error, struct mongo_failure *failure) {
    bson_iter_t it;
    bson_error_t e = {.domain = MONGOC_ERROR_SERVER};
    if (bson_iter_recurse(error, &it) && bson_iter_find(&it, "code"))
        e.code = (uint32_t)bson_iter_as_int64(&it);
    if (bson_iter_recurse(error, &it) && bson_iter_find(&it, "errmsg") && BSON_ITER_HOLDS_UTF8(&it))
        (void)snprintf(e.message, sizeof e.message, "%s", bson_iter_utf8(&it, NULL));
    return mongo_describe(&e, failure);
}

static bool find_error(const bson_t *reply, bson_iter_t *ret) {
    bson_iter_t it;
    return bson_iter_init_find(ret, reply, "writeConcernError") ||
           (bson_iter_init(&it, reply) && bson_iter_find_descendant(&it, "writeErrors.0", ret));
}

enum mongo_verdict mongo_simple_command(struct mongo *m, const char *database,
                                        const bson_t *command, struct mongo_failure *failure) {
    bson_t reply;
    bson_iter_t it;
    enum mongo_verdict v = mongo_command(m, database, command, &reply, failure);
    if (v == MONGO_OK && find_error(&reply, &it))
        v = judge_error(&it, failure);
    bson_destroy(&reply);
    return v;
}

int mongo_fail(const struct mongo_failure *failure, const char *what, struct err *err) {
    if (err)
        *err = failure->err;
    return err_prefix(err, "%s", what);
}

/* ---- helpers ---- */

int mongo_server_info(struct mongo *m, struct mongo_server *ret, struct err *err) {
    struct mongo_server info = {.max_document = 16 * 1024 * 1024};
    bson_error_t e = {0};
    bson_iter_t it;
    for (int step = 0; step < 2; step++) {
        bson_t reply;
        bson_t *command = BCON_NEW(step ? "buildInfo" : "hello", BCON_INT32(1));
        bool ok = mongoc_client_command_simple(m->client, "admin", command, NULL, &reply, &e);
        bson_destroy(command);
        if (!ok) {
            struct mongo_failure failure = {0};
            bson_destroy(&reply);
            (void)mongo_describe(&e, &failure);
            return mongo_fail(&failure, "cannot connect to the target", err);
        }
        if (step && bson_iter_init_find(&it, &reply, "version") && BSON_ITER_HOLDS_UTF8(&it))
            (void)snprintf(info.version, sizeof info.version, "%s", bson_iter_utf8(&it, NULL));
        if (!step && bson_iter_init_find(&it, &reply, "setName") && BSON_ITER_HOLDS_UTF8(&it))
            (void)snprintf(info.set_name, sizeof info.set_name, "%s", bson_iter_utf8(&it, NULL));
        if (!step && bson_iter_init_find(&it, &reply, "maxBsonObjectSize"))
            info.max_document = (int32_t)bson_iter_as_int64(&it);
        bson_destroy(&reply);
    }
    *ret = info;
    return 0;
}

#define CODE_NAMESPACE_EXISTS 48
#define CODE_NAMESPACE_NOT_FOUND 26
#define CODE_MAX_TIME_EXPIRED 50

int mongo_create_collection(struct mongo *m, const char *database, const char *collection,
                            struct err *err) {
    bson_t *command = BCON_NEW("create", BCON_UTF8(collection));
    struct mongo_failure failure;
    enum mongo_verdict v = mongo_simple_command(m, database, command, &failure);
    bson_destroy(command);
    if (v == MONGO_OK || failure.code == CODE_NAMESPACE_EXISTS)
        return 0;
    return mongo_fail(&failure, "create collection", err);
}

static int found_one(void *context, const bson_t *document, struct err *err) {
    (void)document;
    (void)err;
    *(bool *)context = false;
    return 0;
}

int mongo_is_empty(struct mongo *m, const char *database, const char *collection, bool *ret_empty,
                   struct err *err) {
    bson_t filter = BSON_INITIALIZER;
    *ret_empty = true;
    return mongo_find(m, database, collection, &filter, NULL, NULL, 1, found_one, ret_empty, err);
}

int mongo_delete_all(struct mongo *m, const char *database, const char *collection,
                     struct err *err) {
    bson_t *command =
        BCON_NEW("delete", BCON_UTF8(collection), "deletes", "[", "{", "q", "{", "}", "limit",
                 BCON_INT32(0), "}", "]", "writeConcern", "{", "w", BCON_UTF8("majority"), "j",
                 BCON_BOOL(true), "}", "maxTimeMS", BCON_INT32(MONGO_WRITE_MAX_MS));
    struct mongo_failure failure;
    enum mongo_verdict v;
    do /* what it deleted in its time stays deleted */
        v = mongo_simple_command(m, database, command, &failure);
    while (v != MONGO_OK && failure.code == CODE_MAX_TIME_EXPIRED && !stop_requested());
    bson_destroy(command);
    if (v == MONGO_OK || failure.code == CODE_NAMESPACE_NOT_FOUND)
        return 0;
    if (failure.code == CODE_MAX_TIME_EXPIRED)
        return err_set(err, ERR_STOPPED, "stopped while all documents were deleted");
    return mongo_fail(&failure, "delete all documents", err);
}

/* Ends the cursor. */
static int give_documents(mongoc_cursor_t *cursor, const char *collection, mongo_document_fn fn,
                          void *context, struct err *err) {
    bson_error_t e = {0};
    const bson_t *document;
    int rc = 0;
    while (rc == 0 && mongoc_cursor_next(cursor, &document))
        rc = fn(context, document, err);
    if (rc == 0 && mongoc_cursor_error(cursor, &e)) {
        struct mongo_failure failure = {0};
        (void)mongo_describe(&e, &failure);
        rc = mongo_fail(&failure, collection, err);
    }
    mongoc_cursor_destroy(cursor);
    return rc;
}

int mongo_find(struct mongo *m, const char *database, const char *collection, const bson_t *filter,
               const bson_t *projection, const bson_t *sort, int64_t limit, mongo_document_fn fn,
               void *context, struct err *err) {
    bson_t opts = BSON_INITIALIZER;
    if (projection)
        BSON_APPEND_DOCUMENT(&opts, "projection", projection);
    if (sort)
        BSON_APPEND_DOCUMENT(&opts, "sort", sort);
    if (limit)
        BSON_APPEND_INT64(&opts, "limit", limit);
    mongoc_collection_t *c = mongoc_client_get_collection(m->client, database, collection);
    int rc = give_documents(mongoc_collection_find_with_opts(c, filter, &opts, NULL), collection,
                            fn, context, err);
    mongoc_collection_destroy(c);
    bson_destroy(&opts);
    return rc;
}

int mongo_sample(struct mongo *m, const char *database, const char *collection, int64_t count,
                 const bson_t *projection, mongo_document_fn fn, void *context, struct err *err) {
    bson_t *pipeline = BCON_NEW("pipeline", "[", "{", "$sample", "{", "size", BCON_INT64(count),
                                "}", "}", "{", "$project", BCON_DOCUMENT(projection), "}", "]");
    mongoc_collection_t *c = mongoc_client_get_collection(m->client, database, collection);
    int rc = give_documents(mongoc_collection_aggregate(c, MONGOC_QUERY_NONE, pipeline, NULL, NULL),
                            collection, fn, context, err);
    mongoc_collection_destroy(c);
    bson_destroy(pipeline);
    return rc;
}
