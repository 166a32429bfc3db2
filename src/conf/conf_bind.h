/*
 * Tree of nodes + table of keys -> struct conf. Private to conf/. One thread.
 *
 * conf_bind.c binds what one row of the table describes; conf_bind_mapping.c what has names chosen
 * by the user (modules, collections, fields, embedded documents ...).
 */
#ifndef BANYAN_CONF_CONF_BIND_H
#define BANYAN_CONF_CONF_BIND_H

#include "base/spanmap.h"
#include "conf/conf_keys.h"
#include "conf/conf_tree.h"

struct binder {
    const char *file;
    struct arena *arena;
    size_t embed_depth;
    bool edge; /* KEY_CONTROL is not looked into */
    struct err *err;
};

/* Binds `node`, a mapping with the keys of `scope`, into the struct at `base`, defaults included.
 * `name` and `at` are those of the key it stands under. `where` as in conf_key_applies. */
int bind_scope(struct binder *b, enum conf_scope scope, unsigned where, const char *name,
               struct conf_at at, const struct tree_node *node, void *base) must_check;

/* The kinds with names or lists chosen by the user; `base` is the struct of the row's scope. */
int bind_entries(struct binder *b, const struct conf_key *key, const struct tree_node *node,
                 void *base) must_check;

/* The expanded text of a scalar; `what` names it in errors. */
int bind_text(struct binder *b, const char *what, const struct tree_node *node,
              struct conf_text *ret_text, bool *ret_expanded) must_check;

/* The same for any scalar, empty ones too. */
int bind_expanded(struct binder *b, const struct tree_node *node, struct span *ret_text,
                  bool *ret_expanded) must_check;

/* Routes, and what in them has more than one form (conf_bind_route.c). */
int bind_route(struct binder *b, const struct conf_key *key, const struct tree_entry *e,
               struct conf_route *route) must_check;
int bind_attribute(struct binder *b, const struct conf_key *key, const struct tree_entry *e,
                   struct conf_attribute *attribute) must_check;
int bind_asker(struct binder *b, const struct conf_key *key, struct conf_at key_at,
               const struct tree_node *node, struct conf_asker *asker) must_check;
int bind_fallback(struct binder *b, const struct conf_key *key, struct conf_at key_at,
                  const struct tree_node *node, struct conf_fallback *fallback) must_check;
/* Operations, and what in them has more than one form (conf_bind_operation.c). */
int bind_operation(struct binder *b, const struct conf_key *key, const struct tree_entry *e,
                   struct conf_operation *operation) must_check;
int bind_param(struct binder *b, const struct conf_key *key, const struct tree_entry *e,
               struct conf_param *param) must_check;
int bind_value(struct binder *b, const char *what, const struct tree_node *node,
               const struct conf_value **ret_value) must_check;
int bind_pair(struct binder *b, const struct conf_key *key, const struct tree_entry *e,
              struct conf_pair *pair) must_check;
/* What has this name already; NULL: nothing, and it is remembered in `first`, which has room for
 * all that differ. */
const struct conf_text *bind_namesake(struct spanmap *seen, const struct conf_text **first,
                                      const struct conf_text *name);
/* What only the whole file shows, about operations and the parallel run. */
int bind_check_operations(struct binder *b, struct conf *conf) must_check;
/* What only the whole file shows, about the gateway and its routes; works `stage` in. */
int bind_check_routes(struct binder *b, struct conf *conf) must_check;

int bind_list(struct binder *b, const char *what, const struct tree_node *node,
              struct conf_list *ret_list) must_check;

/* "file:line:column: ..." */
int bind_error(const struct binder *b, struct conf_at at, const char *fmt, ...) printf_like(3, 4);

/* Zeroed. NULL (with the error set) when the configuration is over its limit of memory. */
void *bind_alloc(struct binder *b, size_t count, size_t size) must_check;

/* The whole file. */
/* `edge`, or edge.control in the file: as an edge reads it. */
int bind_conf(const char *file, const struct tree_node *root, struct arena *arena, bool edge,
              struct conf *conf, struct err *err) must_check;

#endif
