#include "source/pgoutput.h"

#include "base/cursor.h"
#include "base/mem.h"

/* PostgreSQL's limit for one value (15 docs, appendix K). */
#define VALUE_MAX ((uint32_t)1 << 30)
#define TRUNCATE_MAX 65536

struct pgo_decoder {
    struct pgo_value old_values[PGO_COLUMNS_MAX];
    struct pgo_value new_values[PGO_COLUMNS_MAX];
    struct pgo_column columns[PGO_COLUMNS_MAX];
    uint32_t *relations;
    size_t relation_cap;
};

struct pgo_decoder *pgo_decoder_new(void) {
    return mem_zalloc(1, sizeof(struct pgo_decoder));
}

void pgo_decoder_free(struct pgo_decoder *d) {
    if (!d)
        return;
    free(d->relations);
    free(d);
}

/* A number that cannot be: the cursor fails, so the message is refused as a whole. */
static size_t read_count(struct cursor *c, size_t bytes, size_t max) {
    uint64_t n = cursor_uint(c, bytes);
    if (n > max) {
        c->failed = true;
        return 0;
    }
    return (size_t)n;
}

static void read_value(struct cursor *c, struct pgo_value *v) {
    switch (cursor_u8(c)) {
    case 'n':
        *v = (struct pgo_value){.kind = PGO_NULL};
        return;
    case 'u':
        *v = (struct pgo_value){.kind = PGO_UNCHANGED};
        return;
    case 't':
        *v = (struct pgo_value){.kind = PGO_TEXT,
                                .text = cursor_take(c, read_count(c, 4, VALUE_MAX))};
        return;
    default: /* 'b' too: binary is never asked for */
        c->failed = true;
    }
}

static struct pgo_tuple read_tuple(struct cursor *c, struct pgo_value *values) {
    size_t count = read_count(c, 2, PGO_COLUMNS_MAX);
    for (size_t i = 0; i < count && !c->failed; i++)
        read_value(c, &values[i]);
    return (struct pgo_tuple){values, count};
}

static void read_begin(struct cursor *c, struct pgo_begin *m) {
    m->final_lsn = cursor_u64(c);
    m->commit_time_us = (int64_t)cursor_u64(c);
    m->xid = cursor_u32(c);
}

static void read_commit(struct cursor *c, struct pgo_commit *m) {
    if (cursor_u8(c) != 0) /* flags: none defined */
        c->failed = true;
    m->commit_lsn = cursor_u64(c);
    m->end_lsn = cursor_u64(c);
    m->commit_time_us = (int64_t)cursor_u64(c);
}

static void read_relation(struct pgo_decoder *d, struct cursor *c, struct pgo_relation *m) {
    m->oid = cursor_u32(c);
    m->schema = cursor_cstring(c);
    m->name = cursor_cstring(c);
    m->replica_identity = (char)cursor_u8(c);
    if (!strchr("dnfi", m->replica_identity) || !m->replica_identity)
        c->failed = true;
    m->column_count = read_count(c, 2, PGO_COLUMNS_MAX);
    m->columns = d->columns;
    for (size_t i = 0; i < m->column_count && !c->failed; i++) {
        uint8_t flags = cursor_u8(c);
        if (flags > 1)
            c->failed = true;
        d->columns[i].key = flags & 1;
        d->columns[i].name = cursor_cstring(c);
        d->columns[i].type_oid = cursor_u32(c);
        d->columns[i].typmod = (int32_t)cursor_u32(c);
    }
}

static void read_insert(struct pgo_decoder *d, struct cursor *c, struct pgo_change *m) {
    m->relation = cursor_u32(c);
    if (cursor_u8(c) != 'N')
        c->failed = true;
    m->new_row = read_tuple(c, d->new_values);
}

/* 'K' or 'O' with its tuple; anything else fails. */
static void read_old(struct pgo_decoder *d, struct cursor *c, uint8_t mark, struct pgo_change *m) {
    if (mark != 'K' && mark != 'O')
        c->failed = true;
    m->old_is_full = mark == 'O';
    m->old_row = read_tuple(c, d->old_values);
}

