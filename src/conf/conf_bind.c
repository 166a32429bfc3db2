#include "conf/conf_bind.h"

#include "conf/conf_check.h"
#include "conf/conf_expand.h"

#include <stdio.h>

int bind_error(const struct binder *b, struct conf_at at, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    int rc = tree_verror(b->file, at, b->err, fmt, args);
    va_end(args);
    return rc;
}

void *bind_alloc(struct binder *b, size_t count, size_t size) {
    size_t bytes;
    void *p = __builtin_mul_overflow(count, size, &bytes) ? NULL : arena_alloc(b->arena, bytes);
    if (p)
        memset(p, 0, bytes);
    else
        err_set(b->err, ERR_CONF, "%s:1:1: the configuration needs more than %d MiB of memory",
                b->file, CONF_MEMORY_MAX / (1024 * 1024));
    return p;
}

static void *field_at(void *base, size_t offset) {
    return (char *)base + offset;
}

/* --- scalars ----------------------------------------------------------------------------- */

int bind_expanded(struct binder *b, const struct tree_node *node, struct span *ret_text,
                  bool *ret_expanded) {
    struct err why;
    if (conf_expand(node->text, b->arena, ret_text, ret_expanded, &why) < 0)
        return bind_error(b, node->at, "%s", why.text);
    return 0;
}

int bind_text(struct binder *b, const char *what, const struct tree_node *node,
              struct conf_text *ret_text, bool *ret_expanded) {
    if (node->kind != TREE_SCALAR)
        return bind_error(b, node->at, "'%s' must be text, not %s", what, tree_kind_name(node));
    if (tree_is_null(node))
        return bind_error(b, node->at, "'%s' has no value; give one, or remove the key", what);
    struct span text;
    int rc = bind_expanded(b, node, &text, ret_expanded);
    if (rc < 0)
        return rc;
    if (text.len == 0)
        return bind_error(b, node->at, "'%s' is empty; give it a value", what);
    *ret_text = (struct conf_text){text.ptr, node->at};
    return 0;
}

/* Text that must be text: a bare true or false was meant as something else. */
static int bind_words(struct binder *b, const struct conf_key *key, const struct tree_node *node,
                      struct conf_text *ret_text) {
    bool truth, expanded;
    if (tree_is_bool(node, &truth))
        return bind_error(b, node->at, "'%s' must be text, not true or false; quote it", key->name);
    int rc = bind_text(b, key->name, node, ret_text, &expanded);
    const char *wrong = rc == 0 && key->check ? key->check(ret_text->text) : NULL;
    return wrong ? bind_error(b, node->at, "'%s' %s", key->name, wrong) : rc;
}

/* The text of a value that is not text: without quotes, but for what is expanded ("${LANES}"), and
 * for durations, which YAML takes for text either way. */
static int bind_literal(struct binder *b, const struct conf_key *key, const struct tree_node *node,
                        const char *wanted, struct span *ret, const char **ret_shown) {
    struct conf_text text;
    bool expanded = false;
    if (node->kind != TREE_SCALAR || tree_is_null(node))
        return bind_error(b, node->at, "'%s' must be %s, not %s", key->name, wanted,
                          tree_kind_name(node));
    int rc = bind_text(b, key->name, node, &text, &expanded);
    if (rc < 0)
        return rc;
    if (!node->plain && !expanded && key->kind != KIND_DURATION)
        return bind_error(b, node->at, "'%s' must be %s, not text; remove the quotes", key->name,
                          wanted);
    *ret = span_of(text.text);
    /* What a variable or file holds may be a secret: not even a wrong value is repeated. */
    *ret_shown = expanded ? "what the variable or file holds" : text.text;
    return 0;
}

static void describe_range(const struct conf_key *key, char *text, size_t size) {
    if (key->kind == KIND_DURATION)
        (void)snprintf(text, size, "a duration such as 5ms, 10s, 1m or 2h, from %s to %s",
                       conf_duration_text(key->min).text, conf_duration_text(key->max).text);
    else
        (void)snprintf(text, size, "a whole number from %lld to %lld", (long long)key->min,
                       (long long)key->max);
}

static int bind_number(struct binder *b, const struct conf_key *key, const struct tree_node *node,
                       void *base) {
    struct span text;
    const char *shown;
    int64_t v;
    char wanted[128];
    describe_range(key, wanted, sizeof wanted);
    int rc = bind_literal(b, key, node, wanted, &text, &shown);
    if (rc < 0)
        return rc;
    bool is_one =
        key->kind == KIND_DURATION ? conf_read_duration(text, &v) : conf_read_int(text, &v);
    if (!is_one || v < key->min || v > key->max)
        return bind_error(b, node->at, "'%s' must be %s, not %.60s", key->name, wanted, shown);
    if (key->kind == KIND_INT)
        *(int *)field_at(base, key->offset) = (int)v;
    else
        *(int64_t *)field_at(base, key->offset) = v;
    return 0;
}

