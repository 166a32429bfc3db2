#include "flags/logic.h"

#include "flags/logic_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
    uint32_t fewest, most;
} arities[] = {
#define LOGIC_ARITY(id, name, fewest, most) {fewest, most},
    LOGIC_OPS(LOGIC_ARITY)
#undef LOGIC_ARITY
};

static const struct logic_value null_value = {.type = LOGIC_NULL};

bool logic_takes(enum logic_op op, uint32_t arguments) {
    return arguments >= arities[op].fewest &&
           (arities[op].most == 0 || arguments <= arities[op].most);
}

struct logic_value logic_fail(struct logic_run *run, enum flags_error error, const char *detail) {
    if (run->error == FLAGS_OK) {
        run->error = error;
        run->detail = detail;
    }
    return null_value;
}

bool logic_step(struct logic_run *run, size_t steps) {
    if (steps > LOGIC_STEPS_MAX || run->steps > LOGIC_STEPS_MAX - steps) {
        logic_fail(run, FLAGS_GENERAL, "targeting takes too many steps");
        return false;
    }
    run->steps += (unsigned)steps;
    return run->error == FLAGS_OK;
}

void *logic_alloc(struct logic_run *run, size_t size) {
    uintptr_t at = (uintptr_t)run->scratch + run->scratch_used;
    size_t skip = (16 - at % 16) % 16, left = run->scratch_len - run->scratch_used;
    if (skip > left || size > left - skip) {
        logic_fail(run, FLAGS_GENERAL, "targeting builds values that need too much memory");
        return NULL;
    }
    run->scratch_used += skip + size;
    return run->scratch + run->scratch_used - size;
}

static struct logic_value of_bool(bool v) {
    return (struct logic_value){.type = LOGIC_BOOL, .boolean = v};
}

static struct logic_value of_number(double v) {
    return (struct logic_value){.type = LOGIC_NUMBER, .number = v};
}

static struct logic_value of_text(struct span s) {
    return (struct logic_value){.type = LOGIC_STRING, .text = s};
}

static struct logic_value of_value(const struct flags_value *v) {
    switch (v->type) {
    case FLAGS_NULL:
        break;
    case FLAGS_BOOL:
        return of_bool(v->boolean);
    case FLAGS_NUMBER:
        return of_number(v->number);
    case FLAGS_STRING:
        return of_text(v->text);
    case FLAGS_JSON:
        return (struct logic_value){.type = LOGIC_JSON, .text = v->text};
    }
    return null_value;
}

bool logic_truth(struct logic_run *run, const struct logic_value *v) {
    switch (v->type) {
    case LOGIC_NULL:
        return false;
    case LOGIC_BOOL:
        return v->boolean;
    case LOGIC_NUMBER:
        return v->number != 0 && !isnan(v->number);
    case LOGIC_STRING:
        return v->text.len > 0;
    case LOGIC_ITEMS:
        return v->count > 0;
    case LOGIC_JSON:
        break;
    }
    struct logic_value list = logic_open_list(run, *v);
    return list.type != LOGIC_ITEMS || list.count > 0;
}

struct logic_digits logic_digits_of(double v) {
    struct logic_digits d;
    if (v == floor(v) && fabs(v) < 1e15) {
        snprintf(d.text, sizeof d.text, "%.0f", v == 0 ? 0 : v);
        return d;
    }
    (void)text_double(v, d.text);
    return d;
}

static struct span copy_text(struct logic_run *run, const char *text) {
    size_t len = strlen(text);
    char *copy = logic_alloc(run, len);
    if (!copy)
        return SPAN_LIT("");
    memcpy(copy, text, len);
    return span_make(copy, len);
}

/* Items may be lists themselves, and reduce can put one into another as often as it has items. */
static struct span join(struct logic_run *run, const struct logic_value *list) {
    struct span *parts = logic_alloc(run, list->count * sizeof *parts);
    size_t total = 0;
    if (!parts || !logic_step(run, list->count))
        return SPAN_LIT("");
    if (run->text_depth == LOGIC_TEXT_DEPTH_MAX) {
        logic_fail(run, FLAGS_GENERAL, "targeting builds lists that are too deep in each other");
        return SPAN_LIT("");
    }
    run->text_depth++;
    for (size_t i = 0; i < list->count; i++) {
        parts[i] = logic_text(run, &list->items[i]);
        total += parts[i].len + (i > 0);
    }
    run->text_depth--;
    char *out = logic_alloc(run, total), *at = out;
    if (!out)
        return SPAN_LIT("");
    for (size_t i = 0; i < list->count; i++) {
        if (i)
            *at++ = ',';
        if (parts[i].len)
            memcpy(at, parts[i].ptr, parts[i].len);
        at += parts[i].len;
    }
    return span_make(out, total);
}

