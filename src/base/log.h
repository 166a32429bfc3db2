/*
 * Events with typed fields, one line each, to standard error.
 *
 *   log_event(LOG_INFO, "chunk_copied", LOG_STR("collection", name), LOG_INT("rows", n));
 *   text: 2026-11-23T12:00:00.123Z info chunk_copied collection=orders rows=10000
 *   json: {"time":"…","level":"info","event":"chunk_copied","collection":"orders","rows":10000}
 *
 * Only thread main loops and commands log at info or above; library code returns errors. There is
 * no field type for a connection string: secrets are redacted by conf before they can get here.
 * Any thread; lines never mix.
 */
#ifndef BANYAN_BASE_LOG_H
#define BANYAN_BASE_LOG_H

#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_field {
    const char *name; /* NULL ends the list */
    enum { LOG_FIELD_INT, LOG_FIELD_SPAN } kind;
    int64_t number;
    struct span text;
};

#define LOG_INT(n, v)                                                                              \
    ((struct log_field){.name = (n), .kind = LOG_FIELD_INT, .number = (int64_t)(v)})
#define LOG_STR(n, v) ((struct log_field){.name = (n), .kind = LOG_FIELD_SPAN, .text = span_of(v)})

#define log_event(level, event, ...)                                                               \
    log_write((level), (event),                                                                    \
              (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){.name = NULL}})

void log_write(enum log_level level, const char *event, const struct log_field *fields);

/* Gets every event from info on as a JSON object, whatever is written. Called by the thread that
 * logs: it must return at once, and not log. Set before threads start, and to NULL after they
 * ended. */
typedef void (*log_listener_fn)(void *context, const char *event, struct span json);
void log_listen(log_listener_fn fn, void *context);

/* Before threads start. */
void log_setup(enum log_level least, bool json);

#endif
