/* The MongoDB side: connections, templates, deadlines. Private to operation/. Any thread. */
#ifndef BANYAN_OPERATION_SIDE_MONGODB_H
#define BANYAN_OPERATION_SIDE_MONGODB_H

#include "operation/side_sql.h"

struct side_mongodb;

/* Opens nothing. `sql`: who knows the names of keys; outlives it. */
struct side_mongodb *side_mongodb_new(const struct conf *conf, const struct side_limits *limits,
                                      struct side_sql *sql);
void side_mongodb_free(struct side_mongodb *s); /* NULL is fine */

void side_mongodb_ask(struct side_mongodb *s, struct compiled *c, const struct params *p,
                      const struct side_times *times, struct operation_answer *ret);

size_t side_mongodb_sessions(struct side_mongodb *s);

#endif