static int bind_flag(struct binder *b, const struct conf_key *key, const struct tree_node *node,
                     void *base) {
    struct span text;
    const char *shown;
    bool v;
    int rc = bind_literal(b, key, node, "true or false", &text, &shown);
    if (rc < 0)
        return rc;
    struct tree_node value = {.kind = TREE_SCALAR, .plain = true, .text = text};
    if (!tree_is_bool(&value, &v))
        return bind_error(b, node->at, "'%s' must be true or false, not %.60s", key->name, shown);
    *(bool *)field_at(base, key->offset) = v;
    return 0;
}

/* "a, b, c" */
static void list_choices(const char *choices, char *text, size_t size) {
    size_t n = 0;
    for (const char *p = choices; *p && n + 3 < size; p++) {
        text[n++] = *p == '|' ? ',' : *p;
        if (*p == '|')
            text[n++] = ' ';
    }
    text[n] = '\0';
}

/* In quotes or not: 1% is text to YAML. */
static int bind_threshold(struct binder *b, const struct conf_key *key,
                          const struct tree_node *node, struct conf_threshold *ret) {
    struct conf_threshold t = {.at = node->at};
    struct conf_text text;
    bool expanded = false;
    int rc = bind_text(b, key->name, node, &text, &expanded);
    if (rc < 0)
        return rc;
    if (!conf_read_threshold(span_of(text.text), &t))
        return bind_error(b, node->at,
                          "'%s' must be a number, a duration such as 60s, or a percentage such as "
                          "1%%, not %.60s",
                          key->name, expanded ? "what the variable or file holds" : text.text);
    t.text = text.text;
    *ret = t;
    return 0;
}

static int bind_percent(struct binder *b, const struct conf_key *key, const struct tree_node *node,
                        double *ret) {
    struct conf_threshold t = {0};
    int rc = bind_threshold(b, key, node, &t);
    if (rc < 0)
        return rc;
    if (t.unit != CONF_UNIT_PERCENT || t.value < (double)key->min || t.value > (double)key->max)
        return bind_error(b, node->at, "'%s' must be a percentage from %lld%% to %lld%%", key->name,
                          (long long)key->min, (long long)key->max);
    *ret = t.value;
    return 0;
}

static int bind_real(struct binder *b, const struct conf_key *key, const struct tree_node *node,
                     double *ret) {
    struct span text;
    const char *shown;
    enum conf_scalar_kind kind;
    int64_t integer = 0;
    double real = 0;
    int rc = bind_literal(b, key, node, "a number", &text, &shown);
    if (rc < 0)
        return rc;
    bool is_one = conf_read_number(text, &kind, &integer, &real);
    double v = is_one && kind == CONF_INT ? (double)integer : real;
    if (!is_one || !(v >= (double)key->min && v <= (double)key->max))
        return bind_error(b, node->at, "'%s' must be a number from %lld to %lld, not %.60s",
                          key->name, (long long)key->min, (long long)key->max, shown);
    *ret = v;
    return 0;
}

static int bind_size(struct binder *b, const struct conf_key *key, const struct tree_node *node,
                     int64_t *ret) {
    struct conf_text text;
    bool expanded;
    int rc = bind_text(b, key->name, node, &text, &expanded);
    if (rc < 0)
        return rc;
    if (!conf_read_size(span_of(text.text), ret) || *ret < key->min || *ret > key->max)
        return bind_error(b, node->at, "'%s' must be a size such as 512k, 1m or 2g, at most %s",
                          key->name, conf_size_text(key->max).text);
    return 0;
}

static int bind_choice(struct binder *b, const struct conf_key *key, const struct tree_node *node,
                       void *base) {
    char allowed[128];
    list_choices(key->choices, allowed, sizeof allowed);
    struct conf_text text;
    bool expanded = false;
    if (node->kind != TREE_SCALAR)
        return bind_error(b, node->at, "'%s' must be one of %s, not %s", key->name, allowed,
                          tree_kind_name(node));
    /* `infinity: null` means the choice of that name, quoted or not. */
    if (tree_is_null(node) && node->text.len > 1)
        text = (struct conf_text){node->text.ptr, node->at};
    else if (bind_text(b, key->name, node, &text, &expanded) < 0)
        return ERR_CONF;
    struct span choice;
    for (size_t i = 0; choice = conf_choice(key->choices, i), choice.len > 0; i++)
        if (span_is(choice, text.text)) {
            *(int *)field_at(base, key->offset) = (int)i;
            return 0;
        }
    return bind_error(b, node->at, "'%s' must be one of %s, not '%.60s'", key->name, allowed,
                      expanded ? "..." : text.text);
}

