/* `banyan status --health`: what is not as it should be, in words. Pure. */
#include "cli/render.h"
#include "cli/status.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* As the daemon's: 60 seconds behind (the reference's streaming lag). */
#define STALE_US INT64_C(60000000)

struct report {
    struct buf *text;
    struct json_out *json;
    int64_t issues;
};

static void issue(struct report *r, const char *pipeline, const char *fmt, ...) printf_like(3, 4);

static void issue(struct report *r, const char *pipeline, const char *fmt, ...) {
    char words[ERR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(words, sizeof words, fmt, args);
    va_end(args);
    r->issues++;
    if (r->json) {
        json_out_open(r->json, NULL, '{');
        json_out_text(r->json, "module", pipeline);
        json_out_text(r->json, "words", words);
        json_out_close(r->json, '}');
        return;
    }
    buf_printf(r->text, "%s: ", pipeline);
    render_clean(r->text, words);
    buf_add_char(r->text, '\n');
}

static void check_pipeline(struct report *r, const struct status *s,
                           const struct status_pipeline *p) {
    int64_t lag = status_lag(s, &p->stored);
    if (!p->running)
        issue(r, p->stored.name, "does not run; banyan run %s, or banyan serve", p->stored.name);
    else if (lag > 0 && s->now_us - p->stored.checkpoint_us > STALE_US)
        issue(r, p->stored.name,
              "%" PRId64 " bytes of log behind, and no progress for %" PRId64 " s", lag,
              (s->now_us - p->stored.checkpoint_us) / 1000000);
    for (size_t i = 0; i < p->collection_count; i++)
        if (p->collections[i].stored.phase == STATE_STOPPED)
            issue(r, p->stored.name, "collection %s is stopped: %s", p->collections[i].stored.name,
                  p->collections[i].stored.error);
        else if (p->collections[i].stored.error[0])
            issue(r, p->stored.name, "collection %s: %s", p->collections[i].stored.name,
                  p->collections[i].stored.error);
}

static void check(struct report *r, const struct status *s) {
    for (size_t i = 0; i < s->pipeline_count; i++)
        check_pipeline(r, s, &s->pipelines[i]);
    if (s->pipeline_count && !s->reachable)
        issue(r, "source", "unreachable: %s", s->problem);
    if (s->waiting)
        issue(r, "parked", "%" PRId64 " documents wait for a person; banyan parked list",
              s->waiting);
}

int64_t status_health(const struct status *s, bool json, struct buf *out) {
    struct json_out j;
    struct report r = {.text = out, .json = json ? &j : NULL};
    if (json) {
        json_out_begin(&j, out);
        json_out_open(&j, NULL, '{');
        json_out_open(&j, "issues", '[');
    }
    check(&r, s);
    if (json) {
        json_out_close(&j, ']');
        json_out_text(&j, "status", r.issues ? "bad" : "ok");
        json_out_close(&j, '}');
        json_out_end(&j);
    } else if (r.issues == 0) {
        buf_add_text(out, "everything is as it should be\n");
    }
    return r.issues;
}
