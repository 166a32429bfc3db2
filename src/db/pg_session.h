/*
 * What the files of a PostgreSQL session share; also for source/repl.c, which speaks the
 * replication protocol over one. Private to them.
 */
#ifndef BANYAN_DB_PG_SESSION_H
#define BANYAN_DB_PG_SESSION_H

#include "db/pg.h"

/* One row of COPY: PostgreSQL's own limit for a value is 1 GB, ours for a row is this. */
#define PG_ROW_MAX ((size_t)1024 * 1024 * 1024)

struct pg {
    PGconn *conn;
    char *copy_line; /* of pg_copy_next */
    char sqlstate[6];
    bool ends_early;  /* see pg_end_on_stop */
    int64_t until_us; /* monotonic: waits end with pg_timed_out; 0: they do not */
    bool timed_out;
};

/* Sends one statement (count 0: simple protocol) and gives its last result, which the caller
 * clears. Errors as pg_exec. */
int pg_run(struct pg *pg, const char *sql, size_t count, const struct span *params, PGresult **ret,
           struct err *err) must_check;

/* Waits until the socket has something; ends with ERR_STOPPED when the stop is forced, and as
 * pg_late behind the deadline, whether the socket has something or not. */
int pg_wait_readable(struct pg *pg, struct err *err) must_check;

/* The error that a result holds, by SQLSTATE. */
int pg_result_error(struct pg *pg, const PGresult *r, struct err *err);
/* The next result of what was sent; NULL: that was the last. */
int pg_next_result(struct pg *pg, PGresult **ret, struct err *err) must_check;

/* One attempt to connect whose errors carry their SQLSTATE, ended at `until_us`; of several hosts
 * each gets its share of the time. The settings are those of pg_connect. The session is pinned. */
int pg_open(const char *uri, const char *app, int64_t until_us, struct pg **ret_pg,
            struct err *err) must_check;

/* The deadline has passed: retriable, and pg_timed_out is true. */
int pg_late(struct pg *pg, struct err *err);
/* The connection itself failed: retriable. */
int pg_lost(struct pg *pg, struct err *err);
void pg_cancel(struct pg *pg);

/* Whether errors of this SQLSTATE pass by themselves. */
bool pg_state_passes(const char *sqlstate);

/* libpq's text as one line, without the trailing full stop and line break. */
void pg_one_line(const char *text, char *out, size_t size);

#endif
