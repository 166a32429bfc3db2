/* JSON text -> nodes: what was accepted is walked, decoded, and accepted again when its parts are
 * parsed alone. */
#include "base/json_read.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NODES 4096

static void look(const struct json_doc *d, const struct json_node *n) {
    static struct json_node again[NODES];
    struct json_doc part;
    struct span s;
    int64_t i;
    double x;
    bool b;
    if (n->type == JSON_STRING) {
        _cleanup_(mem_freep) char *space = mem_alloc(n->len);
        if (!json_string(d, n, space, n->len, &s) || s.len > n->len)
            abort();
    }
    if (json_int(d, n, &i) && (!json_double(d, n, &x) || x - (double)i != 0))
        abort();
    if (json_bool(n, &b) != (n->type == JSON_BOOL))
        abort();
    if (json_parse(&part, json_raw(d, n), again, NODES, NULL) < 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct json_node nodes[NODES];
    struct json_doc d;
    struct err err = {0};
    if (size > 65536)
        return 0;
    if (json_parse(&d, span_make(data, size), nodes, NODES, &err) < 0) {
        if (err.code == 0 || !*err.text)
            abort();
        return 0;
    }
    size_t seen = 1;
    for (size_t i = 0; i < d.count && i < 64; i++)
        look(&d, &nodes[i]);
    const struct json_node *root = json_root(&d);
    if (root->next != d.count)
        abort();
    for (const struct json_node *n = json_first(&d, root); n; n = json_next(&d, root, n))
        seen++;
    if ((root->type == JSON_OBJECT || root->type == JSON_ARRAY) && seen != root->count + 1)
        abort();
    (void)json_member(&d, root, "a");
    return 0;
}
