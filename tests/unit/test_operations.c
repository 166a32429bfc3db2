/* Calls and samples with no server there: who is told what, once, and from where. */
#include "base/clock.h"
#include "db/mongo.h"
#include "operation/exchange.h"
#include "operation/operation.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

#include <cmocka.h>

#include "fake_pg.h"
#include "operation_conf.h"

/* Nobody listens on port 1. */
#define FILE_TEXT                                                                                  \
    "source: {uri: 'postgresql://127.0.0.1:1/x?connect_timeout=2'}\n"                              \
    "target: {uri: 'mongodb://127.0.0.1:1', database: d}\nmodules:\n  m:\n"                        \
    "    collections: {c: {table: t}}\n    budget: {per_second: %d, concurrent: %d}\n"             \
    "    operations:\n"                                                                            \
    "      get: {sql: 'SELECT :id AS id', mongodb: {find: c, filter: {_id: ':id'}}, params: {id: " \
    "int64}, timeout: 2s}\n"

struct watch {
    struct operation_routing routing;
    pthread_t caller;
    atomic_int sampled, answered, compared, dropped, wrong;
    const char *_Atomic why;
};

static void route(void *context, const struct conf_module *module, const struct flags_context *who,
                  struct operation_routing *ret) {
    const struct watch *w = context;
    assert_string_equal(module->name.text, "m");
    assert_non_null(who);
    *ret = w->routing;
}

static bool sample(void *context, const struct operation_call *call) {
    struct watch *w = context;
    atomic_fetch_add(&w->sampled, 1);
    if (!span_is(call->params, "{\"id\": 7}"))
        atomic_fetch_add(&w->wrong, 1);
    return true;
}

static void answered(void *context, const struct operation_call *call) {
    struct watch *w = context;
    atomic_fetch_add(&w->answered, 1);
    if (call->answers[call->decision.side].outcome != OPERATION_CONNECT)
        atomic_fetch_add(&w->wrong, 1);
}

static void compared(void *context, struct operation_call *call) {
    struct watch *w = context;
    struct operation_call *mine = operation_call_ref(call);
    for (int side = 0; side < OPERATION_SIDES; side++)
        if (mine->answers[side].outcome != OPERATION_CONNECT || !mine->answers[side].err.text[0])
            atomic_fetch_add(&w->wrong, 1);
    if (!mine->both || pthread_equal(pthread_self(), w->caller))
        atomic_fetch_add(&w->wrong, 1);
    atomic_fetch_add(&w->compared, 1);
    operation_call_unref(mine);
}

static void dropped(void *context, const struct operation_call *call, const char *reason) {
    struct watch *w = context;
    if (call->both)
        atomic_fetch_add(&w->wrong, 1);
    atomic_store(&w->why, reason);
    atomic_fetch_add(&w->dropped, 1);
}

struct set {
    struct conf *conf;
    struct operations *ops;
    struct watch watch;
};

static void open_text(struct set *s, const char *text, enum route_reads reads) {
    struct err err = {0};
    *s = (struct set){.watch = {.caller = pthread_self(),
                                .routing = {.known = true,
                                            .reads = reads,
                                            .fallback = true,
                                            .caught_up = true,
                                            .flag_on = true}}};
    if (conf_parse("c.yml", text, strlen(text), &s->conf, &err) < 0)
        fail_msg("%s", err.text);
    const struct operations_config config = {
        .conf = s->conf,
        .app = "test",
        .route = route,
        .route_context = &s->watch,
        .observer = {&s->watch, sample, answered, compared, dropped}};
    if (operations_new(&config, &s->ops, &err) < 0)
        fail_msg("%s", err.text);
}

static void open_set(struct set *s, int per_second, int concurrent, enum route_reads reads) {
    _cleanup_(mem_freep) char *text = mem_printf(FILE_TEXT, per_second, concurrent);
    open_text(s, text, reads);
}

static void close_set(struct set *s) {
    operations_free(s->ops); /* waits for samples under way */
    conf_free(s->conf);
}

static struct operation_call *call(struct set *s) {
    const struct operation_request request = {.params = SPAN_LIT("{\"id\": 7}"), .side = -1};
    struct operation_call *ret = NULL;
    struct err err = {0};
    if (operations_call(s->ops, "get", &request, &ret, &err) < 0)
        fail_msg("%s", err.text);
    return ret;
}

