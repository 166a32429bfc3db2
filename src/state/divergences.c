/* What SQL and MongoDB disagreed about. */
#include "state/divergence.h"

#include "base/mem.h"
#include "state/statement.h"

#define EXPIRE_ROWS 1000 /* deleted in one transaction */
#define OTHER "other"

/* ---- adding ---- */

static int find_cause(struct state *s, const struct state_divergence_found *f, uint64_t fingerprint,
                      int64_t *ret_id, struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "UPDATE divergence SET count = count + 1, last_us = max(last_us, ?) "
                    "WHERE module = ? AND subject = ? AND fingerprint = ? RETURNING id");
    statement_int(&st, f->at_us);
    statement_text(&st, f->module);
    statement_text(&st, f->subject);
    statement_int(&st, (int64_t)fingerprint);
    int rc = statement_row(&st, err);
    if (rc < 0)
        return rc;
    *ret_id = rc > 0 ? statement_get_int(&st, 0) : 0;
    statement_end(&st);
    return 0;
}

static int count_causes(struct state *s, int64_t *ret, struct err *err) {
    struct statement st;
    statement_begin(&st, s, "SELECT count(*) FROM divergence");
    int rc = statement_row(&st, err);
    if (rc < 0)
        return rc;
    *ret = statement_get_int(&st, 0);
    statement_end(&st);
    return 0;
}

static int add_cause(struct state *s, const struct state_divergence_found *f, bool other,
                     int64_t *ret_id, struct err *err) {
    struct statement st;
    _cleanup_(mem_freep) char *shape = mem_strndup(f->shape.ptr ? f->shape.ptr : "", f->shape.len);
    statement_begin(&st, s,
                    "INSERT INTO divergence (module, subject, fingerprint, shape, kind, count, "
                    "first_us, last_us) VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?6) RETURNING id");
    statement_text(&st, f->module);
    statement_text(&st, f->subject);
    statement_int(&st, other ? 0 : (int64_t)f->fingerprint);
    statement_text(&st, other ? OTHER : shape);
    statement_text(&st, other ? OTHER : f->kind);
    statement_int(&st, f->at_us);
    int rc = statement_row(&st, err);
    if (rc < 0)
        return rc;
    *ret_id = statement_get_int(&st, 0);
    statement_end(&st);
    return 0;
}

/* Fingerprint 0 is what came after there were too many. */
static int take_cause(struct state *s, const struct state_divergence_found *f, int max,
                      int64_t *ret_id, struct err *err) {
    int64_t causes = 0;
    int rc = find_cause(s, f, f->fingerprint, ret_id, err);
    if (rc < 0 || *ret_id)
        return rc;
    rc = count_causes(s, &causes, err);
    if (rc < 0)
        return rc;
    if (causes < max)
        return add_cause(s, f, false, ret_id, err);
    rc = find_cause(s, f, 0, ret_id, err);
    return rc < 0 || *ret_id ? rc : add_cause(s, f, true, ret_id, err);
}

static void optional_span(struct statement *st, struct span text) {
    if (!text.ptr) {
        statement_blob(st, text);
        return;
    }
    _cleanup_(mem_freep) char *copy = mem_strndup(text.ptr, text.len);
    statement_text(st, copy);
}

static int add_example(struct state *s, const struct state_divergence_found *f, int64_t cause,
                       struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "INSERT INTO divergence_example (divergence, at_us, path, sql, mongodb, "
                    "request, parameters, reproducer, collection, key, sql_document, "
                    "mongodb_document, user) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    statement_int(&st, cause);
    statement_int(&st, f->at_us);
    optional_span(&st, f->path.ptr ? f->path : SPAN_LIT(""));
    optional_span(&st, f->sql);
    optional_span(&st, f->mongodb);
    optional_span(&st, f->request.ptr ? f->request : SPAN_LIT(""));
    optional_span(&st, f->parameters);
    optional_span(&st, f->reproducer.ptr ? f->reproducer : SPAN_LIT(""));
    optional_span(&st, span_of(f->collection));
    statement_blob(&st, f->key);
    optional_span(&st, f->sql_document);
    optional_span(&st, f->mongodb_document);
    statement_blob(&st, f->user);
    return statement_run(&st, NULL, err);
}

