#include "db/pg_session.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/stop.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define WAIT_MS 200
#define WAIT_ENCRYPTED_MS 20

/* libpq's text, one line, without the trailing full stop and line break. */
void pg_one_line(const char *text, char *out, size_t size) {
    (void)snprintf(out, size, "%s", text ? text : "");
    size_t n = strlen(out);
    while (n && (out[n - 1] == '\n' || out[n - 1] == ' ' || out[n - 1] == '.'))
        out[--n] = '\0';
    for (char *p = out; *p; p++)
        if ((unsigned char)*p < ' ')
            *p = ' ';
}

/* ---- errors ---- */

/* Classes that pass by themselves (PostgreSQL 15 docs, appendix A): connection, rollback,
 * resources, intervention, and an object that is in use. */
bool pg_state_passes(const char *sqlstate) {
    static const char *const classes[] = {"08", "40", "53"};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (strncmp(sqlstate, classes[i], 2) == 0)
            return true;
    static const char *const states[] = {"55006", "55P03", "57P01", "57P02", "57P03", "57P05"};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (strcmp(sqlstate, states[i]) == 0)
            return true;
    return false;
}

int pg_lost(struct pg *pg, struct err *err) {
    char text[ERR_TEXT_MAX / 2];
    pg_one_line(PQerrorMessage(pg->conn), text, sizeof text);
    return err_set_retriable(err, ERR_UNREACHABLE, "connection to the source is lost: %s", text);
}

int pg_result_error(struct pg *pg, const PGresult *r, struct err *err) {
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    if (!state)
        return pg_lost(pg, err);
    (void)snprintf(pg->sqlstate, sizeof pg->sqlstate, "%s", state);
    char text[ERR_TEXT_MAX / 2];
    pg_one_line(PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY), text, sizeof text);
    if (pg_state_passes(state))
        return err_set_retriable(err, ERR_UNREACHABLE, "source: %s (SQLSTATE %s)", text, state);
    return err_set(err, ERR_UNREACHABLE, "source: %s (SQLSTATE %s)", text, state);
}

const char *pg_sqlstate(const struct pg *pg) {
    return pg->sqlstate;
}

/* ---- session ---- */

void pg_free(struct pg *pg) {
    if (!pg)
        return;
    PQfreemem(pg->copy_line);
    PQfinish(pg->conn);
    free(pg);
}

PGconn *pg_conn(struct pg *pg) {
    return pg->conn;
}

int pg_server_version(const struct pg *pg) {
    return PQserverVersion(pg->conn);
}

/* ---- statements ---- */

void pg_cancel(struct pg *pg) {
    char ignored[256];
    PGcancel *cancel = PQgetCancel(pg->conn);
    if (!cancel)
        return;
    (void)PQcancel(cancel, ignored, sizeof ignored);
    PQfreeCancel(cancel);
}

void pg_end_on_stop(struct pg *pg, bool first_request) {
    pg->ends_early = first_request;
}

/* Rounded up, so that a wait does not end just before its deadline again and again. */
static int wait_ms(const struct pg *pg, bool encrypted) {
    int64_t ms = encrypted ? WAIT_ENCRYPTED_MS : WAIT_MS;
    int64_t left = pg->until_us ? (pg->until_us - clock_mono_us() + 999) / 1000 : ms;
    return (int)(left < 0 ? 0 : left < ms ? left : ms);
}

int pg_late(struct pg *pg, struct err *err) {
    pg->timed_out = true;
    return err_set_retriable(err, ERR_UNREACHABLE, "the source did not answer in time");
}

int pg_wait_readable(struct pg *pg, struct err *err) {
    /* What the TLS library has read ahead is not on the socket: poll cannot see it, so the caller
     * looks again soon. */
    bool encrypted = PQsslInUse(pg->conn) || PQgssEncInUse(pg->conn);
    for (;;) {
        /* First: a value that keeps coming is readable at any time. */
        if (pg->until_us && clock_mono_us() >= pg->until_us)
            return pg_late(pg, err);
        struct pollfd p = {.fd = PQsocket(pg->conn), .events = POLLIN};
        int n = poll(&p, 1, wait_ms(pg, encrypted));
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return pg_lost(pg, err);
        if (stop_forced() || (pg->ends_early && stop_requested())) {
            pg_cancel(pg);
            return err_set(err, ERR_STOPPED, "stopped while the source was working");
        }
        if (encrypted)
            return 0;
    }
}

