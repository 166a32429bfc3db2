/* libbanyan: include/banyan.h over embed.h. What reads and writes numbers does so with a point,
 * whatever the program's locale, which it has back when a function returns. */
#include <banyan.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "db/mongo.h"
#include "embed/embed.h"
#include "operation/exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

struct banyan {
    struct conf *conf;
    char *state_path;
    struct embed *embed;
};

struct banyan_answer {
    int status;
    struct buf json;
    const char *side, *fallback; /* static */
};

static int code_of(int code) {
    switch (code) {
    case ERR_NO:
        return BANYAN_NO_OPERATION;
    case ERR_USAGE:
    case ERR_VALUE:
        return BANYAN_BAD_REQUEST;
    case ERR_CONF:
        return BANYAN_BAD_CONFIG;
    case ERR_STATE:
        return BANYAN_STATE;
    default:
        return BANYAN_INTERNAL;
    }
}

static int fail(struct banyan_error *error, const struct err *err) {
    int code = code_of(err->code);
    if (error) {
        error->code = code;
        (void)snprintf(error->text, sizeof error->text, "%s", err->text);
    }
    return code;
}

int banyan_open(const char *config_file, const char *state_file, struct banyan **ret,
                struct banyan_error *error) {
    struct err err = {0};
    struct banyan *b = mem_zalloc(1, sizeof *b);
    locale_t theirs = thread_plain_locale();
    mongo_global_init();
    int rc = conf_load(config_file, &b->conf, &err);
    if (rc == 0) {
        b->state_path = mem_strdup(state_file ? state_file : b->conf->state);
        rc = embed_new(b->conf, b->state_path, "libbanyan", &b->embed, &err);
    }
    (void)uselocale(theirs);
    if (rc < 0) {
        banyan_close(b);
        return fail(error, &err);
    }
    *ret = b;
    return 0;
}

void banyan_close(struct banyan *b) {
    if (!b)
        return;
    embed_free(b->embed);
    conf_free(b->conf);
    free(b->state_path);
    free(b);
}

static struct banyan_answer *answer_of(const struct operation_call *call,
                                       enum operation_numbers numbers) {
    struct banyan_answer *a = mem_zalloc(1, sizeof *a);
    buf_init(&a->json, OPERATION_JSON_MAX + 4096);
    a->status = operation_reply(call, numbers, true, &a->json);
    if (a->json.len && a->json.data[a->json.len - 1] == '\n')
        a->json.len--;
    (void)buf_text(&a->json); /* with a NUL behind it */
    a->side = route_side_name(call->answered);
    a->fallback = operation_fallback_reason(call);
    return a;
}

static uint64_t random_number(void) {
    uint64_t r;
    if (getrandom(&r, sizeof r, 0) != (ssize_t)sizeof r)
        r = (uint64_t)clock_mono_us();
    return r | 1;
}

int banyan_call(struct banyan *b, const char *operation, const char *request,
                struct banyan_answer **ret, struct banyan_error *error) {
    struct err err = {0};
    struct operation_body body;
    struct operation_call *call = NULL;
    struct arena arena;
    locale_t theirs = thread_plain_locale();
    arena_init(&arena, 8 * (size_t)OPERATION_REQUEST_MAX);
    int rc = operation_body_read(span_of(request ? request : ""), &arena, clock_wall_us(),
                                 random_number(), &body, &err);
    if (rc == 0) {
        const struct operation_request r = {
            .params = body.params, .who = &body.who, .side = body.side};
        rc = operations_call(embed_operations(b->embed), operation, &r, &call, &err);
    }
    if (rc == 0)
        *ret = answer_of(call, body.numbers);
    (void)uselocale(theirs);
    operation_call_unref(call);
    arena_release(&arena);
    return rc < 0 ? fail(error, &err) : 0;
}

int banyan_answer_status(const struct banyan_answer *a) {
    return a->status;
}

const char *banyan_answer_json(const struct banyan_answer *a) {
    return a->json.data;
}

size_t banyan_answer_length(const struct banyan_answer *a) {
    return a->json.len;
}

const char *banyan_answer_side(const struct banyan_answer *a) {
    return a->side;
}

const char *banyan_answer_fallback(const struct banyan_answer *a) {
    return a->fallback;
}

void banyan_answer_free(struct banyan_answer *a) {
    if (!a)
        return;
    buf_release(&a->json);
    free(a);
}

const char *banyan_version(void) {
    return BANYAN_VERSION;
}
