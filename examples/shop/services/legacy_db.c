#include "legacy_db.h"

#include "base/mem.h"
#include "service.h"

#include <pthread.h>
#include <string.h>

struct legacy_db {
    char *uri;
    pthread_mutex_t lock;
    PGconn *idle[SHOP_WORKERS];
    size_t count;
};

struct legacy_db *legacy_db_new(const char *uri) {
    struct legacy_db *db = mem_zalloc(1, sizeof *db);
    db->uri = mem_strdup(uri);
    (void)pthread_mutex_init(&db->lock, NULL);
    return db;
}

void legacy_db_free(struct legacy_db *db) {
    if (!db)
        return;
    while (db->count)
        PQfinish(db->idle[--db->count]);
    (void)pthread_mutex_destroy(&db->lock);
    free(db->uri);
    free(db);
}

static PGconn *connect_now(const struct legacy_db *db) {
    char options[64];
    (void)snprintf(options, sizeof options, "-c statement_timeout=%d", SHOP_PATIENCE_MS);
    const char *const names[] = {"dbname",           "application_name", "connect_timeout",
                                 "tcp_user_timeout", "options",          NULL};
    const char *const values[] = {db->uri, "shop-legacy", "2", "2000", options, NULL};
    PGconn *connection = PQconnectdbParams(names, values, 1);
    if (PQstatus(connection) == CONNECTION_OK)
        return connection;
    PQfinish(connection);
    return NULL;
}

static PGconn *take(struct legacy_db *db) {
    PGconn *connection = NULL;
    (void)pthread_mutex_lock(&db->lock);
    if (db->count)
        connection = db->idle[--db->count];
    (void)pthread_mutex_unlock(&db->lock);
    return connection ? connection : connect_now(db);
}

static void give(struct legacy_db *db, PGconn *connection) {
    (void)pthread_mutex_lock(&db->lock);
    bool room = db->count < SHOP_WORKERS && PQstatus(connection) == CONNECTION_OK;
    if (room)
        db->idle[db->count++] = connection;
    (void)pthread_mutex_unlock(&db->lock);
    if (!room)
        PQfinish(connection);
}

/* After a restart of the server every idle connection is dead: none of them is worth a try. */
static void drop_idle(struct legacy_db *db) {
    PGconn *dead[SHOP_WORKERS];
    (void)pthread_mutex_lock(&db->lock);
    size_t count = db->count;
    memcpy(dead, db->idle, sizeof dead);
    db->count = 0;
    (void)pthread_mutex_unlock(&db->lock);
    while (count)
        PQfinish(dead[--count]);
}

PGresult *legacy_db_ask(struct legacy_db *db, const struct legacy_question *q) {
    for (int again = q->read ? 1 : 0; again >= 0; again--) {
        PGconn *connection = take(db);
        if (!connection)
            return NULL;
        PGresult *r = PQexecParams(connection, q->sql, q->count, NULL, q->params, NULL, NULL, 0);
        bool alive = PQstatus(connection) == CONNECTION_OK;
        give(db, connection);
        if (alive)
            return r;
        PQclear(r);
        drop_idle(db);
    }
    return NULL;
}
