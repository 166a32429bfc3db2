/* Operations and the parallel run: what has more than one form, and what only the whole file
 * shows. */
#include "conf/conf_bind.h"

#include "conf/conf_check.h"

/* --- values ------------------------------------------------------------------------------ */

static int bind_scalar(struct binder *b, const char *what, const struct tree_node *node,
                       struct conf_value *v) {
    enum conf_scalar_kind kind;
    bool expanded;
    if (tree_is_null(node))
        return 0;
    if (tree_is_bool(node, &v->boolean)) {
        v->kind = CONF_VALUE_BOOL;
        return 0;
    }
    if (node->plain && conf_read_number(node->text, &kind, &v->integer, &v->real)) {
        bool whole = strspn(node->text.ptr, "+-0123456789") == node->text.len;
        if (kind == CONF_DOUBLE && whole)
            return bind_error(b, node->at,
                              "'%s' has a number too big to be exact; quote it to make it text",
                              what);
        v->kind = kind == CONF_INT ? CONF_VALUE_INT : CONF_VALUE_DOUBLE;
        return 0;
    }
    v->kind = CONF_VALUE_TEXT;
    return bind_expanded(b, node, &v->text, &expanded);
}

/* The tree's limit does not count what an alias adds. */
static int fill_value(struct binder *b, const char *what, const struct tree_node *node, int depth,
                      struct conf_value *v) {
    v->at = node->at;
    if (node->kind == TREE_SCALAR)
        return bind_scalar(b, what, node, v);
    if (depth == CONF_FREE_DEPTH_MAX)
        return bind_error(b, node->at, "'%s' is nested more than %d levels deep", what,
                          CONF_FREE_DEPTH_MAX);
    v->kind = node->kind == TREE_LIST ? CONF_VALUE_LIST : CONF_VALUE_MAP;
    if (node->count > CONF_ENTRIES_MAX)
        return bind_error(b, node->at, "'%s' has more than %d entries", what, CONF_ENTRIES_MAX);
    v->members = bind_alloc(b, node->count, sizeof *v->members);
    int rc = v->members ? 0 : ERR_CONF;
    for (const struct tree_entry *e = node->first; rc == 0 && e; e = e->next) {
        struct conf_member *m = &v->members[v->count++];
        if (node->kind == TREE_MAP)
            m->name = (struct conf_text){e->key.ptr, e->key_at};
        rc = fill_value(b, what, e->value, depth + 1, &m->value);
    }
    return rc;
}

int bind_value(struct binder *b, const char *what, const struct tree_node *node,
               const struct conf_value **ret_value) {
    struct conf_value *v = bind_alloc(b, 1, sizeof *v);
    int rc = v ? fill_value(b, what, node, 0, v) : ERR_CONF;
    if (rc == 0)
        *ret_value = v;
    return rc;
}

/* --- parameters -------------------------------------------------------------------------- */

static const char *const type_names[] = {
    [CONF_PARAM_BOOL] = "bool",       [CONF_PARAM_INT32] = "int32",
    [CONF_PARAM_INT64] = "int64",     [CONF_PARAM_DOUBLE] = "double",
    [CONF_PARAM_DECIMAL] = "decimal", [CONF_PARAM_STRING] = "string",
    [CONF_PARAM_DATE] = "date",       [CONF_PARAM_TIMESTAMP] = "timestamp",
    [CONF_PARAM_UUID] = "uuid",       [CONF_PARAM_OBJECTID] = "objectid",
    [CONF_PARAM_BYTES] = "bytes",     [CONF_PARAM_JSON] = "json"};

const char *conf_param_type_name(enum conf_param_type type) {
    return type_names[type];
}

static bool read_type(const char *text, struct conf_param *p) {
    size_t len = strlen(text);
    p->array = len > 2 && strcmp(text + len - 2, "[]") == 0;
    struct span name = span_make(text, p->array ? len - 2 : len);
    for (size_t i = 0; i < sizeof type_names / sizeof *type_names; i++)
        if (span_is(name, type_names[i])) {
            p->type = (enum conf_param_type)i;
            return true;
        }
    return false;
}

static bool is_param_name(const char *name) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
                                  "0123456789";
    size_t len = strlen(name);
    return len > 0 && len <= CONF_PARAM_NAME_MAX && strspn(name, letters) == len &&
           !(name[0] >= '0' && name[0] <= '9');
}

