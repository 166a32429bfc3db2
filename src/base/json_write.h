/*
 * Writes JSON that is always valid. Pure.
 *
 * Commas are written by the writer itself: a value is given with its name inside an object and with
 * NULL inside an array or at the top. Closing is the caller's; json_out_end checks it.
 */
#ifndef BANYAN_BASE_JSON_WRITE_H
#define BANYAN_BASE_JSON_WRITE_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

struct json_out {
    struct buf *out;
    int depth;
    bool comma; /* before the next value */
};

void json_out_begin(struct json_out *j, struct buf *out);
void json_out_open(struct json_out *j, const char *name, char bracket);     /* '{' or '[' */
void json_out_close(struct json_out *j, char bracket);                      /* '}' or ']' */
void json_out_text(struct json_out *j, const char *name, const char *text); /* NULL: null */
void json_out_span(struct json_out *j, const char *name, struct span text); /* ptr NULL: null */
void json_out_int(struct json_out *j, const char *name, int64_t v);
void json_out_double(struct json_out *j, const char *name, double v); /* not finite: null */
void json_out_bool(struct json_out *j, const char *name, bool v);
/* Text that is a JSON value already. */
void json_out_raw(struct json_out *j, const char *name, struct span json);
/* A line feed; asserts that everything is closed. */
void json_out_end(struct json_out *j);

#endif
