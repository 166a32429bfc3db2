#include "confq/reader.h"

#include "base/buf.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX ((size_t)1024 * 1024)
#define NAME_LONGEST 64

int conf_error(const struct conf *conf, struct conf_at at, struct err *err, const char *fmt, ...) {
    char text[ERR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return err_set(err, ERR_CONF, "%s:%d:%d: %s", conf->file, at.line, at.column, text);
}

int reader_error(struct reader *r, struct conf_at at, const char *fmt, ...) {
    char text[ERR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return conf_error(r->conf, at, r->err, "%s", text);
}

void *reader_alloc(struct reader *r, size_t count, size_t size) {
    void *p = arena_alloc(r->memory, count * size);
    if (!p)
        abort(); /* bounded by YAML_BYTES_MAX and YAML_NODES_MAX: cannot happen */
    memset(p, 0, count * size);
    return p;
}

size_t reader_distance(const char *a, const char *b) {
    size_t row[NAME_LONGEST + 1];
    size_t la = strlen(a), lb = strlen(b);
    if (la > NAME_LONGEST || lb > NAME_LONGEST)
        return NAME_LONGEST;
    for (size_t k = 0; k <= lb; k++)
        row[k] = k;
    for (size_t i = 1; i <= la; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t k = 1; k <= lb; k++) {
            size_t above = row[k], best = diagonal + (a[i - 1] != b[k - 1]);
            best = above + 1 < best ? above + 1 : best;
            row[k] = row[k - 1] + 1 < best ? row[k - 1] + 1 : best;
            diagonal = above;
        }
    }
    return row[lb];
}

int reader_unknown(struct reader *r, const struct yaml *node, const char *const *known,
                   size_t count) {
    const char *best = NULL;
    size_t best_distance = 3;
    for (size_t i = 0; i < count; i++) {
        size_t d = reader_distance(node->key, known[i]);
        if (d < best_distance) {
            best_distance = d;
            best = known[i];
        }
    }
    if (best)
        return reader_error(r, node->key_at, "unknown key '%s', did you mean '%s'?", node->key, best);
    return reader_error(r, node->key_at, "unknown key '%s'", node->key);
}

int reader_later(struct reader *r, const struct yaml *node) {
    return reader_error(r, node->key_at,
                        "'%s' is in the contract but not built yet in this version; remove it",
                        node->key);
}

int reader_want(struct reader *r, const struct yaml *node, enum yaml_kind kind) {
    static const char *const names[] = {"a value", "a map (key: value)", "a list"};
    if (node->kind == kind)
        return 0;
    return reader_error(r, node->at, "'%s' must be %s", node->key ? node->key : "this", names[kind]);
}

bool reader_is_null(const struct yaml *node) {
    return node->kind == YAML_SCALAR && node->plain &&
           (strcmp(node->text, "") == 0 || strcmp(node->text, "~") == 0 ||
            strcmp(node->text, "null") == 0);
}

/* ---- expansion ---- */

static int expand_file(struct reader *r, const struct yaml *node, const char *path, struct buf *out) {
    FILE *f = fopen(path, "re");
    if (!f)
        return reader_error(r, node->at, "cannot read %s: %s", path, strerror(errno));
    char chunk[4096];
    size_t n, start = out->len;
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0 && buf_ok(out))
        buf_add(out, chunk, n);
    bool failed = ferror(f);
    (void)fclose(f);
    if (failed)
        return reader_error(r, node->at, "cannot read %s", path);
    if (out->len > start && out->data[out->len - 1] == '\n')
        out->len--; /* editors end files with one */
    if (memchr(out->data + start, '\0', out->len - start))
        return reader_error(r, node->at, "%s holds a NUL byte", path);
    return 0;
}

static int expand_name(struct reader *r, const struct yaml *node, const char *name, struct buf *out) {
    if (strncmp(name, "file:", 5) == 0)
        return expand_file(r, node, name + 5, out);
    const char *value = getenv(name);
    if (!value)
        return reader_error(r, node->at, "the environment has no variable '%s'", name);
    buf_add_text(out, value);
    return 0;
}

