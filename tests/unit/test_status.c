/* What `banyan status` prints, and the writers it prints with. */
#include "cli/render.h"
#include "cli/status.h"

#include <bson/bson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOON ((int64_t)1795435200 * 1000000) /* 2026-11-23T12:00:00Z */

static struct status_collection orders(enum state_phase phase) {
    struct status_collection c = {.estimated = 500};
    (void)snprintf(c.stored.pipeline, sizeof c.stored.pipeline, "shop");
    (void)snprintf(c.stored.module, sizeof c.stored.module, "shop");
    (void)snprintf(c.stored.name, sizeof c.stored.name, "orders");
    c.stored.phase = phase;
    c.stored.documents = 120;
    c.stored.catch_up_lsn = 0x90;
    c.stored.changed_us = NOON;
    if (phase == STATE_STOPPED) {
        (void)snprintf(c.stored.error, sizeof c.stored.error,
                       "document _id 7\x1b[2J: \"too\" large");
        c.stored.error_lsn = 0x80;
    }
    return c;
}

/* One pipeline with one collection. */
static void make(struct status *s, struct status_pipeline *p, struct status_collection *c) {
    *p = (struct status_pipeline){.collections = c, .collection_count = 1};
    (void)snprintf(p->stored.name, sizeof p->stored.name, "shop");
    (void)snprintf(p->stored.slot, sizeof p->stored.slot, "banyan_shop");
    (void)snprintf(p->stored.publication, sizeof p->stored.publication, "banyan_pub");
    (void)snprintf(p->stored.system_id, sizeof p->stored.system_id, "7301");
    p->stored.slot_state = STATE_SLOT_CREATED;
    p->stored.checkpoint = 0x100;
    p->stored.checkpoint_us = NOON;
    p->stored.counters = (struct state_counters){5, 4, 3, 2, 1};
    *s = (struct status){.state_path = "a.db",
                         .reachable = true,
                         .system_id = "7301",
                         .source_end = 0x300,
                         .now_us = NOON + 3000000,
                         .pipelines = p,
                         .pipeline_count = 1};
}

static void text_is(const struct status *s, const char *want) {
    struct buf out = {.max = 65536};
    status_text(s, &out);
    assert_string_equal(buf_text(&out), want);
    buf_release(&out);
}

static void text_of_a_module_that_copies(void **state) {
    (void)state;
    struct status s;
    struct status_pipeline p;
    struct status_collection c = orders(STATE_COPYING);
    make(&s, &p, &c);
    p.running = true;
    p.requests = 2;
    (void)snprintf(p.holder, sizeof p.holder, "pid 7 on db1");
    text_is(&s, "source: at 0/300\n"
                "pipeline shop: running, pid 7 on db1\n"
                "  slot banyan_shop, checkpoint 0/100 of 2026-11-23T12:00:00Z (3 s ago), 0.0 MB of "
                "log (512 bytes) behind the source\n"
                "  5 changes received, 3 documents written, 2 deleted, 1 read again\n"
                "  2 requests wait\n"
                "  orders      copying      120 documents copied of about 500\n");
    s.source_end = 0x80; /* a checkpoint may be newer than what was asked */
    assert_int_equal(status_lag(&s, &p.stored), 0);
}

static void text_of_a_source_that_is_away_and_a_stop(void **state) {
    (void)state;
    struct status s;
    struct status_pipeline p;
    struct status_collection c = orders(STATE_STOPPED);
    const char *modules[] = {"stock"};
    make(&s, &p, &c);
    s.reachable = false;
    s.parked = 3;
    s.waiting = 2;
    s.not_started = modules;
    s.not_started_count = 1;
    (void)snprintf(s.problem, sizeof s.problem, "refused");
    text_is(&s, "source: unreachable, so lag is unknown: refused\n"
                "pipeline shop: not running\n"
                "  slot banyan_shop, checkpoint 0/100 of 2026-11-23T12:00:00Z (3 s ago)\n"
                "  5 changes received, 3 documents written, 2 deleted, 1 read again\n"
                "  orders      stopped      120 documents copied of about 500\n"
                "    stopped at 0/80: document _id 7?[2J: \"too\" large\n"
                "    next: mend the cause, then banyan run shop --recopy orders\n"
                "module stock: not started; banyan run stock starts it\n"
                "3 parked changes; banyan parked list shows them\n");
}

static void lag_to_another_cluster_is_not_known(void **state) {
    (void)state;
    struct status s;
    struct status_pipeline p;
    struct status_collection c = orders(STATE_CATCHING_UP);
    make(&s, &p, &c);
    (void)snprintf(s.system_id, sizeof s.system_id, "9999");
    text_is(&s,
            "source: at 0/300\n"
            "pipeline shop: not running\n"
            "  slot banyan_shop, checkpoint 0/100 of 2026-11-23T12:00:00Z (3 s ago); the source "
            "is another cluster (system identifier 9999, not 7301)\n"
            "  5 changes received, 3 documents written, 2 deleted, 1 read again\n"
            "  orders      catching up  120 documents copied, until 0/90\n");
    assert_int_equal(status_lag(&s, &p.stored), -1);
    p.stored.slot_state = STATE_SLOT_INTENT;
    (void)snprintf(s.system_id, sizeof s.system_id, "7301");
    assert_int_equal(status_lag(&s, &p.stored), -1);
}

