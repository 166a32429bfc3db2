/* Documents that cannot be written now. */
#include "base/clock.h"
#include "base/mem.h"
#include "state/statement.h"

void state_parked_clear(struct state_parked *p) {
    free(p->identity);
    free(p->key);
    *p = (struct state_parked){0};
}

int state_parked_put(struct state *s, const struct state_parked *p, struct span identity,
                     struct span key, struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "INSERT INTO parked (pipeline, collection, identity, key, reason, code, "
                    "first_lsn, last_lsn, deferred, parked_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, "
                    "?) ON CONFLICT (pipeline, collection, identity) DO UPDATE SET key = "
                    "excluded.key, reason = excluded.reason, code = excluded.code, last_lsn = "
                    "max(last_lsn, excluded.last_lsn), deferred = excluded.deferred, attempts = "
                    "attempts + 1");
    statement_text(&st, p->pipeline);
    statement_text(&st, p->collection);
    statement_blob(&st, identity);
    statement_blob(&st, key);
    statement_text(&st, p->reason);
    statement_int(&st, p->code);
    statement_int(&st, (int64_t)p->last_lsn);
    statement_int(&st, (int64_t)p->last_lsn);
    statement_int(&st, p->deferred);
    statement_int(&st, clock_wall_us());
    return statement_run(&st, NULL, err);
}

int state_parked_delete(struct state *s, const char *pipeline, const char *collection,
                        struct span identity, struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "DELETE FROM parked WHERE pipeline = ? AND collection = ? AND identity = ?");
    statement_text(&st, pipeline);
    statement_text(&st, collection);
    statement_blob(&st, identity);
    return statement_run(&st, NULL, err);
}

int state_parked_delete_all(struct state *s, const char *pipeline, const char *collection,
                            struct err *err) {
    struct statement st;
    statement_begin(&st, s, "DELETE FROM parked WHERE pipeline = ? AND collection = ?");
    statement_text(&st, pipeline);
    statement_text(&st, collection);
    return statement_run(&st, NULL, err);
}

#define COLUMNS                                                                                    \
    "id, pipeline, collection, reason, code, first_lsn, last_lsn, attempts, deferred, parked_us, " \
    "identity, key"

static void read_parked(const struct statement *st, struct state_parked *p) {
    *p = (struct state_parked){.id = statement_get_int(st, 0),
                               .code = (int)statement_get_int(st, 4),
                               .first_lsn = (lsn_t)statement_get_int(st, 5),
                               .last_lsn = (lsn_t)statement_get_int(st, 6),
                               .attempts = (int)statement_get_int(st, 7),
                               .deferred = statement_get_int(st, 8) != 0,
                               .parked_us = statement_get_int(st, 9)};
    statement_get_text(st, 1, p->pipeline, sizeof p->pipeline);
    statement_get_text(st, 2, p->collection, sizeof p->collection);
    statement_get_text(st, 3, p->reason, sizeof p->reason);
    p->identity = statement_get_blob(st, 10, &p->identity_len);
    p->key = statement_get_blob(st, 11, &p->key_len);
}

int state_parked_get(struct state *s, int64_t id, struct state_parked *ret, bool *ret_found,
                     struct err *err) {
    struct statement st;
    *ret = (struct state_parked){0};
    statement_begin(&st, s, "SELECT " COLUMNS " FROM parked WHERE id = ?");
    statement_int(&st, id);
    int rc = statement_row(&st, err);
    if (rc < 0)
        return rc;
    *ret_found = rc > 0;
    if (rc > 0)
        read_parked(&st, ret);
    statement_end(&st);
    return 0;
}

int state_parked_count(struct state *s, const char *pipeline, int64_t *ret, struct err *err) {
    struct statement st;
    statement_begin(&st, s, "SELECT count(*) FROM parked WHERE ?1 = '' OR pipeline = ?1");
    statement_text(&st, pipeline ? pipeline : "");
    int rc = statement_row(&st, err);
    if (rc < 0)
        return rc;
    *ret = rc > 0 ? statement_get_int(&st, 0) : 0;
    statement_end(&st);
    return 0;
}

int state_parked_list(struct state *s, const char *pipeline, int64_t after, size_t max,
                      struct state_parked **ret, size_t *ret_count, struct err *err) {
    struct statement st;
    struct state_parked *list = NULL;
    size_t n = 0;
    int rc;
    statement_begin(&st, s,
                    "SELECT " COLUMNS " FROM parked WHERE (?1 = '' OR pipeline = ?1) AND id > ?2 "
                    "ORDER BY id LIMIT ?3");
    statement_text(&st, pipeline ? pipeline : "");
    statement_int(&st, after);
    statement_int(&st, max > INT64_MAX ? INT64_MAX : (int64_t)max);
    while ((rc = statement_row(&st, err)) > 0) {
        list = mem_realloc(list, n + 1, sizeof *list);
        read_parked(&st, &list[n++]);
    }
    *ret = list;
    *ret_count = n;
    if (rc < 0)
        return rc;
    statement_end(&st);
    return 0;
}
