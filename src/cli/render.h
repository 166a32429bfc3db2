/*
 * What commands print: JSON that is always valid, and text that a terminal may show. Pure.
 *
 * Commas are written by the writer itself: a value is given with its name inside an object and with
 * NULL inside an array or at the top. Closing is the caller's; render_json_end checks it.
 */
#ifndef BANYAN_CLI_RENDER_H
#define BANYAN_CLI_RENDER_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

struct json_out {
    struct buf *out;
    int depth;
    bool comma; /* before the next value */
};

void render_json_begin(struct json_out *j, struct buf *out);
void render_json_open(struct json_out *j, const char *name, char bracket);     /* '{' or '[' */
void render_json_close(struct json_out *j, char bracket);                      /* '}' or ']' */
void render_json_text(struct json_out *j, const char *name, const char *text); /* NULL: null */
void render_json_int(struct json_out *j, const char *name, int64_t v);
void render_json_bool(struct json_out *j, const char *name, bool v);
/* A line feed; asserts that everything is closed. */
void render_json_end(struct json_out *j);

/* Text from a server or a document: control characters become "?", so that it cannot command the
 * terminal or forge lines. */
void render_clean(struct buf *out, const char *text);

/* "2026-11-23T12:00:00Z" */
void render_time(struct buf *out, int64_t wall_us);

/* "3 s", "12 min", "5 h", "9 d": how long ago. */
void render_age(struct buf *out, int64_t us);

#endif
