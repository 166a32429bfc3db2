/* Edges that have asked for flags. */
#include "base/mem.h"
#include "state/edge.h"
#include "state/statement.h"

#define EDGES_MAX 10000 /* whoever puts them has a smaller limit */

int state_edge_list(struct state *s, struct state_edge **ret, size_t *ret_count, struct err *err) {
    struct statement st;
    struct state_edge *list = NULL;
    size_t count = 0;
    int rc;
    statement_begin(&st, s, "SELECT name, id, seen_us FROM edge ORDER BY name");
    while ((rc = statement_row(&st, err)) > 0) {
        if (count == EDGES_MAX) {
            rc = err_set(err, ERR_LIMIT, "more than %d edges", EDGES_MAX);
            break;
        }
        list = mem_realloc(list, count + 1, sizeof *list);
        struct state_edge *e = &list[count++];
        statement_get_text(&st, 0, e->name, sizeof e->name);
        statement_get_text(&st, 1, e->id, sizeof e->id);
        e->seen_us = statement_get_int(&st, 2);
    }
    statement_end(&st);
    if (rc < 0) {
        free(list);
        return rc;
    }
    *ret = list;
    *ret_count = count;
    return 0;
}

int state_edge_put(struct state *s, const struct state_edge *edge, struct err *err) {
    struct statement st;
    statement_begin(&st, s, "INSERT OR REPLACE INTO edge (name, id, seen_us) VALUES (?, ?, ?)");
    statement_text(&st, edge->name);
    statement_text(&st, edge->id);
    statement_int(&st, edge->seen_us);
    return statement_run(&st, NULL, err);
}

int state_edge_forget(struct state *s, const char *name, const struct state_audit_line *line,
                      bool *ret_there, struct err *err) {
    struct statement st;
    int64_t changed = 0;
    int rc = audited_begin(s, line, err);
    if (rc < 0)
        return rc;
    statement_begin(&st, s, "DELETE FROM edge WHERE name = ?");
    statement_text(&st, name);
    rc = statement_run(&st, &changed, err);
    rc = audited_end(s, rc, changed > 0, line, err);
    if (rc == 0)
        *ret_there = changed > 0;
    return rc;
}