static void every_sample_is_compared_once(void **state) {
    (void)state;
    struct set s;
    struct operation_counts counts;
    open_set(&s, 1000, 16, READS_SHADOW);
    for (int i = 0; i < 30; i++) {
        struct operation_call *c = call(&s);
        assert_int_equal(c->decision.side, ROUTE_SQL);
        assert_int_equal(c->answers[ROUTE_SQL].outcome, OPERATION_CONNECT);
        assert_true(c->fell_back &&
                    !c->rescued); /* MongoDB had caught up, and is not there either */
        operation_call_unref(c);
    }
    operations_counts(s.ops, 0, &counts);
    assert_int_equal(counts.sides[ROUTE_SQL].calls, 30);
    assert_int_equal(counts.sides[ROUTE_SQL].outcomes[OPERATION_CONNECT], 30);
    int dropped_ones = atomic_load(&s.watch.dropped);
    close_set(&s);
    assert_int_equal(atomic_load(&s.watch.sampled), 30);
    assert_int_equal(atomic_load(&s.watch.answered), 30);
    assert_int_equal(atomic_load(&s.watch.compared) + dropped_ones, 30);
    assert_true(atomic_load(&s.watch.compared) > 0);
    assert_int_equal(atomic_load(&s.watch.wrong), 0);
}

static void a_budget_is_kept(void **state) {
    (void)state;
    struct set s;
    struct operation_counts counts;
    open_set(&s, 2, 16, READS_FLAG);
    for (int i = 0; i < 10; i++) {
        struct operation_call *c = call(&s);
        assert_int_equal(c->decision.side, ROUTE_MONGODB);
        operation_call_unref(c);
    }
    operations_counts(s.ops, 0, &counts);
    assert_in_range(counts.dropped_budget, 6, 8);
    assert_string_equal(atomic_load(&s.watch.why), "budget");
    close_set(&s);
    assert_in_range(atomic_load(&s.watch.compared), 2, 4);
    assert_int_equal(atomic_load(&s.watch.wrong), 0);
}

static void no_budget_is_no_sample(void **state) {
    (void)state;
    struct set s;
    open_set(&s, 0, 1, READS_SHADOW);
    operation_call_unref(call(&s));
    close_set(&s);
    assert_int_equal(atomic_load(&s.watch.compared), 0);
    assert_int_equal(atomic_load(&s.watch.dropped), 1);
}

/* `reads: sql` and `mongodb` ask one side only. */
static void only_what_is_sampled(void **state) {
    (void)state;
    struct set s;
    open_set(&s, 1000, 16, READS_SQL);
    struct operation_call *c = call(&s);
    assert_false(c->fell_back || c->both);
    assert_int_equal(c->answers[ROUTE_MONGODB].outcome, OPERATION_NOT_ASKED);
    _cleanup_(buf_release) struct buf out = {.max = 10000};
    assert_int_equal(operation_reply(c, OPERATION_NUMBERS_PLAIN, false, &out), 502);
    assert_non_null(strstr(buf_text(&out), "\"the side that answers failed\""));
    assert_null(operation_fallback_reason(c));
    struct operation_answer again;
    operations_ask(s.ops, c, ROUTE_MONGODB, &again);
    assert_int_equal(again.outcome, OPERATION_CONNECT);
    operation_answer_release(&again);
    operation_call_unref(c);
    close_set(&s);
    assert_int_equal(atomic_load(&s.watch.sampled), 0);
}

/* Twenty failures in a row: MongoDB is left alone, and SQL is asked at once. */
static void a_breaker_opens(void **state) {
    (void)state;
    struct set s;
    struct operation_counts counts;
    open_set(&s, 0, 1, READS_MONGODB);
    for (int i = 0; i < 25; i++) {
        struct operation_call *c = call(&s);
        assert_int_equal(c->decision.side, i < 20 ? ROUTE_MONGODB : ROUTE_SQL);
        assert_int_equal(c->fell_back, i < 20);
        if (i >= 20)
            assert_string_equal(operation_fallback_reason(c), "breaker");
        operation_call_unref(c);
    }
    operations_counts(s.ops, 0, &counts);
    assert_true(counts.sides[ROUTE_MONGODB].breaker_open);
    assert_int_equal(counts.sides[ROUTE_MONGODB].rescued, 0); /* SQL could not either */
    close_set(&s);
}

/* Where SQL may not stand in, nobody asks the breaker: it stays as it is. */
static void no_fallback_is_no_breaker(void **state) {
    (void)state;
    struct set s;
    struct operation_counts counts;
    open_set(&s, 0, 1, READS_MONGODB);
    s.watch.routing.fallback = false;
    for (int i = 0; i < 25; i++) {
        struct operation_call *c = call(&s);
        assert_int_equal(c->decision.side, ROUTE_MONGODB);
        assert_false(c->fell_back);
        operation_call_unref(c);
    }
    operations_counts(s.ops, 0, &counts);
    assert_false(counts.sides[ROUTE_MONGODB].breaker_open);
    close_set(&s);
}