int bind_param(struct binder *b, const struct conf_key *key, const struct tree_entry *e,
               struct conf_param *param) {
    bool expanded;
    int rc = 0;
    param->name = (struct conf_text){e->key.ptr, e->key_at};
    if (!is_param_name(e->key.ptr))
        return bind_error(b, e->key_at,
                          "'%.80s' cannot be a parameter: its name has 1 to %d letters, digits and "
                          "underscores, no digit first",
                          e->key.ptr, CONF_PARAM_NAME_MAX);
    if (e->value->kind == TREE_MAP)
        rc = bind_scope(b, key->child, 0, param->name.text, e->key_at, e->value, param);
    else
        rc = bind_text(b, param->name.text, e->value, &param->type_name, &expanded);
    if (rc == 0 && !read_type(param->type_name.text, param))
        rc = bind_error(b, param->type_name.at,
                        "'%s' must be bool, int32, int64, double, decimal, string, date, "
                        "timestamp, uuid, objectid, bytes or json, or one of them with [] behind "
                        "it, not '%.60s'",
                        param->name.text, param->type_name.text);
    return rc;
}

/* --- operations -------------------------------------------------------------------------- */

#define OPERATION_NAME_MAX 128

static int check_number(struct binder *b, const char *name, const struct conf_value *v) {
    if (!v || v->kind == CONF_VALUE_TEXT || (v->kind == CONF_VALUE_INT && v->integer >= 0))
        return 0;
    return bind_error(b, v->at, "'%s' must be a whole number from 0, or a parameter such as \":n\"",
                      name);
}

static int check_kind(struct binder *b, const char *name, const struct conf_value *v,
                      enum conf_value_kind kind) {
    if (!v || v->kind == kind)
        return 0;
    return bind_error(b, v->at, "'%s' must be a %s", name,
                      kind == CONF_VALUE_MAP ? "mapping" : "list");
}

static int check_mongodb(struct binder *b, const struct conf_operation *o) {
    const struct conf_operation_mongodb *m = &o->mongodb;
    struct conf_at at = o->name.at;
    if ((m->find.text != NULL) == (m->aggregate.text != NULL))
        return bind_error(b, at, "operation '%s': 'mongodb' needs one of find and aggregate",
                          o->name.text);
    if (m->aggregate.text && !m->pipeline)
        return bind_error(b, m->aggregate.at, "'aggregate' needs a pipeline");
    if (m->find.text && m->pipeline)
        return bind_error(b, m->pipeline->at, "'pipeline' is for aggregate, not for find");
    if (m->aggregate.text && (m->filter || m->sort || m->projection || m->limit || m->skip))
        return bind_error(b, m->aggregate.at,
                          "filter, sort, projection, limit and skip are for find; an aggregate has "
                          "stages for them");
    int rc = check_kind(b, "filter", m->filter, CONF_VALUE_MAP);
    if (rc == 0)
        rc = check_kind(b, "sort", m->sort, CONF_VALUE_MAP);
    if (rc == 0)
        rc = check_kind(b, "projection", m->projection, CONF_VALUE_MAP);
    if (rc == 0)
        rc = check_kind(b, "pipeline", m->pipeline, CONF_VALUE_LIST);
    if (rc == 0)
        rc = check_number(b, "limit", m->limit);
    return rc < 0 ? rc : check_number(b, "skip", m->skip);
}