static int expand(struct reader *r, const struct yaml *node, struct buf *out) {
    for (const char *p = node->text; *p;) {
        if (strncmp(p, "$${", 3) == 0) {
            buf_add_text(out, "${");
            p += 3;
        } else if (strncmp(p, "${", 2) == 0) {
            const char *end = strchr(p, '}');
            if (!end)
                return reader_error(r, node->at, "'${' without '}'; write $${ for the text itself");
            _cleanup_(mem_freep) char *name = mem_strndup(p + 2, (size_t)(end - p - 2));
            int rc = expand_name(r, node, name, out);
            if (rc < 0)
                return rc;
            p = end + 1;
        } else {
            buf_add_char(out, *p++);
        }
    }
    return 0;
}

int reader_text(struct reader *r, const struct yaml *node, const char **ret) {
    int rc = reader_want(r, node, YAML_SCALAR);
    if (rc < 0)
        return rc;
    if (!strstr(node->text, "${")) {
        *ret = node->text;
        return 0;
    }
    _cleanup_(buf_release) struct buf out = {.max = TEXT_MAX};
    rc = expand(r, node, &out);
    if (rc == 0 && !buf_ok(&out))
        rc = reader_error(r, node->at, "value is longer than %zu bytes", TEXT_MAX);
    if (rc < 0)
        return rc;
    *ret = arena_copy(r->memory, buf_span(&out)).ptr;
    return *ret ? 0 : reader_error(r, node->at, "the file is too large");
}

/* ---- values ---- */

int reader_bool(struct reader *r, const struct yaml *node, bool *ret) {
    const char *text = NULL;
    int rc = reader_text(r, node, &text);
    if (rc < 0)
        return rc;
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return reader_error(r, node->at, "'%s' must be true or false, not '%s'",
                            node->key ? node->key : "this", text);
    *ret = text[0] == 't';
    return 0;
}

static bool parse_number(const char *text, const char **end, int64_t *ret) {
    char *stop = NULL;
    errno = 0;
    long long v = strtoll(text, &stop, 10);
    *end = stop;
    *ret = v;
    return errno == 0 && stop != text;
}

int reader_integer(struct reader *r, const struct yaml *node, int64_t least, int64_t most,
                   int64_t *ret) {
    const char *text = NULL, *end;
    int rc = reader_text(r, node, &text);
    if (rc < 0)
        return rc;
    if (!parse_number(text, &end, ret) || *end)
        return reader_error(r, node->at, "'%s' must be a whole number, not '%s'", node->key, text);
    if (*ret < least || *ret > most)
        return reader_error(r, node->at, "'%s' must be between %lld and %lld", node->key,
                            (long long)least, (long long)most);
    return 0;
}

int reader_duration(struct reader *r, const struct yaml *node, int64_t least, int64_t most,
                    int64_t *ret) {
    static const struct {
        const char *unit;
        int64_t us;
    } units[] = {{"us", 1}, {"ms", 1000}, {"s", 1000000}, {"m", 60000000}, {"h", 3600000000LL}};
    const char *text = NULL, *end;
    int64_t n = 0;
    int rc = reader_text(r, node, &text);
    if (rc < 0)
        return rc;
    bool ok = parse_number(text, &end, &n);
    for (size_t i = 0; ok && i < sizeof units / sizeof *units; i++)
        if (strcmp(end, units[i].unit) == 0) {
            if (__builtin_mul_overflow(n, units[i].us, ret) || *ret < least || *ret > most)
                return reader_error(r, node->at, "'%s' must be between %lld and %lld ms", node->key,
                                    (long long)(least / 1000), (long long)(most / 1000));
            return 0;
        }
    return reader_error(r, node->at, "'%s' must be a time such as 5ms, 10s, 1m or 2h, not '%s'",
                        node->key, text);
}
