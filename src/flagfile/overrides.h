/*
 * What people change at run time, laid over a file's flags. Kill beats override beats file.
 *
 * An override is a JSON object of these keys, each of which replaces the file's whole value:
 * enabled, rollout_percentage, enabled_for_users, enabled_for_tenants, disabled_for_users,
 * disabled_for_tenants. What equals the file is no override. Pure, any thread.
 */
#ifndef BANYAN_FLAGFILE_OVERRIDES_H
#define BANYAN_FLAGFILE_OVERRIDES_H

#include "flagfile/flagfile.h"

#define OVERRIDE_KEYS                                                                              \
    "enabled rollout_percentage enabled_for_users enabled_for_tenants disabled_for_users "         \
    "disabled_for_tenants"

/* Old changes (NULL: none) and new ones for the file's flag -> all of them that differ from the
 * file, as canonical JSON; empty: none does. ERR_CONF says what is wrong with the new ones; old
 * ones that the flag cannot have any more are dropped. */
int overrides_merge(const struct flags_flag *flag, const char *old, struct span changes,
                    struct buf *ret_json, struct err *err) must_check;

struct override {
    const char *name;
    const char *changes; /* NULL: none */
    bool killed;
};

/* The file's model with the overrides laid over: flags of unknown names are left out, ones that
 * cannot be read are an error. Shares what did not change; the rest is in `arena`. */
int overrides_apply(const struct flags_model *file, const struct override *list, size_t count,
                    struct arena *arena, struct flags_model *ret_model, struct err *err) must_check;

/* What could be overridden, of the flag as it is, as JSON: for the audit log and for answers. */
void overrides_values(const struct flags_flag *flag, struct buf *out);

#endif
