#include "base/json_write.h"

#include "base/json_text.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>

void json_out_begin(struct json_out *j, struct buf *out) {
    *j = (struct json_out){.out = out};
}

static void start(struct json_out *j, const char *name) {
    if (j->comma)
        buf_add_char(j->out, ',');
    j->comma = true;
    if (!name)
        return;
    json_text_string(j->out, span_of(name));
    buf_add_char(j->out, ':');
}

void json_out_open(struct json_out *j, const char *name, char bracket) {
    start(j, name);
    buf_add_char(j->out, bracket);
    j->comma = false;
    j->depth++;
}

void json_out_close(struct json_out *j, char bracket) {
    buf_add_char(j->out, bracket);
    j->comma = true;
    j->depth--;
}

void json_out_text(struct json_out *j, const char *name, const char *text) {
    json_out_span(j, name, text ? span_of(text) : (struct span){0});
}

void json_out_span(struct json_out *j, const char *name, struct span text) {
    start(j, name);
    if (text.ptr)
        json_text_string(j->out, text);
    else
        buf_add_text(j->out, "null");
}

void json_out_raw(struct json_out *j, const char *name, struct span json) {
    start(j, name);
    buf_add_span(j->out, json);
}

void json_out_double(struct json_out *j, const char *name, double v) {
    start(j, name);
    if (isfinite(v))
        buf_printf(j->out, "%.10g", v);
    else
        buf_add_text(j->out, "null");
}

void json_out_int(struct json_out *j, const char *name, int64_t v) {
    start(j, name);
    buf_printf(j->out, "%" PRId64, v);
}

void json_out_bool(struct json_out *j, const char *name, bool v) {
    start(j, name);
    buf_add_text(j->out, v ? "true" : "false");
}

void json_out_end(struct json_out *j) {
    assert(j->depth == 0);
    buf_add_char(j->out, '\n');
}
