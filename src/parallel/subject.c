#include "parallel/subject.h"

#include "base/log.h"
#include "base/mem.h"
#include "parallel/rules.h"

#include <stdlib.h>
#include <string.h>

static void add_route(struct subjects *s, struct shared *shared, const struct conf_route *route) {
    struct subject *subject = &s->list[s->count++];
    const struct conf_list *headers = &route->compare.headers;
    struct err err;
    subject->module = shared->conf->name.text;
    subject->kind = "route";
    subject->route = route;
    subject->compare = &route->compare;
    subject->shared = shared;
    subject->headers = mem_zalloc(headers->count + 1, sizeof *subject->headers);
    for (size_t i = 0; i < headers->count; i++)
        subject->headers[i] = headers->items[i].text;
    subject->rules.headers = subject->headers;
    subject->rules.header_count = headers->count;
    subject->rules.store_documents = route->compare.store == CONF_STORE_DOCUMENTS;
    tally_name(route->prefix.text, subject->name);
    if (route->user.claim.text &&
        jwt_key_new(span_of(route->user.key), &subject->user_key, &err) < 0)
        subject->user_key = NULL; /* the gateway has said so already, and takes no user either */
}

static void add_operation(struct subjects *s, struct shared *shared,
                          const struct conf_operation *operation) {
    struct subject *subject = &s->list[s->count++];
    subject->module = shared->conf->name.text;
    subject->kind = "operation";
    subject->operation = operation;
    subject->compare = &operation->compare;
    subject->shared = shared;
    subject->rules.store_documents = operation->compare.store == CONF_STORE_DOCUMENTS;
    tally_name(operation->name.text, subject->name);
}

void subjects_init(struct subjects *s, const struct conf *conf) {
    size_t count = 0;
    for (size_t i = 0; i < conf->module_count; i++)
        count += conf->modules[i].route_count + conf->modules[i].operation_count;
    s->shared_count = conf->module_count;
    s->shared = mem_zalloc(conf->module_count + 1, sizeof *s->shared);
    s->list = mem_zalloc(count + 1, sizeof *s->list);
    s->count = 0;
    for (size_t i = 0; i < conf->module_count; i++) {
        const struct conf_module *m = &conf->modules[i];
        struct shared *shared = &s->shared[i];
        shared->conf = m;
        shared->budget =
            (struct budget){.per_second = m->budget.per_second, .concurrent = m->budget.concurrent};
        pthread_mutex_init(&shared->lock, NULL);
        for (size_t k = 0; k < m->route_count; k++)
            add_route(s, shared, &m->routes[k]);
        for (size_t k = 0; k < m->operation_count; k++)
            add_operation(s, shared, &m->operations[k]);
    }
}

void subjects_release(struct subjects *s) {
    for (size_t i = 0; i < s->count; i++) {
        compare_rules_free(s->list[i].rules.rules);
        free(s->list[i].headers);
        jwt_key_free(s->list[i].user_key);
    }
    for (size_t i = 0; i < s->shared_count; i++)
        pthread_mutex_destroy(&s->shared[i].lock);
    free(s->list);
    free(s->shared);
    *s = (struct subjects){0};
}

struct subject *subjects_route(const struct subjects *s, struct span module, struct span name) {
    for (size_t i = 0; i < s->count; i++)
        if (s->list[i].route && span_is(module, s->list[i].module) &&
            span_is(name, s->list[i].route->prefix.text))
            return &s->list[i];
    return NULL;
}

struct subject *subjects_operation(const struct subjects *s,
                                   const struct conf_operation *operation) {
    for (size_t i = 0; i < s->count; i++)
        if (s->list[i].operation == operation)
            return &s->list[i];
    return NULL;
}

/* What an operation finds is documents of its collection, unless a pipeline makes others. */
static int compile(struct subject *s, const struct plan *plan, struct err *err) {
    const struct conf_operation *o = s->operation;
    const struct rules_of of = {.compare = s->compare,
                                .plan = plan,
                                .module = s->module,
                                .collection = o ? o->mongodb.find.text : NULL,
                                .any_order = o && o->returns == CONF_RETURNS_SET};
    size_t left_out = 0;
    int rc = rules_compile(&of, &s->rules.rules, &left_out, err);
    if (rc < 0)
        return err_prefix(err, "compare of %s %s", s->kind, s->name);
    if (left_out)
        log_event(LOG_WARN, "mapping_too_large_to_compare_by", LOG_STR("module", s->module),
                  LOG_STR("name", s->name), LOG_INT("paths_left_out", left_out));
    atomic_store(&s->ready, true);
    return 0;
}

int subjects_compile(struct subjects *s, const struct plan *plan, struct err *err) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < s->count; i++)
        if (!s->list[i].rules.rules)
            rc = compile(&s->list[i], plan, err);
    return rc;
}

enum parallel_reason subject_begin(struct subject *s, enum route_side side, enum budget_for what,
                                   int64_t now_us) {
    pthread_mutex_lock(&s->shared->lock);
    enum parallel_reason reason =
        budget_begin(&s->shared->budget, &s->breakers[side], what, now_us);
    pthread_mutex_unlock(&s->shared->lock);
    return reason;
}

bool subject_has_place(struct subject *s, enum budget_for what) {
    pthread_mutex_lock(&s->shared->lock);
    bool has = budget_has_place(&s->shared->budget, what);
    pthread_mutex_unlock(&s->shared->lock);
    return has;
}

void subject_end(struct subject *s, enum route_side side, enum budget_for what, bool failed,
                 int64_t now_us) {
    pthread_mutex_lock(&s->shared->lock);
    budget_end(&s->shared->budget, &s->breakers[side], what, failed, now_us);
    pthread_mutex_unlock(&s->shared->lock);
}

static bool is_below(struct span path, const char *prefix) {
    size_t len = strlen(prefix);
    return path.len >= len && memcmp(path.ptr, prefix, len) == 0 &&
           (path.len == len || path.ptr[len] == '/');
}

bool subject_is_read(const struct subject *s, struct span method, struct span uri) {
    const char *query = memchr(uri.ptr, '?', uri.len);
    struct span path = query ? span_make(uri.ptr, (size_t)(query - uri.ptr)) : uri;
    if (span_is(method, "GET") || span_is(method, "HEAD") || span_is(method, "OPTIONS"))
        return true;
    for (size_t i = 0; i < s->route->read.count; i++) {
        const char *text = s->route->read.items[i].text, *at = strchr(text, ' ');
        if (at && span_eq(method, span_make(text, (size_t)(at - text))) && is_below(path, at + 1))
            return true;
    }
    return false;
}