int pg_next_result(struct pg *pg, PGresult **ret, struct err *err) {
    while (PQisBusy(pg->conn)) {
        int rc = pg_wait_readable(pg, err);
        if (rc < 0)
            return rc;
        if (!PQconsumeInput(pg->conn))
            return pg_lost(pg, err);
    }
    *ret = PQgetResult(pg->conn);
    return 0;
}

static bool is_copy(const PGresult *r) {
    ExecStatusType status = PQresultStatus(r);
    return status == PGRES_COPY_OUT || status == PGRES_COPY_IN || status == PGRES_COPY_BOTH;
}

static bool is_good(const PGresult *r) {
    ExecStatusType status = PQresultStatus(r);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY ||
           is_copy(r);
}

static int send_statement(struct pg *pg, const char *sql, size_t count, const struct span *params) {
    if (count == 0)
        return PQsendQuery(pg->conn, sql);
    char **texts = mem_zalloc(count, sizeof *texts);
    for (size_t i = 0; i < count; i++)
        texts[i] = params[i].ptr ? mem_strndup(params[i].ptr, params[i].len) : NULL;
    int sent = PQsendQueryParams(pg->conn, sql, (int)count, NULL, (const char *const *)texts, NULL,
                                 NULL, 0);
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
    return sent;
}

int pg_run(struct pg *pg, const char *sql, size_t count, const struct span *params, PGresult **ret,
           struct err *err) {
    PGresult *last = NULL;
    int failed = 0;
    pg->sqlstate[0] = '\0';
    for (size_t i = 0; i < count; i++)
        if (params[i].len && memchr(params[i].ptr, '\0', params[i].len))
            return err_set(err, ERR_VALUE, "a value holds a NUL, which PostgreSQL does not have");
    if (!send_statement(pg, sql, count, params))
        return pg_lost(pg, err);
    for (;;) {
        PGresult *r = NULL;
        int rc = pg_next_result(pg, &r, err);
        if (rc < 0) {
            PQclear(last);
            return rc;
        }
        if (!r)
            break;
        if (failed == 0 && !is_good(r))
            failed = pg_result_error(pg, r, err);
        PQclear(last);
        last = r;
        if (is_copy(r))
            break;
    }
    if (failed) {
        PQclear(last);
        return failed;
    }
    *ret = last;
    return 0;
}

struct pg_result {
    PGresult *r;
};

static int wrap(PGresult *r, struct pg_result **ret_result) {
    if (!ret_result) {
        PQclear(r);
        return 0;
    }
    *ret_result = mem_zalloc(1, sizeof **ret_result);
    (*ret_result)->r = r;
    return 0;
}

int pg_exec(struct pg *pg, const char *sql, struct pg_result **ret_result, struct err *err) {
    PGresult *r = NULL;
    int rc = pg_run(pg, sql, 0, NULL, &r, err);
    return rc < 0 ? rc : wrap(r, ret_result);
}

int pg_query(struct pg *pg, const char *sql, size_t count, const struct span *params,
             struct pg_result **ret_result, struct err *err) {
    PGresult *r = NULL;
    int rc = pg_run(pg, sql, count, params, &r, err);
    return rc < 0 ? rc : wrap(r, ret_result);
}

void pg_result_free(struct pg_result *r) {
    if (!r)
        return;
    PQclear(r->r);
    free(r);
}

size_t pg_rows(const struct pg_result *r) {
    return (size_t)PQntuples(r->r);
}

struct span pg_value(const struct pg_result *r, size_t row, size_t column) {
    int i = (int)row, k = (int)column;
    if (PQgetisnull(r->r, i, k))
        return (struct span){0};
    return span_make(PQgetvalue(r->r, i, k), (size_t)PQgetlength(r->r, i, k));
}

/* ---- text of statements ---- */

void pg_add_ident(struct buf *b, const char *name) {
    buf_add_char(b, '"');
    for (const char *p = name; *p; p++) {
        if (*p == '"')
            buf_add_char(b, '"');
        buf_add_char(b, *p);
    }
    buf_add_char(b, '"');
}

/* standard_conforming_strings is pinned, so a backslash means itself. */
void pg_add_literal(struct buf *b, struct span text) {
    buf_add_char(b, '\'');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\'')
            buf_add_char(b, '\'');
        buf_add_char(b, text.ptr[i]);
    }
    buf_add_char(b, '\'');
}

void pg_add_table(struct buf *b, const char *schema, const char *name) {
    pg_add_ident(b, schema);
    buf_add_char(b, '.');
    pg_add_ident(b, name);
}
