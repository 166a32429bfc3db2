/*
 * Writes one value as YAML or as JSON. Private to conf/. Pure, one thread.
 *
 * YAML is in block style down to the first list, and in flow style (which is JSON) inside. Strings
 * are JSON strings in both; in YAML "${" is written as "$${", so that the output reads back. `name`
 * is NULL for the outermost value and for the items of a list.
 */
#ifndef BANYAN_CONF_CONF_EMIT_H
#define BANYAN_CONF_CONF_EMIT_H

#include "base/buf.h"

/* Root, modules, module, collections, collection, and 2 for each embedded document, and 3 inside.
 */
#define EMIT_DEPTH_MAX 64

struct emit {
    struct buf *out;
    bool json;
    bool secrets; /* as they are, see conf_same */
    bool edge;    /* without what an edge does not read */
    size_t depth;
    struct {
        bool list;
        bool flow;
        bool filled; /* has an entry */
    } level[EMIT_DEPTH_MAX];
};

/* `flow`: on one line, from here down. */
void emit_map(struct emit *e, const char *name, bool flow);
void emit_list(struct emit *e, const char *name);
void emit_close(struct emit *e);

void emit_text(struct emit *e, const char *name, const char *text);

/* A number, true, false or null, as it is. */
void emit_raw(struct emit *e, const char *name, const char *text);

/* A word such as keep, 10s: without quotes in YAML where it needs none. */
void emit_word(struct emit *e, const char *name, struct span word);

/* A line of its own, in YAML; nothing in JSON. Only in block style. */
void emit_comment(struct emit *e, const char *name, const char *text);

#endif
