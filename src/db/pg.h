/*
 * A PostgreSQL session: connect with pinned settings, run SQL, read COPY.
 *
 * Every session (replication too) pins what changes the text form of values: DateStyle ISO,
 * IntervalStyle, TimeZone UTC, extra_float_digits, bytea_output hex, lc_monetary C,
 * standard_conforming_strings, client_encoding UTF8, row_security off, an empty search_path, and
 * no statement, lock or idle timeouts; so a value has one text form everywhere in Banyan.
 * Identifiers go through pg_add_ident, values through parameters or, where the server takes none
 * (COPY, replication commands), through pg_add_literal. One thread at a time.
 */
#ifndef BANYAN_DB_PG_H
#define BANYAN_DB_PG_H

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

#include <libpq-fe.h>

/* PostgreSQL's binary times count microseconds from 2000-01-01. */
#define PG_EPOCH_US INT64_C(946684800000000)

struct pg;
struct pg_result;

enum pg_mode { PG_SQL, PG_REPLICATION };

/* `app` becomes application_name. Errors never hold the password. ERR_UNREACHABLE, retriable where
 * waiting may help (refused, starting up, too many connections, cut, a standby); ERR_ACCESS when
 * the server does not let us in; ERR_CONF for a URI that cannot be. */
int pg_connect(const char *uri, enum pg_mode mode, const char *app, struct pg **ret_pg,
               struct err *err) must_check;
void pg_free(struct pg *pg);
DEFINE_CLEANUP(struct pg *, pg_free)

/* The libpq connection, for the replication protocol (source/). Borrowed. */
PGconn *pg_conn(struct pg *pg);
int pg_server_version(const struct pg *pg); /* 150004 for 15.4 */

/* Waits of this session end with ERR_STOPPED when the stop is forced; with `first_request` already
 * when it is asked for. For waits before which nothing is under way. */
void pg_end_on_stop(struct pg *pg, bool first_request);

/* One statement, or several without results in one simple query. ret_result may be NULL. An error
 * carries the server's message and SQLSTATE; `retriable` is set for what passes by itself
 * (pg_state_passes) and for a lost connection. */
int pg_exec(struct pg *pg, const char *sql, struct pg_result **ret_result,
            struct err *err) must_check;

/* One statement with text parameters; a parameter with ptr NULL is SQL NULL. */
int pg_query(struct pg *pg, const char *sql, size_t count, const struct span *params,
             struct pg_result **ret_result, struct err *err) must_check;

/* Five characters of the last failed statement; "" when there is none. Valid until the next call.
 */
const char *pg_sqlstate(const struct pg *pg);

void pg_result_free(struct pg_result *r);
DEFINE_CLEANUP(struct pg_result *, pg_result_free)
size_t pg_rows(const struct pg_result *r);
/* Valid as long as the result. ptr is NULL for SQL NULL. */
struct span pg_value(const struct pg_result *r, size_t row, size_t column);

/* Appends "name" with quotes doubled; 'text' as a literal, safe under any content. */
void pg_add_ident(struct buf *b, const char *name);
void pg_add_literal(struct buf *b, struct span text);
/* "schema"."name" */
void pg_add_table(struct buf *b, const char *schema, const char *name);

/*
 * COPY (...) TO STDOUT in text format, row by row: the one way Banyan reads rows in bulk.
 * pg_copy_next gives columns unescaped; spans are valid until the next call; ptr NULL is SQL NULL.
 * It returns 1 for a row, 0 at the end (the statement is then finished and was successful), or an
 * error, after which the COPY is over. pg_copy_abort cancels and drains a COPY that was not read to
 * its end.
 */
int pg_copy_start(struct pg *pg, const char *sql, struct err *err) must_check;
int pg_copy_next(struct pg *pg, struct span *columns, size_t count, struct err *err) must_check;
void pg_copy_abort(struct pg *pg);

/* Unescapes one COPY text line in place into `count` columns; false if it has another number of
 * columns or a broken escape (PostgreSQL 15 docs, COPY, "Text Format"). Pure; for tests. */
bool pg_copy_split(char *line, size_t len, struct span *columns, size_t count);

#endif
