/*
 * ${NAME} and ${file:/path} in values. Private to conf/. Reads the environment and files; one
 * thread at a time changes neither.
 */
#ifndef BANYAN_CONF_CONF_EXPAND_H
#define BANYAN_CONF_CONF_EXPAND_H

#include "base/arena.h"
#include "base/buf.h"
#include "conf/conf.h"

/*
 * `text` with every ${...} replaced; "$${" is a literal "${". The result is in the arena, with a
 * NUL behind it, and is UTF-8 without NUL. One newline at the end of a file is cut. What a variable
 * or a file holds is never expanded again and never repeated in an error.
 */
int conf_expand(struct span text, struct arena *arena, struct span *ret_text, bool *ret_expanded,
                struct err *err) must_check;

#endif
