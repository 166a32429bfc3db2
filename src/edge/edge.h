/*
 * `banyan serve --edge`: a gateway on a machine of its own. It follows a control daemon, which has
 * source, target and state; here is nginx, with the flags and settings that were published last.
 *
 * Nothing here is needed for a request: nginx's workers map files in "<state>.gateway", and go on
 * when this daemon, or the control daemon, is away.
 */
#ifndef BANYAN_EDGE_EDGE_H
#define BANYAN_EDGE_EDGE_H

#include "base/err.h"
#include "conf/conf.h"

struct edge_options {
    const char *state_path; /* "<state>.gateway" and "<state>.flags.blob" are kept beside it */
    const char *control;    /* wins over edge.control; NULL: as configured */
};

/* Returns when the program was asked to stop: 0; or with what kept it from starting. nginx goes on
 * either way. @thread main */
int edge_run(const struct conf *conf, const struct edge_options *options,
             struct err *err) must_check;

#endif
