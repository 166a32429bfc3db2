#include "operation/template.h"

#include "model/bsonw.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- what a value is ---- */

/* ":name" -> "name"; ptr NULL: no parameter. */
static struct span parameter_of(const struct conf_value *v) {
    bool is_one = v->kind == CONF_VALUE_TEXT && v->text.len > 1 && v->text.ptr[0] == ':' &&
                  v->text.ptr[1] != ':';
    return is_one ? span_make(v->text.ptr + 1, v->text.len - 1) : (struct span){0};
}

/* "::x" -> ":x" */
static struct span text_of(const struct conf_value *v) {
    bool doubled = v->text.len > 1 && v->text.ptr[0] == ':' && v->text.ptr[1] == ':';
    return doubled ? span_make(v->text.ptr + 1, v->text.len - 1) : v->text;
}

enum match { MATCH_NONE, MATCH_CONTAINS, MATCH_STARTS, MATCH_ENDS };

/* {contains: ...} */
static enum match match_of(const struct conf_value *v) {
    static const char *const names[] = {NULL, "contains", "starts", "ends"};
    if (v->kind != CONF_VALUE_MAP || v->count != 1)
        return MATCH_NONE;
    for (int i = MATCH_CONTAINS; i <= MATCH_ENDS; i++)
        if (strcmp(v->members[0].name.text, names[i]) == 0)
            return (enum match)i;
    return MATCH_NONE;
}

/* How what stands under a key is read. Names that do not begin with '$' are the caller's fields
 * almost everywhere, so they only count right below their operator. */
static enum template_use below(enum template_use use, const char *key) {
    static const struct {
        enum template_use in;
        const char *key;
        enum template_use use;
    } changes[] = {{TEMPLATE_FILTER, "$expr", TEMPLATE_EXPRESSION},
                   {TEMPLATE_PIPELINE, "$match", TEMPLATE_FILTER},
                   {TEMPLATE_PIPELINE, "$geoNear", TEMPLATE_GEO_NEAR},
                   {TEMPLATE_PIPELINE, "$graphLookup", TEMPLATE_GRAPH_LOOKUP},
                   {TEMPLATE_PIPELINE, "$search", TEMPLATE_FILTER},
                   {TEMPLATE_PIPELINE, "$searchMeta", TEMPLATE_FILTER},
                   {TEMPLATE_EXPRESSION, "$elemMatch", TEMPLATE_FILTER}, /* of a projection */
                   {TEMPLATE_GEO_NEAR, "query", TEMPLATE_FILTER},
                   {TEMPLATE_GRAPH_LOOKUP, "restrictSearchWithMatch", TEMPLATE_FILTER}};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
        if (changes[i].in == use && strcmp(changes[i].key, key) == 0)
            return changes[i].use;
    return use;
}

/* ---- checks ---- */

struct checker {
    const struct conf_operation *o;
    bool *used;
    struct template_mistake *mistake;
};

static bool wrong(struct checker *c, struct conf_at at, const char *fmt, ...) printf_like(3, 4);

static bool wrong(struct checker *c, struct conf_at at, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    c->mistake->at = at;
    (void)vsnprintf(c->mistake->text, sizeof c->mistake->text, fmt, args);
    va_end(args);
    return false;
}

static bool check_parameter(struct checker *c, const struct conf_value *v, bool string) {
    struct span name = parameter_of(v);
    int i = param_find(c->o, name);
    if (i < 0)
        return wrong(c, v->at,
                     "there is no parameter ':%.60s'; \":%.60s\" as a text is \"::%.60s\"",
                     name.ptr, name.ptr, name.ptr);
    const struct conf_param *p = &c->o->params[i];
    c->used[i] = true;
    if (string && (p->type != CONF_PARAM_STRING || p->array || p->null))
        return wrong(c, v->at, "'%s' must be a string that is not null, to be looked for",
                     p->name.text);
    return true;
}

/* The value of $regex. */
static bool check_regex(struct checker *c, const struct conf_value *v) {
    enum match match = match_of(v);
    const struct conf_value *text = match ? &v->members[0].value : v;
    if (match && parameter_of(text).ptr)
        return check_parameter(c, text, true);
    if (text->kind == CONF_VALUE_TEXT && !parameter_of(text).ptr)
        return true;
    return wrong(c, v->at,
                 "'$regex' is a text, or {contains: \":name\"} (also starts, ends); a caller's "
                 "text is never a regular expression");
}

