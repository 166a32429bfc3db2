#include "db/pg_session.h"

#include "base/mem.h"
#include "base/stop.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define WAIT_MS 200

/* What changes the text form of a value, and what would end a session that works long. */
static const char pin_all[] =
    "SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET TimeZone = 'UTC'; "
    "SET extra_float_digits = 3; SET bytea_output = 'hex'; SET lc_monetary = 'C'; "
    "SET standard_conforming_strings = on; SET client_encoding = 'UTF8'; SET row_security = off; "
    "SET search_path = ''; SET statement_timeout = 0; SET lock_timeout = 0; "
    "SET idle_in_transaction_session_timeout = 0";
static const char pin_from_14[] = "SET idle_session_timeout = 0";
static const char pin_from_17[] = "SET transaction_timeout = 0";

static void ignore_notice(void *context, const PGresult *r) {
    (void)context;
    (void)r;
}

/* libpq's text, one line, without the trailing full stop and line break. */
static void one_line(const char *text, char *out, size_t size) {
    (void)snprintf(out, size, "%s", text ? text : "");
    size_t n = strlen(out);
    while (n && (out[n - 1] == '\n' || out[n - 1] == ' ' || out[n - 1] == '.'))
        out[--n] = '\0';
    for (char *p = out; *p; p++)
        if (*p == '\n' || *p == '\t')
            *p = ' ';
}

/* ---- errors ---- */

/* Classes that pass by themselves (PostgreSQL 15 docs, appendix A): connection, rollback,
 * resources, intervention, and an object that is in use. */
static bool state_passes(const char *sqlstate) {
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
    one_line(PQerrorMessage(pg->conn), text, sizeof text);
    return err_set_retriable(err, ERR_UNREACHABLE, "connection to the source is lost: %s", text);
}

int pg_result_error(struct pg *pg, const PGresult *r, struct err *err) {
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    if (!state)
        return pg_lost(pg, err);
    (void)snprintf(pg->sqlstate, sizeof pg->sqlstate, "%s", state);
    char text[ERR_TEXT_MAX / 2];
    one_line(PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY), text, sizeof text);
    if (state_passes(state))
        return err_set_retriable(err, ERR_UNREACHABLE, "source: %s (SQLSTATE %s)", text, state);
    return err_set(err, ERR_UNREACHABLE, "source: %s (SQLSTATE %s)", text, state);
}

const char *pg_sqlstate(const struct pg *pg) {
    return pg->sqlstate;
}

/* ---- connecting ---- */

/* Wrong passwords and unknown databases stay wrong; all else may pass. */
static bool connect_may_pass(const char *text) {
    static const char *const final[] = {"password authentication failed",
                                        "no password supplied",
                                        "does not exist",
                                        "no pg_hba.conf entry",
                                        "certificate",
                                        "SSL error",
                                        "permission denied",
                                        "authentication",
                                        "not permitted",
                                        "does not support SSL",
                                        "must be superuser or replication role"};
    for (size_t i = 0; i < sizeof final / sizeof *final; i++)
        if (strstr(text, final[i]))
            return false;
    return true;
}

static int connect_error(const struct pg *pg, struct err *err) {
    char text[ERR_TEXT_MAX / 2];
    one_line(PQerrorMessage(pg->conn), text, sizeof text);
    if (connect_may_pass(text))
        return err_set_retriable(err, ERR_UNREACHABLE, "cannot connect to the source: %s", text);
    return err_set(err, ERR_UNREACHABLE, "cannot connect to the source: %s", text);
}

/* libpq's own error for a broken URI repeats it, password and all: so it is not shown. */
static int check_uri(const char *uri, struct err *err) {
    char *message = NULL;
    PQconninfoOption *options = PQconninfoParse(uri, &message);
    PQfreemem(message);
    if (!options)
        return err_set(
            err, ERR_CONF,
            "source.uri is not a connection URI of libpq: postgresql://user@host/database");
    PQconninfoFree(options);
    return 0;
}

static int pin(struct pg *pg, struct err *err) {
    int rc = pg_exec(pg, pin_all, NULL, err);
    if (rc == 0 && pg_server_version(pg) >= 140000)
        rc = pg_exec(pg, pin_from_14, NULL, err);
    if (rc == 0 && pg_server_version(pg) >= 170000)
        rc = pg_exec(pg, pin_from_17, NULL, err);
    return rc;
}

int pg_connect(const char *uri, enum pg_mode mode, const char *app, struct pg **ret_pg,
               struct err *err) {
    int rc = check_uri(uri, err);
    if (rc < 0)
        return rc;
    /* Behind `dbname`, which the URI expands, later keywords win; those before it are defaults. */
    const char *keys[] = {"connect_timeout",  "keepalives_idle",  "keepalives_interval",
                          "keepalives_count", "tcp_user_timeout", "dbname",
                          "application_name", "replication",      NULL};
    const char *values[] = {
        "10", "30", "10", "3", "60000", uri, app, mode == PG_REPLICATION ? "database" : NULL, NULL};
    _cleanup_(pg_freep) struct pg *pg = mem_zalloc(1, sizeof *pg);
    pg->conn = PQconnectdbParams(keys, values, 1);
    if (!pg->conn || PQstatus(pg->conn) != CONNECTION_OK)
        return connect_error(pg, err);
    PQsetNoticeReceiver(pg->conn, ignore_notice, NULL);
    rc = pin(pg, err);
    if (rc < 0)
        return rc;
    *ret_pg = pg;
    pg = NULL;
    return 0;
}

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

int pg_wait_readable(struct pg *pg, struct err *err) {
    for (;;) {
        struct pollfd p = {.fd = PQsocket(pg->conn), .events = POLLIN};
        int n = poll(&p, 1, WAIT_MS);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return pg_lost(pg, err);
        if (stop_forced()) {
            pg_cancel(pg);
            return err_set(err, ERR_STOPPED, "stopped while the source was working");
        }
    }
}

static int next_result(struct pg *pg, PGresult **ret, struct err *err) {
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
    if (!send_statement(pg, sql, count, params))
        return pg_lost(pg, err);
    for (;;) {
        PGresult *r = NULL;
        int rc = next_result(pg, &r, err);
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
