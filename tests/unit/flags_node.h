/*
 * JSON text -> struct flags_node, for tests of targeting: the smallest reader that will do. Text
 * that is not JSON gives NULL. Escapes in strings: \" \\ and \n only.
 */
#ifndef BANYAN_TESTS_FLAGS_NODE_H
#define BANYAN_TESTS_FLAGS_NODE_H

#include "base/arena.h"
#include "flags/model.h"

#include <stdlib.h>

struct node_reader {
    const char *at, *end;
    struct arena *arena;
};

static struct flags_node *node_value(struct node_reader *r, int depth);

static void node_blanks(struct node_reader *r) {
    while (r->at < r->end && memchr(" \t\r\n", *r->at, 4))
        r->at++;
}

static bool node_take(struct node_reader *r, char c) {
    node_blanks(r);
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

static bool node_string(struct node_reader *r, struct span *ret_text) {
    if (!node_take(r, '"'))
        return false;
    char *out = arena_alloc(r->arena, (size_t)(r->end - r->at) + 1), *to = out;
    while (r->at < r->end && *r->at != '"') {
        if (*r->at == '\\' && ++r->at == r->end)
            return false;
        *to++ = r->at[-1] == '\\' && *r->at == 'n' ? '\n' : *r->at;
        r->at++;
    }
    *ret_text = span_make(out, (size_t)(to - out));
    return node_take(r, '"');
}

static bool node_inside(struct node_reader *r, struct flags_node *node, char closing, int depth) {
    struct flags_member *in = NULL;
    if (node_take(r, closing))
        return true;
    do {
        if ((node->count & (node->count + 1)) == 0 || !in) { /* grows at 0, 1, 3, 7 ... */
            struct flags_member *more = arena_alloc(r->arena, (node->count * 2 + 2) * sizeof *in);
            if (node->count)
                memcpy(more, in, node->count * sizeof *in);
            in = more;
        }
        struct flags_member *m = &in[node->count++];
        *m = (struct flags_member){0};
        node->in = in;
        if (closing == '}' && (!node_string(r, &m->key) || !node_take(r, ':')))
            return false;
        m->value = node_value(r, depth + 1);
        if (!m->value)
            return false;
    } while (node_take(r, ','));
    return node_take(r, closing);
}

static bool node_word(struct node_reader *r, const char *word) {
    size_t n = strlen(word);
    if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0)
        return false;
    r->at += n;
    return true;
}

static bool node_number(struct node_reader *r, struct flags_node *node) {
    char copy[64];
    size_t n = 0;
    while (r->at < r->end && n < sizeof copy - 1 && *r->at && strchr("0123456789+-.eE", *r->at))
        copy[n++] = *r->at++;
    copy[n] = '\0';
    char *stop;
    node->type = FLAGS_NODE_NUMBER;
    node->number = strtod(copy, &stop);
    return n > 0 && *stop == '\0';
}

static struct flags_node *node_value(struct node_reader *r, int depth) {
    struct flags_node *node = arena_alloc(r->arena, sizeof *node);
    *node = (struct flags_node){.type = FLAGS_NODE_NULL};
    node_blanks(r);
    if (depth > 200 || r->at == r->end)
        return NULL;
    bool ok;
    if (node_take(r, '{')) {
        node->type = FLAGS_NODE_OBJECT;
        ok = node_inside(r, node, '}', depth);
    } else if (node_take(r, '[')) {
        node->type = FLAGS_NODE_LIST;
        ok = node_inside(r, node, ']', depth);
    } else if (*r->at == '"') {
        node->type = FLAGS_NODE_STRING;
        ok = node_string(r, &node->text);
    } else if (node_word(r, "null")) {
        ok = true;
    } else if (node_word(r, "true") || node_word(r, "false")) {
        node->type = FLAGS_NODE_BOOL;
        node->boolean = r->at[-2] == 'u';
        ok = true;
    } else {
        ok = node_number(r, node);
    }
    return ok ? node : NULL;
}

static const struct flags_node *node_parse(struct span text, struct arena *arena) {
    struct node_reader r = {text.ptr, text.ptr + text.len, arena};
    const struct flags_node *node = node_value(&r, 0);
    node_blanks(&r);
    return r.at == r.end ? node : NULL;
}

#endif
