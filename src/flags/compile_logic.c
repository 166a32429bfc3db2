#include "flags/compiler.h"

#include "base/json_write.h"
#include "flags/logic.h"

/* JSONLogic -> nodes, breadth first, so that the arguments of an operation stand together. */

static const struct {
    const char *name;
    uint32_t fewest, most;
} ops[] = {
#define LOGIC_ROW(id, name, fewest, most) {name, fewest, most},
    LOGIC_OPS(LOGIC_ROW)
#undef LOGIC_ROW
};

struct pending {
    const struct flags_node *node;
    uint32_t depth;
};

struct queue {
    struct compiler *c;
    struct pending *items;
    struct blob_node *out;
    uint32_t count;
};

/* An object with one member is an operation; its arguments, or the items of a list. */
static const struct flags_member *children_of(const struct flags_node *node, size_t *ret_count) {
    bool object = node->type == FLAGS_NODE_OBJECT && node->count == 1;
    if (object && node->in[0].value->type != FLAGS_NODE_LIST) {
        *ret_count = 1;
        return node->in;
    }
    if (object)
        node = node->in[0].value;
    *ret_count = node->type == FLAGS_NODE_LIST ? node->count : 0;
    return node->in;
}

/* Adds to `count`; recursion ends at the limit of depth, work at the limit of nodes. */
static int count_nodes(struct compiler *c, const struct flags_node *node, uint32_t depth,
                       size_t *count) {
    if (depth > FLAGS_LOGIC_DEPTH_MAX)
        return compiler_error(c, ERR_LIMIT, node->place, "targeting is more than %d deep",
                              FLAGS_LOGIC_DEPTH_MAX);
    if (++*count > FLAGS_LOGIC_NODES_MAX)
        return compiler_error(c, ERR_LIMIT, node->place,
                              "targeting has more than %d operators and values",
                              FLAGS_LOGIC_NODES_MAX);
    size_t children;
    const struct flags_member *in = children_of(node, &children);
    for (size_t i = 0; i < children; i++) {
        int r = count_nodes(c, in[i].value, depth + 1, count);
        if (r < 0)
            return r;
    }
    return 0;
}

static int write_json(struct compiler *c, struct json_out *json, const char *name,
                      const struct flags_node *node, int depth) {
    if (depth > FLAGS_JSON_DEPTH_MAX)
        return compiler_error(c, ERR_LIMIT, node->place, "a value is more than %d deep",
                              FLAGS_JSON_DEPTH_MAX);
    switch (node->type) {
    case FLAGS_NODE_NULL:
        json_out_text(json, name, NULL);
        return 0;
    case FLAGS_NODE_BOOL:
        json_out_bool(json, name, node->boolean);
        return 0;
    case FLAGS_NODE_NUMBER:
        json_out_raw(json, name, span_of(logic_digits_of(node->number).text));
        return 0;
    case FLAGS_NODE_STRING:
        json_out_span(json, name, node->text.len ? node->text : SPAN_LIT(""));
        return 0;
    case FLAGS_NODE_LIST:
    case FLAGS_NODE_OBJECT:
        break;
    }
    bool object = node->type == FLAGS_NODE_OBJECT;
    json_out_open(json, name, object ? '{' : '[');
    for (size_t i = 0; i < node->count; i++) {
        const char *key = NULL;
        if (object) {
            char *copy = compiler_scratch(c, node->in[i].key.len + 1, 1);
            if (node->in[i].key.len)
                memcpy(copy, node->in[i].key.ptr, node->in[i].key.len);
            key = copy;
        }
        int r = write_json(c, json, key, node->in[i].value, depth + 1);
        if (r < 0)
            return r;
    }
    json_out_close(json, object ? '}' : ']');
    return 0;
}