struct span logic_text(struct logic_run *run, const struct logic_value *v) {
    switch (v->type) {
    case LOGIC_NULL:
        return SPAN_LIT("");
    case LOGIC_BOOL:
        return v->boolean ? SPAN_LIT("true") : SPAN_LIT("false");
    case LOGIC_NUMBER:
        return copy_text(run, logic_digits_of(v->number).text);
    case LOGIC_STRING:
        return v->text;
    case LOGIC_ITEMS:
        return join(run, v);
    case LOGIC_JSON:
        break;
    }
    struct logic_value list = logic_open_list(run, *v);
    return list.type == LOGIC_ITEMS ? join(run, &list) : SPAN_LIT("[object Object]");
}

double logic_number(struct logic_run *run, const struct logic_value *v) {
    switch (v->type) {
    case LOGIC_NULL:
        return 0;
    case LOGIC_BOOL:
        return v->boolean;
    case LOGIC_NUMBER:
        return v->number;
    case LOGIC_STRING:
        return logic_json_number(v->text, false);
    case LOGIC_ITEMS:
    case LOGIC_JSON:
        break;
    }
    return logic_json_number(logic_text(run, v), false);
}

/* As JavaScript's parseFloat: the number that a text begins with. */
static double leading_number(struct logic_run *run, const struct logic_value *v) {
    if (v->type == LOGIC_NUMBER)
        return v->number;
    return logic_json_number(logic_text(run, v), true);
}

/* Text against number is a comparison of numbers, lists count as their text; null equals null. */
static bool loosely_equal(struct logic_run *run, const struct logic_value *a,
                          const struct logic_value *b) {
    if (a->type == LOGIC_NULL || b->type == LOGIC_NULL)
        return a->type == b->type;
    bool a_list = a->type >= LOGIC_ITEMS, b_list = b->type >= LOGIC_ITEMS;
    if (a_list && b_list)
        return false; /* two lists are never the same one */
    struct logic_value text = of_text(SPAN_LIT(""));
    if (a_list) {
        text.text = logic_text(run, a);
        a = &text;
    } else if (b_list) {
        text.text = logic_text(run, b);
        b = &text;
    }
    if (a->type == LOGIC_STRING && b->type == LOGIC_STRING)
        return span_eq(a->text, b->text);
    return logic_number(run, a) == logic_number(run, b);
}

bool logic_equal(struct logic_run *run, const struct logic_value *a, const struct logic_value *b,
                 bool strict) {
    if (!strict)
        return loosely_equal(run, a, b);
    return a->type == b->type && a->type < LOGIC_ITEMS && loosely_equal(run, a, b);
}

static bool in_order(struct logic_run *run, enum logic_op op, const struct logic_value *a,
                     const struct logic_value *b) {
    double x, y;
    if (a->type == LOGIC_STRING && b->type == LOGIC_STRING) {
        x = span_compare(a->text, b->text);
        y = 0;
    } else {
        x = logic_number(run, a);
        y = logic_number(run, b);
    }
    switch ((int)op) {
    case LOGIC_LESS:
        return x < y;
    case LOGIC_AT_MOST:
        return x <= y;
    case LOGIC_GREATER:
        return x > y;
    default:
        return x >= y;
    }
}

static struct logic_value compare(struct logic_run *run, const struct blob_node *node) {
    enum logic_op op = (enum logic_op)node->op;
    struct logic_value a = logic_node(run, logic_argument(run, node, 0));
    struct logic_value b = logic_node(run, logic_argument(run, node, 1));
    bool strict = op == LOGIC_SAME || op == LOGIC_NOT_SAME;
    if (op == LOGIC_EQUAL || op == LOGIC_SAME)
        return of_bool(logic_equal(run, &a, &b, strict));
    if (op == LOGIC_UNEQUAL || op == LOGIC_NOT_SAME)
        return of_bool(!logic_equal(run, &a, &b, strict));
    if (!in_order(run, op, &a, &b) || node->count == 2)
        return of_bool(in_order(run, op, &a, &b));
    struct logic_value c = logic_node(run, logic_argument(run, node, 2));
    return of_bool(in_order(run, op, &b, &c));
}

