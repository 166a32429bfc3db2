/*
 * YAML as a small tree with the place of every node. Private to conf/.
 *
 * libfyaml parses; what a configuration has no use for is refused with its place: aliases, several
 * documents, keys that are no scalars, duplicate keys, NUL bytes and what is not UTF-8. Limits:
 * YAML_BYTES_MAX, YAML_DEPTH_MAX, YAML_NODES_MAX.
 */
#ifndef BANYAN_CONF_YAML_H
#define BANYAN_CONF_YAML_H

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"

#define YAML_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define YAML_DEPTH_MAX 64
#define YAML_NODES_MAX 200000

enum yaml_kind { YAML_SCALAR, YAML_MAP, YAML_LIST };

struct yaml {
    enum yaml_kind kind;
    struct conf_at at;     /* of the value */
    struct conf_at key_at; /* of the key, in a map */
    const char *key;       /* in a map */
    const char *text;      /* YAML_SCALAR */
    bool plain;            /* YAML_SCALAR: not quoted, so null, true and numbers are those */
    struct yaml *first;    /* YAML_MAP, YAML_LIST */
    struct yaml *next;
    size_t count;
};

/* The tree is in `memory`. Errors begin with "name:line:column: ". An empty file is an empty map.
 */
int yaml_parse(const char *name, const char *text, size_t len, struct arena *memory,
               struct yaml **ret_root, struct err *err) must_check;

/* The value under `key`; NULL if there is none. */
struct yaml *yaml_get(const struct yaml *map, const char *key);

#endif
