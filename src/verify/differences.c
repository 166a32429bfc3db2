/* Field by field: what differs between two documents, and how it is told. */
#include "model/canon.h"
#include "verify/session.h"

#include <stdio.h>

#define TEXT_MAX ((size_t)64 * 1024)

struct walk {
    struct session *s;
    struct span identity;
    bool report;
    bool any;
    struct err *err;
};

/* The path without array indexes, as plan paths are. */
static void plain_path(struct span path, char *out, size_t size) {
    size_t n = 0;
    for (size_t i = 0; i < path.len && n + 1 < size;) {
        const char *dot = memchr(path.ptr + i, '.', path.len - i);
        size_t end = dot ? (size_t)(dot - path.ptr) : path.len;
        bool index = end > i;
        for (size_t k = i; k < end; k++)
            index &= path.ptr[k] >= '0' && path.ptr[k] <= '9';
        for (size_t k = i; !index && k < end && n + 2 < size; k++) {
            if (k == i && n)
                out[n++] = '.';
            out[n++] = path.ptr[k];
        }
        i = end + 1;
    }
    out[n] = '\0';
}

static bool is_stamp(const struct plan_collection *c, struct span path) {
    char plain[CANON_PATH_MAX + 1], stamp[CANON_PATH_MAX * 2];
    plain_path(path, plain, sizeof plain);
    for (size_t n = 0; n < c->node_count; n++)
        for (size_t i = 0; i < c->nodes[n]->field_count; i++) {
            const struct plan_field *f = &c->nodes[n]->fields[i];
            if (f->kind != PLAN_NOW)
                continue;
            (void)snprintf(stamp, sizeof stamp, "%s%s%.*s", c->nodes[n]->path,
                           c->nodes[n]->path[0] ? "." : "", SPAN_ARG(f->name));
            if (strcmp(stamp, plain) == 0)
                return true;
        }
    return false;
}

static bool is_of_id(struct span path) {
    return span_is(path, "_id") || (path.len > 4 && memcmp(path.ptr, "_id.", 4) == 0);
}

static const char *value_text(const bson_iter_t *value, struct buf *out) {
    if (!value)
        return NULL;
    buf_clear(out);
    canon_value_text(value, out);
    return buf_text(out);
}

int difference_report(struct session *s, struct span identity, const char *path, const char *kind,
                      const char *sql, const char *mongodb, struct err *err) {
    _cleanup_(buf_release) struct buf id = {.max = TEXT_MAX};
    bson_iter_t it;
    if (bson_iter_init_from_data(&it, (const uint8_t *)identity.ptr, identity.len) &&
        bson_iter_next(&it))
        canon_value_text(&it, &id);
    struct verify_difference d = {.collection = s->c->name,
                                  .id = buf_text(&id),
                                  .path = path,
                                  .kind = kind,
                                  .sql = sql,
                                  .mongodb = mongodb};
    return s->options->difference(s->options->context, &d, err);
}

static int on_field(void *context, struct span path, enum canon_diff_kind kind,
                    const bson_iter_t *sql, const bson_iter_t *mongo) {
    struct walk *w = context;
    if (is_stamp(w->s->c, path) || (w->s->options->keys_only && !is_of_id(path)))
        return 0;
    w->any = true;
    if (!w->report)
        return 1;
    char text[CANON_PATH_MAX + 1];
    (void)snprintf(text, sizeof text, "%.*s", SPAN_ARG(path));
    _cleanup_(buf_release) struct buf a = {.max = TEXT_MAX};
    _cleanup_(buf_release) struct buf b = {.max = TEXT_MAX};
    return difference_report(w->s, w->identity, text, canon_diff_kind_name(kind),
                             value_text(sql, &a), value_text(mongo, &b), w->err);
}

int differences(struct session *s, struct span identity, struct span sql, struct span mongodb,
                bool report, struct err *err) {
    if (sql.len == 0 && mongodb.len == 0)
        return 0;
    if (sql.len == 0 || mongodb.len == 0) {
        if (!report)
            return 1;
        int rc = difference_report(s, identity, "", sql.len ? "missing" : "extra", NULL, NULL, err);
        return rc < 0 ? rc : 1;
    }
    struct walk w = {.s = s, .identity = identity, .report = report, .err = err};
    int rc = canon_diff(sql, mongodb, NULL, on_field, &w);
    if (rc == ERR_VALUE)
        return err_set(err, ERR_WIRE, "a document of %s is not BSON", s->c->name);
    if (rc < 0)
        return rc;
    return w.any;
}
