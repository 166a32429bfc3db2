/*
 * Whether a module was built for an nginx: its version and its signature (which options of nginx's
 * build change its structures) must be the same, or nginx does not load it.
 */
#ifndef BANYAN_GATEWAY_FITS_H
#define BANYAN_GATEWAY_FITS_H

#include "base/err.h"

/* `version` is what nginx says of itself: "nginx/1.22.1". ERR_CONF: it is another, with the way
 * out. A program that is no ELF file (a script that starts nginx) is asked for its version only. */
int fits_check(const char *module, const char *program, const char *version,
               struct err *err) must_check;

#endif
