/* Unleash's constraints and segments, as JSONLogic. */
#include "flagfile/unleash.h"

#include "conf/conf_check.h"
#include "flagfile/zone.h"

int unleash_attribute(struct reader *r, const struct tree_node *node, struct span *ret) {
    int rc = read_text(r, "contextName", node, FLAGS_NAME_MAX, ret);
    if (rc == 0 && memchr(ret->ptr, '.', ret->len))
        rc = read_fail(r, node->at,
                       "context field '%s' has a dot in its name, which cannot be kept", ret->ptr);
    return rc;
}

static const struct flags_node *context_var(struct reader *r, struct span name) {
    return node_of_var(r, span_is(name, "userId") ? LOGIC_USER : name);
}

int unleash_int(struct reader *r, const char *what, const struct tree_node *node, int64_t max,
                int64_t *ret) {
    int64_t v;
    if (node->kind != TREE_SCALAR || !conf_read_int(node->text, &v) || v < 0 || v > max)
        return read_fail(r, node->at, "'%s' must be a whole number from 0 to %lld", what,
                         (long long)max);
    *ret = v;
    return 0;
}

const struct flags_node *unleash_in(struct reader *r, struct span name, const struct span *values,
                                    size_t count) {
    const struct flags_node **items = read_alloc(r, count, sizeof *items);
    if (!items)
        return NULL;
    for (size_t i = 0; i < count; i++)
        items[i] = node_of_text(r, values[i]);
    return node_of_op(r, "in", 2, context_var(r, name), node_of_list(r, items, count), NULL);
}

struct constraint {
    const struct tree_node *node;
    struct span name, op;
    const struct span *values;
    size_t value_count;
};

static int cannot_keep(struct reader *r, const struct constraint *c, const char *why) {
    return read_fail(r, c->node->at, "constraint %s on '%s' cannot be kept exactly: %s", c->op.ptr,
                     c->name.ptr, why);
}

static const struct flags_node *is_text(struct reader *r, struct span name) {
    return node_of_op(r, "===", 2, node_of_op(r, "cat", 1, context_var(r, name), NULL, NULL),
                      context_var(r, name), NULL);
}

static const struct flags_node *text_operator(struct reader *r, const struct constraint *c) {
    const struct flags_node **items = read_alloc(r, c->value_count, sizeof *items);
    bool contains = span_is(c->op, "STR_CONTAINS");
    const char *op = contains                          ? "in"
                     : span_is(c->op, "STR_ENDS_WITH") ? "ends_with"
                                                       : "starts_with";
    if (!items)
        return NULL;
    for (size_t i = 0; i < c->value_count; i++) {
        const struct flags_node *value = node_of_text(r, c->values[i]);
        const struct flags_node *var = context_var(r, c->name);
        items[i] = contains ? node_of_op(r, op, 2, value, var, NULL)
                            : node_of_op(r, op, 2, var, value, NULL);
    }
    return node_of_op(r, "and", 2, is_text(r, c->name),
                      node_of_many(r, "or", items, c->value_count), NULL);
}

static const struct flags_node *number_operator(struct reader *r, const struct constraint *c,
                                                const char *op) {
    const struct tree_node *node = read_get(c->node, "value");
    struct tree_node plain = {.kind = TREE_SCALAR, .plain = true};
    double number;
    if (node)
        plain.text = node->text;
    if (!node || !tree_is_number(&plain, &number)) {
        (void)read_fail(r, c->node->at, "constraint %s needs a number as 'value'", c->op.ptr);
        return NULL;
    }
    return node_of_op(
        r, "and", 2, node_of_op(r, "!==", 2, context_var(r, c->name), node_of_null(r), NULL),
        node_of_op(r, op, 2, context_var(r, c->name), node_of_number(r, number), NULL), NULL);
}

/* "2027-01-31T12:00:00Z", with or without a fraction that is 0. */
static bool read_instant(struct span s, int64_t *ret_seconds) {
    static const char form[] = "0000-00-00T00:00:00";
    int part[6] = {0};
    size_t n = 0;
    if (s.len < sizeof form)
        return false;
    for (size_t i = 0; i < sizeof form - 1; i++) {
        bool digit = s.ptr[i] >= '0' && s.ptr[i] <= '9';
        if (digit != (form[i] == '0') || (!digit && s.ptr[i] != form[i]))
            return false;
        if (digit)
            part[n] = part[n] * 10 + (s.ptr[i] - '0');
        else
            n++;
    }
    struct span rest = span_make(s.ptr + sizeof form - 1, s.len - (sizeof form - 1));
    if (!span_is(rest, "Z") && !span_is(rest, ".000Z") && !span_is(rest, "+00:00"))
        return false;
    if (part[1] < 1 || part[1] > 12 || part[2] < 1 || part[2] > 31 || part[3] > 23 ||
        part[4] > 59 || part[5] > 60)
        return false;
    *ret_seconds = zone_days(part[0], part[1], part[2]) * 86400 + part[3] * (int64_t)3600 +
                   part[4] * (int64_t)60 + part[5];
    return true;
}

