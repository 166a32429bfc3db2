#include "operation/side_mongodb.h"

#include "base/clock.h"
#include "base/mem.h"
#include "db/mongo_request.h"
#include "operation/answer.h"
#include "operation/pool.h"
#include "operation/template.h"

struct side_mongodb {
    const struct conf *conf;
    struct side_limits limits;
    struct side_sql *sql;
    struct pool *pools[2]; /* primaries, samples */
};

static void session_free(void *session) {
    mongo_free(session);
}

struct side_mongodb *side_mongodb_new(const struct conf *conf, const struct side_limits *limits,
                                      struct side_sql *sql) {
    struct side_mongodb *s = mem_zalloc(1, sizeof *s);
    s->conf = conf;
    s->limits = *limits;
    s->sql = sql;
    s->pools[0] = pool_new(OPERATION_SESSIONS, OPERATION_WAITING_MAX, session_free);
    s->pools[1] = pool_new(limits->sample_sessions, limits->sample_sessions, session_free);
    return s;
}

void side_mongodb_free(struct side_mongodb *s) {
    if (!s)
        return;
    pool_free(s->pools[0]);
    pool_free(s->pools[1]);
    free(s);
}

/* ---- the question ---- */

struct question {
    struct buf filter, pipeline, projection, sort;
    bson_t opts;
};

static void question_release(struct question *q) {
    buf_release(&q->filter);
    buf_release(&q->pipeline);
    buf_release(&q->projection);
    buf_release(&q->sort);
    bson_destroy(&q->opts);
}

static int write_part(const struct conf_value *value, enum template_use use, const struct params *p,
                      struct buf *out, struct err *err) {
    static const struct conf_value everything = {.kind = CONF_VALUE_MAP};
    return template_write(value ? value : &everything, use, p, out, err);
}

/* In place: such a bson_t points into itself. What was not written is empty, and owns nothing. */
static void view(const struct buf *b, bson_t *ret) {
    if (!b->len || !bson_init_static(ret, (const uint8_t *)b->data, b->len))
        bson_init(ret);
}

static int add_number(struct question *q, const char *name, const struct conf_value *value,
                      const struct params *p, bool *ret_none, struct err *err) {
    int64_t n;
    if (!value)
        return 0;
    if (!template_number(value, p, &n))
        return err_set(err, ERR_VALUE, "'%s' is below 0", name);
    if (n == 0 && ret_none)
        *ret_none = true; /* to MongoDB 0 is no limit; to SQL it is no row */
    BSON_APPEND_INT64(&q->opts, name, n);
    return 0;
}

static int write_find(struct question *q, const struct conf_operation_mongodb *m,
                      const struct params *p, bool *ret_none, struct err *err) {
    int rc = write_part(m->filter, TEMPLATE_FILTER, p, &q->filter, err);
    if (rc == 0 && m->projection)
        rc = write_part(m->projection, TEMPLATE_EXPRESSION, p, &q->projection, err);
    if (rc == 0 && m->sort)
        rc = write_part(m->sort, TEMPLATE_FILTER, p, &q->sort, err);
    if (rc == 0)
        rc = add_number(q, "limit", m->limit, p, ret_none, err);
    if (rc == 0)
        rc = add_number(q, "skip", m->skip, p, NULL, err);
    if (rc < 0)
        return rc;
    bson_t projection, sort;
    view(&q->projection, &projection);
    view(&q->sort, &sort);
    if (m->projection)
        BSON_APPEND_DOCUMENT(&q->opts, "projection", &projection);
    if (m->sort)
        BSON_APPEND_DOCUMENT(&q->opts, "sort", &sort);
    return 0;
}

/* libmongoc takes an array of stages as a document whose keys are its indexes. */
static int write_question(struct question *q, const struct conf_operation_mongodb *m,
                          const struct params *p, bool *ret_none, struct err *err) {
    q->filter.max = q->pipeline.max = q->projection.max = q->sort.max =
        8 * (size_t)OPERATION_REQUEST_MAX;
    bson_init(&q->opts);
    return m->find.text ? write_find(q, m, p, ret_none, err)
                        : write_part(m->pipeline, TEMPLATE_PIPELINE, p, &q->pipeline, err);
}

/* ---- documents ---- */

struct rows {
    struct answer_writer writer;
    struct side_mongodb *side;
    struct compiled *compiled;
    const struct side_times *times;
    bool ours; /* what failed was not the server's doing */
};

