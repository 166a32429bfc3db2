/* modules: collections, and what is embedded in them. */
#include "confq/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EMBED_DEPTH_MAX 20
#define NAMESPACE_MAX 255

static const char *const mapping_keys[] = {
    "table",  "id",   "keep_id", "only",      "case",  "nulls",    "fields", "add",
    "where",  "embed", "indexes", "validator", "time_series", "one", "join", "keep_join", "order"};
#define MAPPING_KEYS (sizeof mapping_keys / sizeof *mapping_keys)

static int read_mapping(struct reader *r, const struct yaml *node, struct conf_mapping *m,
                        const struct conf_mapping *parent, int depth);

/* ---- small pieces ---- */

static int read_name(struct reader *r, const struct yaml *node, struct conf_text *ret) {
    ret->at = node->at;
    return reader_text(r, node, &ret->text);
}

static int read_list(struct reader *r, const struct yaml *node, struct conf_list *list) {
    int rc = reader_want(r, node, YAML_LIST);
    if (rc < 0)
        return rc;
    list->at = node->at;
    list->items = reader_alloc(r, node->count, sizeof *list->items);
    for (const struct yaml *item = node->first; rc == 0 && item; item = item->next)
        rc = read_name(r, item, &list->items[list->count++]);
    return rc;
}

/* One part of schema.table: quoted as in SQL, or folded to lower case. */
static const char *read_part(struct reader *r, const char **p) {
    char *out = reader_alloc(r, strlen(*p) + 1, 1), *at = out;
    bool quoted = **p == '"';
    *p += quoted;
    while (**p) {
        if (quoted && **p == '"' && (*p)[1] != '"')
            break;
        if (!quoted && (**p == '.' || **p == '"'))
            break;
        if (quoted && **p == '"')
            (*p)++;
        char c = *(*p)++;
        *at++ = !quoted && c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    if (quoted && **p != '"')
        return NULL;
    *p += quoted;
    return at > out ? out : NULL;
}

static int read_table(struct reader *r, const struct yaml *node, struct conf_table *t) {
    const char *text = NULL;
    int rc = reader_text(r, node, &text);
    if (rc < 0)
        return rc;
    const char *p = text;
    t->at = node->at;
    t->schema = "public";
    t->name = read_part(r, &p);
    if (t->name && *p == '.') {
        p++;
        t->schema = t->name;
        t->name = read_part(r, &p);
    }
    if (!t->name || *p)
        return reader_error(r, node->at,
                            "'%s' is not a table name: schema.table, parts quoted as in SQL where "
                            "they need it",
                            text);
    return 0;
}

/* ---- fields, add ---- */

static int read_field(struct reader *r, const struct yaml *node, struct conf_field *f) {
    f->column = (struct conf_text){node->key, node->key_at};
    if (reader_is_null(node)) {
        f->omit = true;
        return 0;
    }
    if (node->kind == YAML_SCALAR)
        return read_name(r, node, &f->as);
    static const char *const known[] = {"as", "type"};
    int rc = reader_want(r, node, YAML_MAP);
    for (const struct yaml *n = node->first; rc == 0 && n; n = n->next) {
        if (strcmp(n->key, "as") == 0)
            rc = read_name(r, n, &f->as);
        else if (strcmp(n->key, "type") == 0)
            rc = read_name(r, n, &f->type);
        else if (strcmp(n->key, "sql") == 0)
            rc = reader_later(r, n);
        else
            rc = reader_unknown(r, n, known, 2);
    }
    return rc;
}

static int read_fields(struct reader *r, const struct yaml *node, struct conf_mapping *m) {
    int rc = reader_want(r, node, YAML_MAP);
    if (rc < 0)
        return rc;
    m->fields = reader_alloc(r, node->count, sizeof *m->fields);
    for (const struct yaml *n = node->first; rc == 0 && n; n = n->next)
        rc = read_field(r, n, &m->fields[m->field_count++]);
    return rc;
}

static bool is_number(const char *text, int64_t *ret_int, double *ret_real, bool *ret_whole) {
    char *end = NULL;
    *ret_int = strtoll(text, &end, 10);
    *ret_whole = end != text && !*end;
    if (*ret_whole)
        return true;
    *ret_real = strtod(text, &end);
    return end != text && !*end && strpbrk(text, "0123456789");
}

static int read_constant(struct reader *r, const struct yaml *node, struct conf_add *a) {
    const char *text = NULL;
    bool whole;
    int rc = reader_text(r, node, &text);
    if (rc < 0)
        return rc;
    a->kind = CONF_ADD_CONSTANT;
    a->scalar = CONF_STRING;
    a->string = text;
    if (reader_is_null(node)) {
        a->scalar = CONF_NULL;
    } else if (node->plain && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)) {
        a->scalar = CONF_BOOL;
        a->boolean = text[0] == 't';
    } else if (node->plain && is_number(text, &a->integer, &a->real, &whole)) {
        a->scalar = whole ? CONF_INT : CONF_DOUBLE;
    }
    return 0;
}

