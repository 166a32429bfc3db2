#include "cli/render.h"

#include "base/json_text.h"

#include <assert.h>
#include <inttypes.h>
#include <time.h>

void render_json_begin(struct json_out *j, struct buf *out) {
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

void render_json_open(struct json_out *j, const char *name, char bracket) {
    start(j, name);
    buf_add_char(j->out, bracket);
    j->comma = false;
    j->depth++;
}

void render_json_close(struct json_out *j, char bracket) {
    buf_add_char(j->out, bracket);
    j->comma = true;
    j->depth--;
}

void render_json_text(struct json_out *j, const char *name, const char *text) {
    start(j, name);
    if (text)
        json_text_string(j->out, span_of(text));
    else
        buf_add_text(j->out, "null");
}

void render_json_int(struct json_out *j, const char *name, int64_t v) {
    start(j, name);
    buf_printf(j->out, "%" PRId64, v);
}

void render_json_bool(struct json_out *j, const char *name, bool v) {
    start(j, name);
    buf_add_text(j->out, v ? "true" : "false");
}

void render_json_end(struct json_out *j) {
    assert(j->depth == 0);
    buf_add_char(j->out, '\n');
}

void render_clean(struct buf *out, const char *text) {
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        /* C1 controls are two bytes in UTF-8: C2 80 to C2 9F */
        bool c1 = p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0;
        buf_add_char(out, *p < 0x20 || *p == 0x7f || c1 ? '?' : (char)*p);
        p += c1;
    }
}

void render_time(struct buf *out, int64_t wall_us) {
    time_t seconds = (time_t)(wall_us / 1000000);
    struct tm t;
    char text[32];
    if (gmtime_r(&seconds, &t) && strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &t))
        buf_add_text(out, text);
}

void render_age(struct buf *out, int64_t us) {
    int64_t seconds = us > 0 ? us / 1000000 : 0;
    if (seconds < 120)
        buf_printf(out, "%" PRId64 " s", seconds);
    else if (seconds < 7200)
        buf_printf(out, "%" PRId64 " min", seconds / 60);
    else if (seconds < 172800)
        buf_printf(out, "%" PRId64 " h", seconds / 3600);
    else
        buf_printf(out, "%" PRId64 " d", seconds / 86400);
}