/* --- lists of columns, tables ------------------------------------------------------------ */

static int check_twice(struct binder *b, const char *what, const struct conf_list *list, size_t i) {
    for (size_t j = 0; j < i; j++)
        if (strcmp(list->items[j].text, list->items[i].text) == 0)
            return bind_error(
                b, list->items[i].at, "'%s' names column '%s' twice, first at %d:%d; remove one",
                what, list->items[i].text, list->items[j].at.line, list->items[j].at.column);
    return 0;
}

int bind_list(struct binder *b, const char *what, const struct tree_node *node,
              struct conf_list *ret_list) {
    if (node->kind != TREE_LIST)
        return bind_error(b, node->at, "'%s' must be a list of columns, [a, b], not %s", what,
                          tree_kind_name(node));
    if (node->count > CONF_COLUMNS_MAX)
        return bind_error(b, node->at, "'%s' names more than %d columns", what, CONF_COLUMNS_MAX);
    struct conf_list list = {.at = node->at,
                             .items = bind_alloc(b, node->count, sizeof *list.items)};
    if (!list.items)
        return ERR_CONF;
    for (const struct tree_entry *e = node->first; e; e = e->next) {
        bool expanded;
        int rc = bind_text(b, what, e->value, &list.items[list.count], &expanded);
        if (rc == 0)
            rc = check_twice(b, what, &list, list.count);
        if (rc < 0)
            return rc;
        list.count++;
    }
    *ret_list = list;
    return 0;
}

static int bind_word_list(struct binder *b, const struct conf_key *key,
                          const struct tree_node *node, struct conf_list *ret_list) {
    if (node->kind != TREE_LIST)
        return bind_error(b, node->at, "'%s' must be a list, [a, b], not %s", key->name,
                          tree_kind_name(node));
    if (node->count == 0 && (key->flags & KEY_FILLED))
        return bind_error(b, node->at, "'%s' is empty; for example %s", key->name, key->example);
    if (node->count > CONF_ENTRIES_MAX)
        return bind_error(b, node->at, "'%s' has more than %d entries", key->name,
                          CONF_ENTRIES_MAX);
    struct conf_list list = {.at = node->at,
                             .items = bind_alloc(b, node->count, sizeof *list.items)};
    int rc = list.items ? 0 : ERR_CONF;
    for (const struct tree_entry *e = node->first; rc == 0 && e; e = e->next) {
        bool expanded;
        rc = bind_text(b, key->name, e->value, &list.items[list.count++], &expanded);
    }
    if (rc == 0)
        *ret_list = list;
    return rc;
}

static int bind_table(struct binder *b, const struct conf_key *key, const struct tree_node *node,
                      struct conf_table *ret_table) {
    struct conf_text text;
    int rc = bind_words(b, key, node, &text);
    if (rc < 0)
        return rc;
    struct conf_table table = {.at = node->at};
    const char *wrong = conf_read_table(span_of(text.text), b->arena, &table);
    if (wrong)
        return bind_error(b, node->at, "'%s' %s", key->name, wrong);
    *ret_table = table;
    return 0;
}

static int bind_id(struct binder *b, const struct tree_node *node, struct conf_mapping *m) {
    m->id_objectid = node->kind == TREE_SCALAR && span_is(node->text, "objectid");
    if (m->id_objectid)
        return 0;
    if (node->kind != TREE_LIST)
        return bind_error(b, node->at,
                          "'id' must be a list of columns, [a, b], or objectid, not %s",
                          tree_kind_name(node));
    if (node->count == 0)
        return bind_error(b, node->at, "'id' names no column; remove it to take the primary key");
    return bind_list(b, "id", node, &m->id);
}

/* --- one row of the table ---------------------------------------------------------------- */

/* In the contract, and only the default is built. */
static int bind_fixed(struct binder *b, const struct conf_key *key, struct conf_at key_at,
                      const struct tree_node *node) {
    bool truth;
    if (node->kind == TREE_SCALAR &&
        (span_is(node->text, key->fallback) || (tree_is_bool(node, &truth) && !truth)))
        return 0;
    return bind_error(b, key_at,
                      "'%s' other than %s is in the contract but not built yet in this version; "
                      "remove it",
                      key->name, key->fallback);
}

