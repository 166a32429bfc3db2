/*
 * Reads a small JSON text (RFC 8259, strictly) into a flat array of nodes that the caller owns.
 *
 *   struct json_node nodes[64];
 *   struct json_doc doc;
 *   if (json_parse(&doc, text, nodes, 64, err) < 0) ...      "line 2, column 7: a comma or } is
 * missing" const struct json_node *why = json_member(&doc, json_root(&doc), "why");
 *
 * Nodes are in the order of the text: an object is followed by name, value, name, value; an array
 * by its values. Refused: what is not UTF-8, half a surrogate pair, a name twice in one object,
 * anything behind the value, depth over JSON_DEPTH_MAX. Pure; no allocation. The text and the nodes
 * must stay while the document is used.
 */
#ifndef BANYAN_BASE_JSON_READ_H
#define BANYAN_BASE_JSON_READ_H

#include "base/arena.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 32
#define JSON_MEMBERS_MAX 1000 /* of one object */
#define JSON_NUMBER_MAX 256   /* bytes of one number */

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_node {
    uint32_t start, len; /* in the text; of a string: between the quotes */
    uint32_t next;       /* index of the node behind this one and all that is in it */
    uint32_t count;      /* members of an object, values of an array */
    uint8_t type;        /* enum json_type */
    bool escaped;        /* a string with a backslash */
    bool is_true;
};

struct json_doc {
    struct span text;
    struct json_node *nodes;
    size_t count, max;
};

/* ERR_VALUE with line and column; ERR_LIMIT if the text has more than `max` nodes, or a limit above
 * is passed. */
int json_parse(struct json_doc *d, struct span text, struct json_node *nodes, size_t max,
               struct err *err) must_check;

static inline const struct json_node *json_root(const struct json_doc *d) {
    return d->nodes;
}

/* The value with that name; NULL: there is none, or `object` is NULL or no object. */
const struct json_node *json_member(const struct json_doc *d, const struct json_node *object,
                                    const char *name);

/* Walks an object (names: json_value gives the value) or an array (values):
 *   for (n = json_first(d, o); n; n = json_next(d, o, n)) */
const struct json_node *json_first(const struct json_doc *d, const struct json_node *parent);
const struct json_node *json_next(const struct json_doc *d, const struct json_node *parent,
                                  const struct json_node *child);
static inline const struct json_node *json_value(const struct json_node *name) {
    return name + 1;
}

/* The text of a value as it stands (a string with its quotes). */
struct span json_raw(const struct json_doc *d, const struct json_node *n);

/* A string's (or name's) characters: a part of the text where nothing is escaped, else decoded into
 * `space`. False: NULL, no string, or no room. An escape never grows: n->len bytes are enough. What
 * stands in the text may be longer than `size`: see json_copy. */
bool json_string(const struct json_doc *d, const struct json_node *n, char *space, size_t size,
                 struct span *ret) must_check;
/* A string's (or name's) characters copied to `to`, with a NUL behind them. False: NULL, no string,
 * a NUL among them, or more than size - 1 bytes. */
bool json_copy(const struct json_doc *d, const struct json_node *n, char *to,
               size_t size) must_check;
/* The same with the arena's memory. */
bool json_string_in(const struct json_doc *d, const struct json_node *n, struct arena *arena,
                    struct span *ret) must_check;
/* The string (or name) is that text. */
bool json_is(const struct json_doc *d, const struct json_node *n, const char *text);

/* A number without fraction and exponent that fits. */
bool json_int(const struct json_doc *d, const struct json_node *n, int64_t *ret) must_check;
/* Any number; false also where it is beyond a double. */
bool json_double(const struct json_doc *d, const struct json_node *n, double *ret) must_check;
bool json_bool(const struct json_node *n, bool *ret) must_check;

/* For errors about a value that was read: counted from 1, columns in bytes. */
void json_place(struct span text, size_t offset, unsigned *ret_line, unsigned *ret_column);

#endif
