/*
 * What the four readers share: errors with places, keys and values of a node, lists, zones.
 * Private to flagfile/. One thread.
 */
#ifndef BANYAN_FLAGFILE_READER_H
#define BANYAN_FLAGFILE_READER_H

#include "conf/conf_tree.h"
#include "flagfile/flagfile.h"
#include "flagfile/json_tree.h"

struct reader {
    struct flagfile *out;
    struct arena *arena; /* out->arena */
    const char *file;
    const char *flag;             /* being read, for errors; NULL: none */
    const struct tree_node *root; /* of the file */
    struct flags_zone *zones;     /* FLAGS_ZONES_MAX of them, once one is used */
    size_t zone_count;
    struct err *err;
};

/* "file:line:column: flag 'x': ...", ERR_CONF. */
int read_fail(const struct reader *r, struct conf_at at, const char *fmt, ...) printf_like(3, 4);

/* Zeroed; NULL with the error set. Count 0 gives a pointer too. */
void *read_alloc(struct reader *r, size_t count, size_t size) must_check;

static inline struct flags_place read_place(struct conf_at at) {
    return (struct flags_place){(unsigned)at.line, (unsigned)at.column};
}

/* The node is of the kind; `what` names it. */
int read_kind(struct reader *r, const char *what, const struct tree_node *node,
              enum tree_kind kind) must_check;

/* `node` is a mapping with no other keys than these ("a b c", by spaces). */
int read_keys(struct reader *r, const char *what, const struct tree_node *node,
              const char *keys) must_check;

/* The value of a key; NULL: absent or null. */
const struct tree_node *read_get(const struct tree_node *map, const char *key);

/* Scalars. Text is any scalar but null, true and false; of at most `max` bytes, not empty. */
int read_text(struct reader *r, const char *what, const struct tree_node *node, size_t max,
              struct span *ret) must_check;
int read_bool(struct reader *r, const char *what, const struct tree_node *node,
              bool *ret) must_check;
int read_int(struct reader *r, const char *what, const struct tree_node *node, int64_t min,
             int64_t max, int64_t *ret) must_check;
/* 0 to 100, at most 3 digits behind the point -> 1/1000 percent. */
int read_percent(struct reader *r, const char *what, const struct tree_node *node,
                 uint32_t *ret) must_check;

/* Of a key that may be absent: the output stays as it is then. */
int read_optional_text(struct reader *r, const struct tree_node *map, const char *key,
                       struct span *ret) must_check;
int read_optional_bool(struct reader *r, const struct tree_node *map, const char *key,
                       bool *ret) must_check;

/* A list of texts without repetitions; `max` entries. */
int read_texts(struct reader *r, const char *what, const struct tree_node *node, size_t max,
               const struct span **ret, size_t *ret_count) must_check;

/* A node as a value: null, bool, number, string; JSON text where it is a list or mapping. */
int read_value(struct reader *r, const struct tree_node *node, struct flags_value *ret) must_check;
/* A node as JSON text in the arena. */
int read_json(struct reader *r, const struct tree_node *node, struct span *ret) must_check;

/* The zone of that name, read from the system's time zones when it is new. */
int read_zone(struct reader *r, const struct tree_node *node, const char **ret_name) must_check;

/* The index of the choice in "a b c". */
int read_choice(struct reader *r, const char *what, const struct tree_node *node,
                const char *choices, unsigned *ret) must_check;

/* " did you mean 'x'?" for a word that is not in "a b c"; "" where none looks like it. */
struct read_hint {
    char text[FLAGS_NAME_MAX + 32];
};
struct read_hint read_similar(const char *choices, struct span word);

/* The readers: of the file at r->root into r->out. */
int features_read(struct reader *r) must_check;
int flagd_read(struct reader *r) must_check;
int unleash_read(struct reader *r) must_check;
int launchdarkly_read(struct reader *r) must_check;

/* Sets the model: its flags, the lines of each, and the zones that were read. */
void read_finish(struct reader *r, struct flags_flag *flags, struct flagfile_lines *lines,
                 size_t count);
/* The last line on which something of the node stands. */
unsigned read_last_line(const struct tree_node *node);

/* Names are unique, requirements exist and have no cycle. */
int read_check(struct reader *r) must_check;

#endif
