/* Write commands and the replies to them, hostile ones too. */
#include "apply/write_command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct span doc_span(const bson_t *b) {
    return span_make(bson_get_data(b), b->len);
}

static void check_command(enum target_op_kind kind, const char *expected) {
    bson_t *id = BCON_NEW("_id", BCON_INT64(7));
    bson_t *document = BCON_NEW("_id", BCON_INT64(7), "a", BCON_UTF8("x"));
    struct target_op op = {.kind = kind, .id = doc_span(id), .document = doc_span(document)};
    struct buf out = {.max = 1 << 20};
    bson_t command;
    assert_true(write_command_build(&out, "c", kind, &op, (const uint32_t[]){0}, 1));
    assert_true(bson_init_static(&command, (const uint8_t *)out.data, out.len));
    assert_true(bson_validate(&command, BSON_VALIDATE_NONE, NULL));
    char *json = bson_as_relaxed_extended_json(&command, NULL);
    assert_string_equal(json, expected);
    bson_free(json);
    bson_destroy(id);
    bson_destroy(document);
    buf_release(&out);
}

static void commands_are_what_the_server_reads(void **state) {
    (void)state;
    check_command(TARGET_INSERT,
                  "{ \"insert\" : \"c\", \"ordered\" : false, \"maxTimeMS\" : 60000, "
                  "\"documents\" : [ { \"_id\" : 7, \"a\" : \"x\" } ] }");
    check_command(TARGET_PUT, "{ \"update\" : \"c\", \"ordered\" : false, \"maxTimeMS\" : 60000, "
                              "\"updates\" : [ { \"q\" : { \"_id\" : 7 }, \"u\" : { \"_id\" : 7, "
                              "\"a\" : \"x\" }, \"upsert\" : true } ] }");
    check_command(TARGET_SET, "{ \"update\" : \"c\", \"ordered\" : false, \"maxTimeMS\" : 60000, "
                              "\"updates\" : [ { \"q\" : { \"_id\" : 7 }, \"u\" : { \"_id\" : 7, "
                              "\"a\" : \"x\" } } ] }");
    check_command(TARGET_DELETE,
                  "{ \"delete\" : \"c\", \"ordered\" : false, \"maxTimeMS\" : 60000, "
                  "\"deletes\" : [ { \"q\" : { \"_id\" : 7 }, \"limit\" : 1 } ] }");
}

static void a_command_that_does_not_fit_is_refused(void **state) {
    (void)state;
    bson_t *id = BCON_NEW("_id", BCON_INT64(7));
    struct target_op op = {.kind = TARGET_INSERT, .id = doc_span(id), .document = doc_span(id)};
    struct buf out = {.max = 40};
    assert_false(write_command_build(&out, "c", TARGET_INSERT, &op, (const uint32_t[]){0}, 1));
    bson_destroy(id);
    buf_release(&out);
}

static int read_reply(const char *json, size_t count, struct write_error *errors,
                      struct write_reply *reply) {
    static bson_t *kept; /* messages point into it */
    struct err err;
    if (kept)
        bson_destroy(kept);
    kept = bson_new_from_json((const uint8_t *)json, -1, NULL);
    assert_non_null(kept);
    return write_reply_read(kept, count, errors, reply, &err);
}

static void a_good_reply(void **state) {
    (void)state;
    struct write_error errors[2];
    struct write_reply reply;
    assert_int_equal(read_reply("{\"n\": 2, \"ok\": 1}", 2, errors, &reply), 0);
    assert_int_equal(reply.n, 2);
    assert_int_equal(errors[0].code, 0);
    assert_int_equal(reply.concern_code, 0);
}

static void errors_belong_to_their_operation(void **state) {
    (void)state;
    struct write_error errors[3];
    struct write_reply reply;
    assert_int_equal(
        read_reply("{\"n\": 1, \"ok\": 1, \"writeErrors\": ["
                   "{\"index\": 2, \"code\": 121, \"errmsg\": \"no\"},"
                   "{\"index\": 0, \"code\": 11000, \"errmsg\": \"E11000 … index: _id_ "
                   "dup key\", \"keyPattern\": {\"_id\": 1}}]}",
                   3, errors, &reply),
        0);
    assert_int_equal(errors[2].code, 121);
    assert_true(span_is(errors[2].message, "no"));
    assert_true(errors[0].duplicate_id);
    assert_int_equal(errors[1].code, 0);
}

