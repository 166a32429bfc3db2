/*
 * YAML text -> a tree of nodes with their places. For conf/ and flagfile/.
 *
 * Everything is in the caller's arena and immutable afterwards; an alias is the anchored node
 * itself, so the "tree" may share nodes but holds no cycle (an anchor is known only once its node
 * is complete). Keys are text and unique in their mapping. All text is UTF-8 without NUL and has a
 * NUL behind it. Pure, any thread. YAML 1.2 (yaml.org/spec/1.2.2), parsed by libfyaml.
 */
#ifndef BANYAN_CONF_CONF_TREE_H
#define BANYAN_CONF_CONF_TREE_H

#include "base/arena.h"
#include "conf/conf.h"

/* Deeper than any valid file can be: 4 levels to a collection, 2 for each embedded document. Also
 * the depth that libfyaml promises to parse without a larger stack. */
#define TREE_DEPTH_MAX 60

/* Anchors are looked up one by one. */
#define TREE_ANCHORS_MAX 1000

enum tree_kind { TREE_SCALAR, TREE_LIST, TREE_MAP };

struct tree_node;

/* A child; of a list: without a key. */
struct tree_entry {
    struct tree_entry *next;
    struct span key;
    struct conf_at key_at;
    const struct tree_node *value;
};

struct tree_node {
    enum tree_kind kind;
    struct conf_at at;
    bool plain;       /* scalar: written without quotes */
    struct span text; /* scalar */
    struct tree_entry *first;
    size_t count;
    size_t weight; /* nodes here and below, aliases counted with all they stand for */
};

/* Stated limits of a kind of file; its memory is limited by the arena. */
struct tree_limits {
    size_t bytes;
    size_t nodes;
    const char *empty; /* what an empty file should have held */
};

/* Where in the file, for errors. */
struct tree_input {
    const char *name;
    const char *text;
    size_t len;
    const struct tree_limits *limits; /* NULL: those of the configuration */
};

/* The one document in `in`. */
int tree_parse(const struct tree_input *in, struct arena *arena, const struct tree_node **ret_root,
               struct err *err) must_check;

/* NULL: no such key. */
const struct tree_entry *tree_find(const struct tree_node *map, const char *key);

/* Types as YAML's core schema sees them: quoted text is never null, true or a number. */
bool tree_is_null(const struct tree_node *node);
bool tree_is_bool(const struct tree_node *node, bool *ret_value);

/* "a mapping", "a list", "nothing", "text" ...: for errors. Static text. */
const char *tree_kind_name(const struct tree_node *node);

/* "name:line:column: ..." with code ERR_CONF. */
int tree_error(const char *name, struct conf_at at, struct err *err, const char *fmt, ...)
    printf_like(4, 5);
int tree_verror(const char *name, struct conf_at at, struct err *err, const char *fmt, va_list args)
    printf_like(4, 0);

#endif
