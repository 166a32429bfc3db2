#include "gateway/explain.h"

#include "base/mem.h"
#include "flagfile/explain.h"
#include "route/path.h"

#include <string.h>

/* As nginx does with the raw path before it chooses a location. */
static char *normalised(const char *raw) {
    size_t len = strcspn(raw, "?#");
    char *path = mem_zalloc(len + 1, 1);
    size_t decoded = route_decode(span_make(raw, len), path);
    path[route_resolve(path, decoded)] = '\0';
    return path;
}

int explain_route(const struct conf *conf, struct explanation *x, struct err *err) {
    const struct conf_module *modules[CONF_ROUTES_MAX];
    const struct conf_route *routes[CONF_ROUTES_MAX];
    struct span prefixes[CONF_ROUTES_MAX];
    size_t n = 0;
    if (x->path[0] != '/')
        return err_set(err, ERR_USAGE, "a path begins with /, not '%.60s'", x->path);
    for (size_t i = 0; i < conf->module_count; i++)
        for (size_t k = 0; k < conf->modules[i].route_count; k++) {
            modules[n] = &conf->modules[i];
            routes[n] = &conf->modules[i].routes[k];
            prefixes[n++] = span_of(conf->modules[i].routes[k].prefix.text);
        }
    _cleanup_(mem_freep) char *path = normalised(x->path);
    size_t chosen = route_find(prefixes, n, span_of(path));
    struct span raw = span_make(x->path, strcspn(x->path, "?#"));
    x->ambiguous = route_is_ambiguous(prefixes, n, raw, chosen);
    if (chosen != ROUTE_NONE) {
        x->module = modules[chosen];
        x->route = routes[chosen];
    }
    return 0;
}

const char *explain_answer(const struct explanation *x) {
    if (x->ambiguous)
        return "400 {\"error\":\"Ambiguous path\"}";
    return x->module ? NULL : "404 {\"error\":\"Route not found\"}";
}

static bool is_read(const struct explanation *x) {
    _cleanup_(mem_freep) char *path = normalised(x->path);
    if (strcmp(x->method, "GET") == 0 || strcmp(x->method, "HEAD") == 0 ||
        strcmp(x->method, "OPTIONS") == 0)
        return true;
    for (size_t i = 0; i < x->route->read.count; i++) {
        const char *text = x->route->read.items[i].text, *space = strchr(text, ' ');
        struct span prefix = span_of(space + 1);
        if (span_is(span_make(text, (size_t)(space - text)), x->method) &&
            route_find(&prefix, 1, span_of(path)) == 0)
            return true;
    }
    return false;
}

int explain_settings(struct explanation *x, struct state *s, bool *ret_ask, struct err *err) {
    struct routing r;
    int rc = routing_get(x->module, s, &r, err);
    if (rc < 0)
        return rc;
    x->question = (struct route_question){
        .reads = r.module.reads, .writes = r.module.writes, .is_read = is_read(x), .known = true};
    x->question.may_fall_back =
        x->question.is_read && x->route->fallback.enabled && route_may_fall_back(&r.module);
    *ret_ask = x->question.is_read && r.module.reads == READS_FLAG;
    return 0;
}

int explain_flag(struct explanation *x, const struct snapshot *snapshot,
                 const struct flags_context *context, struct err *err) {
    const struct flags_flag *f = flagfile_find(&snapshot->model, x->module->flag.text);
    struct flags_result result;
    if (!f)
        return 0;
    flags_evaluate(&snapshot->set, flags_find(&snapshot->set, f->name), context, &result);
    x->question.flag_on = result.on;
    return explain(snapshot, (size_t)(f - snapshot->model.flags), context, &x->flag, err);
}

void explain_decide(struct explanation *x) {
    x->decision = route_decide(&x->question);
}

void explain_show(const struct explanation *x, struct json_out *j) {
    json_out_open(j, NULL, '{');
    json_out_text(j, "answer", explain_answer(x));
    if (!explain_answer(x)) {
        bool sql = x->decision.side == ROUTE_SQL;
        json_out_text(j, "route", x->route->prefix.text);
        json_out_text(j, "module", x->module->name.text);
        json_out_bool(j, "read", x->question.is_read);
        json_out_text(j, "reads", route_reads_name(x->question.reads));
        json_out_text(j, "writes", route_writes_name(x->question.writes));
        json_out_text(j, "target", route_side_name(x->decision.side));
        json_out_text(j, "service", (sql ? &x->route->sql : &x->route->mongodb)->service.text);
        json_out_bool(j, "migrated", !sql);
        json_out_text(j, "reason", route_reason_name(x->decision.reason));
        json_out_span(j, "flag", x->flag.len ? buf_span(&x->flag) : (struct span){0});
        json_out_bool(j, "flag_on", x->question.flag_on);
        json_out_bool(j, "fallback", x->decision.guarded);
        json_out_bool(j, "sampled", x->decision.sampled);
    }
    json_out_close(j, '}');
}
