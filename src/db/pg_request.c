#include "db/pg_request.h"

#include "base/clock.h"
#include "base/mem.h"
#include "db/pg_session.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

static void start(struct pg *pg, int64_t until_us) {
    pg->until_us = until_us;
    pg->timed_out = false;
    pg->sqlstate[0] = '\0';
}

int pg_request_connect(const char *uri, const char *app, int64_t statement_us, int64_t until_us,
                       struct pg **ret_pg, struct err *err) {
    _cleanup_(pg_freep) struct pg *pg = NULL;
    _cleanup_(buf_release) struct buf sql = {.max = 1024};
    int rc = pg_open(uri, app, until_us, &pg, err);
    if (rc < 0)
        return rc;
    buf_printf(&sql,
               "RESET search_path; SET default_transaction_read_only = on; "
               "SET statement_timeout = %lld",
               (long long)(statement_us + 999) / 1000);
    rc = pg_exec(pg, buf_text(&sql), NULL, err);
    if (rc < 0)
        return rc;
    (void)PQsetnonblocking(pg->conn, 1);
    *ret_pg = pg;
    pg = NULL;
    return 0;
}

/* Everything that was put into libpq's buffer goes out; what the server sends meanwhile comes in,
 * or both would wait for each other. */
static int flush(struct pg *pg, struct err *err) {
    for (;;) {
        int left = PQflush(pg->conn);
        if (left == 0)
            return 0;
        int64_t ms = (pg->until_us - clock_mono_us() + 999) / 1000;
        struct pollfd p = {.fd = PQsocket(pg->conn), .events = POLLIN | POLLOUT};
        if (left < 0)
            return pg_lost(pg, err);
        if (ms <= 0)
            return pg_late(pg, err);
        int n = poll(&p, 1, ms < 1000 ? (int)ms : 1000);
        if ((n < 0 && errno != EINTR) || ((p.revents & POLLIN) && !PQconsumeInput(pg->conn)))
            return pg_lost(pg, err);
    }
}

void pg_request_until(struct pg *pg, int64_t until_us) {
    start(pg, until_us);
}

/* What one message brings back; all of it is read, whatever it says. */
static int take_result(struct pg *pg, PGresult **ret, struct err *err) {
    int failed = 0, rc = flush(pg, err);
    PGresult *last = NULL;
    while (rc == 0) {
        PGresult *r = NULL;
        rc = pg_next_result(pg, &r, err);
        if (rc < 0 || !r)
            break;
        if (PQresultStatus(r) != PGRES_COMMAND_OK && !failed)
            failed = pg_result_error(pg, r, err);
        PQclear(last);
        last = r;
    }
    rc = rc < 0 ? rc : failed;
    if (rc == 0)
        *ret = last;
    else
        PQclear(last);
    return rc;
}

int pg_request_prepare(struct pg *pg, const char *name, const char *sql, size_t count,
                       const uint32_t *types, int64_t until_us, PGresult **ret_description,
                       struct err *err) {
    PGresult *ignored = NULL;
    start(pg, until_us);
    if (!PQsendPrepare(pg->conn, name, sql, (int)count, types))
        return pg_lost(pg, err);
    int rc = take_result(pg, &ignored, err);
    PQclear(ignored);
    if (rc < 0)
        return rc;
    if (!PQsendDescribePrepared(pg->conn, name))
        return pg_lost(pg, err);
    return take_result(pg, ret_description, err);
}

static int send_run(struct pg *pg, const char *name, size_t count, const struct span *params,
                    struct err *err) {
    const char **texts = mem_zalloc(count + 1, sizeof *texts);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        texts[i] = params[i].ptr ? mem_strndup(params[i].ptr, params[i].len) : NULL;
        if (texts[i] && strlen(texts[i]) != params[i].len)
            rc = err_set(err, ERR_VALUE, "a value holds a NUL, which PostgreSQL does not have");
    }
    if (rc == 0 && !(PQsendQueryPrepared(pg->conn, name, (int)count, texts, NULL, NULL, 0) &&
                     PQsetSingleRowMode(pg->conn)))
        rc = pg_lost(pg, err);
    for (size_t i = 0; i < count; i++)
        free((void *)texts[i]);
    free(texts);
    return rc < 0 ? rc : flush(pg, err);
}

struct rows {
    pg_row_fn fn;
    void *context;
    bool started;
};

static int give(struct rows *rows, const PGresult *r, struct err *err) {
    int rc = rows->started ? 0 : rows->fn(rows->context, r, -1, err);
    rows->started = true;
    for (int i = 0; rc == 0 && i < PQntuples(r); i++)
        rc = rows->fn(rows->context, r, i, err);
    return rc;
}

int pg_request_run(struct pg *pg, const char *name, size_t count, const struct span *params,
                   int64_t until_us, pg_row_fn fn, void *context, bool *ret_open, struct err *err) {
    struct rows rows = {.fn = fn, .context = context};
    int failed = 0;
    start(pg, until_us);
    *ret_open = false;
    int rc = send_run(pg, name, count, params, err);
    while (rc == 0) {
        PGresult *r = NULL;
        rc = pg_next_result(pg, &r, err);
        if (rc < 0 || !r)
            break;
        ExecStatusType status = PQresultStatus(r);
        if (status != PGRES_SINGLE_TUPLE && status != PGRES_TUPLES_OK)
            failed = status == PGRES_COMMAND_OK
                         ? err_set(err, ERR_CONF, "the statement returns no rows")
                         : pg_result_error(pg, r, err);
        else if (!failed && clock_mono_us() > until_us)
            rc = pg_late(pg, err);
        else if (!failed)
            rc = give(&rows, r, err);
        PQclear(r);
        *ret_open = rc < 0 && !pg->timed_out;
    }
    return rc < 0 ? rc : failed;
}

bool pg_timed_out(const struct pg *pg) {
    return pg->timed_out;
}

/* Reported by the server with every change, from version 14 on. */
bool pg_is_read_only(const struct pg *pg) {
    const char *value = PQparameterStatus(pg->conn, "default_transaction_read_only");
    return !value || strcmp(value, "on") == 0;
}

void pg_cancel_request(struct pg *pg) {
    pg_cancel(pg);
}
