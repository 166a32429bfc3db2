/*
 * What the mapping says to the parallel run: rules of its routes, and which document a difference
 * is about. Private to parallel/.
 *
 * Compiled against the source, which may be away: tried again until it is there. Samples that come
 * before are not compared, and counted.
 */
#ifndef BANYAN_PARALLEL_MAPPING_H
#define BANYAN_PARALLEL_MAPPING_H

#include "compare/value.h"
#include "map/plan.h"

struct parallel;
struct mapping;

int mapping_start(struct parallel *p, struct mapping **ret, struct err *err) must_check;
void mapping_stop(struct mapping *m); /* NULL is fine */

/* What a path of a difference is about: the whole where that is an object; of an array the element
 * that the path begins with ("[3].price", "[id=7]"). NULL: it cannot be said. Pure. */
const struct compare_value *mapping_find(const struct compare_tree *tree, struct span path);

/* The document that `value` (an object) shows, where exactly one collection of the module can be
 * meant: it has the members of its key. `ret_key` gets the keyblob; NULL: it is not known. Any
 * thread. */
const char *mapping_document(struct mapping *m, const char *module,
                             const struct compare_value *value, struct buf *ret_key);

#endif
