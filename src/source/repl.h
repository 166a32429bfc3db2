/*
 * Step 1 of 8: gets WAL messages from the socket, gives their bytes to the decoder.
 *
 * A replication connection: slot and stream of PostgreSQL's streaming replication protocol
 * (PostgreSQL 15 docs, 55.4). @thread receiver.
 */
#ifndef BANYAN_SOURCE_REPL_H
#define BANYAN_SOURCE_REPL_H

#include "base/err.h"
#include "base/span.h"
#include "db/pg.h"
#include "model/lsn.h"

struct repl;

int repl_open(const char *uri, const char *app, struct repl **ret_repl, struct err *err) must_check;
void repl_free(struct repl *r);
DEFINE_CLEANUP(struct repl *, repl_free)

/* The session, for ordinary statements before the stream starts. Borrowed. */
struct pg *repl_session(struct repl *r);

struct repl_identity {
    char system_id[24]; /* decimal */
    uint32_t timeline;
    lsn_t flush_lsn;
};
int repl_identify(struct repl *r, struct repl_identity *ret, struct err *err) must_check;

/* The text of a timeline's history file is appended (PostgreSQL 15 docs, 55.4, TIMELINE_HISTORY).
 */
int repl_timeline_history(struct repl *r, uint32_t timeline, struct buf *out,
                          struct err *err) must_check;

/* Plugin pgoutput, permanent, two_phase off, FAILOVER from PostgreSQL 17 on. Changes that commit
 * after *ret_consistent are in it. With `ret_snapshot` (else NULL) the snapshot of that position is
 * exported: free() its name. It can be imported until the next command of this session, or its end.
 */
int repl_create_slot(struct repl *r, const char *slot, lsn_t *ret_consistent, char **ret_snapshot,
                     struct err *err) must_check;

/* START_REPLICATION: proto_version 1, no binary, no streaming, `messages` from 14 on. */
int repl_start(struct repl *r, const char *slot, const char *publication, lsn_t from,
               struct err *err) must_check;

enum repl_event { REPL_DATA, REPL_KEEPALIVE, REPL_TIMEOUT, REPL_END };

struct repl_message {
    enum repl_event event;
    lsn_t wal_start;      /* REPL_DATA */
    lsn_t wal_end;        /* server's current end of WAL */
    bool reply_requested; /* REPL_KEEPALIVE */
    struct span payload;  /* REPL_DATA: valid until the next call */
};
/* Waits at most until `timeout_us` from now for one message, and wakes when `wake_fd` (-1: none)
 * becomes readable (REPL_TIMEOUT then). Does not look at the socket's poll when a message is
 * already buffered. REPL_END: the server ended the stream in good order. */
int repl_receive(struct repl *r, int64_t timeout_us, int wake_fd, struct repl_message *ret,
                 struct err *err) must_check;

/* Standby status update: everything up to `confirmed` is durable in the target. */
int repl_confirm(struct repl *r, lsn_t received, lsn_t confirmed, struct err *err) must_check;

/* Ends the stream in good order (CopyDone) and drains it, so that a last error is not lost. */
int repl_stop(struct repl *r, struct err *err) must_check;

/* pg_replication_slots, through an ordinary session. */
struct repl_slot_info {
    bool exists;
    bool active;
    int active_pid;
    char plugin[64];
    lsn_t confirmed_flush_lsn;
    char wal_status[16]; /* reserved, extended, unreserved, lost; "" before PostgreSQL 13 */
    bool invalidated;    /* conflicting/invalidation_reason (16, 17) or wal_status lost */
};
int repl_slot_info(struct pg *pg, const char *slot, struct repl_slot_info *ret,
                   struct err *err) must_check;
int repl_drop_slot(struct pg *pg, const char *slot, struct err *err) must_check;

struct repl_publication_table {
    const char *schema;
    const char *name;
};
/* Creates the publication or makes it publish exactly these tables, all operations, no row filter,
 * publish_via_partition_root off. Idempotent. */
int repl_ensure_publication(struct pg *pg, const char *publication,
                            const struct repl_publication_table *tables, size_t count,
                            struct err *err) must_check;

#endif
