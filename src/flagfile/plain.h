/*
 * A flag of any origin in the words of feature-flags.yml, or why that cannot be. Private to
 * flagfile/. Points into the model; `arena` holds what is made.
 */
#ifndef BANYAN_FLAGFILE_PLAIN_H
#define BANYAN_FLAGFILE_PLAIN_H

#include "flagfile/flagfile.h"

struct plain_list {
    const struct span *items;
    size_t count;
};

/* Lists of users come from `users_on` and from rules. */
#define PLAIN_LISTS_MAX 16

struct plain {
    const struct flags_flag *flag;
    uint32_t rollout;
    struct flags_bucketing bucketing;
    bool bucketed; /* somebody is in part of it: the bucketing matters */
    struct plain_list users_on[PLAIN_LISTS_MAX];
    size_t users_on_count;
    const struct flags_condition *conditions;
    size_t condition_count;
    bool match_any;
};

/* ERR_CONF: "... cannot be kept". `notes` gets lines about what only reads differently. */
int plain_of(const struct flags_model *model, const struct flags_flag *flag, struct arena *arena,
             struct plain *ret, struct buf *notes, struct err *err) must_check;

#endif
