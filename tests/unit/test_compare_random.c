/*
 * Random documents, from a fixed generator: against a copy whose fields (and sets) are shuffled
 * there is no difference; with one change planted there is exactly that one, with its path and
 * kind; the other way round missing is extra.
 */
#include "compare_try.h"

#include <inttypes.h>

enum { ROUNDS = 3000, WIDTH = 6, DEPTH = 4 };

struct random {
    uint64_t state;
};

static uint64_t next_random(struct random *r) {
    uint64_t z = (r->state += UINT64_C(0x9e3779b97f4a7c15)); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static unsigned below(struct random *r, unsigned n) {
    return (unsigned)(next_random(r) % n);
}

/* ---- a document as a tree of our own ---- */

enum shape { SCALAR, OBJECT, LIST, KEYED, SET };

struct node {
    enum shape shape;
    char name[24]; /* in an object */
    char text[48]; /* a scalar as extended JSON */
    struct node *in[WIDTH];
    unsigned count;
};

static struct node pool[40000];
static size_t pooled;

static struct node *add_node(enum shape shape) {
    struct node *n = &pool[pooled++];
    assert_true(pooled < sizeof pool / sizeof *pool);
    *n = (struct node){.shape = shape};
    return n;
}

/* Every scalar is its own, so that elements of a set can be told apart. */
static struct node *scalar(struct random *r) {
    struct node *n = add_node(SCALAR);
    unsigned v = (unsigned)pooled;
    switch (below(r, 7)) {
    case 0:
        snprintf(n->text, sizeof n->text, "%u", v);
        break;
    case 1:
        snprintf(n->text, sizeof n->text, "\"t%u\"", v);
        break;
    case 2:
        snprintf(n->text, sizeof n->text, "%u.5", v);
        break;
    case 3:
        snprintf(n->text, sizeof n->text, "{\"$numberDecimal\":\"%u.25\"}", v);
        break;
    case 4:
        snprintf(n->text, sizeof n->text, "{\"$date\":{\"$numberLong\":\"%u\"}}", v);
        break;
    case 5:
        snprintf(n->text, sizeof n->text, "{\"$oid\":\"%024x\"}", v);
        break;
    default:
        snprintf(n->text, sizeof n->text, "{\"$numberLong\":\"%u\"}", v);
    }
    return n;
}

/* What a name ends with says what the patterns make of it: "...k" arrays are keyed, "...s" sets. */
static struct node *make(struct random *r, int depth, enum shape shape) {
    if (shape == SCALAR)
        return scalar(r);
    struct node *n = add_node(shape);
    n->count = 1 + below(r, WIDTH - 1);
    for (unsigned i = 0; i < n->count; i++) {
        enum shape in = depth > 0 ? (enum shape)below(r, 5) : SCALAR;
        if (n->shape != OBJECT)
            in = n->shape == KEYED ? OBJECT : depth > 0 && below(r, 2) ? OBJECT : SCALAR;
        struct node *child = n->in[i] = make(r, depth - 1, in);
        if (n->shape == OBJECT)
            snprintf(child->name, sizeof child->name, "n%u%s", i,
                     in == KEYED ? "k"
                     : in == SET ? "s"
                                 : "");
        if (n->shape == KEYED) {
            struct node *id = add_node(SCALAR);
            snprintf(id->name, sizeof id->name, "id");
            snprintf(id->text, sizeof id->text, "%u", i);
            child->in[child->count < WIDTH ? child->count++ : 0] = id;
        }
    }
    return n;
}

/* Fields and sets in another order, if told; keyed arrays keep theirs. */
static void print(const struct node *n, struct random *shuffle, struct buf *out) {
    const struct node *in[WIDTH];
    if (n->shape == SCALAR) {
        buf_add_text(out, n->text);
        return;
    }
    for (unsigned i = 0; i < n->count; i++)
        in[i] = n->in[i];
    for (unsigned i = n->count; shuffle && (n->shape == OBJECT || n->shape == SET) && i > 1; i--) {
        unsigned with = below(shuffle, i);
        const struct node *other = in[with];
        in[with] = in[i - 1];
        in[i - 1] = other;
    }
    buf_add_char(out, n->shape == OBJECT ? '{' : '[');
    for (unsigned i = 0; i < n->count; i++) {
        if (i)
            buf_add_char(out, ',');
        if (n->shape == OBJECT)
            buf_printf(out, "\"%s\":", in[i]->name);
        print(in[i], shuffle, out);
    }
    buf_add_char(out, n->shape == OBJECT ? '}' : ']');
}

/* ---- one change ---- */

struct change {
    char path[COMPARE_PATH_MAX];
    const char *kind, *swapped;
};

static const char *id_of(const struct node *element) {
    for (unsigned i = 0; i < element->count; i++)
        if (strcmp(element->in[i]->name, "id") == 0)
            return element->in[i]->text;
    fail_msg("an element without a key");
    return NULL;
}

static void step(struct change *c, const struct node *parent, unsigned i) {
    size_t len = strlen(c->path);
    char *end = c->path + len;
    size_t room = sizeof c->path - len;
    if (parent->shape == OBJECT)
        snprintf(end, room, "%s%s", len ? "." : "", parent->in[i]->name);
    else if (parent->shape == KEYED)
        snprintf(end, room, "[id=%s]", id_of(parent->in[i]));
    else
        snprintf(end, room, "[%u]", i);
}

static bool is_key(const struct node *n) {
    return strcmp(n->name, "id") == 0;
}

static void set_kind(struct change *c, const char *kind, const char *swapped) {
    c->kind = kind;
    c->swapped = swapped;
}

/* Somewhere below `n`, in what stands for MongoDB's side. */
static void plant(struct node *n, struct random *r, struct change *c) {
    for (;;) {
        unsigned i = below(r, n->count);
        if (is_key(n->in[i]))
            i = (i + 1) % n->count;
        struct node *child = n->in[i];
        if (is_key(child)) { /* an element that is its key alone */
            struct node *more = scalar(r);
            snprintf(more->name, sizeof more->name, "more");
            n->in[n->count++] = more;
            step(c, n, n->count - 1);
            set_kind(c, "extra", "missing");
            return;
        }
        step(c, n, i);
        /* A removed element of a list by position shifts the others, if it is not the last. */
        bool removable = n->shape != LIST || i == n->count - 1;
        if (removable && below(r, 3) == 0) {
            memmove(&n->in[i], &n->in[i + 1], (n->count - i - 1) * sizeof n->in[0]);
            n->count--;
            set_kind(c, "missing", "extra");
            return;
        }
        /* An element of a keyed array would lose its key. */
        if (child->shape == SCALAR || (n->shape != KEYED && below(r, 4) == 0)) {
            const char *was = child->text;
            bool number =
                child->shape == SCALAR && was[0] >= '0' && was[0] <= '9' && !strchr(was, '.');
            bool other_value = number && below(r, 2);
            snprintf(child->text, sizeof child->text, other_value ? "999999" : "true");
            child->shape = SCALAR;
            set_kind(c, other_value ? "mismatch" : "type_difference",
                     other_value ? "mismatch" : "type_difference");
            return;
        }
        n = child;
    }
}

/* ---- */

static void compare(const struct compare_options *o, const struct buf *a, const struct buf *b,
                    struct buf *out) {
    struct try_tree x, y;
    buf_clear(out);
    try_read(TRY_BSON, a->data, &x);
    try_read(TRY_BSON, b->data, &y);
    try_trees(o, &x.tree, &y.tree, out);
    try_release(&x);
    try_release(&y);
}

/* Sets are told by name: n0s ... */
static const struct compare_options *options(enum compare_mode mode) {
    static struct compare_pattern patterns[2 * WIDTH];
    static char names[2 * WIDTH][8];
    static struct compare_options o;
    for (unsigned i = 0; i < 2 * WIDTH; i++) {
        bool set = i % 2;
        snprintf(names[i], sizeof names[i], "*.n%u%s", i / 2, set ? "s" : "k");
        patterns[i] =
            (struct compare_pattern){.path = names[i], .key = set ? NULL : "id", .any_order = set};
    }
    o = (struct compare_options){.mode = mode, .patterns = patterns, .pattern_count = 2 * WIDTH};
    return &o;
}

/* Without what explains: "order=2" behind the differences. */
static void cut_order(struct buf *out) {
    char *order = strstr(buf_text(out), "order=");
    if (order)
        out->len = (size_t)(order - out->data) - (order > out->data ? 2 : 0);
}

static void round_of(uint64_t seed, enum compare_mode mode) {
    struct random r = {seed}, shuffle = {seed + 1};
    _cleanup_(buf_release) struct buf a = {0}, b = {0}, out = {0}, expected = {0};
    struct buf *all[] = {&a, &b, &out, &expected};
    for (size_t i = 0; i < 4; i++)
        buf_init(all[i], 1 << 22);
    pooled = 0;
    struct node *doc = make(&r, DEPTH, OBJECT);
    print(doc, NULL, &a);
    print(doc, &shuffle, &b);
    (void)buf_text(&a);
    (void)buf_text(&b);
    compare(options(mode), &a, &b, &out);
    cut_order(&out);
    if (out.len)
        fail_msg("seed %" PRIu64 ": %s\n%s\n%s", seed, buf_text(&out), buf_text(&a), buf_text(&b));

    struct change change = {0};
    plant(doc, &r, &change);
    buf_clear(&b);
    print(doc, &shuffle, &b);
    (void)buf_text(&b);
    compare(options(mode), &a, &b, &out);
    cut_order(&out);
    buf_printf(&expected, "%s %s", change.kind, change.path);
    if (strcmp(buf_text(&out), buf_text(&expected)) != 0)
        fail_msg("seed %" PRIu64 ": %s, not %s\n%s\n%s", seed, buf_text(&out), buf_text(&expected),
                 buf_text(&a), buf_text(&b));

    compare(options(mode), &b, &a, &out);
    cut_order(&out);
    size_t kind = strlen(change.swapped);
    if (strncmp(buf_text(&out), change.swapped, kind) != 0 || out.data[kind] != ' ' ||
        strchr(out.data, ';'))
        fail_msg("seed %" PRIu64 ", swapped: %s, not %s\n%s\n%s", seed, buf_text(&out),
                 change.swapped, buf_text(&b), buf_text(&a));
}

static void exactly(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++)
        round_of(seed * 1000, COMPARE_EXACT);
}

static void as_mapped(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++)
        round_of(seed * 1000 + 7, COMPARE_MAPPED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exactly),
        cmocka_unit_test(as_mapped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
