/* What has names chosen by the user: modules, collections, fields, embedded documents, indexes. */
#include "base/mem.h"
#include "conf/conf_bind.h"
#include "conf/conf_check.h"

#include <math.h>

/* Room for one struct an entry of the mapping or list under `key`. */
static int open_entries(struct binder *b, const struct conf_key *key, const struct tree_node *node,
                        enum tree_kind kind, size_t size, void **ret_items) {
    if (node->kind != kind)
        return bind_error(b, node->at, "'%s' must be a %s, not %s; for example %s", key->name,
                          kind == TREE_MAP ? "mapping" : "list", tree_kind_name(node),
                          key->example);
    if (node->count == 0 && (key->flags & KEY_FILLED))
        return bind_error(b, node->at, "'%s' is empty; for example %s", key->name, key->example);
    if (node->count > CONF_ENTRIES_MAX)
        return bind_error(b, node->at, "'%s' has more than %d entries", key->name,
                          CONF_ENTRIES_MAX);
    *ret_items = bind_alloc(b, node->count, size);
    return *ret_items ? 0 : ERR_CONF;
}

/* A name that is a key of the file: taken as it is, without expansion. */
static int bind_name(struct binder *b, const struct conf_key *key, const struct tree_entry *e,
                     struct conf_text *ret_name) {
    if (e->key.len == 0)
        return bind_error(b, e->key_at, "an empty name in '%s'", key->name);
    *ret_name = (struct conf_text){e->key.ptr, e->key_at};
    return 0;
}

/* --- fields, add ------------------------------------------------------------------------- */

static int bind_field(struct binder *b, const struct conf_key *key, const struct tree_entry *e,
                      struct conf_field *f) {
    bool truth, expanded;
    int rc = bind_name(b, key, e, &f->column);
    if (rc < 0)
        return rc;
    const struct tree_node *node = e->value;
    if (node->kind == TREE_MAP)
        return bind_scope(b, key->child, 0, f->column.text, e->key_at, node, f);
    if (tree_is_null(node)) {
        f->omit = true;
        return 0;
    }
    if (node->kind == TREE_LIST || tree_is_bool(node, &truth))
        return bind_error(
            b, node->at,
            "'%s' must be a new name, ~ to leave the column out, or {as, type}, not %s",
            f->column.text, tree_kind_name(node));
    return bind_text(b, f->column.text, node, &f->as, &expanded);
}

static int bind_constant(struct binder *b, const struct tree_node *node, struct conf_add *add) {
    add->kind = CONF_ADD_CONSTANT;
    if (tree_is_null(node)) {
        add->scalar = CONF_NULL;
        return 0;
    }
    if (tree_is_bool(node, &add->boolean)) {
        add->scalar = CONF_BOOL;
        return 0;
    }
    if (node->plain && conf_read_number(node->text, &add->scalar, &add->integer, &add->real)) {
        /* Digits that became infinity, or an approximation of a whole number. */
        char last = node->text.ptr[node->text.len - 1];
        bool whole = strspn(node->text.ptr, "+-0123456789") == node->text.len;
        bool over = isinf(add->real) && last >= '0' && last <= '9';
        if (add->scalar == CONF_DOUBLE && (whole || over))
            return bind_error(b, node->at,
                              "'%s' is a number too big to be exact; quote it to make it text",
                              add->name.text);
        return 0;
    }
    add->scalar = CONF_STRING;
    struct span text;
    bool expanded;
    int rc = bind_expanded(b, node, &text, &expanded);
    if (rc == 0)
        add->string = text.ptr;
    return rc;
}

static int bind_add(struct binder *b, const struct conf_key *key, const struct tree_entry *e,
                    struct conf_add *add) {
    int rc = bind_name(b, key, e, &add->name);
    if (rc < 0)
        return rc;
    if (e->value->kind == TREE_SCALAR)
        return bind_constant(b, e->value, add);
    if (e->value->kind == TREE_LIST)
        return bind_error(b, e->value->at, "'%s' must be a constant, {now: true} or {column: name}",
                          add->name.text);
    struct conf_add_keys keys = {0};
    rc = bind_scope(b, key->child, 0, add->name.text, e->key_at, e->value, &keys);
    if (rc < 0)
        return rc;
    if (keys.now == (keys.column.text != NULL))
        return bind_error(b, e->value->at, "'%s' must be either {now: true} or {column: name}",
                          add->name.text);
    add->kind = keys.now ? CONF_ADD_NOW : CONF_ADD_COLUMN;
    add->column = keys.column;
    return 0;
}

/* --- join, indexes ----------------------------------------------------------------------- */

static int bind_join(struct binder *b, const struct conf_key *key, const struct tree_entry *e,
                     struct conf_join *join) {
    bool expanded;
    int rc = bind_name(b, key, e, &join->child);
    return rc < 0 ? rc : bind_text(b, join->child.text, e->value, &join->parent, &expanded);
}

