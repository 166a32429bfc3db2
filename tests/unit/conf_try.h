/* A configuration as text, for tests: read, or refused with the words that are expected. */
#ifndef TEST_CONF_TRY_H
#define TEST_CONF_TRY_H

#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static inline struct conf *parse(const char *text) {
    struct err err = {0};
    struct conf *conf = NULL;
    if (conf_parse("c.yml", text, strlen(text), &conf, &err) < 0)
        fail_msg("%s", err.text);
    return conf;
}

static inline void refuse(const char *text, const char *wanted) {
    struct err err = {0};
    struct conf *conf = NULL;
    assert_int_equal(conf_parse("c.yml", text, strlen(text), &conf, &err), ERR_CONF);
    assert_string_equal(err.text, wanted);
}

#endif