static int learn_key(struct rows *rows, const bson_t *document, struct err *err) {
    struct key *key = &rows->compiled->key;
    bson_iter_t id;
    if (!bson_iter_init_find(&id, document, "_id") || !key_is_unknown(key, &id))
        return 0;
    int rc = side_sql_learn_key(rows->side->sql, key, rows->times, err);
    if (rc < 0)
        return err_prefix(err,
                          "the key column of '%s' is not known (name it by `id:` in the mapping)",
                          key->mapping->name.text);
    return 0;
}

static int add_document(void *context, const bson_t *document, struct err *err) {
    struct rows *rows = context;
    int rc = learn_key(rows, document, err);
    if (rc == 0)
        rc = answer_row(&rows->writer, err);
    if (rc == 0) {
        key_write(&rows->compiled->key, document, &rows->writer.w);
        bsonw_close(&rows->writer.w);
        rc = answer_fits(&rows->writer, err);
    }
    rows->ours = rc < 0;
    return rc;
}

/* ---- asking ---- */

static int run(struct side_mongodb *side, struct mongo *m, struct compiled *c,
               const struct params *p, const struct side_times *times, struct operation_answer *ret,
               bool *ret_ours, struct err *err) {
    const struct conf_operation_mongodb *conf = &c->conf->mongodb;
    struct rows rows = {.side = side, .compiled = c, .times = times};
    struct question q = {0};
    struct mongo_failure failure;
    bool none = false;
    *ret_ours = true;
    int rc = write_question(&q, conf, p, &none, err);
    answer_begin(&rows.writer, c->conf, ret);
    if (rc == 0 && !none) {
        bson_t filter, pipeline;
        view(&q.filter, &filter);
        view(&q.pipeline, &pipeline);
        const struct mongo_request request = {.database = side->conf->target.database,
                                              .collection = conf->find.text ? conf->find.text
                                                                            : conf->aggregate.text,
                                              .filter = &filter,
                                              .pipeline = conf->aggregate.text ? &pipeline : NULL,
                                              .opts = conf->find.text ? &q.opts : NULL,
                                              .until_us = times->until_us};
        rc = mongo_request_run(m, &request, add_document, &rows, &failure, err);
        *ret_ours = rows.ours;
    }
    question_release(&q);
    return rc < 0 ? rc : answer_end(&rows.writer, err);
}

static enum operation_outcome outcome_of(const struct mongo *m, bool ours) {
    if (mongo_timed_out(m))
        return OPERATION_TIMEOUT;
    if (ours)
        return OPERATION_FAILED;
    return mongo_failed_to_connect(m) ? OPERATION_CONNECT : OPERATION_FAILED;
}

static bool take(struct side_mongodb *side, const struct side_times *times,
                 struct operation_answer *ret, struct mongo **ret_mongo) {
    struct pool *pool = side->pools[times->sample];
    struct err err = {0};
    void *session = NULL;
    if (!pool_take(pool, times->session_us, &session)) {
        (void)err_set_retriable(&err, ERR_BUSY, "no session of the target was free in time");
        answer_fail(ret, OPERATION_CONNECT, &err);
        return false;
    }
    *ret_mongo = session;
    if (!session && mongo_request_connect(side->conf->target.uri, side->limits.app,
                                          side->limits.connect_us, ret_mongo, &err) < 0) {
        pool_put(pool, NULL);
        answer_fail(ret, OPERATION_CONNECT, &err);
        return false;
    }
    return true;
}

void side_mongodb_ask(struct side_mongodb *side, struct compiled *c, const struct params *p,
                      const struct side_times *times, struct operation_answer *ret) {
    int64_t start = clock_mono_us();
    struct mongo *m = NULL;
    struct err err = {0};
    bool ours = false;
    if (take(side, times, ret, &m)) {
        int rc = run(side, m, c, p, times, ret, &ours, &err);
        if (rc < 0)
            answer_fail(ret, outcome_of(m, ours), &err);
        /* libmongoc asks once more by itself where a connection was lost; what still failed on the
         * way to the server begins anew next time. */
        bool lost = rc < 0 && !ours && err.retriable;
        if (lost || mongo_timed_out(m)) {
            mongo_free(m);
            m = NULL;
        }
        pool_put(side->pools[times->sample], m);
    }
    ret->took_us = clock_mono_us() - start;
}

size_t side_mongodb_sessions(struct side_mongodb *s) {
    return pool_in_use(s->pools[0]) + pool_in_use(s->pools[1]);
}