static int bind_index_key(struct binder *b, const struct conf_key *key, const struct tree_entry *e,
                          struct conf_index_key *k) {
    int rc = bind_name(b, key, e, &k->path);
    if (rc < 0)
        return rc;
    for (size_t i = 0;; i++) {
        struct span choice = conf_choice(key->choices, i);
        if (choice.len == 0)
            break;
        if (e->value->kind == TREE_SCALAR && span_eq(e->value->text, choice)) {
            k->kind = e->value->text.ptr;
            return 0;
        }
    }
    return bind_error(b, e->value->at, "'%s' must be one of 1, -1, 2dsphere, text, hashed",
                      k->path.text);
}

static int bind_index(struct binder *b, const struct conf_key *key, const struct tree_entry *e,
                      struct conf_index *index) {
    index->at = e->value->at;
    return bind_scope(b, key->child, 0, key->name, e->value->at, e->value, index);
}

static int bind_alert_rule(struct binder *b, const struct conf_key *key, const struct tree_entry *e,
                           struct conf_alert_rule *rule) {
    rule->at = e->value->at;
    int rc = bind_scope(b, key->child, 0, key->name, e->value->at, e->value, rule);
    if (rc < 0)
        return rc;
    if ((rule->over.text != NULL) == (rule->under.text != NULL))
        return bind_error(b, rule->at, "a rule needs one of 'over' and 'under'; for example %s",
                          key->example);
    return 0;
}

/* --- mappings ---------------------------------------------------------------------------- */

static int bind_mapping(struct binder *b, const struct conf_key *key, const struct tree_entry *e,
                        unsigned where, struct conf_mapping *m) {
    int rc = bind_name(b, key, e, &m->name);
    if (rc < 0)
        return rc;
    return bind_scope(b, key->child, where, m->name.text, e->key_at, e->value, m);
}

static int bind_collection(struct binder *b, const struct conf_key *key, const struct tree_entry *e,
                           struct conf_mapping *m) {
    const char *wrong = conf_check_collection(e->key.ptr);
    if (wrong)
        return bind_error(b, e->key_at, "the name of collection '%s' %s", e->key.ptr, wrong);
    return bind_mapping(b, key, e, KEY_COLLECTION, m);
}

static int bind_embedded(struct binder *b, const struct conf_key *key, const struct tree_entry *e,
                         const struct conf_mapping *parent, struct conf_mapping *m) {
    if (b->embed_depth == CONF_EMBED_DEPTH_MAX)
        return bind_error(b, e->key_at, "'embed' is more than %d levels deep",
                          CONF_EMBED_DEPTH_MAX);
    m->casing = parent->casing;
    m->nulls = parent->nulls;
    b->embed_depth++;
    int rc = bind_mapping(b, key, e, KEY_EMBEDDED, m);
    b->embed_depth--;
    return rc;
}

static int bind_module(struct binder *b, const struct conf_key *key, const struct tree_entry *e,
                       struct conf_module *module) {
    const char *wrong = conf_check_collection(e->key.ptr);
    if (wrong)
        return bind_error(b, e->key_at, "the name of module '%s' %s", e->key.ptr, wrong);
    if (span_is(e->key, "all"))
        return bind_error(b, e->key_at,
                          "a module cannot be called 'all': that is every module; take "
                          "another name");
    module->name = (struct conf_text){e->key.ptr, e->key_at};
    return bind_scope(b, key->child, 0, module->name.text, e->key_at, e->value, module);
}

/* --- entries ----------------------------------------------------------------------------- */

static int bind_entry(struct binder *b, const struct conf_key *key, const struct tree_entry *e,
                      void *base, void *items, size_t i) {
    switch (key->kind) {
    case KIND_MODULES:
        return bind_module(b, key, e, (struct conf_module *)items + i);
    case KIND_COLLECTIONS:
        return bind_collection(b, key, e, (struct conf_mapping *)items + i);
    case KIND_EMBED:
        return bind_embedded(b, key, e, base, (struct conf_mapping *)items + i);
    case KIND_FIELDS:
        return bind_field(b, key, e, (struct conf_field *)items + i);
    case KIND_ADD:
        return bind_add(b, key, e, (struct conf_add *)items + i);
    case KIND_INDEXES:
        return bind_index(b, key, e, (struct conf_index *)items + i);
    case KIND_INDEX_KEYS:
        return bind_index_key(b, key, e, (struct conf_index_key *)items + i);
    case KIND_JOIN:
        return bind_join(b, key, e, (struct conf_join *)items + i);
    case KIND_ALERT_RULES:
        return bind_alert_rule(b, key, e, (struct conf_alert_rule *)items + i);
    case KIND_ROUTES:
        return bind_route(b, key, e, (struct conf_route *)items + i);
    case KIND_OPERATIONS:
        return bind_operation(b, key, e, (struct conf_operation *)items + i);
    case KIND_PARAMS:
        return bind_param(b, key, e, (struct conf_param *)items + i);
    case KIND_PAIRS:
        return bind_pair(b, key, e, (struct conf_pair *)items + i);
    case KIND_ATTRIBUTES:
        return bind_attribute(b, key, e, (struct conf_attribute *)items + i);
    default: /* bind_entries has no size for other kinds */
        return err_set(b->err, ERR_INTERNAL, "key '%s' has no entries", key->name);
    }
}

