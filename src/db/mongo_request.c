#include "db/mongo_request.h"

#include "base/clock.h"
#include "db/mongo_session.h"

int mongo_request_connect(const char *uri, const char *app, int64_t connect_us,
                          struct mongo **ret_mongo, struct err *err) {
    return mongo_open(uri, app, (int32_t)((connect_us + 999) / 1000), ret_mongo, err);
}

#define CODE_MAX_TIME_EXPIRED 50

static mongoc_cursor_t *open_cursor(mongoc_collection_t *c, const struct mongo_request *r) {
    int64_t ms = (r->until_us - clock_mono_us() + 999) / 1000;
    bson_t opts;
    if (r->opts)
        bson_copy_to(r->opts, &opts);
    else
        bson_init(&opts);
    BSON_APPEND_INT64(&opts, "maxTimeMS", ms < 1 ? 1 : ms);
    mongoc_cursor_t *cursor =
        r->pipeline ? mongoc_collection_aggregate(c, MONGOC_QUERY_NONE, r->pipeline, &opts, NULL)
                    : mongoc_collection_find_with_opts(c, r->filter, &opts, NULL);
    bson_destroy(&opts);
    return cursor;
}

int mongo_request_run(struct mongo *m, const struct mongo_request *r, mongo_document_fn fn,
                      void *context, struct mongo_failure *ret_failure, struct err *err) {
    bson_error_t e = {0};
    const bson_t *document;
    int rc = 0;
    m->until_us = r->until_us;
    m->timed_out = m->unreachable = false;
    *ret_failure = (struct mongo_failure){0};
    mongoc_collection_t *c = mongoc_client_get_collection(m->client, r->database, r->collection);
    mongoc_cursor_t *cursor = open_cursor(c, r);
    while (rc == 0 && mongoc_cursor_next(cursor, &document)) {
        rc = fn(context, document, err);
        if (rc == 0 && clock_mono_us() >= r->until_us) {
            m->timed_out = true;
            rc = err_set_retriable(err, ERR_UNREACHABLE, "the target did not answer in time");
        }
    }
    if (rc == 0 && mongoc_cursor_error(cursor, &e)) {
        (void)mongo_describe(&e, ret_failure);
        m->timed_out = m->timed_out || ret_failure->code == CODE_MAX_TIME_EXPIRED;
        m->unreachable = e.domain == MONGOC_ERROR_SERVER_SELECTION && !m->timed_out;
        if (err)
            *err = ret_failure->err;
        rc = ret_failure->err.code;
        if (m->timed_out)
            rc = err_set_retriable(err, ERR_UNREACHABLE, "the target did not answer in time");
    }
    mongoc_cursor_destroy(cursor);
    mongoc_collection_destroy(c);
    return rc;
}

bool mongo_failed_to_connect(const struct mongo *m) {
    return m->unreachable;
}

bool mongo_timed_out(const struct mongo *m) {
    return m->timed_out;
}
