/* Tickets: for one path, for two periods, of one key. */
#include "http/ticket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define EVENTS "/ofrep/v1/events"
#define NOW (INT64_C(1000) * HTTP_TICKET_US)

static struct http_ticket_key key;
static char ticket[HTTP_TICKET_TEXT + 1];

static bool is_good(int64_t now_us) {
    return http_ticket_is_good(&key, EVENTS, span_of(ticket), now_us);
}

static int set_up(void **state) {
    (void)state;
    assert_true(http_ticket_key_init(&key));
    http_ticket_write(&key, EVENTS, NOW + 5, ticket);
    return 0;
}

static void it_lasts_for_its_period_and_the_next(void **state) {
    (void)state;
    assert_int_equal(strlen(ticket), HTTP_TICKET_TEXT);
    assert_true(is_good(NOW));
    assert_true(is_good(NOW + 2 * HTTP_TICKET_US - 1));
    assert_false(is_good(NOW + 2 * HTTP_TICKET_US));
    assert_false(is_good(NOW - 1));
}

static void those_of_a_period_are_equal(void **state) {
    (void)state;
    char other[HTTP_TICKET_TEXT + 1];
    http_ticket_write(&key, EVENTS, NOW + HTTP_TICKET_US - 1, other);
    assert_string_equal(other, ticket);
    http_ticket_write(&key, EVENTS, NOW + HTTP_TICKET_US, other);
    assert_string_not_equal(other, ticket);
}

static void another_path_key_or_text_is_refused(void **state) {
    (void)state;
    struct http_ticket_key other;
    char changed[HTTP_TICKET_TEXT + 1];
    assert_true(http_ticket_key_init(&other));
    assert_false(http_ticket_is_good(&other, EVENTS, span_of(ticket), NOW));
    assert_false(http_ticket_is_good(&key, "/v1/events", span_of(ticket), NOW));
    assert_false(http_ticket_is_good(&key, EVENTS, SPAN_LIT(""), NOW));
    assert_false(http_ticket_is_good(&key, EVENTS, span_make(ticket, HTTP_TICKET_TEXT - 1), NOW));
    for (size_t i = 0; i < HTTP_TICKET_TEXT; i++) {
        memcpy(changed, ticket, sizeof changed);
        changed[i] = changed[i] == '0' ? '1' : '0';
        assert_false(http_ticket_is_good(&key, EVENTS, span_of(changed), NOW));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_lasts_for_its_period_and_the_next),
        cmocka_unit_test(those_of_a_period_are_equal),
        cmocka_unit_test(another_path_key_or_text_is_refused),
    };
    return cmocka_run_group_tests_name("http_ticket", tests, set_up, NULL);
}