/* if, else if ..., else; the last one without a condition is the else. */
static struct logic_value choose(struct logic_run *run, const struct blob_node *node) {
    uint32_t i = 0;
    for (; i + 1 < node->count; i += 2) {
        struct logic_value v = logic_node(run, logic_argument(run, node, i));
        if (logic_truth(run, &v))
            return logic_node(run, logic_argument(run, node, i + 1));
    }
    return i < node->count ? logic_node(run, logic_argument(run, node, i)) : null_value;
}

/* The first that decides, as it is. */
static struct logic_value and_or(struct logic_run *run, const struct blob_node *node) {
    struct logic_value v = null_value;
    for (uint32_t i = 0; i < node->count; i++) {
        v = logic_node(run, logic_argument(run, node, i));
        if (logic_truth(run, &v) == (node->op == LOGIC_OR))
            break;
    }
    return v;
}

static double combine(enum logic_op op, double a, double b) {
    switch ((int)op) {
    case LOGIC_ADD:
        return a + b;
    case LOGIC_MULTIPLY:
        return a * b;
    case LOGIC_SUBTRACT:
        return a - b;
    case LOGIC_DIVIDE:
        return a / b;
    case LOGIC_MODULO:
        return fmod(a, b);
    case LOGIC_MAX:
        return isnan(a) || isnan(b) ? NAN : fmax(a, b);
    default:
        return isnan(a) || isnan(b) ? NAN : fmin(a, b);
    }
}

static struct logic_value arithmetic(struct logic_run *run, const struct blob_node *node) {
    enum logic_op op = (enum logic_op)node->op;
    bool leading = op == LOGIC_ADD || op == LOGIC_MULTIPLY;
    double sum = 0;
    for (uint32_t i = 0; i < node->count; i++) {
        struct logic_value v = logic_node(run, logic_argument(run, node, i));
        double n = leading ? leading_number(run, &v) : logic_number(run, &v);
        sum = i ? combine(op, sum, n) : n;
    }
    return of_number(op == LOGIC_SUBTRACT && node->count == 1 ? -sum : sum);
}

static struct logic_value of_attribute(const struct flags_attribute *attributes, size_t count,
                                       struct span name) {
    const struct flags_attribute *a = logic_attribute(attributes, count, name);
    return a ? of_value(&a->value) : null_value;
}

/* Cuts the part up to the first dot off `path`. */
static struct span cut(struct span *path) {
    const char *dot = path->len ? memchr(path->ptr, '.', path->len) : NULL;
    struct span part = span_make(path->ptr, dot ? (size_t)(dot - path->ptr) : path->len);
    size_t used = part.len + (dot != NULL);
    *path = span_make(path->ptr + used, path->len - used);
    return part;
}

static struct logic_value of_user(struct span id) {
    return id.len ? of_text(id) : null_value;
}

/* The context as its author sees it. What Banyan knows by a field of its own is found under the
 * names that contexts use for it. */
static struct logic_value look_in_context(struct logic_run *run, struct span *path) {
    const struct flags_context *c = run->context;
    struct span name = cut(path);
    if (span_is(name, "$flagd")) {
        struct span what = cut(path);
        if (span_is(what, "flagKey"))
            return of_text(run->flag_name);
        double second = floor((double)c->now_us / 1e6);
        return span_is(what, "timestamp") ? of_number(second) : null_value;
    }
    if (logic_attribute(c->user_attributes, c->user_attribute_count, name))
        return of_attribute(c->user_attributes, c->user_attribute_count, name);
    if (span_is(name, "targetingKey") || span_is(name, "userId"))
        return of_user(c->user);
    if (span_is(name, "tenantId"))
        return of_user(c->tenant);
    if (span_is(name, "userAttributes"))
        return of_attribute(c->user_attributes, c->user_attribute_count, cut(path));
    if (span_is(name, "tenantAttributes"))
        return of_attribute(c->tenant_attributes, c->tenant_attribute_count, cut(path));
    return null_value;
}

static struct logic_value look_in_scope(struct logic_run *run, struct span *path) {
    if (!run->scope.item)
        return look_in_context(run, path);
    if (!run->scope.accumulator)
        return *run->scope.item;
    struct span name = cut(path);
    if (span_is(name, "current"))
        return *run->scope.item;
    return span_is(name, "accumulator") ? *run->scope.accumulator : null_value;
}