static void text_of_nothing(void **state) {
    (void)state;
    struct status s = {.state_path = "a.db"};
    text_is(&s, "nothing has run yet (state file a.db)\n");
}

/* ---- JSON ---- */

static bool find(const bson_t *b, const char *path, bson_iter_t *found) {
    bson_iter_t it;
    return bson_iter_init(&it, b) && bson_iter_find_descendant(&it, path, found);
}

static void string_is(const bson_t *b, const char *path, const char *want) {
    bson_iter_t it;
    if (!find(b, path, &it))
        fail_msg("no %s", path);
    assert_string_equal(bson_iter_utf8(&it, NULL), want);
}

static void int_is(const bson_t *b, const char *path, int64_t want) {
    bson_iter_t it;
    if (!find(b, path, &it))
        fail_msg("no %s", path);
    assert_int_equal(bson_iter_as_int64(&it), want);
}

static void json_says_the_same(void **state) {
    (void)state;
    struct status s;
    struct status_pipeline p;
    struct status_collection c[] = {orders(STATE_STOPPED), orders(STATE_STREAMING)};
    const char *modules[] = {"stock", "sales"};
    struct buf out = {.max = 65536};
    bson_t b;
    bson_error_t error;
    bson_iter_t it;
    make(&s, &p, c);
    p.collection_count = 2;
    c[1].estimated = -1;
    s.not_started = modules;
    s.not_started_count = 2;
    status_json(&s, &out);
    if (!bson_init_from_json(&b, out.data, (ssize_t)out.len, &error))
        fail_msg("%s: %s", error.message, buf_text(&out));
    assert_int_equal(out.data[out.len - 1], '\n');
    string_is(&b, "source.lsn", "0/300");
    string_is(&b, "pipelines.0.checkpoint", "0/100");
    string_is(&b, "pipelines.0.checkpoint_time", "2026-11-23T12:00:00Z");
    string_is(&b, "pipelines.0.slot_state", "created");
    int_is(&b, "pipelines.0.lag_bytes", 512);
    int_is(&b, "pipelines.0.changes", 5);
    string_is(&b, "pipelines.0.collections.0.error", "document _id 7\x1b[2J: \"too\" large");
    string_is(&b, "pipelines.0.collections.0.next",
              "mend the cause, then banyan run shop --recopy orders");
    int_is(&b, "pipelines.0.collections.0.documents_estimated", 500);
    string_is(&b, "pipelines.0.collections.1.phase", "streaming");
    assert_false(find(&b, "pipelines.0.collections.1.documents_estimated", &it));
    assert_false(find(&b, "pipelines.0.collections.1.error", &it));
    string_is(&b, "not_started.1", "sales");
    bson_destroy(&b);
    s.reachable = false;
    buf_clear(&out);
    status_json(&s, &out);
    assert_true(bson_init_from_json(&b, out.data, (ssize_t)out.len, &error));
    assert_false(find(&b, "pipelines.0.lag_bytes", &it));
    bson_destroy(&b);
    buf_release(&out);
}

/* ---- the writers ---- */

static void json_has_its_commas(void **state) {
    (void)state;
    struct buf out = {.max = 4096};
    struct json_out j;
    json_out_begin(&j, &out);
    json_out_open(&j, NULL, '[');
    json_out_open(&j, NULL, '{');
    json_out_close(&j, '}');
    json_out_open(&j, NULL, '{');
    json_out_text(&j, "a\"", "\n\xff");
    json_out_open(&j, "b", '[');
    json_out_int(&j, NULL, INT64_MIN);
    json_out_bool(&j, NULL, true);
    json_out_text(&j, NULL, NULL);
    json_out_close(&j, ']');
    json_out_bool(&j, "c", false);
    json_out_close(&j, '}');
    json_out_close(&j, ']');
    json_out_end(&j);
    assert_string_equal(buf_text(&out), "[{},{\"a\\\"\":\"\\n\xef\xbf\xbd\",\"b\":["
                                        "-9223372036854775808,true,null],\"c\":false}]\n");
    buf_release(&out);
}

static void control_characters_reach_no_terminal(void **state) {
    (void)state;
    struct buf out = {.max = 4096};
    render_clean(&out, "a\x1b[31m\r\n\x7f\xc2\x9b\xc3\xa9\xc2\xa0\xe2\x82\xac");
    assert_string_equal(buf_text(&out), "a?[31m????\xc3\xa9\xc2\xa0\xe2\x82\xac");
    buf_release(&out);
}

static void ages_are_short(void **state) {
    (void)state;
    static const struct {
        int64_t seconds;
        const char *want;
    } cases[] = {{-5, "0 s"},       {0, "0 s"},    {119, "119 s"},   {120, "2 min"},
                 {7199, "119 min"}, {7200, "2 h"}, {172799, "47 h"}, {172800, "2 d"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out = {.max = 64};
        render_age(&out, cases[i].seconds * 1000000);
        assert_string_equal(buf_text(&out), cases[i].want);
        buf_release(&out);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(text_of_a_module_that_copies),
    cmocka_unit_test(text_of_a_source_that_is_away_and_a_stop),
    cmocka_unit_test(lag_to_another_cluster_is_not_known),
    cmocka_unit_test(text_of_nothing),
    cmocka_unit_test(json_says_the_same),
    cmocka_unit_test(json_has_its_commas),
    cmocka_unit_test(control_characters_reach_no_terminal),
    cmocka_unit_test(ages_are_short),
};

int main(void) {
    return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