static int read_add(struct reader *r, const struct yaml *node, struct conf_add *a) {
    static const char *const known[] = {"column", "now"};
    a->name = (struct conf_text){node->key, node->key_at};
    if (node->kind == YAML_SCALAR)
        return read_constant(r, node, a);
    int rc = reader_want(r, node, YAML_MAP);
    if (rc == 0 && node->count != 1)
        rc = reader_error(r, node->at, "'%s' must be a constant, {now: true} or {column: name}",
                          node->key);
    if (rc < 0)
        return rc;
    const struct yaml *n = node->first;
    bool now = true;
    if (strcmp(n->key, "column") == 0) {
        a->kind = CONF_ADD_COLUMN;
        return read_name(r, n, &a->column);
    }
    if (strcmp(n->key, "now") != 0)
        return reader_unknown(r, n, known, 2);
    a->kind = CONF_ADD_NOW;
    rc = reader_bool(r, n, &now);
    return rc == 0 && !now ? reader_error(r, n->at, "'now' can only be true") : rc;
}

static int read_adds(struct reader *r, const struct yaml *node, struct conf_mapping *m) {
    int rc = reader_want(r, node, YAML_MAP);
    if (rc < 0)
        return rc;
    m->add = reader_alloc(r, node->count, sizeof *m->add);
    for (const struct yaml *n = node->first; rc == 0 && n; n = n->next)
        rc = read_add(r, n, &m->add[m->add_count++]);
    return rc;
}

/* ---- join, indexes ---- */

static int read_joins(struct reader *r, const struct yaml *node, struct conf_mapping *m) {
    int rc = reader_want(r, node, YAML_MAP);
    if (rc < 0)
        return rc;
    m->join = reader_alloc(r, node->count, sizeof *m->join);
    for (const struct yaml *n = node->first; rc == 0 && n; n = n->next) {
        struct conf_join *join = &m->join[m->join_count++];
        join->child = (struct conf_text){n->key, n->key_at};
        rc = read_name(r, n, &join->parent);
    }
    return rc;
}

static int read_index_keys(struct reader *r, const struct yaml *node, struct conf_index *index) {
    static const char *const kinds[] = {"1", "-1", "2dsphere", "text", "hashed"};
    int rc = reader_want(r, node, YAML_MAP);
    if (rc < 0)
        return rc;
    index->keys = reader_alloc(r, node->count, sizeof *index->keys);
    for (const struct yaml *n = node->first; rc == 0 && n; n = n->next) {
        struct conf_index_key *key = &index->keys[index->key_count++];
        key->path = (struct conf_text){n->key, n->key_at};
        rc = reader_text(r, n, &key->kind);
        bool known = false;
        for (size_t i = 0; rc == 0 && i < sizeof kinds / sizeof *kinds; i++)
            known |= strcmp(kinds[i], key->kind) == 0;
        if (rc == 0 && !known)
            rc = reader_error(r, n->at, "index kind '%s' is none of 1, -1, 2dsphere, text, hashed",
                              key->kind);
    }
    return rc;
}

static int read_index(struct reader *r, const struct yaml *node, struct conf_index *index) {
    static const char *const known[] = {"keys", "unique", "name"};
    int rc = reader_want(r, node, YAML_MAP);
    index->at = node->at;
    for (const struct yaml *n = node->first; rc == 0 && n; n = n->next) {
        if (strcmp(n->key, "keys") == 0)
            rc = read_index_keys(r, n, index);
        else if (strcmp(n->key, "unique") == 0)
            rc = reader_bool(r, n, &index->unique);
        else if (strcmp(n->key, "name") == 0)
            rc = reader_text(r, n, &index->name);
        else
            rc = reader_unknown(r, n, known, 3);
    }
    if (rc == 0 && index->key_count == 0)
        rc = reader_error(r, node->at, "an index needs 'keys'");
    return rc;
}

static int read_indexes(struct reader *r, const struct yaml *node, struct conf_mapping *m) {
    int rc = reader_want(r, node, YAML_LIST);
    if (rc < 0)
        return rc;
    m->indexes = reader_alloc(r, node->count, sizeof *m->indexes);
    for (const struct yaml *n = node->first; rc == 0 && n; n = n->next)
        rc = read_index(r, n, &m->indexes[m->index_count++]);
    return rc;
}

