/* JSON text of the context, read where it lies. Private to flags/. Bounded by the text's length and
 * FLAGS_JSON_DEPTH_MAX; text that is not JSON is FLAGS_INVALID_CONTEXT. */
#ifndef BANYAN_FLAGS_LOGIC_JSON_H
#define BANYAN_FLAGS_LOGIC_JSON_H

#include "flags/logic.h"

/* Of an object by name, of a list by number; null: not there. */
struct logic_value logic_json_member(struct logic_run *run, const struct logic_value *v,
                                     struct span name);

/* As JavaScript's Number() - the empty text is 0 - or, with `leading`, as its parseFloat. */
double logic_json_number(struct span text, bool leading);

#endif
