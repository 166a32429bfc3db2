/*
 * What the files that read the configuration share. Private to conf/.
 */
#ifndef BANYAN_CONF_READER_H
#define BANYAN_CONF_READER_H

#include "confq/yaml.h"

struct conf_owned {
    struct conf conf; /* first: the public part */
    struct arena memory;
};

struct reader {
    const struct conf *conf; /* for conf_error */
    struct arena *memory;
    struct err *err;
};

int reader_error(struct reader *r, struct conf_at at, const char *fmt, ...) printf_like(3, 4);
void *reader_alloc(struct reader *r, size_t count, size_t size);

/* The scalar with ${NAME} and ${file:path} replaced; kept in memory. */
int reader_text(struct reader *r, const struct yaml *node, const char **ret) must_check;
int reader_bool(struct reader *r, const struct yaml *node, bool *ret) must_check;
int reader_integer(struct reader *r, const struct yaml *node, int64_t least, int64_t most,
                   int64_t *ret) must_check;
int reader_duration(struct reader *r, const struct yaml *node, int64_t least, int64_t most,
                    int64_t *ret) must_check;
int reader_want(struct reader *r, const struct yaml *node, enum yaml_kind kind) must_check;
/* "unknown key 'tabel', did you mean 'table'?" */
int reader_unknown(struct reader *r, const struct yaml *node, const char *const *known, size_t count);
int reader_later(struct reader *r, const struct yaml *node);
bool reader_is_null(const struct yaml *node);
/* Distance of two names, for "did you mean"; 64 when one is longer than that. */
size_t reader_distance(const char *a, const char *b);

/* modules: (conf_modules.c) */
int read_modules(struct reader *r, const struct yaml *node, struct conf *conf) must_check;

#endif
