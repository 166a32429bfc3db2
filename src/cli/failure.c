#include "cli/failure.h"

#include "cli/render.h"

#include <string.h>

void failure_text(const struct err *err, struct buf *out) {
    buf_add_text(out, "banyan: ");
    render_clean(out, err->text);
    buf_add_char(out, '\n');
}

/* Digits and the colon behind them; NULL: something else is there. */
static const char *read_number(const char *p, int64_t *ret) {
    int64_t v = 0;
    const char *start = p;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *p - '0', &v))
            return NULL;
    if (p == start || *p != ':')
        return NULL;
    *ret = v;
    return p + 1;
}

/* Errors of the configuration say "<file>:<line>:<column>: ", in front or behind a phrase. */
static bool find_place(const char *text, const char *file, int64_t *ret_line, int64_t *ret_column) {
    size_t len = strlen(file);
    const char *p = len ? text : NULL;
    while (p && (p = strstr(p, file))) {
        int64_t line, column;
        bool whole = p == text || p[-1] == ' ';
        p += len;
        const char *rest = whole && *p == ':' ? read_number(p + 1, &line) : NULL;
        if (rest && read_number(rest, &column)) {
            *ret_line = line;
            *ret_column = column;
            return true;
        }
    }
    return false;
}

void failure_json(const struct err *err, const char *config_path, struct buf *out) {
    struct json_out j;
    int64_t line = 0, column = 0;
    bool placed = find_place(err->text, config_path, &line, &column);
    json_out_begin(&j, out);
    json_out_open(&j, NULL, '{');
    json_out_open(&j, "error", '{');
    json_out_text(&j, "code", err_code_name(err->code));
    json_out_int(&j, "exit_code", err_exit_code(err->code));
    json_out_text(&j, "message", err->text);
    json_out_bool(&j, "retriable", err->retriable);
    json_out_text(&j, "file", placed ? config_path : NULL);
    if (placed) {
        json_out_int(&j, "line", line);
        json_out_int(&j, "column", column);
    } else {
        json_out_text(&j, "line", NULL);
        json_out_text(&j, "column", NULL);
    }
    json_out_close(&j, '}');
    json_out_close(&j, '}');
    json_out_end(&j);
}
