#include "route/settings.h"

#include <string.h>
#include <xxhash.h>

#define MAGIC "BANYANRT"
#define LAYOUT 1u

/* In the byte order of the machine: writer and readers are on one. */
struct header {
    char magic[8];
    uint32_t layout;
    uint32_t count;
    uint64_t version;
    uint64_t checksum; /* XXH3-64 of the rows, seeded with the version */
};

struct row {
    char name[ROUTE_NAME_MAX];
    uint32_t reads, writes, fallback, caught_up;
};

static uint64_t checksum_of(struct span rows, uint64_t version) {
    return XXH3_64bits_withSeed(rows.ptr, rows.len, version);
}

void route_settings_write(struct buf *out, const struct route_settings *s) {
    struct row rows[ROUTE_MODULES_MAX];
    memset(rows, 0, sizeof rows);
    for (size_t i = 0; i < s->count; i++) {
        const struct route_module *m = &s->modules[i];
        memcpy(rows[i].name, m->name, sizeof rows[i].name);
        rows[i].reads = m->reads;
        rows[i].writes = m->writes;
        rows[i].fallback = m->fallback;
        rows[i].caught_up = m->caught_up;
    }
    struct span bytes = span_make(rows, s->count * sizeof *rows);
    struct header h = {.layout = LAYOUT, .count = (uint32_t)s->count, .version = s->version};
    memcpy(h.magic, MAGIC, sizeof h.magic);
    h.checksum = checksum_of(bytes, s->version);
    buf_add(out, &h, sizeof h);
    buf_add(out, bytes.ptr, bytes.len);
}

static int damaged(const char *what, struct err *err) {
    return err_set(err, ERR_STATE, "the routing settings are damaged: %s", what);
}

static int read_row(const struct row *row, struct route_module *m, struct err *err) {
    if (!memchr(row->name, 0, sizeof row->name) || row->reads >= READS_COUNT ||
        row->writes >= WRITES_COUNT)
        return damaged("a row", err);
    memcpy(m->name, row->name, sizeof m->name);
    m->reads = (enum route_reads)row->reads;
    m->writes = (enum route_writes)row->writes;
    m->fallback = row->fallback != 0;
    m->caught_up = row->caught_up != 0;
    return 0;
}

int route_settings_read(struct span bytes, struct route_settings *ret, struct err *err) {
    struct header h;
    if (bytes.len < sizeof h)
        return damaged("too short", err);
    memcpy(&h, bytes.ptr, sizeof h);
    if (memcmp(h.magic, MAGIC, sizeof h.magic) != 0)
        return damaged("no such file of ours", err);
    if (h.layout != LAYOUT)
        return err_set(err, ERR_STATE, "the routing settings have layout %u, this program reads %u",
                       h.layout, LAYOUT);
    struct span rows = span_make(bytes.ptr + sizeof h, bytes.len - sizeof h);
    if (h.count > ROUTE_MODULES_MAX || rows.len != h.count * sizeof(struct row))
        return damaged("its length", err);
    if (checksum_of(rows, h.version) != h.checksum)
        return damaged("its checksum", err);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < h.count; i++) {
        struct row row;
        memcpy(&row, rows.ptr + i * sizeof row, sizeof row);
        rc = read_row(&row, &ret->modules[i], err);
    }
    ret->count = rc == 0 ? h.count : 0;
    ret->version = h.version;
    return rc;
}

const struct route_module *route_settings_find(const struct route_settings *s, const char *name) {
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->modules[i].name, name) == 0)
            return &s->modules[i];
    return NULL;
}
