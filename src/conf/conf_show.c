/* Effective values: the struct, read back by the table of keys. */
#include "conf/conf.h"

#include "conf/conf_check.h"
#include "conf/conf_emit.h"
#include "conf/conf_keys.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define ALWAYS_SET                                                                                 \
    "always set by Banyan, whatever the URI says: w: majority, journal: true, primary reads, "     \
    "retryable writes"

static void show_scope(struct emit *e, enum conf_scope scope, unsigned where, const void *base);

static const void *field_at(const void *base, const struct conf_key *key) {
    return (const char *)base + key->offset;
}

/* --- scalars ----------------------------------------------------------------------------- */

static void show_integer(struct emit *e, const char *name, int64_t v) {
    char text[24];
    (void)snprintf(text, sizeof text, "%lld", (long long)v);
    emit_raw(e, name, text);
}

static void show_flag(struct emit *e, const char *name, bool v) {
    emit_raw(e, name, v ? "true" : "false");
}

/* A key without a value: what holds instead. */
static void show_absent(struct emit *e, const struct conf_key *key) {
    if (e->json)
        emit_raw(e, key->name, "null");
    else if (key->otherwise && !e->level[e->depth - 1].flow)
        emit_comment(e, key->name, key->otherwise);
}

/* As long as the shortest token, so that what is shown can be read back. */
#define SECRET_SHOWN "****************"

static void show_text(struct emit *e, const struct conf_key *key, const char *text) {
    if (text)
        emit_text(e, key->name, key->flags & KEY_SECRET && !e->secrets ? SECRET_SHOWN : text);
    else
        show_absent(e, key);
}

static void show_uri(struct emit *e, const struct conf_key *key, const char *uri) {
    if (!uri) {
        show_absent(e, key);
        return;
    }
    if (e->secrets) {
        emit_text(e, key->name, uri);
        return;
    }
    _cleanup_(buf_release) struct buf safe = {.max = 4 * (size_t)CONF_VALUE_MAX};
    conf_redact_uri(uri, &safe);
    emit_text(e, key->name, buf_text(&safe));
}

static void show_threshold(struct emit *e, const struct conf_key *key,
                           const struct conf_threshold *t) {
    if (!t->text)
        show_absent(e, key);
    else
        emit_text(e, key->name, t->text);
}

static void show_list(struct emit *e, const struct conf_key *key, const struct conf_list *list) {
    if (list->at.line == 0) {
        show_absent(e, key);
        return;
    }
    emit_list(e, key->name);
    for (size_t i = 0; i < list->count; i++)
        emit_text(e, NULL, list->items[i].text);
    emit_close(e);
}

