/*
 * The SQL side: sessions of PostgreSQL, prepared statements, deadlines that cancel. Private to
 * operation/. Any thread.
 */
#ifndef BANYAN_OPERATION_SIDE_SQL_H
#define BANYAN_OPERATION_SIDE_SQL_H

#include "operation/compiled.h"
#include "operation/param.h"

struct side_sql;

struct side_limits {
    const char *app;
    size_t operations;
    size_t sample_sessions;
    int64_t connect_us, longest_us; /* the most of any operation: sessions serve all of them */
};

/* Opens nothing. */
int side_sql_new(const struct conf *conf, const struct side_limits *limits,
                 struct side_sql **ret_side, struct err *err) must_check;
void side_sql_free(struct side_sql *s); /* NULL is fine */

/* Until when: for a session, and for the answer. */
struct side_times {
    int64_t session_us, until_us;
    bool sample; /* in the sessions, and the counts, for samples */
};

void side_sql_ask(struct side_sql *s, struct compiled *c, const struct params *p,
                  const struct side_times *times, struct operation_answer *ret);

/* The name of the single column of the table's primary key, learnt by the key. */
int side_sql_learn_key(struct side_sql *s, struct key *key, const struct side_times *times,
                       struct err *err) must_check;

size_t side_sql_sessions(struct side_sql *s);

#endif
