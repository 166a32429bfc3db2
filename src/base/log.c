#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json_text.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES (16 * 1024)

static enum log_level least_level = LOG_INFO;
static bool as_json;
static pthread_rwlock_t listener_lock = PTHREAD_RWLOCK_INITIALIZER;
static log_listener_fn listener;
static void *listener_context;
static pthread_mutex_t line_lock = PTHREAD_MUTEX_INITIALIZER;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_setup(enum log_level least, bool json) {
    least_level = least;
    as_json = json;
}

void log_listen(log_listener_fn fn, void *context) {
    pthread_rwlock_wrlock(&listener_lock);
    listener_context = context;
    listener = fn;
    pthread_rwlock_unlock(&listener_lock);
}

static void add_time(struct buf *b) {
    int64_t now = clock_wall_us();
    time_t seconds = (time_t)(now / 1000000);
    struct tm t;
    gmtime_r(&seconds, &t);
    buf_printf(b, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday,
               t.tm_hour, t.tm_min, t.tm_sec, (int)(now % 1000000 / 1000));
}

static bool is_plain(struct span s) {
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f)
            return false;
    }
    return s.len > 0;
}

static void add_value(struct buf *b, bool json, const struct log_field *f) {
    switch (f->kind) {
    case LOG_FIELD_INT:
        buf_printf(b, "%" PRId64, f->number);
        return;
    case LOG_FIELD_SPAN:
        if (!json && is_plain(f->text))
            buf_add_span(b, f->text);
        else
            json_text_string(b, f->text);
        return;
    }
}

static void format(struct buf *b, bool json, enum log_level level, const char *event,
                   const struct log_field *fields) {
    if (json) {
        buf_add_text(b, "{\"time\":\"");
        add_time(b);
        buf_printf(b, "\",\"level\":\"%s\",\"event\":\"%s\"", level_names[level], event);
    } else {
        add_time(b);
        buf_printf(b, " %s %s", level_names[level], event);
    }
    for (const struct log_field *f = fields; f->name; f++) {
        buf_printf(b, json ? ",\"%s\":" : " %s=", f->name);
        add_value(b, json, f);
    }
    buf_add_text(b, json ? "}\n" : "\n");
}

static bool has_listener(void) {
    pthread_rwlock_rdlock(&listener_lock);
    bool has = listener != NULL;
    pthread_rwlock_unlock(&listener_lock);
    return has;
}

static void tell_listener(enum log_level level, const char *event, const struct log_field *fields) {
    struct buf b;
    buf_init(&b, LINE_MAX_BYTES);
    format(&b, true, level, event, fields);
    pthread_rwlock_rdlock(&listener_lock);
    if (listener && buf_ok(&b))
        listener(listener_context, event, span_make(b.data, b.len - 1));
    pthread_rwlock_unlock(&listener_lock);
    buf_release(&b);
}

void log_write(enum log_level level, const char *event, const struct log_field *fields) {
    if (has_listener() && level > LOG_DEBUG)
        tell_listener(level, event, fields);
    if (level < least_level)
        return;
    struct buf b;
    buf_init(&b, LINE_MAX_BYTES);
    format(&b, as_json, level, event, fields);
    pthread_mutex_lock(&line_lock);
    ssize_t ignored = write(STDERR_FILENO, b.data, b.len);
    (void)ignored;
    pthread_mutex_unlock(&line_lock);
    buf_release(&b);
}