static void read_update(struct pgo_decoder *d, struct cursor *c, struct pgo_change *m) {
    m->relation = cursor_u32(c);
    uint8_t mark = cursor_u8(c);
    if (mark != 'N') {
        read_old(d, c, mark, m);
        mark = cursor_u8(c);
    }
    if (mark != 'N')
        c->failed = true;
    m->new_row = read_tuple(c, d->new_values);
}

static void read_delete(struct pgo_decoder *d, struct cursor *c, struct pgo_change *m) {
    m->relation = cursor_u32(c);
    read_old(d, c, cursor_u8(c), m);
}

static void read_truncate(struct pgo_decoder *d, struct cursor *c, struct pgo_truncate *m) {
    m->relation_count = read_count(c, 4, TRUNCATE_MAX);
    uint8_t flags = cursor_u8(c);
    if (flags > 3 || cursor_left(c) != m->relation_count * 4) {
        c->failed = true;
        return;
    }
    m->cascade = flags & 1;
    m->restart_identity = flags & 2;
    if (d->relation_cap < m->relation_count) {
        d->relation_cap = m->relation_count;
        d->relations = mem_realloc(d->relations, d->relation_cap, sizeof *d->relations);
    }
    for (size_t i = 0; i < m->relation_count; i++)
        d->relations[i] = cursor_u32(c);
    m->relations = d->relations;
}

static void read_message(struct cursor *c, struct pgo_logical_message *m) {
    uint8_t flags = cursor_u8(c);
    if (flags > 1)
        c->failed = true;
    m->transactional = flags & 1;
    m->lsn = cursor_u64(c);
    m->prefix = cursor_cstring(c);
    m->content = cursor_take(c, read_count(c, 4, VALUE_MAX));
}

/* "ORIGIN" and "TYPE" say nothing we use, but are checked like the others. */
static void read_origin(struct cursor *c) {
    (void)cursor_u64(c);
    (void)cursor_cstring(c);
}

static void read_type(struct cursor *c) {
    (void)cursor_u32(c);
    (void)cursor_cstring(c);
    (void)cursor_cstring(c);
}

/* False for a kind that protocol version 1 does not have. */
static bool read_body(struct pgo_decoder *d, uint8_t kind, struct cursor *c,
                      struct pgo_message *m) {
    switch (kind) {
    case 'B':
        m->kind = PGO_BEGIN;
        read_begin(c, &m->begin);
        return true;
    case 'C':
        m->kind = PGO_COMMIT;
        read_commit(c, &m->commit);
        return true;
    case 'O':
        m->kind = PGO_ORIGIN;
        read_origin(c);
        return true;
    case 'R':
        m->kind = PGO_RELATION;
        read_relation(d, c, &m->relation);
        return true;
    case 'Y':
        m->kind = PGO_TYPE;
        read_type(c);
        return true;
    case 'I':
        m->kind = PGO_INSERT;
        read_insert(d, c, &m->change);
        return true;
    case 'U':
        m->kind = PGO_UPDATE;
        read_update(d, c, &m->change);
        return true;
    case 'D':
        m->kind = PGO_DELETE;
        read_delete(d, c, &m->change);
        return true;
    case 'T':
        m->kind = PGO_TRUNCATE;
        read_truncate(d, c, &m->truncate);
        return true;
    case 'M':
        m->kind = PGO_MESSAGE;
        read_message(c, &m->message);
        return true;
    default:
        return false;
    }
}

int pgo_decode(struct pgo_decoder *d, struct span bytes, struct pgo_message *ret_message,
               struct err *err) {
    struct cursor c = cursor_over(bytes);
    struct pgo_message m;
    memset(&m, 0, sizeof m);
    uint8_t kind = cursor_u8(&c);
    if (c.failed)
        return err_set(err, ERR_WIRE, "empty replication message");
    if (!read_body(d, kind, &c, &m))
        return err_set(err, ERR_WIRE, "unknown replication message kind 0x%02x", kind);
    if (!cursor_done(&c))
        return err_set(err, ERR_WIRE, "replication message '%c' of %zu bytes is wrong %s byte %zu",
                       kind, bytes.len, c.failed ? "at" : "behind",
                       (size_t)(c.at - (const unsigned char *)bytes.ptr));
    *ret_message = m;
    return 0;
}
