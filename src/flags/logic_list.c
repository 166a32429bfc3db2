#include "flags/logic.h"

/* Operators over lists. What is no list counts as an empty one. */

static const struct logic_value empty_list = {.type = LOGIC_ITEMS};

static struct logic_value of_bool(bool v) {
    return (struct logic_value){.type = LOGIC_BOOL, .boolean = v};
}

static struct logic_value of_items(const struct logic_value *items, size_t count) {
    return (struct logic_value){.type = LOGIC_ITEMS, .items = items, .count = count};
}

static struct logic_value list_argument(struct logic_run *run, const struct blob_node *node,
                                        uint32_t i) {
    struct logic_value v = logic_open_list(run, logic_node(run, logic_argument(run, node, i)));
    return v.type == LOGIC_ITEMS ? v : empty_list;
}

static struct logic_value literal_list(struct logic_run *run, const struct blob_node *node) {
    struct logic_value *items = logic_alloc(run, node->count * sizeof *items);
    for (uint32_t i = 0; items && i < node->count; i++)
        items[i] = logic_node(run, logic_argument(run, node, i));
    return items ? of_items(items, node->count) : empty_list;
}

/* An argument with an item as what `var` sees. */
static struct logic_value with_item(struct logic_run *run, const struct blob_node *node,
                                    const struct logic_value *item,
                                    const struct logic_value *accumulator) {
    struct logic_scope outer = run->scope;
    run->scope = (struct logic_scope){item, accumulator};
    struct logic_value v = logic_node(run, logic_argument(run, node, 1));
    run->scope = outer;
    return v;
}

static struct logic_value map(struct logic_run *run, const struct blob_node *node) {
    struct logic_value list = list_argument(run, node, 0);
    struct logic_value *items = logic_alloc(run, list.count * sizeof *items);
    for (size_t i = 0; items && i < list.count; i++)
        items[i] = with_item(run, node, &list.items[i], NULL);
    return items ? of_items(items, list.count) : empty_list;
}

static struct logic_value filter(struct logic_run *run, const struct blob_node *node) {
    struct logic_value list = list_argument(run, node, 0);
    struct logic_value *items = logic_alloc(run, list.count * sizeof *items);
    size_t count = 0;
    for (size_t i = 0; items && i < list.count; i++) {
        struct logic_value v = with_item(run, node, &list.items[i], NULL);
        if (logic_truth(run, &v))
            items[count++] = list.items[i];
    }
    return items ? of_items(items, count) : empty_list;
}

static struct logic_value reduce(struct logic_run *run, const struct blob_node *node) {
    struct logic_value list = list_argument(run, node, 0);
    struct logic_value sum = logic_node(run, logic_argument(run, node, 2));
    for (size_t i = 0; i < list.count && run->error == FLAGS_OK; i++) {
        struct logic_value before = sum;
        sum = with_item(run, node, &list.items[i], &before);
    }
    return sum;
}

/* all: none is false, and there is one. some: one is true. none: not one is. */
static struct logic_value quantify(struct logic_run *run, const struct blob_node *node) {
    struct logic_value list = list_argument(run, node, 0);
    bool all = node->op == LOGIC_ALL;
    for (size_t i = 0; i < list.count && run->error == FLAGS_OK; i++) {
        struct logic_value v = with_item(run, node, &list.items[i], NULL);
        if (logic_truth(run, &v) != all)
            return of_bool(node->op == LOGIC_SOME);
    }
    return of_bool(all ? list.count > 0 : node->op == LOGIC_NONE);
}

/* Every argument as a list of its items, or of itself; `one` is room for that. */
static struct logic_value as_items(struct logic_run *run, struct logic_value v,
                                   struct logic_value *one) {
    v = logic_open_list(run, v);
    if (v.type == LOGIC_ITEMS)
        return v;
    *one = v;
    return of_items(one, 1);
}