/* One part of a table's name, as it would stand in SQL. */
static void add_part(struct buf *out, const char *part) {
    bool bare = (part[0] >= 'a' && part[0] <= 'z') || part[0] == '_';
    if (bare && strspn(part, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(part)) {
        buf_add_text(out, part);
        return;
    }
    buf_add_char(out, '"');
    for (; *part; part++) {
        if (*part == '"')
            buf_add_char(out, '"');
        buf_add_char(out, *part);
    }
    buf_add_char(out, '"');
}

static void show_table(struct emit *e, const struct conf_key *key, const struct conf_table *table) {
    _cleanup_(buf_release) struct buf text = {.max = 4 * (size_t)CONF_VALUE_MAX};
    add_part(&text, table->schema);
    buf_add_char(&text, '.');
    add_part(&text, table->name);
    emit_text(e, key->name, buf_text(&text));
}

static void show_id(struct emit *e, const struct conf_key *key, const struct conf_mapping *m) {
    if (m->id_objectid)
        emit_word(e, key->name, SPAN_LIT("objectid"));
    else
        show_list(e, key, &m->id);
}

/* --- entries ----------------------------------------------------------------------------- */

static void show_field(struct emit *e, const struct conf_field *f) {
    if (f->omit)
        emit_raw(e, f->column.text, "null");
    else if (f->as.text && !f->type.text)
        emit_text(e, f->column.text, f->as.text);
    else {
        emit_map(e, f->column.text, true);
        if (f->as.text)
            emit_text(e, "as", f->as.text);
        if (f->type.text)
            emit_text(e, "type", f->type.text);
        emit_close(e);
    }
}

static void show_real(struct emit *e, const char *name, double v) {
    char text[40];
    if (!isfinite(v)) {
        const char *word = isnan(v) ? ".nan" : v < 0 ? "-.inf" : ".inf";
        if (e->json)
            emit_text(e, name, word);
        else
            emit_raw(e, name, word);
        return;
    }
    (void)snprintf(text, sizeof text, "%.15g", v);
    if (strtod(text, NULL) != v)
        (void)snprintf(text, sizeof text, "%.17g", v);
    size_t len = strlen(text);
    /* A whole number must stay a double when it is read again. */
    if (strspn(text, "-0123456789") == len)
        (void)snprintf(text + len, sizeof text - len, ".0");
    emit_raw(e, name, text);
}

static void show_constant(struct emit *e, const struct conf_add *add) {
    const char *name = add->name.text;
    switch (add->scalar) {
    case CONF_NULL:
        emit_raw(e, name, "null");
        return;
    case CONF_BOOL:
        show_flag(e, name, add->boolean);
        return;
    case CONF_INT:
        show_integer(e, name, add->integer);
        return;
    case CONF_DOUBLE:
        show_real(e, name, add->real);
        return;
    case CONF_STRING:
        emit_text(e, name, add->string);
        return;
    }
}

static void show_add(struct emit *e, const struct conf_add *add) {
    switch (add->kind) {
    case CONF_ADD_CONSTANT:
        show_constant(e, add);
        return;
    case CONF_ADD_NOW:
        emit_map(e, add->name.text, true);
        show_flag(e, "now", true);
        emit_close(e);
        return;
    case CONF_ADD_COLUMN:
        emit_map(e, add->name.text, true);
        emit_text(e, "column", add->column.text);
        emit_close(e);
        return;
    }
}

static void show_index_key(struct emit *e, const struct conf_index_key *k) {
    if (strcmp(k->kind, "1") == 0 || strcmp(k->kind, "-1") == 0)
        emit_raw(e, k->path.text, k->kind);
    else
        emit_text(e, k->path.text, k->kind);
}

static void show_module(struct emit *e, const struct conf_module *module) {
    emit_map(e, module->name.text, false);
    show_scope(e, SCOPE_MODULE, 0, module);
    emit_close(e);
}

static void show_mapping(struct emit *e, unsigned where, const struct conf_mapping *m) {
    emit_map(e, m->name.text, false);
    show_scope(e, SCOPE_MAPPING, where, m);
    emit_close(e);
}

static void show_index(struct emit *e, const struct conf_index *index) {
    emit_map(e, NULL, true);
    show_scope(e, SCOPE_INDEX, 0, index);
    emit_close(e);
}

static void show_alert_rule(struct emit *e, const struct conf_alert_rule *rule) {
    emit_map(e, NULL, true);
    show_scope(e, SCOPE_ALERT_RULE, 0, rule);
    emit_close(e);
}

static void show_route(struct emit *e, const struct conf_route *route) {
    emit_map(e, NULL, false);
    show_scope(e, SCOPE_ROUTE, 0, route);
    emit_close(e);
}

static void show_operation(struct emit *e, const struct conf_operation *operation) {
    emit_map(e, operation->name.text, false);
    show_scope(e, SCOPE_OPERATION, 0, operation);
    emit_close(e);
}

static void show_param(struct emit *e, const struct conf_param *param) {
    emit_map(e, param->name.text, true);
    show_scope(e, SCOPE_PARAM, 0, param);
    emit_close(e);
}

/* NULL: the key is absent. */
static void show_value(struct emit *e, const char *name, const struct conf_value *v) {
    switch (v->kind) {
    case CONF_VALUE_NULL:
        emit_raw(e, name, "null");
        return;
    case CONF_VALUE_BOOL:
        show_flag(e, name, v->boolean);
        return;
    case CONF_VALUE_INT:
        show_integer(e, name, v->integer);
        return;
    case CONF_VALUE_DOUBLE:
        show_real(e, name, v->real);
        return;
    case CONF_VALUE_TEXT:
        emit_text(e, name, v->text.ptr);
        return;
    case CONF_VALUE_LIST:
    case CONF_VALUE_MAP:
        if (v->kind == CONF_VALUE_LIST)
            emit_list(e, name);
        else
            emit_map(e, name, true);
        for (size_t i = 0; i < v->count; i++)
            show_value(e, v->members[i].name.text, &v->members[i].value);
        emit_close(e);
        return;
    }
}

static void show_optional_value(struct emit *e, const struct conf_key *key,
                                const struct conf_value *v) {
    if (v)
        show_value(e, key->name, v);
    else
        show_absent(e, key);
}

static void show_asker(struct emit *e, const char *name, const struct conf_asker *asker) {
    if (asker->value.text) {
        emit_text(e, name, asker->value.text);
        return;
    }
    emit_map(e, name, true);
    show_scope(e, SCOPE_ASKER, 0, asker);
    emit_close(e);
}

static void show_entry(struct emit *e, enum conf_kind kind, const void *items, size_t i) {
    switch (kind) {
    case KIND_MODULES:
        show_module(e, (const struct conf_module *)items + i);
        return;
    case KIND_COLLECTIONS:
        show_mapping(e, KEY_COLLECTION, (const struct conf_mapping *)items + i);
        return;
    case KIND_EMBED:
        show_mapping(e, KEY_EMBEDDED, (const struct conf_mapping *)items + i);
        return;
    case KIND_FIELDS:
        show_field(e, (const struct conf_field *)items + i);
        return;
    case KIND_ADD:
        show_add(e, (const struct conf_add *)items + i);
        return;
    case KIND_INDEXES:
        show_index(e, (const struct conf_index *)items + i);
        return;
    case KIND_INDEX_KEYS:
        show_index_key(e, (const struct conf_index_key *)items + i);
        return;
    case KIND_JOIN: {
        const struct conf_join *join = (const struct conf_join *)items + i;
        emit_text(e, join->child.text, join->parent.text);
        return;
    }
    case KIND_ALERT_RULES:
        show_alert_rule(e, (const struct conf_alert_rule *)items + i);
        return;
    case KIND_OPERATIONS:
        show_operation(e, (const struct conf_operation *)items + i);
        return;
    case KIND_PARAMS:
        show_param(e, (const struct conf_param *)items + i);
        return;
    case KIND_ROUTES:
        show_route(e, (const struct conf_route *)items + i);
        return;
    case KIND_ATTRIBUTES: {
        const struct conf_attribute *a = (const struct conf_attribute *)items + i;
        show_asker(e, a->name.text, &a->from);
        return;
    }
    case KIND_PAIRS: {
        const struct conf_pair *pair = (const struct conf_pair *)items + i;
        emit_text(e, pair->name.text, pair->value.text);
        return;
    }
    default: /* the other kinds have no entries */
        return;
    }
}

static void show_entries(struct emit *e, const struct conf_key *key, const void *base) {
    const void *items = *(void *const *)field_at(base, key);
    size_t count = *(const size_t *)((const char *)base + key->at_offset);
    bool list =
        key->kind == KIND_INDEXES || key->kind == KIND_ALERT_RULES || key->kind == KIND_ROUTES;
    if (key->kind == KIND_ALERT_RULES && !items) {
        show_absent(e, key);
        return;
    }
    if (count == 0 && key->kind != KIND_ALERT_RULES) {
        if (e->json) {
            if (list)
                emit_list(e, key->name);
            else
                emit_map(e, key->name, true);
            emit_close(e);
        }
        return;
    }
    if (list)
        emit_list(e, key->name);
    else
        emit_map(e, key->name,
                 key->kind == KIND_JOIN || key->kind == KIND_INDEX_KEYS || key->kind == KIND_PAIRS);
    for (size_t i = 0; i < count; i++)
        show_entry(e, key->kind, items, i);
    emit_close(e);
}

/* --- rows of the table ------------------------------------------------------------------- */

static void show_always(struct emit *e) {
    if (!e->json) {
        emit_comment(e, NULL, ALWAYS_SET);
        return;
    }
    emit_map(e, "always_set", true);
    emit_text(e, "w", "majority");
    emit_raw(e, "journal", "true");
    emit_text(e, "readPreference", "primary");
    emit_raw(e, "retryWrites", "true");
    emit_close(e);
}

/* Nothing in the section is set, and nothing in it has a default. */
static bool is_unset(enum conf_scope scope, const void *base) {
    size_t count;
    const struct conf_key *key = conf_keys(scope, &count);
    for (size_t i = 0; i < count; i++) {
        const void *field = field_at(base, &key[i]);
        bool unset = (key[i].kind == KIND_TEXT && !*(const char *const *)field) ||
                     ((key[i].kind == KIND_LIST || key[i].kind == KIND_WORDS) &&
                      ((const struct conf_list *)field)->at.line == 0) ||
                     (key[i].kind == KIND_ATTRIBUTES &&
                      *(const size_t *)((const char *)base + key[i].at_offset) == 0) ||
                     key[i].kind == KIND_LATER;
        if (!unset)
            return false;
    }
    return true;
}

static void show_section(struct emit *e, const struct conf_key *key, const void *outer) {
    const void *base = field_at(outer, key);
    bool absent = key->at_offset &&
                  ((const struct conf_at *)((const char *)outer + key->at_offset))->line == 0;
    if (absent || is_unset(key->child, base)) {
        show_absent(e, key);
        return;
    }
    emit_map(e, key->name, false);
    if (key->child == SCOPE_TARGET)
        show_always(e);
    show_scope(e, key->child, 0, base);
    emit_close(e);
}

static void show_optional_asker(struct emit *e, const struct conf_key *key,
                                const struct conf_asker *asker) {
    if (asker->value.text || asker->claim.text)
        show_asker(e, key->name, asker);
    else
        show_absent(e, key);
}

static void show_percent(struct emit *e, const char *name, double percent) {
    char text[40];
    (void)snprintf(text, sizeof text, "%.15g%%", percent);
    emit_word(e, name, span_of(text));
}

static void show_fallback(struct emit *e, const struct conf_key *key,
                          const struct conf_fallback *fallback) {
    if (!fallback->enabled) {
        show_flag(e, key->name, false);
        return;
    }
    emit_map(e, key->name, false);
    show_scope(e, key->child, 0, fallback);
    emit_close(e);
}

static void show_fixed(struct emit *e, const struct conf_key *key) {
    if (strcmp(key->fallback, "false") == 0)
        emit_raw(e, key->name, key->fallback);
    else
        emit_word(e, key->name, span_of(key->fallback));
}

static void show_key(struct emit *e, const struct conf_key *key, const void *base) {
    const void *field = field_at(base, key);
    switch (key->kind) {
    case KIND_SECTION:
        show_section(e, key, base);
        return;
    case KIND_TEXT:
        show_text(e, key, *(const char *const *)field);
        return;
    case KIND_TEXT_AT:
        show_text(e, key, ((const struct conf_text *)field)->text);
        return;
    case KIND_URI:
        show_uri(e, key, *(const char *const *)field);
        return;
    case KIND_INT:
        show_integer(e, key->name, *(const int *)field);
        return;
    case KIND_INT64:
        if (*(const int64_t *)field == 0 && !key->fallback)
            show_absent(e, key);
        else
            show_integer(e, key->name, *(const int64_t *)field);
        return;
    case KIND_THRESHOLD:
        show_threshold(e, key, field);
        return;
    case KIND_PERCENT:
        show_percent(e, key->name, *(const double *)field);
        return;
    case KIND_SIZE:
        emit_word(e, key->name, span_of(conf_size_text(*(const int64_t *)field).text));
        return;
    case KIND_REAL:
        show_real(e, key->name, *(const double *)field);
        return;
    case KIND_ASKER:
        show_optional_asker(e, key, field);
        return;
    case KIND_FALLBACK:
        show_fallback(e, key, field);
        return;
    case KIND_DURATION:
        if (*(const int64_t *)field == 0 && !key->fallback)
            show_absent(e, key);
        else
            emit_word(e, key->name, span_of(conf_duration_text(*(const int64_t *)field).text));
        return;
    case KIND_FLAG:
        show_flag(e, key->name, *(const bool *)field);
        return;
    case KIND_CHOICE:
        emit_word(e, key->name, conf_choice(key->choices, (size_t) * (const int *)field));
        return;
    case KIND_LIST:
    case KIND_WORDS:
        show_list(e, key, field);
        return;
    case KIND_TABLE:
        if (((const struct conf_table *)field)->at.line)
            show_table(e, key, field);
        else
            show_absent(e, key);
        return;
    case KIND_ID:
        show_id(e, key, base);
        return;
    case KIND_VALUE:
        show_optional_value(e, key, *(const struct conf_value *const *)field);
        return;
    case KIND_FIXED:
        show_fixed(e, key);
        return;
    case KIND_LATER:
        return;
    case KIND_MODULES:
    case KIND_COLLECTIONS:
    case KIND_FIELDS:
    case KIND_ADD:
    case KIND_EMBED:
    case KIND_INDEXES:
    case KIND_INDEX_KEYS:
    case KIND_JOIN:
    case KIND_ALERT_RULES:
    case KIND_ROUTES:
    case KIND_ATTRIBUTES:
    case KIND_PAIRS:
    case KIND_OPERATIONS:
    case KIND_PARAMS:
        show_entries(e, key, base);
        return;
    }
}

static void show_scope(struct emit *e, enum conf_scope scope, unsigned where, const void *base) {
    size_t count;
    const struct conf_key *key = conf_keys(scope, &count);
    for (size_t i = 0; i < count; i++)
        if (conf_key_applies(&key[i], where) && !(e->edge && key[i].flags & KEY_CONTROL))
            show_key(e, &key[i], base);
}

void conf_value_json(const struct conf_value *value, struct buf *out) {
    struct emit e = {.out = out, .json = true};
    show_value(&e, NULL, value);
}

static void show_all(struct emit *e, const struct conf *conf) {
    e->edge = conf->is_edge;
    emit_map(e, NULL, false);
    show_scope(e, SCOPE_ROOT, 0, conf);
    emit_close(e);
}

void conf_show(const struct conf *conf, bool json, struct buf *out) {
    show_all(&(struct emit){.out = out, .json = json}, conf);
}

bool conf_same(const struct conf *a, const struct conf *b) {
    _cleanup_(buf_release) struct buf one = {.max = CONF_SHOWN_MAX};
    _cleanup_(buf_release) struct buf other = {.max = CONF_SHOWN_MAX};
    show_all(&(struct emit){.out = &one, .json = true, .secrets = true}, a);
    show_all(&(struct emit){.out = &other, .json = true, .secrets = true}, b);
    return span_eq(buf_span(&one), buf_span(&other));
}
