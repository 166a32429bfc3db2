/* JSON as nodes. */
#include "base/json_read.h"
#include "compare/value.h"

/* Nodes of one text: a value is at least two bytes with what separates it from the next. */
static size_t nodes_room(struct span json) {
    size_t most = json.len / 2 + 2;
    return most < COMPARE_NODES_MAX ? most : COMPARE_NODES_MAX;
}

struct reader {
    const struct json_doc *doc;
    struct arena *arena;
    struct compare_value *out;
    uint32_t count;
};

static bool take_scalar(struct reader *r, const struct json_node *n, struct compare_value *v) {
    switch ((enum json_type)n->type) {
    case JSON_NULL:
        v->type = COMPARE_NULL;
        return true;
    case JSON_BOOL:
        v->type = COMPARE_BOOL;
        v->number = n->is_true;
        return true;
    case JSON_NUMBER:
        v->type = json_int(r->doc, n, &v->number) ? COMPARE_INT : COMPARE_DECIMAL;
        v->text = json_raw(r->doc, n);
        return true;
    case JSON_STRING:
        v->type = COMPARE_STRING;
        return json_string_in(r->doc, n, r->arena, &v->text);
    case JSON_ARRAY:
        v->type = COMPARE_ARRAY;
        return true;
    case JSON_OBJECT:
        v->type = COMPARE_OBJECT;
        return true;
    }
    return false;
}

/* A member's value takes its name along; the nodes of both arrays are in the order of the text. */
static bool read_nodes(struct reader *r) {
    struct {
        uint32_t at, left;
        bool object;
    } open[JSON_DEPTH_MAX + 2];
    size_t depth = 0;
    open[0].at = UINT32_MAX;
    open[0].left = 1;
    open[0].object = false;
    const struct json_node *n = r->doc->nodes;
    for (;;) {
        while (open[depth].left == 0) {
            if (open[depth].at != UINT32_MAX)
                r->out[open[depth].at].size = r->count - open[depth].at;
            if (depth-- == 0)
                return true;
        }
        open[depth].left--;
        struct compare_value *v = &r->out[r->count++];
        *v = (struct compare_value){.size = 1, .json = true};
        if (open[depth].object) {
            if (!json_string_in(r->doc, n, r->arena, &v->name))
                return false;
            v->hash = compare_hash(v->name);
            n++;
        }
        if (!take_scalar(r, n, v))
            return false;
        if (n->type == JSON_ARRAY || n->type == JSON_OBJECT) {
            v->count = n->count;
            depth++;
            open[depth].at = r->count - 1;
            open[depth].left = n->count;
            open[depth].object = n->type == JSON_OBJECT;
        }
        n++;
    }
}

int compare_read_json(struct span json, struct arena *arena, struct compare_tree *ret,
                      struct err *err) {
    struct json_doc doc;
    size_t room = nodes_room(json);
    struct json_node *nodes = arena_alloc(arena, room * sizeof *nodes);
    if (!nodes)
        return err_set(err, ERR_LIMIT, "too large to compare");
    int rc = json_parse(&doc, json, nodes, room, err);
    if (rc < 0)
        return rc;
    struct reader r = {.doc = &doc, .arena = arena};
    r.out = arena_alloc(arena, doc.count * sizeof *r.out);
    if (!r.out || !read_nodes(&r))
        return err_set(err, ERR_LIMIT, "too large to compare");
    *ret = (struct compare_tree){r.out, r.count};
    return 0;
}