/* ---- mappings ---- */

static int read_id(struct reader *r, const struct yaml *node, struct conf_mapping *m) {
    if (node->kind == YAML_LIST)
        return read_list(r, node, &m->id);
    const char *text = NULL;
    int rc = reader_text(r, node, &text);
    if (rc == 0 && strcmp(text, "objectid") != 0)
        return reader_error(r, node->at, "'id' must be a list of columns, or objectid");
    m->id_objectid = true;
    return rc;
}

static int read_word(struct reader *r, const struct yaml *node, const char *first, const char *second,
                     int *ret) {
    const char *text = NULL;
    int rc = reader_text(r, node, &text);
    if (rc < 0)
        return rc;
    if (strcmp(text, first) != 0 && strcmp(text, second) != 0)
        return reader_error(r, node->at, "'%s' must be %s or %s, not '%s'", node->key, first, second,
                            text);
    *ret = strcmp(text, second) == 0;
    return 0;
}

static int read_embeds(struct reader *r, const struct yaml *node, struct conf_mapping *m, int depth) {
    int rc = reader_want(r, node, YAML_MAP);
    if (rc == 0 && depth >= EMBED_DEPTH_MAX)
        rc = reader_error(r, node->at, "embedded deeper than %d levels", EMBED_DEPTH_MAX);
    if (rc < 0)
        return rc;
    m->embed = reader_alloc(r, node->count, sizeof *m->embed);
    for (const struct yaml *n = node->first; rc == 0 && n; n = n->next)
        rc = read_mapping(r, n, &m->embed[m->embed_count++], m, depth + 1);
    return rc;
}

static int read_shared_key(struct reader *r, const struct yaml *n, struct conf_mapping *m) {
    int word = 0, rc;
    if (strcmp(n->key, "table") == 0)
        return read_table(r, n, &m->table);
    if (strcmp(n->key, "only") == 0)
        return read_list(r, n, &m->only);
    if (strcmp(n->key, "fields") == 0)
        return read_fields(r, n, m);
    if (strcmp(n->key, "add") == 0)
        return read_adds(r, n, m);
    if (strcmp(n->key, "case") == 0) {
        rc = read_word(r, n, "keep", "camel", &word);
        m->casing = (enum conf_case)word;
        return rc;
    }
    if (strcmp(n->key, "nulls") == 0) {
        rc = read_word(r, n, "keep", "omit", &word);
        m->nulls = (enum conf_nulls)word;
        return rc;
    }
    if (strcmp(n->key, "validator") == 0 && n->kind == YAML_SCALAR && strcmp(n->text, "off") == 0)
        return 0;
    if (strcmp(n->key, "where") == 0 || strcmp(n->key, "validator") == 0 ||
        strcmp(n->key, "time_series") == 0)
        return reader_later(r, n);
    return 1; /* not one of these */
}

static int read_root_key(struct reader *r, const struct yaml *n, struct conf_mapping *m) {
    if (strcmp(n->key, "id") == 0)
        return read_id(r, n, m);
    if (strcmp(n->key, "keep_id") == 0)
        return reader_bool(r, n, &m->keep_id);
    if (strcmp(n->key, "indexes") == 0)
        return read_indexes(r, n, m);
    return 1;
}

static int read_embed_key(struct reader *r, const struct yaml *n, struct conf_mapping *m) {
    if (strcmp(n->key, "one") == 0)
        return reader_bool(r, n, &m->one);
    if (strcmp(n->key, "join") == 0)
        return read_joins(r, n, m);
    if (strcmp(n->key, "keep_join") == 0)
        return reader_bool(r, n, &m->keep_join);
    if (strcmp(n->key, "order") == 0)
        return read_list(r, n, &m->order);
    return 1;
}

static int read_mapping_key(struct reader *r, const struct yaml *n, struct conf_mapping *m,
                            bool embedded) {
    int rc = read_shared_key(r, n, m);
    if (rc == 1)
        rc = embedded ? read_embed_key(r, n, m) : read_root_key(r, n, m);
    if (rc != 1)
        return rc;
    struct conf_mapping other = {0};
    bool elsewhere = (embedded ? read_root_key(r, n, &other) : read_embed_key(r, n, &other)) != 1;
    if (elsewhere)
        return reader_error(r, n->key_at, "'%s' is for %s only", n->key,
                            embedded ? "collections" : "what is embedded");
    return reader_unknown(r, n, mapping_keys, MAPPING_KEYS);
}

