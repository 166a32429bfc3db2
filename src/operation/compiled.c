#include "operation/compiled.h"

#include "operation/param.h"
#include "operation/template.h"

static int find_param(void *context, struct span name) {
    return param_find(context, name);
}

static int compile_sql(struct compiled *c, bool *used, struct err *err) {
    const struct conf_operation *o = c->conf;
    struct err why = {0};
    /* The function only reads it. */
    if (sql_text_compile(span_of(o->sql.text), find_param, (void *)o, &c->sql, &why) < 0)
        return conf_error(c->whole, o->sql.at, err, "'sql' of operation '%s': %s", o->name.text,
                          why.text);
    for (size_t i = 0; i < c->sql.count; i++) {
        const struct conf_param *p = &o->params[c->sql.params[i].param];
        used[c->sql.params[i].param] = true;
        if (c->sql.params[i].like && (p->type != CONF_PARAM_STRING || p->array))
            return conf_error(c->whole, o->sql.at, err,
                              "'sql' of operation '%s': :%s|like needs a string", o->name.text,
                              p->name.text);
    }
    return 0;
}

static int check_template(struct compiled *c, const struct conf_value *value, enum template_use use,
                          bool *used, struct err *err) {
    struct template_mistake mistake;
    if (!value || template_check(value, use, c->conf, used, &mistake))
        return 0;
    return conf_error(c->whole, mistake.at, err, "operation '%s': %s", c->conf->name.text,
                      mistake.text);
}

/* limit and skip: a parameter of a kind that counts. */
static int check_number(struct compiled *c, const char *what, const struct conf_value *value,
                        bool *used, struct err *err) {
    if (!value || value->kind == CONF_VALUE_INT)
        return 0;
    int i = value->text.len > 1 && value->text.ptr[0] == ':'
                ? param_find(c->conf, span_make(value->text.ptr + 1, value->text.len - 1))
                : -1;
    const struct conf_param *p = i < 0 ? NULL : &c->conf->params[i];
    if (!p || p->array || p->null || (p->type != CONF_PARAM_INT32 && p->type != CONF_PARAM_INT64))
        return conf_error(c->whole, value->at, err,
                          "'%s' must be a number, or a parameter of type int32 or int64 that is "
                          "not null",
                          what);
    used[i] = true;
    return 0;
}

static int compile_mongodb(struct compiled *c, bool *used, struct err *err) {
    const struct conf_operation_mongodb *m = &c->conf->mongodb;
    int rc = check_template(c, m->filter, TEMPLATE_FILTER, used, err);
    if (rc == 0)
        rc = check_template(c, m->sort, TEMPLATE_FILTER, used, err);
    if (rc == 0)
        rc = check_template(c, m->projection, TEMPLATE_EXPRESSION, used, err);
    if (rc == 0)
        rc = check_template(c, m->pipeline, TEMPLATE_PIPELINE, used, err);
    if (rc == 0)
        rc = check_number(c, "limit", m->limit, used, err);
    if (rc == 0)
        rc = check_number(c, "skip", m->skip, used, err);
    return rc;
}

static int check_params(struct compiled *c, const bool *used, struct err *err) {
    const struct conf_operation *o = c->conf;
    for (size_t i = 0; i < o->param_count; i++) {
        struct err why = {0};
        const struct conf_param *p = &o->params[i];
        if (!used[i])
            return conf_error(c->whole, p->name.at, err,
                              "operation '%s' uses parameter '%s' in neither form; remove it",
                              o->name.text, p->name.text);
        if (param_check_default(o, i, &c->whole->types, &why) < 0)
            return conf_error(c->whole, p->value->at, err, "the default of %s", why.text);
    }
    return 0;
}

int compiled_init(struct compiled *c, const struct conf *conf, size_t module_number,
                  const struct conf_operation *o, struct err *err) {
    bool used[CONF_PARAMS_MAX] = {false};
    c->whole = conf;
    c->module = &conf->modules[module_number];
    c->module_number = module_number;
    c->conf = o;
    breaker_init(&c->breaker);
    key_init(&c->key, conf, o->mongodb.find.text);
    for (int side = 0; side < OPERATION_SIDES; side++)
        c->sides[side].took = obs_histogram_new();
    int rc = compile_sql(c, used, err);
    if (rc == 0)
        rc = compile_mongodb(c, used, err);
    return rc < 0 ? rc : check_params(c, used, err);
}

void compiled_release(struct compiled *c) {
    for (int side = 0; side < OPERATION_SIDES; side++)
        obs_histogram_free(c->sides[side].took);
    key_release(&c->key);
    breaker_release(&c->breaker);
    sql_text_release(&c->sql);
}
