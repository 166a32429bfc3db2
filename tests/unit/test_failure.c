/* The last line of standard error, for people and for programs. */
#include "cli/failure.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void says(int code, bool retriable, const char *message, const char *want) {
    struct err err;
    struct buf out = {.max = 8192};
    (void)err_set(&err, code, "%s", message);
    err.retriable = retriable;
    failure_json(&err, "conf/banyan.yml", &out);
    assert_string_equal(buf_text(&out), want);
    buf_release(&out);
}

static void a_place_of_the_configuration_is_split(void **state) {
    (void)state;
    says(ERR_CONF, false, "conf/banyan.yml:3:15: unknown key 'tabel'",
         "{\"error\":{\"code\":\"ERR_CONF\",\"exit_code\":2,\"message\":\"conf/banyan.yml:3:15: "
         "unknown key 'tabel'\",\"retriable\":false,\"file\":\"conf/banyan.yml\",\"line\":3,"
         "\"column\":15}}\n");
    says(
        ERR_CONF, false, "see conf/banyan.yml; plan shop: conf/banyan.yml:12:1: no",
        "{\"error\":{\"code\":\"ERR_CONF\",\"exit_code\":2,\"message\":\"see conf/banyan.yml; plan "
        "shop: conf/banyan.yml:12:1: no\",\"retriable\":false,\"file\":\"conf/banyan.yml\","
        "\"line\":12,\"column\":1}}\n");
}

static void what_is_no_place_has_none(void **state) {
    (void)state;
    static const char *const messages[] = {
        "",
        "out of reach",
        "conf/banyan.yml",
        "conf/banyan.yml:",
        "conf/banyan.yml:3",
        "conf/banyan.yml:3: no",
        "conf/banyan.yml::3: no",
        "conf/banyan.yml:3:: no",
        "conf/banyan.yml:3:x: no",
        "conf/banyan.yml:99999999999999999999:1: no",
        "other/conf/banyan.yml:3:4: no",
        "conf/banyan.ymla:3:4: no",
    };
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        char want[512];
        (void)snprintf(
            want, sizeof want,
            "{\"error\":{\"code\":\"ERR_UNREACHABLE\",\"exit_code\":3,\"message\":\"%s\","
            "\"retriable\":true,\"file\":null,\"line\":null,\"column\":null}}\n",
            messages[i]);
        says(ERR_UNREACHABLE, true, messages[i], want);
    }
}

static void a_file_without_a_name_is_no_place(void **state) {
    (void)state;
    struct err err;
    struct buf out = {.max = 8192};
    (void)err_set(&err, ERR_CONF, ":1:1: cannot open it");
    failure_json(&err, "", &out);
    assert_non_null(strstr(buf_text(&out), "\"file\":null"));
    buf_release(&out);
}

static void the_longest_message_is_one_line(void **state) {
    (void)state;
    struct err err = {.code = ERR_TARGET};
    memset(err.text, '\n', sizeof err.text - 1);
    struct buf out = {.max = 8192};
    failure_json(&err, "banyan.yml", &out);
    assert_true(buf_ok(&out));
    assert_ptr_equal(strchr(buf_text(&out), '\n'), buf_text(&out) + out.len - 1);
    buf_clear(&out);
    failure_text(&err, &out);
    assert_true(buf_ok(&out));
    assert_ptr_equal(strchr(buf_text(&out), '\n'), buf_text(&out) + out.len - 1);
    buf_release(&out);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_place_of_the_configuration_is_split),
    cmocka_unit_test(what_is_no_place_has_none),
    cmocka_unit_test(a_file_without_a_name_is_no_place),
    cmocka_unit_test(the_longest_message_is_one_line),
};

int main(void) {
    return cmocka_run_group_tests_name("failure", tests, NULL, NULL);
}