int bind_operation(struct binder *b, const struct conf_key *key, const struct tree_entry *e,
                   struct conf_operation *operation) {
    size_t len = strlen(e->key.ptr);
    operation->name = (struct conf_text){e->key.ptr, e->key_at};
    if (len == 0 || len > OPERATION_NAME_MAX ||
        strspn(e->key.ptr, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
            len)
        return bind_error(b, e->key_at,
                          "the name of an operation has 1 to %d letters, digits, dots, dashes and "
                          "underscores, not '%.60s'",
                          OPERATION_NAME_MAX, e->key.ptr);
    int rc = bind_scope(b, key->child, 0, operation->name.text, e->key_at, e->value, operation);
    if (rc == 0 && operation->param_count > CONF_PARAMS_MAX)
        rc = bind_error(b, e->key_at, "operation '%s' has more than %d parameters",
                        operation->name.text, CONF_PARAMS_MAX);
    return rc < 0 ? rc : check_mongodb(b, operation);
}

const struct conf_operation *conf_operation(const struct conf *conf, const char *name,
                                            const struct conf_module **ret_module) {
    for (size_t i = 0; i < conf->module_count; i++)
        for (size_t j = 0; j < conf->modules[i].operation_count; j++)
            if (strcmp(conf->modules[i].operations[j].name.text, name) == 0) {
                if (ret_module)
                    *ret_module = &conf->modules[i];
                return &conf->modules[i].operations[j];
            }
    return NULL;
}

/* --- compare ----------------------------------------------------------------------------- */

int bind_pair(struct binder *b, const struct conf_key *key, const struct tree_entry *e,
              struct conf_pair *pair) {
    bool expanded;
    pair->name = (struct conf_text){e->key.ptr, e->key_at};
    if (e->key.len == 0)
        return bind_error(b, e->key_at, "an empty path in '%s'", key->name);
    int rc = bind_text(b, e->key.ptr, e->value, &pair->value, &expanded);
    if (rc < 0 || !key->choices)
        return rc;
    struct span choice;
    for (size_t i = 0; choice = conf_choice(key->choices, i), choice.len > 0; i++)
        if (span_is(choice, pair->value.text)) {
            pair->choice = (int)i;
            return 0;
        }
    return bind_error(b, e->value->at, "'%s' must be number, boolean, date or uuid, not '%.60s'",
                      e->key.ptr, expanded ? "..." : pair->value.text);
}

static int check_compare(struct binder *b, const struct conf_compare *c, struct conf_at at,
                         bool route) {
    size_t all = c->ignore.count + c->mask.count + c->key_count + c->type_count;
    if (all > CONF_PATTERNS_MAX)
        return bind_error(b, at, "'compare' names %zu paths, more than %d", all, CONF_PATTERNS_MAX);
    if (c->headers.count && !route)
        return bind_error(b, c->headers.at, "'headers' is for routes; an operation has none");
    for (size_t i = 0; i < c->headers.count; i++)
        if (strcasecmp(c->headers.items[i].text, "set-cookie") == 0)
            return bind_error(b, c->headers.items[i].at,
                              "Set-Cookie is never compared: it would be kept; remove it");
    return 0;
}

/* --- the whole file ---------------------------------------------------------------------- */

static int check_copies(struct binder *b, const struct conf *conf) {
    const struct conf_text *copies = &conf->divergences.collection;
    if (!copies->text)
        return 0;
    for (size_t i = 0; i < conf->module_count; i++)
        for (size_t j = 0; j < conf->modules[i].collection_count; j++) {
            const struct conf_text *name = &conf->modules[i].collections[j].name;
            if (strcmp(name->text, copies->text) == 0)
                return bind_error(b, copies->at,
                                  "'%s' is a mapped collection (%d:%d); take another name",
                                  copies->text, name->at.line, name->at.column);
        }
    return 0;
}

static int check_module(struct binder *b, const struct conf_module *m) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < m->route_count; i++)
        rc = check_compare(b, &m->routes[i].compare, m->routes[i].at, true);
    for (size_t i = 0; rc == 0 && i < m->operation_count; i++)
        rc = check_compare(b, &m->operations[i].compare, m->operations[i].name.at, false);
    return rc;
}

static int check_names(struct binder *b, const struct conf *conf) {
    struct spanmap seen = {0};
    const struct conf_text *first[CONF_OPERATIONS_MAX];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < conf->module_count; i++)
        for (size_t j = 0; rc == 0 && j < conf->modules[i].operation_count; j++) {
            const struct conf_text *name = &conf->modules[i].operations[j].name;
            if (seen.count == CONF_OPERATIONS_MAX) {
                rc = bind_error(b, name->at, "there are more than %d operations",
                                CONF_OPERATIONS_MAX);
                break;
            }
            const struct conf_text *before = bind_namesake(&seen, first, name);
            if (before)
                rc = bind_error(b, name->at,
                                "two operations are called '%s', the first at %d:%d; rename one",
                                name->text, before->at.line, before->at.column);
        }
    spanmap_release(&seen);
    return rc;
}

int bind_check_operations(struct binder *b, struct conf *conf) {
    int rc = check_copies(b, conf);
    if (rc == 0)
        rc = check_names(b, conf);
    for (size_t i = 0; rc == 0 && i < conf->module_count; i++)
        rc = check_module(b, &conf->modules[i]);
    return rc;
}