static void a_duplicate_of_another_index_is_no_duplicate_id(void **state) {
    (void)state;
    struct write_error errors[1];
    struct write_reply reply;
    assert_int_equal(
        read_reply("{\"n\": 0, \"ok\": 1, \"writeErrors\": [{\"index\": 0, \"code\": 11000, "
                   "\"errmsg\": \"index: _id_ dup\", \"keyPattern\": {\"sku\": 1}}]}",
                   1, errors, &reply),
        0);
    assert_int_equal(errors[0].code, 11000);
    assert_false(errors[0].duplicate_id);
    assert_int_equal(
        read_reply("{\"n\": 0, \"ok\": 1, \"writeErrors\": [{\"index\": 0, \"code\": 11000, "
                   "\"errmsg\": \"E11000 duplicate key error collection: a.b index: _id_ "
                   "dup key\"}]}",
                   1, errors, &reply),
        0);
    assert_true(errors[0].duplicate_id); /* older servers have no keyPattern */
}

static void a_write_concern_error_is_seen(void **state) {
    (void)state;
    struct write_error errors[1];
    struct write_reply reply;
    assert_int_equal(read_reply("{\"n\": 1, \"ok\": 1, \"writeConcernError\": {\"code\": 64, "
                                "\"errmsg\": \"waiting for replication timed out\"}}",
                                1, errors, &reply),
                     0);
    assert_int_equal(reply.concern_code, 64);
}

static void nonsense_is_an_error(void **state) {
    (void)state;
    static const char *const replies[] = {
        "{}",
        "{\"ok\": 1}",
        "{\"n\": \"many\"}",
        "{\"n\": -1}",
        "{\"n\": 3}",
        "{\"n\": 1, \"writeErrors\": 5}",
        "{\"n\": 1, \"writeErrors\": [5]}",
        "{\"n\": 1, \"writeErrors\": [{}]}",
        "{\"n\": 1, \"writeErrors\": [{\"index\": 2, \"code\": 1}]}",
        "{\"n\": 1, \"writeErrors\": [{\"index\": -1, \"code\": 1}]}",
        "{\"n\": 1, \"writeErrors\": [{\"index\": 0, \"code\": -5}]}",
        "{\"n\": 1, \"writeErrors\": [{\"index\": \"x\", \"code\": 5}]}",
        "{\"n\": 1, \"writeConcernError\": []}",
        "{\"n\": 1, \"writeConcernError\": {\"code\": 0}}"};
    struct write_error errors[2];
    struct write_reply reply;
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++)
        assert_int_equal(read_reply(replies[i], 2, errors, &reply), ERR_WIRE);
}

static void codes_have_verdicts(void **state) {
    (void)state;
    assert_int_equal(mongo_code_verdict(0), MONGO_OK);
    assert_int_equal(mongo_code_verdict(112), MONGO_RETRY);    /* WriteConflict */
    assert_int_equal(mongo_code_verdict(189), MONGO_RETRY);    /* PrimarySteppedDown */
    assert_int_equal(mongo_code_verdict(10107), MONGO_RETRY);  /* NotWritablePrimary */
    assert_int_equal(mongo_code_verdict(89), MONGO_AMBIGUOUS); /* NetworkTimeout */
    assert_int_equal(mongo_code_verdict(121), MONGO_REFUSED);  /* DocumentValidationFailure */
    assert_int_equal(mongo_code_verdict(11000), MONGO_REFUSED);
    assert_int_equal(mongo_code_verdict(13), MONGO_REFUSED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_what_the_server_reads),
        cmocka_unit_test(a_command_that_does_not_fit_is_refused),
        cmocka_unit_test(a_good_reply),
        cmocka_unit_test(errors_belong_to_their_operation),
        cmocka_unit_test(a_duplicate_of_another_index_is_no_duplicate_id),
        cmocka_unit_test(a_write_concern_error_is_seen),
        cmocka_unit_test(nonsense_is_an_error),
        cmocka_unit_test(codes_have_verdicts),
    };
    return cmocka_run_group_tests_name("write_command", tests, NULL, NULL);
}
