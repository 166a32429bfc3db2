/* Who answers a module's requests, as people set it at run time. */
#include "state/statement.h"

#include <stdio.h>

int state_routing_get(struct state *s, const char *module, struct state_routing *ret,
                      struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "SELECT version, coalesce(reads, ''), coalesce(writes, ''), "
                    "coalesce(fallback, -1) FROM routing WHERE module = ?");
    statement_text(&st, module);
    int rc = statement_row(&st, err);
    if (rc < 0)
        return rc;
    *ret = (struct state_routing){.fallback = -1};
    (void)snprintf(ret->module, sizeof ret->module, "%s", module);
    if (rc > 0) {
        ret->version = statement_get_int(&st, 0);
        statement_get_text(&st, 1, ret->reads, sizeof ret->reads);
        statement_get_text(&st, 2, ret->writes, sizeof ret->writes);
        ret->fallback = (int)statement_get_int(&st, 3);
    }
    statement_end(&st);
    return 0;
}

static int put(struct state *s, const struct state_routing *r, struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "INSERT OR REPLACE INTO routing (module, version, reads, writes, fallback) "
                    "VALUES (?, ?, nullif(?, ''), nullif(?, ''), nullif(?, -1))");
    statement_text(&st, r->module);
    statement_int(&st, r->version + 1);
    statement_text(&st, r->reads);
    statement_text(&st, r->writes);
    statement_int(&st, r->fallback);
    return statement_run(&st, NULL, err);
}

int state_routing_change(struct state *s, const struct state_routing *r,
                         const struct state_audit_line *line, int64_t *ret_version,
                         bool *ret_conflict, struct err *err) {
    struct state_routing stored;
    int rc = audited_begin(s, line, err);
    if (rc < 0)
        return rc;
    rc = state_routing_get(s, r->module, &stored, err);
    bool conflict = rc == 0 && stored.version != r->version;
    if (rc == 0 && !conflict)
        rc = put(s, r, err);
    rc = audited_end(s, rc, !conflict, line, err);
    if (rc == 0) {
        *ret_conflict = conflict;
        *ret_version = conflict ? stored.version : r->version + 1;
    }
    return rc;
}
