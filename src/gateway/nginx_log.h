/*
 * The lines of nginx's access log, one JSON object each. Pure. Private to gateway/.
 */
#ifndef BANYAN_GATEWAY_NGINX_LOG_H
#define BANYAN_GATEWAY_NGINX_LOG_H

#include "conf/conf.h"
#include "route/decide.h"

/* log_format banyan: what nginx does not know itself, its module is asked for. */
void nginx_log_format(struct buf *out);
/* log_format banyan_N_SIDE: the same line, where `side` of the N-th route has answered for sure. To
 * ask the module for what is the same in every line took as long as half of its decision. */
void nginx_log_format_of(struct buf *out, size_t n, const struct conf_route *r,
                         enum route_side side);

#endif
