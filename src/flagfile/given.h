/*
 * Whether routes give what flags ask for. Pure.
 *
 * An attribute that no request carries satisfies no condition, so a flag that asks for it would be
 * silently off for everybody: that is found when flags are loaded.
 */
#ifndef BANYAN_FLAGFILE_GIVEN_H
#define BANYAN_FLAGFILE_GIVEN_H

#include "conf/conf.h"
#include "flags/model.h"

/* Each route of a module with a flag gives every attribute that the flag, or one that it requires,
 * asks for. ERR_CONF with the place in the flags file. */
int given_check(const struct conf *conf, const struct flags_model *model,
                struct err *err) must_check;

#endif
