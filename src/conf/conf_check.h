/*
 * Checks of values, and texts turned into values. Private to conf/, but for the conf_read_*. Pure,
 * any thread.
 *
 * The conf_check_* give what is wrong with a value, to be read behind its name ("is empty"), or
 * NULL. They never repeat the value: it may hold a secret.
 */
#ifndef BANYAN_CONF_CONF_CHECK_H
#define BANYAN_CONF_CONF_CHECK_H

#include "base/arena.h"
#include "conf/conf.h"

/* What an entry of `add:` may hold besides a constant. */
struct conf_add_keys {
    bool now;
    struct conf_text column;
};

const char *conf_check_source_uri(const char *value);
const char *conf_check_target_uri(const char *value);
const char *conf_check_slot(const char *value);
const char *conf_check_publication(const char *value);
const char *conf_check_listen(const char *value);
const char *conf_check_token(const char *value);
const char *conf_check_control(const char *value);
const char *conf_check_edge_name(const char *value);
const char *conf_check_database(const char *value);
const char *conf_check_collection(const char *value);
const char *conf_check_index_name(const char *value);
const char *conf_check_webhook(const char *value);
const char *conf_check_redis(const char *value);
const char *conf_check_workers(const char *value);
const char *conf_check_prefix(const char *value);
const char *conf_check_upstream(const char *value);
const char *conf_check_service(const char *value);
const char *conf_check_date(const char *value);
/* A name in another program's configuration, or a text with its variables: what cannot stand there
 * in quotes. */
const char *conf_check_quotable(const char *value);

/* "2027-02-01", a day that there is. */
struct conf_date {
    int year, month, day;
};
bool conf_read_date(struct span s, struct conf_date *ret) must_check;

/* Decimal, with a sign, nothing else; false: not a whole number, or over 64 bits. */
bool conf_read_int(struct span s, int64_t *ret_value) must_check;

/* "10s", "5ms", "1m", "2h", "250us" -> microseconds; false: not a duration, or over 64 bits. */
bool conf_read_duration(struct span s, int64_t *ret_us) must_check;

/* "10000", "0.5", "60s", "1%"; false: none of them. `text` is left to the caller. */
bool conf_read_threshold(struct span s, struct conf_threshold *ret) must_check;

/* The shortest text that reads back as `us`. */
struct conf_duration {
    char text[24];
};
struct conf_duration conf_duration_text(int64_t us);

/* redis://[[user]:password@]host[:port][/database], percent-decoded. */
struct conf_redis {
    char host[256], user[128], password[512]; /* empty: none */
    int port, database;
};
bool conf_read_redis(const char *uri, struct conf_redis *ret) must_check;

/* "1048576", "512k", "1m", "2g" -> bytes; false: not a size, or over 64 bits. */
bool conf_read_size(struct span s, int64_t *ret_bytes) must_check;

/* The shortest text that reads back as `bytes`. */
struct conf_duration conf_size_text(int64_t bytes);

/* A number as YAML's core schema has it: 1e3, .5, -.inf, .nan, 0x1f (an integer). */
bool conf_read_number(struct span s, enum conf_scalar_kind *ret_kind, int64_t *ret_integer,
                      double *ret_real) must_check;

/* `a.b` with parts quoted as in SQL. NULL, or what is wrong. */
const char *conf_read_table(struct span s, struct arena *arena, struct conf_table *ret_table);

#endif
