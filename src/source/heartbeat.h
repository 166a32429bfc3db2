/*
 * A quiet database still advances its slot: something of ours is written into its log now and then,
 * which comes back to us and is confirmed.
 */
#ifndef BANYAN_SOURCE_HEARTBEAT_H
#define BANYAN_SOURCE_HEARTBEAT_H

#include "conf/conf.h"
#include "db/pg.h"
#include "model/lsn.h"

/* Makes the table where it is missing. ERR_CONF with the statement to run where we may not. */
int heartbeat_prepare(struct pg *pg, const struct conf_table *table, struct err *err) must_check;

/* One beat: a row of the table, if one is configured; else a message, which needs no table and no
 * publication (PostgreSQL 14 docs, 55.5.3: the option `messages`); on 12 and 13 nothing. */
int heartbeat_beat(struct pg *pg, const struct conf_table *table, const char *slot,
                   struct err *err) must_check;

/* *ret_lsn: behind everything that is committed by now. From 14 on a message is written behind it,
 * so that the stream passes it soon; on 12 and 13 the server's keepalives pass it, or the next
 * commit of others. */
int heartbeat_position(struct pg *pg, lsn_t *ret_lsn, struct err *err) must_check;
/* The same; on 12 and 13 with a row of the table behind it, where there is one. */
int heartbeat_mark(struct pg *pg, const struct conf_table *table, const char *slot, lsn_t *ret_lsn,
                   struct err *err) must_check;

#endif