static struct logic_value merge(struct logic_run *run, const struct blob_node *node) {
    struct logic_value parts = literal_list(run, node), one;
    size_t total = 0, count = 0;
    for (size_t i = 0; i < parts.count; i++)
        total += as_items(run, parts.items[i], &one).count;
    struct logic_value *items = logic_alloc(run, total * sizeof *items);
    for (size_t i = 0; items && i < parts.count && logic_step(run, 1); i++) {
        struct logic_value part = as_items(run, parts.items[i], &one);
        for (size_t j = 0; j < part.count && count < total; j++)
            items[count++] = part.items[j];
    }
    return items ? of_items(items, count) : empty_list;
}

/* Those of `keys` that the context lacks: null and "" are not there. */
static struct logic_value missing_of(struct logic_run *run, struct logic_value keys) {
    struct logic_value *items = logic_alloc(run, keys.count * sizeof *items);
    size_t count = 0;
    for (size_t i = 0; items && i < keys.count && run->error == FLAGS_OK; i++) {
        struct logic_value v = logic_lookup(run, logic_text(run, &keys.items[i]));
        if (v.type == LOGIC_NULL || (v.type == LOGIC_STRING && v.text.len == 0))
            items[count++] = keys.items[i];
    }
    return items ? of_items(items, count) : empty_list;
}

static struct logic_value missing(struct logic_run *run, const struct blob_node *node) {
    struct logic_value keys = literal_list(run, node);
    if (keys.count) {
        struct logic_value first = logic_open_list(run, keys.items[0]);
        if (first.type == LOGIC_ITEMS)
            keys = first;
    }
    return missing_of(run, keys);
}

static struct logic_value missing_some(struct logic_run *run, const struct blob_node *node) {
    struct logic_value need = logic_node(run, logic_argument(run, node, 0));
    struct logic_value keys = list_argument(run, node, 1);
    struct logic_value lacking = missing_of(run, keys);
    bool enough = (double)(keys.count - lacking.count) >= logic_number(run, &need);
    return enough ? empty_list : lacking;
}

static bool text_contains(struct span text, struct span part) {
    return part.len == 0 || (text.len && memmem(text.ptr, text.len, part.ptr, part.len));
}

static struct logic_value in(struct logic_run *run, const struct blob_node *node) {
    struct logic_value v = logic_node(run, logic_argument(run, node, 0));
    const struct blob_node *list = logic_argument(run, node, 1);
    if (list->op == LOGIC_LIST) { /* without building it: it may be long */
        for (uint32_t i = 0; i < list->count && run->error == FLAGS_OK; i++) {
            struct logic_value item = logic_node(run, logic_argument(run, list, i));
            if (logic_equal(run, &v, &item, true))
                return of_bool(true);
        }
        return of_bool(false);
    }
    struct logic_value where = logic_open_list(run, logic_node(run, list));
    if (where.type == LOGIC_STRING) {
        struct span part = logic_text(run, &v);
        return of_bool(logic_step(run, where.text.len / 16) && text_contains(where.text, part));
    }
    for (size_t i = 0; where.type == LOGIC_ITEMS && i < where.count && logic_step(run, 1); i++)
        if (logic_equal(run, &v, &where.items[i], true))
            return of_bool(true);
    return of_bool(false);
}

struct logic_value logic_list_op(struct logic_run *run, const struct blob_node *node) {
    switch ((int)node->op) {
    case LOGIC_LIST:
        return literal_list(run, node);
    case LOGIC_MAP:
        return map(run, node);
    case LOGIC_FILTER:
        return filter(run, node);
    case LOGIC_REDUCE:
        return reduce(run, node);
    case LOGIC_ALL:
    case LOGIC_NONE:
    case LOGIC_SOME:
        return quantify(run, node);
    case LOGIC_MERGE:
        return merge(run, node);
    case LOGIC_MISSING:
        return missing(run, node);
    case LOGIC_MISSING_SOME:
        return missing_some(run, node);
    default:
        return in(run, node);
    }
}
