/*
 * Who answered the reads of the last minutes, as the gateway and the operations have counted it.
 */
#ifndef BANYAN_ADMIN_ANSWERED_H
#define BANYAN_ADMIN_ANSWERED_H

#include "base/json_write.h"
#include "state/state.h"

#define ANSWERED_MINUTES 5

/* Of one route or operation. */
struct answered_row {
    char module[STATE_NAME_MAX], kind[16], name[STATE_NAME_MAX];
    int64_t sql, mongodb; /* answers; a rescued read is one of SQL */
    int64_t rescued;      /* MongoDB failed, and SQL answered */
};

struct answered {
    struct answered_row *rows;
    size_t count;
};

/* Until now; writes are not counted. Any thread. */
int answered_take(struct state *s, int64_t now_us, struct answered *ret,
                  struct err *err) must_check;
void answered_release(struct answered *a);

/* Of a module; name NULL: all its routes and operations. Zeros where nothing came. */
struct answered_row answered_sum(const struct answered *a, const char *module, const char *kind,
                                 const char *name);

/* {"sql":..,"mongodb":..,"rescued":..} */
void answered_show(const struct answered_row *row, struct json_out *j, const char *name);

#endif