static void *call_main(void *set) {
    operation_call_unref(call(set));
    return NULL;
}

/* All sessions of MongoDB wait for it: whoever has SQL behind it waits for one of them no longer
 * than it may wait for MongoDB. */
static void a_guarded_call_waits_for_no_session(void **state) {
    (void)state;
    struct set s;
    pthread_t threads[OPERATION_SESSIONS];
    int port, fd = fake_pg_listen(64, &port); /* says nothing */
    _cleanup_(mem_freep) char *text = mem_printf(
        "source: {uri: 'postgresql://127.0.0.1:1/x'}\n"
        "target: {uri: 'mongodb://127.0.0.1:%d', database: d}\nmodules:\n  m:\n"
        "    collections: {c: {table: t}}\n    operations:\n"
        "      get: {sql: 'SELECT :id AS id', mongodb: {find: c, filter: {_id: ':id'}}, params: "
        "{id: int64}, timeout: 3s, fallback: {timeout: 100ms, connect: 3s}}\n",
        port);
    open_text(&s, text, READS_MONGODB);
    s.watch.routing.fallback = false;
    for (size_t i = 0; i < OPERATION_SESSIONS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call_main, &s), 0);
    while (operations_sessions(s.ops, ROUTE_MONGODB) < OPERATION_SESSIONS)
        sched_yield();
    s.watch.routing.fallback = true;
    struct operation_call *c = call(&s);
    assert_int_equal(c->answers[ROUTE_MONGODB].outcome, OPERATION_CONNECT);
    assert_in_range(c->answers[ROUTE_MONGODB].took_us, 100000, 2000000);
    assert_true(c->fell_back);
    operation_call_unref(c);
    for (size_t i = 0; i < OPERATION_SESSIONS; i++)
        pthread_join(threads[i], NULL);
    close_set(&s);
    (void)close(fd);
}

/* Statements that were not answered are cancelled, which takes long where SQL's address drops
 * packets. The end waits for the one under way, not for those behind it. */
static void the_end_does_not_wait_for_cancels(void **state) {
    (void)state;
    enum { CALLS = 4 };
    struct set s;
    struct fake_pg server;
    pthread_t threads[CALLS];
    fake_pg_start(&server, CALLS);
    _cleanup_(mem_freep) char *text =
        mem_printf("source: {uri: 'postgresql://u@127.0.0.1:%d/"
                   "d?sslmode=disable&gssencmode=disable&tcp_user_timeout=2000'}\n"
                   "target: {uri: 'mongodb://127.0.0.1:1', database: d}\nmodules:\n  m:\n"
                   "    collections: {c: {table: t}}\n    operations:\n"
                   "      get: {sql: 'SELECT :id AS id', mongodb: {find: c, filter: {_id: ':id'}}, "
                   "params: {id: int64}, timeout: 1s, fallback: false}\n",
                   server.port);
    open_text(&s, text, READS_SQL);
    for (size_t i = 0; i < CALLS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call_main, &s), 0);
    fake_pg_shut(&server);
    for (size_t i = 0; i < CALLS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(operations_sessions(s.ops, ROUTE_SQL), CALLS); /* to be cancelled */
    int64_t start = clock_mono_us();
    close_set(&s);
    assert_in_range(clock_mono_us() - start, 0, 3500000);
    fake_pg_stop(&server);
}

static void what_is_wrong_is_said(void **state) {
    (void)state;
    struct set s;
    struct operation_call *c = NULL;
    struct err err = {0};
    open_set(&s, 1, 1, READS_SQL);
    struct operation_request request = {.params = SPAN_LIT("{\"id\": \"x\"}"), .side = -1};
    assert_int_equal(operations_call(s.ops, "get", &request, &c, &err), ERR_USAGE);
    assert_string_equal(err.text, "parameter 'id': must be a whole number of 64 bits");
    assert_int_equal(operations_call(s.ops, "none", &request, &c, &err), ERR_NO);
    close_set(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sample_is_compared_once),
        cmocka_unit_test(a_budget_is_kept),
        cmocka_unit_test(no_budget_is_no_sample),
        cmocka_unit_test(only_what_is_sampled),
        cmocka_unit_test(a_breaker_opens),
        cmocka_unit_test(no_fallback_is_no_breaker),
        cmocka_unit_test(a_guarded_call_waits_for_no_session),
        cmocka_unit_test(the_end_does_not_wait_for_cancels),
        cmocka_unit_test(what_is_wrong_is_said),
    };
    mongo_global_init();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    mongo_global_cleanup();
    return failed;
}
