/* The parts of a decision: conditions, rollouts, splits. Private to flags/. Pure, any thread. */
#ifndef BANYAN_FLAGS_DECIDE_H
#define BANYAN_FLAGS_DECIDE_H

#include "flags/blob.h"

/* All of them hold; or one, with `any`. */
bool decide_conditions(const struct flags_set *set, const struct flags_context *context,
                       struct blob_list conditions, bool any);

/* DECIDE_NOBODY: out, because the context has nothing to bucket by. */
enum decide_in { DECIDE_OUT, DECIDE_IN, DECIDE_NOBODY };

enum decide_in decide_rollout(const struct flags_set *set, const struct flags_context *context,
                              const struct blob_rule *rule);

/* Draws a variant. */
enum decide_in decide_split(const struct flags_set *set, const struct flags_context *context,
                            const struct blob_rule *rule, int32_t *ret_variant);

/* BLOB_NO_VARIANT: none of that name. */
int32_t decide_variant_named(const struct flags_set *set, const struct blob_flag *flag,
                             struct span name);

#endif
