/* What commands print: text that a terminal may show. Pure. */
#ifndef BANYAN_CLI_RENDER_H
#define BANYAN_CLI_RENDER_H

#include "base/json_write.h"

/* Text from a server or a document: control characters become "?", so that it cannot command the
 * terminal or forge lines. */
void render_clean(struct buf *out, const char *text);

/* "2026-11-23T12:00:00Z" */
void render_time(struct buf *out, int64_t wall_us);

/* "3 s", "12 min", "5 h", "9 d": how long ago. */
void render_age(struct buf *out, int64_t us);

#endif