static size_t entry_size(enum conf_kind kind) {
    switch (kind) {
    case KIND_MODULES:
        return sizeof(struct conf_module);
    case KIND_COLLECTIONS:
    case KIND_EMBED:
        return sizeof(struct conf_mapping);
    case KIND_FIELDS:
        return sizeof(struct conf_field);
    case KIND_ADD:
        return sizeof(struct conf_add);
    case KIND_INDEXES:
        return sizeof(struct conf_index);
    case KIND_INDEX_KEYS:
        return sizeof(struct conf_index_key);
    case KIND_JOIN:
        return sizeof(struct conf_join);
    case KIND_ALERT_RULES:
        return sizeof(struct conf_alert_rule);
    case KIND_ROUTES:
        return sizeof(struct conf_route);
    case KIND_ATTRIBUTES:
        return sizeof(struct conf_attribute);
    case KIND_OPERATIONS:
        return sizeof(struct conf_operation);
    case KIND_PARAMS:
        return sizeof(struct conf_param);
    case KIND_PAIRS:
        return sizeof(struct conf_pair);
    default:
        return 0;
    }
}

int bind_entries(struct binder *b, const struct conf_key *key, const struct tree_node *node,
                 void *base) {
    void *items = NULL;
    bool list =
        key->kind == KIND_INDEXES || key->kind == KIND_ALERT_RULES || key->kind == KIND_ROUTES;
    int rc = open_entries(b, key, node, list ? TREE_LIST : TREE_MAP, entry_size(key->kind), &items);
    size_t count = 0;
    for (const struct tree_entry *e = node->first; rc == 0 && e; e = e->next)
        rc = bind_entry(b, key, e, base, items, count++);
    if (rc < 0)
        return rc;
    *(void **)((char *)base + key->offset) = items;
    *(size_t *)((char *)base + key->at_offset) = count;
    return 0;
}

/* --- the whole file ---------------------------------------------------------------------- */

const struct conf_text *bind_namesake(struct spanmap *seen, const struct conf_text **first,
                                      const struct conf_text *name) {
    bool fresh;
    uint32_t *slot = spanmap_put(seen, span_of(name->text), &fresh);
    if (!fresh)
        return first[*slot];
    *slot = (uint32_t)(seen->count - 1);
    first[*slot] = name;
    return NULL;
}

static int check_collection(struct binder *b, const struct conf *conf, struct spanmap *seen,
                            const struct conf_text **first, const struct conf_text *name) {
    if (strlen(conf->target.database) + 1 + strlen(name->text) > CONF_NAMESPACE_MAX)
        return bind_error(b, name->at,
                          "'%.60s...' and the database's name have more than %d bytes; shorten it",
                          name->text, CONF_NAMESPACE_MAX);
    const struct conf_text *before = bind_namesake(seen, first, name);
    return before ? bind_error(b, name->at,
                               "two collections are called '%s', the first at %d:%d; rename one",
                               name->text, before->at.line, before->at.column)
                  : 0;
}

static int check_collections(struct binder *b, const struct conf *conf) {
    size_t all = 0;
    for (size_t i = 0; i < conf->module_count; i++)
        all += conf->modules[i].collection_count;
    _cleanup_(mem_freep) const struct conf_text **first = mem_zalloc(all, sizeof *first);
    struct spanmap seen = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < conf->module_count; i++) {
        const struct conf_module *module = &conf->modules[i];
        for (size_t j = 0; rc == 0 && j < module->collection_count; j++)
            rc = check_collection(b, conf, &seen, first, &module->collections[j].name);
    }
    spanmap_release(&seen);
    return rc;
}

static bool says_edge(const struct tree_node *root) {
    const struct tree_entry *e = root->kind == TREE_MAP ? tree_find(root, "edge") : NULL;
    return e && e->value->kind == TREE_MAP && tree_find(e->value, "control");
}

int bind_conf(const char *file, const struct tree_node *root, struct arena *arena, bool edge,
              struct conf *conf, struct err *err) {
    struct binder b = {.file = file, .arena = arena, .err = err, .edge = edge || says_edge(root)};
    conf->is_edge = b.edge;
    int rc = bind_scope(&b, SCOPE_ROOT, 0, "", (struct conf_at){1, 1}, root, conf);
    if (rc == 0)
        rc = check_collections(&b, conf);
    if (rc == 0)
        rc = bind_check_routes(&b, conf);
    return rc < 0 ? rc : bind_check_operations(&b, conf);
}