static int forget_oldest(struct state *s, int64_t cause, int keep, struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "DELETE FROM divergence_example WHERE divergence = ?1 AND id NOT IN (SELECT id "
                    "FROM divergence_example WHERE divergence = ?1 ORDER BY id DESC LIMIT ?2)");
    statement_int(&st, cause);
    statement_int(&st, keep);
    return statement_run(&st, NULL, err);
}

static int add_one(struct state *s, const struct state_divergence_found *f, int causes,
                   int examples, struct err *err) {
    int64_t cause = 0;
    int rc = take_cause(s, f, causes, &cause, err);
    if (rc == 0)
        rc = add_example(s, f, cause, err);
    return rc == 0 ? forget_oldest(s, cause, examples, err) : rc;
}

int state_divergences_add(struct state *s, const struct state_divergence_found *found, size_t count,
                          int causes, int examples, struct err *err) {
    int rc = state_transaction(s, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = add_one(s, &found[i], causes, examples, err);
    return state_commit(s, rc, err);
}

/* ---- reading ---- */

#define CAUSE_COLUMNS                                                                              \
    "id, module, subject, fingerprint, shape, kind, count, first_us, last_us, analyzed"

static void read_cause(const struct statement *st, struct state_divergence *d) {
    *d = (struct state_divergence){.id = statement_get_int(st, 0),
                                   .fingerprint = (uint64_t)statement_get_int(st, 3),
                                   .count = statement_get_int(st, 6),
                                   .first_us = statement_get_int(st, 7),
                                   .last_us = statement_get_int(st, 8),
                                   .analyzed = statement_get_int(st, 9) != 0};
    statement_get_text(st, 1, d->module, sizeof d->module);
    statement_get_text(st, 2, d->subject, sizeof d->subject);
    statement_get_text(st, 4, d->shape, sizeof d->shape);
    statement_get_text(st, 5, d->kind, sizeof d->kind);
}

int state_divergence_list(struct state *s, const struct state_divergence_filter *filter,
                          struct state_divergence **ret, size_t *ret_count, struct err *err) {
    struct statement st;
    struct state_divergence *list = NULL;
    size_t n = 0;
    int rc;
    statement_begin(&st, s,
                    "SELECT " CAUSE_COLUMNS " FROM divergence WHERE module = ifnull(?1, module) "
                    "AND subject = ifnull(?2, subject) AND (?3 < 0 OR analyzed = ?3) "
                    "ORDER BY count DESC, id LIMIT ?4");
    optional_span(&st, span_of(filter->module));
    optional_span(&st, span_of(filter->subject));
    statement_int(&st, filter->analyzed);
    statement_int(&st, filter->max > STATE_DIVERGENCES_MAX ? STATE_DIVERGENCES_MAX
                                                           : (int64_t)filter->max);
    while ((rc = statement_row(&st, err)) > 0) {
        list = mem_realloc(list, n + 1, sizeof *list);
        read_cause(&st, &list[n++]);
    }
    if (rc < 0) {
        free(list);
        return rc;
    }
    statement_end(&st);
    *ret = list;
    *ret_count = n;
    return 0;
}

int state_divergence_get(struct state *s, int64_t id, struct state_divergence *ret, bool *ret_found,
                         struct err *err) {
    struct statement st;
    statement_begin(&st, s, "SELECT " CAUSE_COLUMNS " FROM divergence WHERE id = ?");
    statement_int(&st, id);
    int rc = statement_row(&st, err);
    if (rc < 0)
        return rc;
    *ret_found = rc > 0;
    if (rc > 0)
        read_cause(&st, ret);
    statement_end(&st);
    return 0;
}

void state_example_clear(struct state_example *e) {
    free(e->sql);
    free(e->mongodb);
    free(e->request);
    free(e->parameters);
    free(e->reproducer);
    free(e->key);
    free(e->sql_document);
    free(e->mongodb_document);
    *e = (struct state_example){0};
}

static char *get_text(const struct statement *st, int column) {
    size_t len;
    return statement_get_blob(st, column, &len);
}

static void read_example(const struct statement *st, struct state_example *e) {
    *e = (struct state_example){.id = statement_get_int(st, 0),
                                .at_us = statement_get_int(st, 1),
                                .sql = get_text(st, 3),
                                .mongodb = get_text(st, 4),
                                .request = get_text(st, 5),
                                .parameters = get_text(st, 6),
                                .reproducer = get_text(st, 7),
                                .sql_document = get_text(st, 10),
                                .mongodb_document = get_text(st, 11)};
    statement_get_text(st, 2, e->path, sizeof e->path);
    statement_get_text(st, 8, e->collection, sizeof e->collection);
    e->key = statement_get_blob(st, 9, &e->key_len);
}

int state_example_list(struct state *s, int64_t divergence, struct state_example **ret,
                       size_t *ret_count, struct err *err) {
    struct statement st;
    int rc;
    *ret = NULL;
    *ret_count = 0;
    statement_begin(&st, s,
                    "SELECT id, at_us, path, sql, mongodb, request, parameters, reproducer, "
                    "ifnull(collection, ''), key, sql_document, mongodb_document "
                    "FROM divergence_example WHERE divergence = ? ORDER BY id DESC");
    statement_int(&st, divergence);
    while ((rc = statement_row(&st, err)) > 0) {
        *ret = mem_realloc(*ret, *ret_count + 1, sizeof **ret);
        read_example(&st, &(*ret)[(*ret_count)++]);
    }
    if (rc < 0)
        return rc;
    statement_end(&st);
    return 0;
}

/* ---- what people do ---- */

int state_divergence_analyze(struct state *s, int64_t id, bool analyzed,
                             const struct state_audit_line *line, bool *ret_found,
                             struct err *err) {
    struct statement st;
    int64_t changed = 0;
    int rc = audited_begin(s, line, err);
    if (rc < 0)
        return rc;
    statement_begin(&st, s, "UPDATE divergence SET analyzed = ? WHERE id = ?");
    statement_int(&st, analyzed);
    statement_int(&st, id);
    rc = statement_run(&st, &changed, err);
    rc = audited_end(s, rc, changed > 0, line, err);
    if (rc == 0)
        *ret_found = changed > 0;
    return rc;
}

int state_divergence_purge(struct state *s, struct span user, const struct state_audit_line *line,
                           int64_t *ret_count, struct err *err) {
    struct statement st;
    int rc = audited_begin(s, line, err);
    if (rc < 0)
        return rc;
    statement_begin(&st, s, "DELETE FROM divergence_example WHERE user = ?");
    statement_blob(&st, user);
    rc = statement_run(&st, ret_count, err);
    return audited_end(s, rc, true, line, err);
}

static int delete_some(struct state *s, const char *sql, int64_t until_us, struct err *err) {
    struct statement st;
    int64_t changed = EXPIRE_ROWS;
    int rc = 0;
    while (rc == 0 && changed == EXPIRE_ROWS) {
        statement_begin(&st, s, sql);
        statement_int(&st, until_us);
        statement_int(&st, EXPIRE_ROWS);
        rc = statement_run(&st, &changed, err);
    }
    return rc;
}

int state_divergence_expire(struct state *s, int64_t until_us, struct err *err) {
    int rc = delete_some(s,
                         "DELETE FROM divergence_example WHERE id IN (SELECT id FROM "
                         "divergence_example WHERE at_us < ? LIMIT ?)",
                         until_us, err);
    return rc < 0 ? rc
                  : delete_some(s,
                                "DELETE FROM divergence WHERE id IN (SELECT id FROM divergence "
                                "WHERE last_us < ? LIMIT ?)",
                                until_us, err);
}
