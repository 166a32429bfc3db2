/* COPY TO STDOUT in text format, row by row. */
#include "db/pg_session.h"

#include "base/text.h"

static bool is_octal(char c) {
    return c >= '0' && c <= '7';
}

/* The byte that an escape stands for; *p is behind the backslash and moves past the escape. */
static char unescape_one(const char **p, const char *end) {
    char c = *(*p)++;
    int value = 0, digits = 0;
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'v':
        return '\v';
    case 'x':
        for (; digits < 2 && *p < end && text_hex_digit(**p) >= 0; digits++)
            value = value * 16 + text_hex_digit(*(*p)++);
        return digits ? (char)value : c;
    default:
        if (!is_octal(c))
            return c;
        value = c - '0';
        for (digits = 1; digits < 3 && *p < end && is_octal(**p); digits++)
            value = value * 8 + (*(*p)++ - '0');
        return (char)value;
    }
}

/* Unescapes [from, end) in place; false for a backslash with nothing behind it. */
static bool unescape(char *from, const char *end, struct span *ret) {
    if (end - from == 2 && from[0] == '\\' && from[1] == 'N') {
        *ret = (struct span){0};
        return true;
    }
    const char *p = memchr(from, '\\', (size_t)(end - from));
    if (!p) {
        *ret = span_make(from, (size_t)(end - from));
        return true;
    }
    char *out = from + (p - from);
    while (p < end) {
        if (*p != '\\') {
            *out++ = *p++;
            continue;
        }
        if (++p == end)
            return false;
        *out++ = unescape_one(&p, end);
    }
    *ret = span_make(from, (size_t)(out - from));
    return true;
}

bool pg_copy_split(char *line, size_t len, struct span *columns, size_t count) {
    char *at = line;
    char *end = line + len;
    for (size_t i = 0; i < count; i++) {
        char *tab = memchr(at, '\t', (size_t)(end - at));
        if ((tab == NULL) != (i + 1 == count))
            return false;
        char *stop = tab ? tab : end;
        if (!unescape(at, stop, &columns[i]))
            return false;
        at = stop + 1;
    }
    return count > 0;
}

int pg_copy_start(struct pg *pg, const char *sql, struct err *err) {
    PGresult *r = NULL;
    int rc = pg_run(pg, sql, 0, NULL, &r, err);
    if (rc == 0 && PQresultStatus(r) != PGRES_COPY_OUT)
        rc = err_set(err, ERR_INTERNAL, "statement is not a COPY TO STDOUT");
    PQclear(r);
    return rc;
}

/* After the last row: the statement's own end, which may still be an error. */
static int finish_copy(struct pg *pg, struct err *err) {
    PGresult *r;
    int rc = 0;
    while ((r = PQgetResult(pg->conn))) {
        if (rc == 0 && PQresultStatus(r) != PGRES_COMMAND_OK)
            rc = pg_result_error(pg, r, err);
        PQclear(r);
    }
    return rc;
}

int pg_copy_next(struct pg *pg, struct span *columns, size_t count, struct err *err) {
    PQfreemem(pg->copy_line);
    pg->copy_line = NULL;
    int len;
    while ((len = PQgetCopyData(pg->conn, &pg->copy_line, 1)) == 0) {
        int rc = pg_wait_readable(pg, err);
        if (rc < 0)
            return rc;
        if (!PQconsumeInput(pg->conn))
            return pg_lost(pg, err);
    }
    if (len == -1)
        return finish_copy(pg, err);
    if (len < -1)
        return pg_lost(pg, err);
    if ((size_t)len > PG_ROW_MAX) {
        pg_copy_abort(pg);
        return err_set(err, ERR_LIMIT, "a row is longer than %zu bytes", PG_ROW_MAX);
    }
    size_t text = (size_t)len;
    if (text && pg->copy_line[text - 1] == '\n')
        text--;
    if (!pg_copy_split(pg->copy_line, text, columns, count)) {
        pg_copy_abort(pg);
        return err_set(err, ERR_WIRE, "a COPY row has not the %zu columns that were asked for",
                       count);
    }
    return 1;
}

void pg_copy_abort(struct pg *pg) {
    pg_cancel(pg);
    char *line = NULL;
    while (PQgetCopyData(pg->conn, &line, 0) > 0) {
        PQfreemem(line);
        line = NULL;
    }
    struct err ignored;
    (void)finish_copy(pg, &ignored);
}