static const struct flags_node *date_operator(struct reader *r, const struct constraint *c,
                                              bool after) {
    const struct tree_node *value = read_get(c->node, "value");
    int64_t seconds;
    if (!span_is(c->name, "currentTime")) {
        (void)cannot_keep(r, c, "only currentTime is compared with dates");
        return NULL;
    }
    if (!value || value->kind != TREE_SCALAR || !read_instant(value->text, &seconds)) {
        (void)read_fail(r, c->node->at,
                        "constraint %s needs a 'value' such as 2027-01-31T12:00:00Z", c->op.ptr);
        return NULL;
    }
    return node_of_op(r, after ? ">=" : "<", 2, node_of_var(r, SPAN_LIT("$flagd.timestamp")),
                      node_of_number(r, (double)seconds), NULL);
}

static const struct flags_node *constraint_operator(struct reader *r, const struct constraint *c) {
    static const struct {
        const char *name, *op;
    } numbers[] = {{"NUM_EQ", "=="}, {"NUM_GT", ">"},   {"NUM_GTE", ">="},
                   {"NUM_LT", "<"},  {"NUM_LTE", "<="}, {NULL, NULL}};
    bool in = span_is(c->op, "IN"), not_in = span_is(c->op, "NOT_IN");
    if (in || not_in) {
        const struct flags_node *found = unleash_in(r, c->name, c->values, c->value_count);
        return in ? found : node_of_not(r, found);
    }
    for (size_t i = 0; numbers[i].name; i++)
        if (span_is(c->op, numbers[i].name))
            return number_operator(r, c, numbers[i].op);
    if (span_is(c->op, "STR_ENDS_WITH") || span_is(c->op, "STR_STARTS_WITH") ||
        span_is(c->op, "STR_CONTAINS"))
        return text_operator(r, c);
    if (span_is(c->op, "DATE_AFTER") || span_is(c->op, "DATE_BEFORE"))
        return date_operator(r, c, span_is(c->op, "DATE_AFTER"));
    (void)cannot_keep(r, c, "the operator has no equal here");
    return NULL;
}

static int read_constraint_name(struct reader *r, struct constraint *c) {
    const struct tree_node *name = read_get(c->node, "contextName");
    const struct tree_node *op = read_get(c->node, "operator");
    if (!name || !op)
        return read_fail(r, c->node->at, "a constraint needs 'contextName' and 'operator'");
    int rc = unleash_attribute(r, name, &c->name);
    return rc < 0 ? rc : read_text(r, "operator", op, 64, &c->op);
}

static int read_constraint_values(struct reader *r, struct constraint *c) {
    const struct tree_node *values = read_get(c->node, "values");
    int rc =
        values ? read_texts(r, "values", values, FLAGS_VALUES_MAX, &c->values, &c->value_count) : 0;
    bool needs = c->op.len > 4 && memcmp(c->op.ptr, "STR_", 4) == 0;
    if (rc == 0 && needs && c->value_count == 0)
        rc = read_fail(r, c->node->at, "constraint %.*s has no 'values'", SPAN_ARG(c->op));
    return rc;
}

static int read_constraint(struct reader *r, const struct tree_node *node,
                           const struct flags_node **ret) {
    struct constraint c = {.node = node};
    bool inverted = false, any_case = false;
    int rc = read_kind(r, "constraints", node, TREE_MAP);
    if (rc == 0)
        rc = read_constraint_name(r, &c);
    if (rc == 0)
        rc = read_constraint_values(r, &c);
    if (rc == 0)
        rc = read_optional_bool(r, node, "inverted", &inverted);
    if (rc == 0)
        rc = read_optional_bool(r, node, "caseInsensitive", &any_case);
    if (rc == 0 && any_case)
        rc = cannot_keep(r, &c, "caseInsensitive has no equal here");
    if (rc < 0)
        return rc;
    const struct flags_node *made = constraint_operator(r, &c);
    *ret = inverted && made ? node_of_not(r, made) : made;
    return *ret ? 0 : ERR_CONF;
}

int unleash_add(struct reader *r, struct unleash_all *all, struct conf_at at,
                const struct flags_node *node) {
    if (!node)
        return ERR_CONF;
    if (all->count == FLAGS_CONDITIONS_MAX)
        return read_fail(r, at, "more than %d constraints", FLAGS_CONDITIONS_MAX);
    all->items[all->count++] = node;
    return 0;
}

int unleash_constraints(struct reader *r, const struct tree_node *list, struct unleash_all *all) {
    int rc = list ? read_kind(r, "constraints", list, TREE_LIST) : 0;
    for (const struct tree_entry *e = list ? list->first : NULL; rc == 0 && e; e = e->next) {
        const struct flags_node *node = NULL;
        rc = read_constraint(r, e->value, &node);
        if (rc == 0)
            rc = unleash_add(r, all, e->value->at, node);
    }
    return rc;
}

int unleash_segments(struct unleash *u, const struct tree_node *ids, struct unleash_all *all) {
    int rc = ids ? read_kind(u->r, "segments", ids, TREE_LIST) : 0;
    for (const struct tree_entry *e = ids ? ids->first : NULL; rc == 0 && e; e = e->next) {
        const struct tree_node *found = NULL;
        for (const struct tree_entry *s = u->segments ? u->segments->first : NULL; s && !found;
             s = s->next) {
            const struct tree_node *id = read_get(s->value, "id");
            if (id && id->kind == TREE_SCALAR && span_eq(id->text, e->value->text))
                found = s->value;
        }
        if (e->value->kind != TREE_SCALAR || !found)
            return read_fail(u->r, e->value->at, "segment %.60s is not in the file's 'segments'",
                             e->value->kind == TREE_SCALAR ? e->value->text.ptr : "?");
        rc = unleash_constraints(u->r, read_get(found, "constraints"), all);
    }
    return rc;
}