struct logic_value logic_lookup(struct logic_run *run, struct span path) {
    struct logic_value v = look_in_scope(run, &path);
    while (path.len && v.type != LOGIC_NULL && logic_step(run, 1))
        v = logic_json_member(run, &v, cut(&path));
    return v;
}

static struct logic_value variable(struct logic_run *run, const struct blob_node *node) {
    struct logic_value path = null_value;
    if (node->count)
        path = logic_node(run, logic_argument(run, node, 0));
    struct span text = logic_text(run, &path);
    struct logic_value v;
    if (text.len)
        v = logic_lookup(run, text);
    else if (run->scope.item)
        v = *run->scope.item;
    else
        v = (struct logic_value){.type = LOGIC_JSON, .text = SPAN_LIT("{}")};
    if (v.type == LOGIC_NULL && node->count == 2)
        return logic_node(run, logic_argument(run, node, 1));
    return v;
}

static struct logic_value literal(struct logic_run *run, const struct blob_node *node) {
    struct flags_value v = blob_value_of(run->set, &node->literal);
    return of_value(&v);
}

static struct logic_value negate(struct logic_run *run, const struct blob_node *node) {
    struct logic_value v = logic_node(run, logic_argument(run, node, 0));
    return of_bool(logic_truth(run, &v) == (node->op == LOGIC_TRUTH));
}

typedef struct logic_value logic_operator(struct logic_run *run, const struct blob_node *node);

static logic_operator *const operators[LOGIC_OP_COUNT] = {
    [LOGIC_LITERAL] = literal,
    [LOGIC_LIST] = logic_list_op,
    [LOGIC_VAR] = variable,
    [LOGIC_MISSING] = logic_list_op,
    [LOGIC_MISSING_SOME] = logic_list_op,
    [LOGIC_IF] = choose,
    [LOGIC_TERNARY] = choose,
    [LOGIC_EQUAL] = compare,
    [LOGIC_SAME] = compare,
    [LOGIC_UNEQUAL] = compare,
    [LOGIC_NOT_SAME] = compare,
    [LOGIC_NOT] = negate,
    [LOGIC_TRUTH] = negate,
    [LOGIC_OR] = and_or,
    [LOGIC_AND] = and_or,
    [LOGIC_LESS] = compare,
    [LOGIC_AT_MOST] = compare,
    [LOGIC_GREATER] = compare,
    [LOGIC_AT_LEAST] = compare,
    [LOGIC_MAX] = arithmetic,
    [LOGIC_MIN] = arithmetic,
    [LOGIC_ADD] = arithmetic,
    [LOGIC_SUBTRACT] = arithmetic,
    [LOGIC_MULTIPLY] = arithmetic,
    [LOGIC_DIVIDE] = arithmetic,
    [LOGIC_MODULO] = arithmetic,
    [LOGIC_MAP] = logic_list_op,
    [LOGIC_FILTER] = logic_list_op,
    [LOGIC_REDUCE] = logic_list_op,
    [LOGIC_ALL] = logic_list_op,
    [LOGIC_NONE] = logic_list_op,
    [LOGIC_SOME] = logic_list_op,
    [LOGIC_MERGE] = logic_list_op,
    [LOGIC_IN] = logic_list_op,
    [LOGIC_CAT] = logic_text_op,
    [LOGIC_SUBSTR] = logic_text_op,
    [LOGIC_FRACTIONAL] = logic_fractional,
    [LOGIC_SEM_VER] = logic_text_op,
    [LOGIC_STARTS_WITH] = logic_text_op,
    [LOGIC_ENDS_WITH] = logic_text_op,
};

struct logic_value logic_node(struct logic_run *run, const struct blob_node *node) {
    if (!logic_step(run, 1))
        return null_value;
    size_t used = run->scratch_used;
    struct logic_value v = operators[node->op](run, node);
    /* Nothing in these points into what was built on the way. */
    if (v.type == LOGIC_NULL || v.type == LOGIC_BOOL || v.type == LOGIC_NUMBER)
        run->scratch_used = used;
    return v;
}

struct logic_value logic_evaluate(struct logic_run *run, uint32_t logic) {
    const struct blob_logic *l = blob_at(run->set, logic);
    run->nodes = blob_at(run->set, l->nodes.at);
    return logic_node(run, run->nodes);
}