static int bind_key(struct binder *b, const struct conf_key *key, struct conf_at key_at,
                    const struct tree_node *node, void *base) {
    void *field = field_at(base, key->offset);
    struct conf_text text;
    int rc;
    switch (key->kind) {
    case KIND_SECTION:
        return bind_scope(b, key->child, 0, key->name, key_at, node, field);
    case KIND_TEXT:
    case KIND_URI:
        rc = bind_words(b, key, node, &text);
        if (rc < 0)
            return rc;
        *(const char **)field = text.text;
        if (key->kind == KIND_URI)
            *(struct conf_at *)field_at(base, key->at_offset) = text.at;
        return 0;
    case KIND_TEXT_AT:
        return bind_words(b, key, node, field);
    case KIND_INT:
    case KIND_INT64:
    case KIND_DURATION:
        return bind_number(b, key, node, base);
    case KIND_FLAG:
        return bind_flag(b, key, node, base);
    case KIND_CHOICE:
        return bind_choice(b, key, node, base);
    case KIND_LIST:
        return bind_list(b, key->name, node, field);
    case KIND_WORDS:
        return bind_word_list(b, key, node, field);
    case KIND_THRESHOLD:
        return bind_threshold(b, key, node, field);
    case KIND_PERCENT:
        return bind_percent(b, key, node, field);
    case KIND_SIZE:
        return bind_size(b, key, node, field);
    case KIND_REAL:
        return bind_real(b, key, node, field);
    case KIND_ASKER:
        return bind_asker(b, key, key_at, node, field);
    case KIND_FALLBACK:
        return bind_fallback(b, key, key_at, node, field);
    case KIND_TABLE:
        return bind_table(b, key, node, field);
    case KIND_ID:
        return bind_id(b, node, base);
    case KIND_VALUE:
        return bind_value(b, key->name, node, field);
    case KIND_FIXED:
        return bind_fixed(b, key, key_at, node);
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
        return bind_entries(b, key, node, base);
    case KIND_LATER:
        break; /* refused before */
    }
    return err_set(b->err, ERR_INTERNAL, "key '%s' has no binding", key->name);
}

static int check_known(struct binder *b, enum conf_scope scope, unsigned where,
                       const struct tree_entry *e) {
    const struct conf_key *key = conf_key_find(scope, e->key);
    if (!key) {
        const char *similar = conf_key_similar(scope, e->key);
        if (span_is(e->key, "<<"))
            return bind_error(b, e->key_at, "merge keys (<<) are not YAML 1.2; write the keys out");
        if (similar)
            return bind_error(b, e->key_at, "unknown key '%.200s', did you mean '%s'?", e->key.ptr,
                              similar);
        return bind_error(b, e->key_at, "unknown key '%.200s'; remove it", e->key.ptr);
    }
    if (key->kind == KIND_LATER)
        return bind_error(b, e->key_at,
                          "'%s' is in the contract but not built yet in this version; remove it",
                          key->name);
    if (!conf_key_applies(key, where))
        return bind_error(b, e->key_at, "'%s' is for %s; remove it", key->name,
                          where == KEY_COLLECTION ? "embedded documents, not for collections"
                                                  : "collections, not for embedded documents");
    return 0;
}

/* A key that is absent: its default, by the same way as a value of the file. */
static int bind_absent(struct binder *b, const struct conf_key *key, unsigned where,
                       const char *name, struct conf_at at, void *base) {
    static const struct tree_node empty = {.kind = TREE_MAP};
    if (key->flags & KEY_NEEDED)
        return bind_error(b, at, "%s%s%s'%s' is missing; add it: %s", name[0] ? "'" : "", name,
                          name[0] ? "': " : "", key->name, key->example);
    if (key->kind == KIND_SECTION)
        return bind_key(b, key, at, &empty, base);
    if (!key->fallback || key->kind == KIND_FIXED ||
        (where == KEY_EMBEDDED && (key->flags & KEY_INHERITED)))
        return 0;
    struct tree_node node = {
        .kind = TREE_SCALAR, .plain = true, .text = span_of(key->fallback), .weight = 1};
    return bind_key(b, key, at, &node, base);
}

int bind_scope(struct binder *b, enum conf_scope scope, unsigned where, const char *name,
               struct conf_at at, const struct tree_node *node, void *base) {
    if (node->kind != TREE_MAP)
        return bind_error(b, node->at, "%s%s%s must be a mapping of keys, not %s",
                          name[0] ? "'" : "", name[0] ? name : "the file", name[0] ? "'" : "",
                          tree_kind_name(node));
    int rc = 0;
    for (const struct tree_entry *e = node->first; rc == 0 && e; e = e->next)
        rc = check_known(b, scope, where, e);
    size_t count;
    const struct conf_key *key = conf_keys(scope, &count);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (key[i].kind == KIND_LATER || !conf_key_applies(&key[i], where) ||
            (b->edge && key[i].flags & KEY_CONTROL))
            continue;
        const struct tree_entry *e = tree_find(node, key[i].name);
        rc = e ? bind_key(b, &key[i], e->key_at, e->value, base)
               : bind_absent(b, &key[i], where, name, at, base);
        if (e && key[i].kind == KIND_SECTION && key[i].at_offset)
            *(struct conf_at *)field_at(base, key[i].at_offset) = e->key_at;
    }
    return rc;
}