static bool has_parameter(const struct conf_value *v) {
    bool has = parameter_of(v).ptr != NULL;
    for (size_t i = 0; !has && i < v->count; i++)
        has = has_parameter(&v->members[i].value);
    return has;
}

/* The regular expression of an operator that searches in expressions. */
static bool check_search(struct checker *c, const char *key, const struct conf_value *v) {
    static const char *const searches[] = {"$regexMatch", "$regexFind", "$regexFindAll"};
    bool is_one = false;
    for (size_t i = 0; i < sizeof searches / sizeof *searches; i++)
        is_one = is_one || strcmp(key, searches[i]) == 0;
    for (size_t i = 0; is_one && v->kind == CONF_VALUE_MAP && i < v->count; i++) {
        const struct conf_member *m = &v->members[i];
        if (strcmp(m->name.text, "regex") == 0 && has_parameter(&m->value))
            return wrong(c, m->value.at,
                         "'regex' of '%s' holds a parameter; a caller's text is never a regular "
                         "expression",
                         key);
    }
    return true;
}

static const char *refusal(const char *key) {
    static const char *const code[] = {"$where", "$function", "$accumulator", "$eval"};
    static const char *const write[] = {"$out", "$merge"};
    for (size_t i = 0; i < sizeof code / sizeof *code; i++)
        if (strcmp(key, code[i]) == 0)
            return "runs code on the server";
    for (size_t i = 0; i < sizeof write / sizeof *write; i++)
        if (strcmp(key, write[i]) == 0)
            return "writes";
    return NULL;
}

static bool check_value(struct checker *c, const struct conf_value *v) {
    if (parameter_of(v).ptr)
        return check_parameter(c, v, false);
    for (size_t i = 0; i < v->count; i++) {
        const struct conf_member *m = &v->members[i];
        const char *why = v->kind == CONF_VALUE_MAP ? refusal(m->name.text) : NULL;
        if (why)
            return wrong(c, m->name.at, "'%s' is not for reads: it %s", m->name.text, why);
        if (v->kind == CONF_VALUE_MAP && !check_search(c, m->name.text, &m->value))
            return false;
        bool regex = v->kind == CONF_VALUE_MAP && strcmp(m->name.text, "$regex") == 0;
        if (!(regex ? check_regex(c, &m->value) : check_value(c, &m->value)))
            return false;
    }
    return true;
}

bool template_check(const struct conf_value *value, enum template_use use,
                    const struct conf_operation *o, bool *used, struct template_mistake *ret) {
    struct checker c = {o, used, ret};
    for (size_t i = 0; use == TEMPLATE_PIPELINE && i < value->count; i++)
        if (value->members[i].value.kind != CONF_VALUE_MAP || value->members[i].value.count != 1 ||
            value->members[i].value.members[0].name.text[0] != '$')
            return wrong(&c, value->members[i].value.at,
                         "a stage is a mapping of one operator, such as {$match: {...}}");
    return check_value(&c, value);
}

/* ---- writing ---- */

struct writer {
    const struct params *params;
    struct bsonw w;
};

static void write_value(struct writer *w, struct span key, const struct conf_value *v,
                        enum template_use use);

static bool find_value(const struct writer *w, const struct conf_value *v, bson_iter_t *ret) {
    struct span name = parameter_of(v);
    return bson_iter_init_find_w_len(ret, &w->params->bson, name.ptr, (int)name.len);
}

/* Numbers, dates, ... are what they are everywhere, and $limit wants one that is not wrapped. */
static bool needs_literal(bson_type_t type) {
    return type == BSON_TYPE_UTF8 || type == BSON_TYPE_DOCUMENT || type == BSON_TYPE_ARRAY;
}

static void write_parameter(struct writer *w, struct span key, const struct conf_value *v,
                            enum template_use use) {
    bson_iter_t it;
    if (!find_value(w, v, &it)) {
        w->w.failed = true; /* checked before: cannot be */
        return;
    }
    if (use == TEMPLATE_FILTER || !needs_literal(bson_iter_type(&it))) {
        bsonw_iter(&w->w, key, &it);
        return;
    }
    bsonw_doc_open(&w->w, key);
    bsonw_iter(&w->w, SPAN_LIT("$literal"), &it);
    bsonw_close(&w->w);
}

/* The text as a regular expression that finds just it (PCRE: a backslash before anything that is no
 * letter or digit takes its meaning away). */
static void add_escaped(struct buf *out, struct span s) {
    static const char special[] = "\\^$.|?*+()[]{}-/#";
    for (size_t i = 0; i < s.len; i++) {
        if (strchr(special, s.ptr[i]))
            buf_add_char(out, '\\');
        buf_add_char(out, s.ptr[i]);
    }
}

