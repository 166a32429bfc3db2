#include "admin/answered.h"

#include "base/mem.h"
#include "obs/histogram.h"
#include "parallel/tally.h"

#include <stdio.h>
#include <string.h>

#define MINUTE_US INT64_C(60000000)

static struct answered_row *row_of(struct answered *a, const struct state_rollup_key *key) {
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->rows[i].name, key->name) == 0 &&
            strcmp(a->rows[i].module, key->module) == 0 && strcmp(a->rows[i].kind, key->kind) == 0)
            return &a->rows[i];
    a->rows = mem_realloc(a->rows, a->count + 1, sizeof *a->rows);
    struct answered_row *row = &a->rows[a->count++];
    *row = (struct answered_row){0};
    (void)snprintf(row->module, sizeof row->module, "%s", key->module);
    (void)snprintf(row->kind, sizeof row->kind, "%s", key->kind);
    (void)snprintf(row->name, sizeof row->name, "%s", key->name);
    return row;
}

/* The histograms are of reads alone; the counters have writes in them. */
static int add(void *context, const struct state_rollup *r, struct err *err) {
    int64_t reads = (int64_t)obs_histogram_count(r->histogram);
    (void)err;
    if (strcmp(r->key.kind, "route") != 0 && strcmp(r->key.kind, "operation") != 0)
        return 0;
    struct answered_row *row = row_of(context, &r->key);
    if (strcmp(r->key.side, "mongodb") == 0) {
        row->mongodb += reads > r->rescued ? reads - r->rescued : 0;
        row->rescued += r->rescued;
    } else {
        row->sql += reads;
    }
    return 0;
}

int answered_take(struct state *s, int64_t now_us, struct answered *ret, struct err *err) {
    *ret = (struct answered){0};
    return state_rollups_recent(s, now_us / MINUTE_US - ANSWERED_MINUTES, add, ret, err);
}

void answered_release(struct answered *a) {
    free(a->rows);
    *a = (struct answered){0};
}

struct answered_row answered_sum(const struct answered *a, const char *module, const char *kind,
                                 const char *name) {
    struct answered_row sum = {0};
    char stored[STATE_NAME_MAX] = "";
    if (name)
        tally_name(name, stored);
    for (size_t i = 0; i < a->count; i++) {
        const struct answered_row *row = &a->rows[i];
        if (strcmp(row->module, module) != 0 || (kind && strcmp(row->kind, kind) != 0) ||
            (name && strcmp(row->name, stored) != 0))
            continue;
        sum.sql += row->sql;
        sum.mongodb += row->mongodb;
        sum.rescued += row->rescued;
    }
    return sum;
}

void answered_show(const struct answered_row *row, struct json_out *j, const char *name) {
    json_out_open(j, name, '{');
    json_out_int(j, "sql", row->sql);
    json_out_int(j, "mongodb", row->mongodb);
    json_out_int(j, "rescued", row->rescued);
    json_out_close(j, '}');
}
