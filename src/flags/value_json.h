/* A value of the evaluation context, as JSON says it: of OFREP, and of calls of operations. */
#ifndef BANYAN_FLAGS_VALUE_JSON_H
#define BANYAN_FLAGS_VALUE_JSON_H

#include "base/json_read.h"
#include "flags/model.h"

/* Texts are the document's or the arena's. False: beyond what a flag can compare, or no room. */
bool flags_value_read(const struct json_doc *d, const struct json_node *n, struct arena *arena,
                      struct flags_value *ret);

#endif