/* An object that is no operation stays a value. */
static int compile_object(struct compiler *c, const struct flags_node *node,
                          struct blob_node *out) {
    _cleanup_(buf_release) struct buf text;
    struct json_out json;
    buf_init(&text, FLAGS_TEXT_MAX);
    json_out_begin(&json, &text);
    int r = write_json(c, &json, NULL, node, 1);
    if (r < 0)
        return r;
    if (!buf_ok(&text))
        return compiler_error(c, ERR_LIMIT, node->place,
                              "a value in targeting has more than %d "
                              "bytes",
                              FLAGS_TEXT_MAX);
    out->op = LOGIC_LITERAL;
    out->literal.type = FLAGS_JSON;
    out->literal.text = compiler_emit_text(c, buf_span(&text));
    return 0;
}

static int compile_scalar(struct compiler *c, const struct flags_node *node,
                          struct blob_node *out) {
    static const enum flags_type types[] = {
        [FLAGS_NODE_NULL] = FLAGS_NULL,
        [FLAGS_NODE_BOOL] = FLAGS_BOOL,
        [FLAGS_NODE_NUMBER] = FLAGS_NUMBER,
        [FLAGS_NODE_STRING] = FLAGS_STRING,
    };
    struct flags_value v = {.type = types[node->type], .number = node->number};
    v.text = node->type == FLAGS_NODE_STRING ? node->text : (struct span){0};
    int r = compiler_check_value(c, node->place, "a value in targeting", &v);
    if (r < 0)
        return r;
    out->op = LOGIC_LITERAL;
    out->literal.type = v.type;
    out->literal.boolean = v.type == FLAGS_BOOL && node->boolean;
    out->literal.number = v.type == FLAGS_NUMBER ? v.number : 0;
    out->literal.text = compiler_emit_text(c, v.text);
    return 0;
}

static void push_children(struct queue *q, uint32_t i) {
    size_t count;
    const struct flags_member *in = children_of(q->items[i].node, &count);
    q->out[i].first = q->count;
    q->out[i].count = (uint32_t)count;
    for (size_t j = 0; j < count; j++)
        q->items[q->count++] = (struct pending){in[j].value, q->items[i].depth + 1};
}

static int compile_operation(struct queue *q, uint32_t i) {
    const struct flags_node *node = q->items[i].node;
    struct span name = node->in[0].key;
    uint32_t op = LOGIC_VAR;
    while (op < LOGIC_OP_COUNT && !span_is(name, ops[op].name))
        op++;
    if (op == LOGIC_OP_COUNT)
        return compiler_error(q->c, ERR_CONF, node->place, "targeting has no operator %.*s",
                              (int)(name.len > 64 ? 64 : name.len), name.len ? name.ptr : "");
    size_t count;
    children_of(node, &count);
    if (count < ops[op].fewest || (ops[op].most && count > ops[op].most))
        return compiler_error(
            q->c, ERR_CONF, node->place, "operator %s takes %u%s arguments, not %zu", ops[op].name,
            ops[op].fewest, ops[op].most == ops[op].fewest ? "" : " or more", count);
    q->out[i].op = op;
    push_children(q, i);
    return 0;
}

static int compile_node(struct queue *q, uint32_t i) {
    const struct flags_node *node = q->items[i].node;
    q->out[i].depth = q->items[i].depth;
    if (node->type == FLAGS_NODE_OBJECT)
        return node->count == 1 ? compile_operation(q, i) : compile_object(q->c, node, &q->out[i]);
    if (node->type != FLAGS_NODE_LIST)
        return compile_scalar(q->c, node, &q->out[i]);
    q->out[i].op = LOGIC_LIST;
    push_children(q, i);
    return 0;
}

int compiler_logic(struct compiler *c, const struct flags_node *node, uint32_t *ret_logic) {
    size_t count = 0;
    int r = count_nodes(c, node, 0, &count);
    if (r < 0)
        return r;
    struct queue q = {.c = c};
    q.items = compiler_scratch(c, count, sizeof *q.items);
    q.out = compiler_scratch(c, count, sizeof *q.out);
    q.items[q.count++] = (struct pending){node, 0};
    for (uint32_t i = 0; r == 0 && i < q.count; i++)
        r = compile_node(&q, i);
    if (r < 0)
        return r;
    struct blob_logic logic = {compiler_emit_list(c, q.out, q.count, sizeof *q.out)};
    *ret_logic = compiler_emit(c, &logic, sizeof logic);
    return 0;
}
