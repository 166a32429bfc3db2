/*
 * The SQL text of an operation: `:name` becomes $n, everything else stays. Pure.
 *
 * Lexed as PostgreSQL lexes it (manual, 4.1): quotes, E'' with its backslashes and continuations,
 * quoted names, dollar quotes, comments (nested), `::`, `:=`. What is refused: a second statement,
 * a statement that is no read by its first word, $1, set_config (it could undo the read-only
 * session), U&"" (a name that hides what it is), and text that does not end what it began.
 */
#ifndef BANYAN_OPERATION_SQL_TEXT_H
#define BANYAN_OPERATION_SQL_TEXT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

#include <stdbool.h>

#define SQL_TEXT_PARAMS_MAX 128 /* each parameter plain and as a pattern */

struct sql_text {
    struct buf text; /* with $n; a NUL behind it */
    size_t count;
    struct {
        int param; /* as the caller's function numbers them */
        bool like; /* :name|like */
    } params[SQL_TEXT_PARAMS_MAX];
};
void sql_text_release(struct sql_text *t);

/* The number of a parameter; -1: there is none of that name. */
typedef int (*sql_text_find_fn)(void *context, struct span name);

/* ERR_VALUE says what is wrong and near what. */
int sql_text_compile(struct span text, sql_text_find_fn find, void *context, struct sql_text *ret,
                     struct err *err) must_check;

#endif
