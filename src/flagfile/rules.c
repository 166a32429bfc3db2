#include "flagfile/rules.h"

static struct flags_node *node_of(struct reader *r, enum flags_node_type type) {
    struct flags_node *n = read_alloc(r, 1, sizeof *n);
    if (n)
        n->type = type;
    return n;
}

const struct flags_node *node_of_null(struct reader *r) {
    return node_of(r, FLAGS_NODE_NULL);
}

const struct flags_node *node_of_text(struct reader *r, struct span text) {
    struct flags_node *n = node_of(r, FLAGS_NODE_STRING);
    if (n)
        n->text = text;
    return n;
}

const struct flags_node *node_of_number(struct reader *r, double number) {
    struct flags_node *n = node_of(r, FLAGS_NODE_NUMBER);
    if (n)
        n->number = number;
    return n;
}

const struct flags_node *node_of_list(struct reader *r, const struct flags_node *const *items,
                                      size_t count) {
    struct flags_node *n = node_of(r, FLAGS_NODE_LIST);
    struct flags_member *in = read_alloc(r, count, sizeof *in);
    if (!n || !in)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        if (!items[i])
            return NULL;
        in[i].value = items[i];
    }
    n->in = in;
    n->count = count;
    return n;
}

static const struct flags_node *operation(struct reader *r, const char *op,
                                          const struct flags_node *arguments) {
    struct flags_node *n = node_of(r, FLAGS_NODE_OBJECT);
    struct flags_member *in = read_alloc(r, 1, sizeof *in);
    if (!n || !in || !arguments)
        return NULL;
    *in = (struct flags_member){span_of(op), arguments};
    n->in = in;
    n->count = 1;
    return n;
}

const struct flags_node *node_of_var(struct reader *r, struct span name) {
    return operation(r, "var", node_of_text(r, name));
}

const struct flags_node *node_of_op(struct reader *r, const char *op, size_t count,
                                    const struct flags_node *a, const struct flags_node *b,
                                    const struct flags_node *c) {
    const struct flags_node *items[] = {a, b, c};
    return operation(r, op, node_of_list(r, items, count));
}

const struct flags_node *node_of_many(struct reader *r, const char *op,
                                      const struct flags_node *const *items, size_t count) {
    return count == 1 ? items[0] : operation(r, op, node_of_list(r, items, count));
}

const struct flags_node *node_of_not(struct reader *r, const struct flags_node *node) {
    return node_of_op(r, "!", 1, node, NULL, NULL);
}

void node_take(struct flags_node *n, const struct flags_value *v) {
    static const enum flags_node_type types[] = {[FLAGS_NULL] = FLAGS_NODE_NULL,
                                                 [FLAGS_BOOL] = FLAGS_NODE_BOOL,
                                                 [FLAGS_NUMBER] = FLAGS_NODE_NUMBER,
                                                 [FLAGS_STRING] = FLAGS_NODE_STRING,
                                                 [FLAGS_JSON] = FLAGS_NODE_STRING};
    n->type = types[v->type];
    n->boolean = v->boolean;
    n->number = v->number;
    n->text = v->text;
}

const struct flags_node *node_of_literal(struct reader *r, const struct tree_node *node) {
    struct flags_value v;
    struct flags_node *n = node_of(r, FLAGS_NODE_NULL);
    if (!n || read_value(r, node, &v) < 0)
        return NULL;
    n->place = read_place(node->at);
    node_take(n, &v);
    if (v.type == FLAGS_JSON) {
        (void)read_fail(r, node->at, "a list or mapping cannot be compared with");
        return NULL;
    }
    return n;
}
