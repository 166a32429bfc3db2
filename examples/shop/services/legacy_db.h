/*
 * Connections to the shop's PostgreSQL for the workers of the legacy service.
 *
 * A worker takes one, asks, gives it back; a broken one is thrown away, and the next worker makes
 * another. Any thread.
 */
#ifndef SHOP_LEGACY_DB_H
#define SHOP_LEGACY_DB_H

#include "base/compiler.h"

#include <libpq-fe.h>
#include <stdbool.h>

struct legacy_db;

struct legacy_db *legacy_db_new(const char *uri);
void legacy_db_free(struct legacy_db *db);

struct legacy_question {
    const char *sql;
    int count;
    const char *const *params; /* text; NULL is SQL NULL */
    /* On a connection that turns out to be dead it is asked once more. Never for a write: nobody
     * knows whether the first one happened. */
    bool read;
};

/* The rows, to be cleared by the caller; NULL: out of reach. A statement that failed is told by
 * PQresultStatus and its SQLSTATE. */
PGresult *legacy_db_ask(struct legacy_db *db, const struct legacy_question *q) must_check;

static inline void legacy_clearp(PGresult **r) {
    PQclear(*r);
}

#endif
