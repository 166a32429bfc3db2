#include "flagfile/given.h"

#include "base/mem.h"
#include "base/spanmap.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 64 /* of targeting, as flags_compile has it */

struct asking {
    const struct conf_module *module;
    const struct conf_route *route;
    const struct flags_model *model;
    const struct flags_flag *flag;
    struct err *err;
};

static bool is_given(const struct conf_attribute *list, size_t count, struct span name) {
    for (size_t i = 0; i < count; i++)
        if (span_is(name, list[i].name.text))
            return true;
    return false;
}

static int need(const struct asking *a, bool of_tenant, struct span name,
                struct flags_place place) {
    const struct conf_route *r = a->route;
    const char *whose = of_tenant ? "tenant" : "user";
    if (of_tenant ? is_given(r->tenant_attributes, r->tenant_attribute_count, name)
                  : is_given(r->user_attributes, r->user_attribute_count, name))
        return 0;
    return err_set(a->err, ERR_CONF,
                   "%s:%u:%u: flag '%.*s' asks for the attribute '%.*s' of the %s, which the route "
                   "%s of module %s does not give; add it under attributes: %s: of that route",
                   a->model->file, place.line, place.column, SPAN_ARG(a->flag->name),
                   SPAN_ARG(name), whose, r->prefix.text, a->module->name.text, whose);
}

/* ---- conditions ---- */

static int check_conditions(const struct asking *a, const struct flags_condition *list,
                            size_t count) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        /* internal_network, the only predicate, looks at the user's address */
        struct span name = list[i].subject == FLAGS_CUSTOM ? SPAN_LIT("ip") : list[i].attribute;
        rc = need(a, list[i].subject == FLAGS_TENANT_ATTRIBUTE, name, list[i].place);
    }
    return rc;
}

static int check_bucketing(const struct asking *a, const struct flags_bucketing *b) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < b->by_count; i++)
        if (b->by[i].source == FLAGS_BY_ATTRIBUTE)
            rc = need(a, false, b->by[i].attribute, a->flag->place);
    return rc;
}

/* ---- targeting ---- */

static struct span cut(struct span *path) {
    const char *dot = path->len ? memchr(path->ptr, '.', path->len) : NULL;
    struct span first = dot ? span_make(path->ptr, (size_t)(dot - path->ptr)) : *path;
    size_t used = first.len + (dot ? 1 : 0);
    *path = span_make(path->ptr + used, path->len - used);
    return first;
}

/* {"var": "plan"} or {"var": ["plan", default]}; what is computed cannot be known before. */
static int check_variable(const struct asking *a, const struct flags_node *of) {
    static const char *const always[] = {"", "$flagd", "targetingKey", "userId", "tenantId"};
    if (of->type == FLAGS_NODE_LIST && of->count)
        of = of->in[0].value;
    if (of->type != FLAGS_NODE_STRING)
        return 0;
    struct span path = of->text, name = cut(&path);
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (span_is(name, always[i]))
            return 0;
    bool of_tenant = span_is(name, "tenantAttributes");
    if (of_tenant || span_is(name, "userAttributes"))
        name = cut(&path);
    return name.len ? need(a, of_tenant, name, of->place) : 0;
}

/* Operations over a list: `var` means the item in their second argument. */
static bool is_loop(struct span operation) {
    static const char *const names[] = {"map", "filter", "reduce", "all", "none", "some"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (span_is(operation, names[i]))
            return true;
    return false;
}

static int check_node(const struct asking *a, const struct flags_node *node, unsigned depth) {
    bool operation = node->type == FLAGS_NODE_OBJECT && node->count == 1;
    if (depth == DEPTH_MAX)
        return 0;
    if (operation && span_is(node->in[0].key, "var"))
        return check_variable(a, node->in[0].value);
    if (operation && is_loop(node->in[0].key)) {
        const struct flags_node *arguments = node->in[0].value;
        return arguments->type == FLAGS_NODE_LIST && arguments->count
                   ? check_node(a, arguments->in[0].value, depth + 1)
                   : 0;
    }
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < node->count; i++)
        rc = check_node(a, node->in[i].value, depth + 1);
    return rc;
}

/* ---- flags ---- */

static int check_rule(const struct asking *a, const struct flags_rule *r) {
    int rc = check_conditions(a, r->conditions, r->condition_count);
    if (rc == 0 && r->when)
        rc = check_node(a, r->when, 0);
    if (rc == 0)
        rc = check_bucketing(a, &r->bucketing);
    return rc == 0 && r->split_count ? check_bucketing(a, &r->split_bucketing) : rc;
}

static int check_flag(const struct asking *a) {
    const struct flags_flag *f = a->flag;
    int rc = check_conditions(a, f->conditions, f->condition_count);
    if (rc == 0)
        rc = check_bucketing(a, &f->bucketing);
    if (rc == 0 && f->split_count)
        rc = check_bucketing(a, &f->split_bucketing);
    if (rc == 0 && f->targeting)
        rc = check_node(a, f->targeting, 0);
    for (size_t i = 0; rc == 0 && i < f->rule_count; i++)
        rc = check_rule(a, &f->rules[i]);
    return rc;
}

/* ---- what flags require in turn ---- */

struct walk {
    const struct flags_model *model;
    struct spanmap names; /* -> place in the model */
    bool *seen;
    size_t *list; /* seen ones, in the order in which they are looked at */
    size_t count;
};

static void walk_init(struct walk *w, const struct flags_model *model) {
    *w = (struct walk){.model = model,
                       .seen = mem_zalloc(model->flag_count + 1, sizeof *w->seen),
                       .list = mem_zalloc(model->flag_count + 1, sizeof *w->list)};
    for (size_t i = 0; i < model->flag_count; i++) {
        bool fresh;
        *spanmap_put(&w->names, model->flags[i].name, &fresh) = (uint32_t)i;
    }
}

static void walk_release(struct walk *w) {
    spanmap_release(&w->names);
    free(w->seen);
    free(w->list);
}

static void walk_add(struct walk *w, struct span name) {
    const uint32_t *at = spanmap_get(&w->names, name);
    if (!at || w->seen[*at])
        return;
    w->seen[*at] = true;
    w->list[w->count++] = *at;
}

/* Each flag once, without recursion: many may require the same ones, and a chain may be as long as
 * the file. */
static int check_all(struct walk *w, struct asking a, struct span name) {
    int rc = 0;
    memset(w->seen, 0, w->model->flag_count * sizeof *w->seen);
    w->count = 0;
    walk_add(w, name);
    for (size_t at = 0; rc == 0 && at < w->count; at++) {
        a.flag = &w->model->flags[w->list[at]];
        rc = check_flag(&a);
        for (size_t i = 0; i < a.flag->require_count; i++)
            walk_add(w, a.flag->requires[i].flag);
    }
    return rc;
}

int given_check(const struct conf *conf, const struct flags_model *model, struct err *err) {
    struct walk walk;
    int rc = 0;
    walk_init(&walk, model);
    for (size_t i = 0; rc == 0 && i < conf->module_count; i++) {
        const struct conf_module *m = &conf->modules[i];
        for (size_t k = 0; rc == 0 && m->flag.text && k < m->route_count; k++)
            rc = check_all(&walk, (struct asking){m, &m->routes[k], model, NULL, err},
                           span_of(m->flag.text));
    }
    walk_release(&walk);
    return rc;
}
