/*
 * SQLite behind the state's functions: one statement at a time, errors with a way out. Private to
 * state/. A statement holds the state's lock from `statement_begin` to `statement_end`.
 */
#ifndef BANYAN_STATE_STATEMENT_H
#define BANYAN_STATE_STATEMENT_H

#include "state/state.h"

#include <pthread.h>
#include <sqlite3.h>

/* More different statements than the state's functions have; the rest would be prepared each time.
 */
#define STATEMENTS_KEPT 96

struct kept_statement {
    const char *sql;
    sqlite3_stmt *handle;
    bool busy; /* begun and not ended: the same SQL inside is prepared anew */
};

struct state {
    char *path;
    sqlite3 *db;
    pthread_mutex_t lock; /* recursive; guards all below */
    struct kept_statement kept[STATEMENTS_KEPT];
    size_t kept_count;
};

struct statement {
    struct state *s;
    sqlite3_stmt *handle;
    struct kept_statement *kept; /* NULL: finalized at its end */
    int parameter;               /* last bound */
    int code;                    /* first SQLite error; 0 */
};

/* What to do where the state file, or one beside it, cannot be opened (an errno). Static text. */
const char *state_file_way_out(int number);

/* `sql` is static text: it is prepared once and found again by its address. */
void statement_begin(struct statement *st, struct state *s, const char *sql);
/* Before the database is closed. */
void statements_finalize(struct state *s);
void statement_text(struct statement *st, const char *text);
void statement_int(struct statement *st, int64_t v);
void statement_blob(struct statement *st, struct span blob); /* ptr NULL: NULL */

/* Next row: 1, end: 0, error: negative (code ERR_STATE; the statement is ended then). */
int statement_row(struct statement *st, struct err *err) must_check;
/* Releases it and the lock. Safe after an error. */
void statement_end(struct statement *st);

/* Runs a statement without rows; ret_changed may be NULL. Ends it. */
int statement_run(struct statement *st, int64_t *ret_changed, struct err *err) must_check;

int64_t statement_get_int(const struct statement *st, int column);
/* Cut to fit, always with NUL. */
void statement_get_text(const struct statement *st, int column, char *out, size_t size);
/* A heap copy; NULL for NULL. */
char *statement_get_blob(const struct statement *st, int column, size_t *ret_len);

/* Turns an SQLite result into our error, with the way out. */
int state_error(const struct state *s, int code, struct err *err);

/* A line of the audit log, inside a transaction: checked first, then added. */
int audit_check(const struct state_audit_line *line, struct err *err) must_check;
int audit_add(struct state *s, const struct state_audit_line *line, int64_t now_us,
              struct err *err) must_check;

/* A change and its line of the audit log, both or neither: a transaction around the change, which
 * gave `rc`; without `changed` nothing is logged. */
int audited_begin(struct state *s, const struct state_audit_line *line, struct err *err) must_check;
int audited_end(struct state *s, int rc, bool changed, const struct state_audit_line *line,
                struct err *err) must_check;

/* Several statements as one: begin takes the lock, the end gives it back. Inside, use
 * statement_begin as usual (the lock is recursive). */
int state_transaction(struct state *s, struct err *err) must_check;
int state_commit(struct state *s, int rc, struct err *err) must_check; /* rolls back when rc < 0 */

#endif