/* What is looked for: a fixed text, or a parameter's; ptr NULL: no text, which was checked before.
 */
static struct span sought(const struct writer *w, const struct conf_value *v) {
    bson_iter_t it;
    uint32_t len = 0;
    if (!parameter_of(v).ptr)
        return text_of(v);
    if (!find_value(w, v, &it) || !BSON_ITER_HOLDS_UTF8(&it))
        return (struct span){0};
    const char *text = bson_iter_utf8(&it, &len);
    return span_make(text, len);
}

static void write_match(struct writer *w, enum match match, const struct conf_value *v) {
    struct span text = sought(w, v);
    _cleanup_(buf_release) struct buf regex = {.max = 2 * text.len + 64};
    w->w.failed = w->w.failed || !text.ptr;
    if (match == MATCH_STARTS)
        buf_add_char(&regex, '^');
    add_escaped(&regex, text);
    /* $ would also match before a line feed at the end. */
    if (match == MATCH_ENDS)
        buf_add_text(&regex, "(?![\\s\\S])");
    bsonw_utf8(&w->w, SPAN_LIT("$regex"), regex.len ? buf_span(&regex) : SPAN_LIT(""));
}

static void write_map(struct writer *w, const struct conf_value *v, enum template_use use) {
    for (size_t i = 0; i < v->count; i++) {
        const struct conf_member *m = &v->members[i];
        bool regex = strcmp(m->name.text, "$regex") == 0;
        enum match match = regex ? match_of(&m->value) : MATCH_NONE;
        /* What stands in $literal is taken as it is. */
        bool literal = strcmp(m->name.text, "$literal") == 0;
        if (match)
            write_match(w, match, &m->value.members[0].value);
        else
            write_value(w, span_of(m->name.text), &m->value,
                        literal ? TEMPLATE_FILTER : below(use, m->name.text));
    }
}

static void write_list(struct writer *w, const struct conf_value *v, enum template_use use) {
    for (size_t i = 0; i < v->count; i++) {
        struct bsonw_index room;
        write_value(w, bsonw_index_key(&room, (uint32_t)i), &v->members[i].value, use);
    }
}

static void write_int(struct writer *w, struct span key, int64_t v) {
    if (v >= INT32_MIN && v <= INT32_MAX)
        bsonw_int32(&w->w, key, (int32_t)v);
    else
        bsonw_int64(&w->w, key, v);
}

static void write_value(struct writer *w, struct span key, const struct conf_value *v,
                        enum template_use use) {
    switch (v->kind) {
    case CONF_VALUE_NULL:
        bsonw_null(&w->w, key);
        return;
    case CONF_VALUE_BOOL:
        bsonw_bool(&w->w, key, v->boolean);
        return;
    case CONF_VALUE_INT:
        write_int(w, key, v->integer);
        return;
    case CONF_VALUE_DOUBLE:
        bsonw_double(&w->w, key, v->real);
        return;
    case CONF_VALUE_TEXT:
        if (parameter_of(v).ptr)
            write_parameter(w, key, v, use);
        else
            bsonw_utf8(&w->w, key, text_of(v));
        return;
    case CONF_VALUE_LIST:
        bsonw_array_open(&w->w, key);
        write_list(w, v, use);
        bsonw_close(&w->w);
        return;
    case CONF_VALUE_MAP:
        bsonw_doc_open(&w->w, key);
        write_map(w, v, use);
        bsonw_close(&w->w);
        return;
    }
}

int template_write(const struct conf_value *value, enum template_use use, const struct params *p,
                   struct buf *out, struct err *err) {
    struct writer w = {.params = p};
    bsonw_begin(&w.w, out);
    if (value->kind == CONF_VALUE_LIST)
        write_list(&w, value, use);
    else
        write_map(&w, value, use);
    bsonw_end(&w.w);
    return bsonw_ok(&w.w) ? 0 : err_set(err, ERR_LIMIT, "the question is too big or too deep");
}

bool template_number(const struct conf_value *value, const struct params *p, int64_t *ret) {
    struct writer w = {.params = p};
    bson_iter_t it;
    *ret = value->integer;
    if (!parameter_of(value).ptr)
        return value->kind == CONF_VALUE_INT && *ret >= 0;
    if (!find_value(&w, value, &it) || !(BSON_ITER_HOLDS_INT32(&it) || BSON_ITER_HOLDS_INT64(&it)))
        return false;
    *ret = bson_iter_as_int64(&it);
    return *ret >= 0;
}
