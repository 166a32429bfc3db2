/*
 * PostgreSQL sessions for requests of applications: read-only, prepared statements, every wait with
 * a deadline.
 *
 * A session whose call has timed out (pg_timed_out) is in the middle of something: the caller
 * cancels it, which may wait for the server, and frees it; nothing else can be done with it. One
 * thread at a time. Times are monotonic microseconds.
 */
#ifndef BANYAN_DB_PG_REQUEST_H
#define BANYAN_DB_PG_REQUEST_H

#include "db/pg.h"

#include <stdint.h>

/* Like pg_connect, for PG_SQL, with the settings pinned there, but: the search path is what the
 * server gives the user, transactions are read-only, and the server itself ends a statement after
 * `statement_us` (for the case that nobody is left to cancel it). */
int pg_request_connect(const char *uri, const char *app, int64_t statement_us, int64_t until_us,
                       struct pg **ret_pg, struct err *err) must_check;

/* One statement under a name; `types` are OIDs of its `count` parameters (0: the server finds out).
 * *ret_description: its columns; PQclear it. */
int pg_request_prepare(struct pg *pg, const char *name, const char *sql, size_t count,
                       const uint32_t *types, int64_t until_us, PGresult **ret_description,
                       struct err *err) must_check;

/* Called for each row, and once before them with row -1, when the columns are known (PQnfields,
 * PQfname, PQftype). Not 0: no more rows are wanted, and that is what pg_request_run returns. */
typedef int (*pg_row_fn)(void *context, const PGresult *result, int row, struct err *err);

/* Runs a prepared statement; rows come one by one as the server sends them. Text parameters; ptr
 * NULL is NULL. ERR_UNREACHABLE as pg_query; where `fn` ended it, the session is as after a time
 * out: to be cancelled and freed. *ret_open: it is. */
int pg_request_run(struct pg *pg, const char *name, size_t count, const struct span *params,
                   int64_t until_us, pg_row_fn fn, void *context, bool *ret_open,
                   struct err *err) must_check;

/* For what else is done with the session (pg_query, pg_catalog_*): until when. */
void pg_request_until(struct pg *pg, int64_t until_us);

/* The last call ended at its deadline. */
bool pg_timed_out(const struct pg *pg);

/* Whether the session is as pg_request_connect made it: no statement has made it writable. */
bool pg_is_read_only(const struct pg *pg);

/* Asks the server to end what the session does; waits for the server to take note: as long as it
 * takes connections and is stalled, but 10 s where its machine is out of reach (tcp_user_timeout,
 * unless the URI has another). */
void pg_cancel_request(struct pg *pg);

#endif