static int read_mapping(struct reader *r, const struct yaml *node, struct conf_mapping *m,
                        const struct conf_mapping *parent, int depth) {
    m->name = (struct conf_text){node->key, node->key_at};
    if (parent) {
        m->casing = parent->casing;
        m->nulls = parent->nulls;
    }
    int rc = reader_want(r, node, YAML_MAP);
    const struct yaml *embed = NULL;
    for (const struct yaml *n = node->first; rc == 0 && n; n = n->next) {
        if (strcmp(n->key, "embed") == 0)
            embed = n; /* last: what is embedded inherits */
        else
            rc = read_mapping_key(r, n, m, parent != NULL);
    }
    if (rc == 0 && !m->table.name)
        rc = reader_error(r, node->key_at, "'%s' needs 'table'", node->key);
    if (rc == 0 && parent && m->join_count == 0)
        rc = reader_error(r, node->key_at, "'%s' needs 'join': {child column: parent column}",
                          node->key);
    return rc == 0 && embed ? read_embeds(r, embed, m, depth) : rc;
}

/* ---- collections and modules ---- */

/* MongoDB manual, "Naming Restrictions". */
static int check_collection_name(struct reader *r, const struct conf *conf, const struct yaml *node) {
    const char *name = node->key;
    size_t database = conf->target.database ? strlen(conf->target.database) : 63;
    if (!name[0] || strchr(name, '$') || strncmp(name, "system.", 7) == 0 ||
        strlen(name) + database + 1 > NAMESPACE_MAX)
        return reader_error(r, node->key_at,
                            "'%s' cannot be the name of a collection: not empty, no '$', not "
                            "\"system.\" at the front, at most %d bytes with the database",
                            name, NAMESPACE_MAX);
    return 0;
}

static int check_not_taken(struct reader *r, const struct conf *conf, const struct yaml *node) {
    for (size_t i = 0; i < conf->module_count; i++)
        for (size_t k = 0; k < conf->modules[i].collection_count; k++) {
            const struct conf_text *other = &conf->modules[i].collections[k].name;
            if (other->text && strcmp(other->text, node->key) == 0)
                return reader_error(r, node->key_at,
                                    "two collections are called '%s': the other is at %d:%d",
                                    node->key, other->at.line, other->at.column);
        }
    return 0;
}

static int read_collections(struct reader *r, const struct yaml *node, struct conf *conf,
                            struct conf_module *module) {
    int rc = reader_want(r, node, YAML_MAP);
    if (rc < 0)
        return rc;
    module->collections = reader_alloc(r, node->count, sizeof *module->collections);
    for (const struct yaml *n = node->first; rc == 0 && n; n = n->next) {
        rc = check_collection_name(r, conf, n);
        if (rc == 0)
            rc = check_not_taken(r, conf, n);
        if (rc == 0)
            rc = read_mapping(r, n, &module->collections[module->collection_count++], NULL, 0);
    }
    return rc;
}

static int read_module(struct reader *r, const struct yaml *node, struct conf *conf,
                       struct conf_module *module) {
    static const char *const later[] = {"flag", "operations", "routes", "reads", "writes", "stage",
                                        "rollout", "approvals", "gates", "budget"};
    static const char *const known[] = {"collections"};
    module->name = (struct conf_text){node->key, node->key_at};
    if (strcmp(node->key, "all") == 0)
        return reader_error(r, node->key_at, "a module cannot be called 'all': that means every one");
    int rc = reader_want(r, node, YAML_MAP);
    for (const struct yaml *n = node->first; rc == 0 && n; n = n->next) {
        bool is_later = false;
        for (size_t i = 0; i < sizeof later / sizeof *later; i++)
            is_later |= strcmp(later[i], n->key) == 0;
        if (strcmp(n->key, "collections") == 0)
            rc = read_collections(r, n, conf, module);
        else
            rc = is_later ? reader_later(r, n) : reader_unknown(r, n, known, 1);
    }
    if (rc == 0 && module->collection_count == 0)
        rc = reader_error(r, node->key_at, "module '%s' has no collections", node->key);
    return rc;
}

int read_modules(struct reader *r, const struct yaml *node, struct conf *conf) {
    int rc = reader_want(r, node, YAML_MAP);
    if (rc < 0)
        return rc;
    conf->modules = reader_alloc(r, node->count, sizeof *conf->modules);
    for (const struct yaml *n = node->first; rc == 0 && n; n = n->next)
        rc = read_module(r, n, conf, &conf->modules[conf->module_count++]);
    return rc;
}
