/* One operation of a configuration, for tests of operations. */
#ifndef TEST_OPERATION_CONF_H
#define TEST_OPERATION_CONF_H

#include "base/mem.h"
#include "conf_try.h"

#define OPERATION_HEAD                                                                             \
    "source: {uri: postgresql://h}\ntarget: {uri: mongodb://h, database: d}\nmodules:\n  m:\n"     \
    "    collections: {c: {table: t}}\n    operations:\n"

/* `keys` of an operation, in flow style. Fails the test where it is refused. */
static inline struct conf *operation_conf(const char *keys) {
    _cleanup_(mem_freep) char *text = mem_printf(OPERATION_HEAD "      o: {%s}\n", keys);
    return parse(text);
}

#define OPERATION(conf) (&(conf)->modules[0].operations[0])

#endif
