/* Alerts that are told: bodies, ways, retries, repeats, and callers that never wait. */
#include "admin/alert_delivery.h"

#include "admin/alert_command.h"
#include "base/clock.h"
#include "base/mem.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct obs_alert_rule lag_rule(void) {
    struct obs_alert_rule rule;
    struct err err;
    struct obs_alert_spec spec = {.metric = "streaming_lag",
                                  .threshold = 60,
                                  .unit = OBS_UNIT_SECONDS,
                                  .window_us = -1,
                                  .min_samples = -1,
                                  .severity = "critical"};
    assert_int_equal(obs_alert_rule_init(&rule, &spec, &err), 0);
    return rule;
}

static struct obs_alert alert_of(const struct obs_alert_rule *rule, const char *module,
                                 uint64_t fingerprint) {
    struct obs_alert a = {.rule = rule,
                          .fingerprint = fingerprint,
                          .label_count = 1,
                          .labels = {{.name = "module"}},
                          .value = 75.5};
    (void)snprintf(a.labels[0].value, sizeof a.labels[0].value, "%s", module);
    return a;
}

/* ---- bodies ---- */

static void body_is(enum alert_form form, const struct alert_notice *n, size_t count,
                    const char *want) {
    _cleanup_(buf_release) struct buf out = {.max = ALERT_BODY_MAX};
    alert_body_write(form, n, count, 1700000000000000, 60000000, &out);
    assert_true(buf_ok(&out));
    assert_string_equal(buf_text(&out), want);
}

static void bodies_are_exact(void **state) {
    (void)state;
    struct obs_alert_rule rule = lag_rule();
    struct obs_alert a = alert_of(&rule, "a\"<b>", 0xabc);
    struct alert_notice n[2];
    alert_notice_make(&n[0], OBS_ALERT_FIRED, &a, 1699999990500000, 1699999990500000);
    a = alert_of(&rule, "shop", 1);
    a.value = 3;
    alert_notice_make(&n[1], OBS_ALERT_RESOLVED, &a, 1699999000000000, 1699999999000000);
    body_is(ALERT_FORM_WEBHOOK, n, 1,
            "{\"version\":\"4\",\"groupKey\":\"banyan\",\"truncatedAlerts\":0,"
            "\"status\":\"firing\",\"receiver\":\"banyan\",\"groupLabels\":{},"
            "\"commonLabels\":{\"alertname\":\"streaming_lag\",\"severity\":\"critical\","
            "\"module\":\"a\\\"<b>\"},\"annotations\":{\"summary\":\"streaming_lag of a\\\"<b> is "
            "75.5 s, over 60 s\",\"value\":\"75.5\",\"threshold\":\"60\"},"
            "\"externalURL\":\"\",\"alerts\":[{\"status\":\"firing\","
            "\"labels\":{\"alertname\":\"streaming_lag\",\"severity\":\"critical\","
            "\"module\":\"a\\\"<b>\"},\"annotations\":{\"summary\":\"streaming_lag of a\\\"<b> is "
            "75.5 s, over 60 s\",\"value\":\"75.5\",\"threshold\":\"60\"},"
            "\"startsAt\":\"2023-11-14T22:13:10.500Z\",\"endsAt\":\"0001-01-01T00:00:00Z\","
            "\"generatorURL\":\"\",\"fingerprint\":\"0000000000000abc\"}]}\n");
    body_is(ALERT_FORM_API, n + 1, 1,
            "[{\"labels\":{\"alertname\":\"streaming_lag\",\"severity\":\"critical\","
            "\"module\":\"shop\"},\"annotations\":{\"summary\":\"streaming_lag of shop is 3 s, not "
            "over 60 s\",\"value\":\"3\",\"threshold\":\"60\"},"
            "\"startsAt\":\"2023-11-14T21:56:40.000Z\",\"endsAt\":\"2023-11-14T22:13:19.000Z\","
            "\"generatorURL\":\"\"}]\n");
    body_is(ALERT_FORM_SLACK, n, 2,
            "{\"text\":\":red_circle: *firing* (critical): streaming_lag of a\\\"&lt;b&gt; is 75.5 "
            "s, over 60 s\\n:large_green_circle: *resolved* (critical): streaming_lag of shop is 3 "
            "s, not over 60 s\"}\n");
}

static void the_largest_batch_fits(void **state) {
    (void)state;
    struct obs_alert_rule rule = lag_rule();
    struct alert_notice *n = mem_zalloc(ALERT_BATCH_MAX, sizeof *n);
    for (size_t i = 0; i < ALERT_BATCH_MAX; i++) {
        struct obs_alert a = alert_of(&rule, "", i);
        a.label_count = OBS_LABELS_MAX;
        for (size_t k = 0; k < OBS_LABELS_MAX; k++) {
            a.labels[k].name = "collection";
            memset(a.labels[k].value, 1, OBS_LABEL_VALUE_MAX); /* six bytes each in JSON */
        }
        alert_notice_make(&n[i], OBS_ALERT_FIRED, &a, 1, 1);
    }
    for (enum alert_form form = ALERT_FORM_WEBHOOK; form <= ALERT_FORM_SLACK; form++) {
        _cleanup_(buf_release) struct buf out = {.max = ALERT_BODY_MAX};
        alert_body_write(form, n, ALERT_BATCH_MAX, 1, 1, &out);
        assert_true(buf_ok(&out));
    }
    free(n);
}

static void the_form_follows_the_address(void **state) {
    (void)state;
    static const struct {
        const char *url;
        enum conf_alert_format format;
        enum alert_form want;
    } cases[] = {
        {"http://127.0.0.1:9093/hook", CONF_ALERT_AUTO, ALERT_FORM_WEBHOOK},
        {"http://127.0.0.1:9093/api/v2/alerts", CONF_ALERT_AUTO, ALERT_FORM_API},
        {"http://127.0.0.1:9093/am/api/v2/alerts?x=1", CONF_ALERT_SLACK, ALERT_FORM_API},
        {"https://hooks.slack.com/services/T/B/x", CONF_ALERT_AUTO, ALERT_FORM_SLACK},
        {"https://hooks.slack.com.evil.example/x", CONF_ALERT_AUTO, ALERT_FORM_WEBHOOK},
        {"https://chat.example/hooks/abc", CONF_ALERT_AUTO, ALERT_FORM_SLACK},
        {"https://discord.com/api/webhooks/1/x/slack", CONF_ALERT_AUTO, ALERT_FORM_SLACK},
        {"https://h/?next=/hooks/", CONF_ALERT_AUTO, ALERT_FORM_WEBHOOK},
        {"https://h/x", CONF_ALERT_SLACK, ALERT_FORM_SLACK},
        {"https://chat.example/hooks/abc", CONF_ALERT_ALERTMANAGER, ALERT_FORM_WEBHOOK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (alert_form_of(cases[i].url, cases[i].format) != cases[i].want)
            fail_msg("%s", cases[i].url);
}

/* ---- a hook that answers as it is told ---- */

struct hook {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int posts, firing, resolved; /* alerts in posts that were taken */
    int status;                  /* of the next answers; 0: none */
    int fail_first;              /* answers of 500 before that */
    bool hang;
    char body[8192];
};

static int count_of(const char *text, const char *word) {
    int n = 0;
    for (const char *p = strstr(text, word); p; p = strstr(p + 1, word))
        n++;
    return n;
}

static int hook_post(void *context, const char *url, struct span body, int64_t limit_us,
                     const atomic_bool *stop, int *ret_status, struct err *err) {
    struct hook *h = context;
    (void)limit_us;
    assert_true(strncmp(url, "http", 4) == 0);
    pthread_mutex_lock(&h->lock);
    h->posts++;
    pthread_cond_broadcast(&h->changed);
    while (h->hang && !atomic_load(stop)) {
        pthread_mutex_unlock(&h->lock);
        usleep(1000);
        pthread_mutex_lock(&h->lock);
    }
    (void)snprintf(h->body, sizeof h->body, "%.*s", SPAN_ARG(body));
    *ret_status = h->fail_first > 0 ? 500 : h->status;
    h->fail_first -= h->fail_first > 0;
    if (*ret_status == 200) {
        h->firing += count_of(h->body, "{\"status\":\"firing\"");
        h->resolved += count_of(h->body, "{\"status\":\"resolved\"");
    }
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
    return *ret_status ? 0 : err_set(err, ERR_UNREACHABLE, "nobody answers");
}

/* Waits until the numbers are at least these; fails after 10 s. */
static void wait_for(struct hook *h, int posts, int firing, int resolved) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    pthread_mutex_lock(&h->lock);
    while (h->posts < posts || h->firing < firing || h->resolved < resolved)
        if (pthread_cond_timedwait(&h->changed, &h->lock, &until) != 0)
            fail_msg("%d posts, %d firing, %d resolved", h->posts, h->firing, h->resolved);
    pthread_mutex_unlock(&h->lock);
}

struct scene {
    struct hook hook;
    struct alert_delivery *d;
    struct conf_alerts conf;
    struct obs_alert_rule rule;
    struct err err;
};

static struct scene *begin(int status, int64_t repeat_us) {
    struct scene *s = mem_zalloc(1, sizeof *s);
    pthread_mutex_init(&s->hook.lock, NULL);
    pthread_cond_init(&s->hook.changed, NULL);
    s->hook.status = status;
    s->conf.webhook = "http://127.0.0.1:1/hook";
    s->rule = lag_rule();
    struct alert_delivery_options options = {
        .post = hook_post, .post_context = &s->hook, .repeat_us = repeat_us, .retry_us = 20000};
    assert_int_equal(alert_delivery_start(&s->conf, &options, &s->d, &s->err), 0);
    return s;
}

static void end(struct scene *s) {
    alert_delivery_stop(s->d);
    pthread_mutex_destroy(&s->hook.lock);
    pthread_cond_destroy(&s->hook.changed);
    free(s);
}

static bool tell(struct scene *s, enum obs_alert_event event, const char *module, uint64_t id) {
    struct obs_alert a = alert_of(&s->rule, module, id);
    return alert_deliver(s->d, event, &a);
}

/* The value of a line of METRIC_ALERT_DELIVERIES; -1: there is none. */
static int counted(struct scene *s, const char *way, const char *outcome) {
    _cleanup_(buf_release) struct buf out = {.max = 1 << 16};
    _cleanup_(obs_page_freep) struct obs_page *page = obs_page_new();
    char line[128];
    alert_delivery_sample(s->d, page);
    obs_page_write(page, OBS_PROMETHEUS, &out);
    (void)snprintf(line, sizeof line, "{operation=\"%s\",reason=\"%s\"} ", way, outcome);
    const char *at = strstr(buf_text(&out), line);
    return at ? (int)strtol(at + strlen(line), NULL, 10) : -1;
}

static void wait_counted(struct scene *s, const char *way, const char *outcome, int least) {
    int64_t until_us = clock_mono_us() + 10000000;
    while (counted(s, way, outcome) < least) {
        assert_true(clock_mono_us() < until_us);
        usleep(2000);
    }
}

/* "2023-11-14T22:13:10.500Z" of the only alert in the newest post. */
static void starts_at(struct hook *h, char out[25]) {
    pthread_mutex_lock(&h->lock);
    const char *at = strstr(h->body, "\"startsAt\":\"");
    assert_non_null(at);
    (void)snprintf(out, 25, "%s", at + 12);
    pthread_mutex_unlock(&h->lock);
}

static void fires_once_and_resolves_once(void **state) {
    (void)state;
    char began[25], ended[25];
    struct scene *s = begin(200, 0);
    assert_true(tell(s, OBS_ALERT_FIRED, "shop", 1));
    wait_for(&s->hook, 1, 1, 0);
    starts_at(&s->hook, began);
    usleep(20000);
    assert_true(tell(s, OBS_ALERT_FIRED, "shop", 1)); /* the same again: nothing */
    assert_true(tell(s, OBS_ALERT_FIRED, "other", 2));
    wait_for(&s->hook, 2, 2, 0);
    assert_null(strstr(s->hook.body, "shop"));
    assert_true(tell(s, OBS_ALERT_RESOLVED, "shop", 1));
    wait_for(&s->hook, 3, 2, 1);
    assert_non_null(strstr(s->hook.body, "\"status\":\"resolved\""));
    starts_at(&s->hook, ended);
    assert_string_equal(ended, began);
    assert_true(tell(s, OBS_ALERT_RESOLVED, "shop", 1)); /* nobody knows of it any more */
    assert_true(tell(s, OBS_ALERT_RESOLVED, "never fired", 3));
    assert_true(tell(s, OBS_ALERT_FIRED, "last", 4));
    wait_for(&s->hook, 4, 3, 1);
    assert_int_equal(s->hook.posts, 4);
    assert_int_equal(s->hook.resolved, 1);
    wait_counted(s, "webhook", "delivered", 4);
    wait_counted(s, "log", "delivered", 4);
    assert_int_equal(counted(s, "webhook", "failed"), 0);
    assert_int_equal(counted(s, "command", "delivered"), -1);
    end(s);
}

static void what_goes_on_is_repeated(void **state) {
    (void)state;
    struct scene *s = begin(200, 50000);
    int64_t start_us = clock_mono_us();
    assert_true(tell(s, OBS_ALERT_FIRED, "shop", 1));
    wait_for(&s->hook, 4, 4, 0);
    assert_true(clock_mono_us() - start_us >= 3 * 50000);
    end(s);
}

static void failures_are_tried_again(void **state) {
    (void)state;
    struct scene *s = begin(200, 0);
    s->hook.fail_first = 3;
    assert_true(tell(s, OBS_ALERT_FIRED, "shop", 1));
    wait_for(&s->hook, 4, 1, 0);
    wait_counted(s, "webhook", "delivered", 1);
    assert_int_equal(counted(s, "webhook", "failed"), 3);
    end(s);
}

/* What fired and was over before anybody could be told is no news. */
static void while_the_hook_is_away_states_are_kept(void **state) {
    (void)state;
    struct scene *s = begin(0, 0);
    assert_true(tell(s, OBS_ALERT_FIRED, "a", 1));
    assert_true(tell(s, OBS_ALERT_FIRED, "b", 2));
    wait_for(&s->hook, 2, 0, 0);
    assert_true(tell(s, OBS_ALERT_RESOLVED, "a", 1));
    pthread_mutex_lock(&s->hook.lock);
    s->hook.status = 200;
    pthread_mutex_unlock(&s->hook.lock);
    wait_for(&s->hook, 3, 1, 0);
    pthread_mutex_lock(&s->hook.lock);
    assert_int_equal(s->hook.resolved, 0);
    pthread_mutex_unlock(&s->hook.lock);
    end(s);
}

static void a_refusal_is_not_repeated_at_once(void **state) {
    (void)state;
    struct scene *s = begin(404, 0);
    assert_true(tell(s, OBS_ALERT_FIRED, "shop", 1));
    wait_counted(s, "webhook", "failed", 1);
    usleep(200000); /* ten times the time to the next attempt, if there were one */
    assert_int_equal(s->hook.posts, 1);
    s->hook.status = 429;
    assert_true(tell(s, OBS_ALERT_FIRED, "other", 2));
    wait_for(&s->hook, 3, 0, 0); /* too many requests: later */
    end(s);
}

/* A hook that never answers: thousands are noted in no time, the rest is counted. */
static void callers_never_wait(void **state) {
    (void)state;
    struct scene *s = begin(200, 0);
    s->hook.hang = true;
    assert_true(tell(s, OBS_ALERT_FIRED, "first", 1000000));
    wait_for(&s->hook, 1, 0, 0);
    int64_t start_us = clock_mono_us(), longest_us = 0;
    int refused = 0;
    for (uint64_t i = 0; i < ALERT_DELIVERY_MAX + 99; i++) {
        int64_t before_us = clock_mono_us();
        refused += !tell(s, OBS_ALERT_FIRED, "shop", i);
        int64_t spent_us = clock_mono_us() - before_us;
        longest_us = spent_us > longest_us ? spent_us : longest_us;
    }
    assert_int_equal(refused, 100);
    assert_int_equal(counted(s, "webhook", "dropped"), 100);
    print_message("# %d alerts noted in %lld us, the slowest in %lld us\n", ALERT_DELIVERY_MAX,
                  (long long)(clock_mono_us() - start_us), (long long)longest_us);
    assert_true(longest_us < 1000000);
    start_us = clock_mono_us();
    end(s); /* within a second, though the hook hangs */
    assert_true(clock_mono_us() - start_us < 1000000);
}

static void the_way_can_change(void **state) {
    (void)state;
    struct scene *s = begin(0, 0);
    assert_true(tell(s, OBS_ALERT_FIRED, "shop", 1));
    wait_for(&s->hook, 1, 0, 0);
    s->conf.webhook = NULL;
    alert_delivery_set(s->d, &s->conf);
    assert_int_equal(counted(s, "webhook", "failed"), -1);
    s->hook.status = 200;
    s->conf.webhook = "https://hooks.slack.com/x";
    alert_delivery_set(s->d, &s->conf);
    wait_for(&s->hook, 2, 0, 0);
    wait_counted(s, "webhook", "delivered", 1);
    assert_non_null(strstr(s->hook.body, "{\"text\":\":red_circle:"));
    end(s);
}

/* ---- commands ---- */

static atomic_bool never;

static int run(const char *script, const char *input, int64_t limit_us, const atomic_bool *stop,
               struct err *err) {
    char *const argv[] = {(char *)"sh", (char *)"-c", (char *)script, NULL};
    return alert_command_run(argv, span_of(input), limit_us, stop, err);
}

static void commands_end_as_they_end(void **state) {
    (void)state;
    struct err err = {0};
    assert_int_equal(run("test \"$(cat)\" = 'in $(x)'", "in $(x)", 5000000, &never, &err), 0);
    assert_int_equal(run("exit 3", "not read", 5000000, &never, &err), ERR_UNREACHABLE);
    assert_non_null(strstr(err.text, "exit code 3"));
    assert_int_equal(run("kill -TERM $$", "", 5000000, &never, &err), ERR_UNREACHABLE);
    assert_non_null(strstr(err.text, "signal 15"));
    char *const nothing[] = {(char *)"/nonexistent/program", NULL};
    assert_int_equal(alert_command_run(nothing, SPAN_LIT("x"), 5000000, &never, &err),
                     ERR_UNREACHABLE);
    assert_non_null(strstr(err.text, "No such file"));
}

/* More than a pipe holds, to one that reads late, and to one that never does. */
static void long_inputs_do_not_block(void **state) {
    (void)state;
    struct err err = {0};
    char *input = mem_alloc(1 << 20);
    memset(input, 'x', 1 << 20);
    input[(1 << 20) - 1] = '\0';
    assert_int_equal(run("sleep 0.2; test $(wc -c) = 1048575", input, 5000000, &never, &err), 0);
    assert_int_equal(run("exec 0<&-; sleep 0.1; exit 0", input, 5000000, &never, &err), 0);
    free(input);
}

static void commands_have_a_limit(void **state) {
    (void)state;
    struct err err = {0};
    char folder[] = "/tmp/banyan-command-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char *script = mem_printf("(sleep 2; touch %s/late) & sleep 30", folder);
    char *late = mem_printf("%s/late", folder);
    int64_t start_us = clock_mono_us();
    assert_int_equal(run(script, "", 200000, &never, &err), ERR_UNREACHABLE);
    assert_true(clock_mono_us() - start_us < 1500000);
    assert_non_null(strstr(err.text, "its time was over"));
    atomic_bool stop = true;
    assert_int_equal(run("sleep 30", "", 60000000, &stop, &err), ERR_UNREACHABLE);
    assert_non_null(strstr(err.text, "the program stops"));
    usleep(2200000);
    assert_int_equal(access(late, F_OK), -1); /* its children are gone too */
    (void)rmdir(folder);
    free(script);
    free(late);
}

static void commands_see_nothing_of_ours(void **state) {
    (void)state;
    struct err err = {0};
    int open_one = dup(1);
    assert_true(open_one > 2);
    /* ls's own descriptor of the folder is 3. */
    assert_int_equal(
        run("test \"$(ls /proc/self/fd | tr '\\n' ' ')\" = '0 1 2 3 '", "", 5000000, &never, &err),
        0);
    close(open_one);
}

static void a_command_is_a_way(void **state) {
    (void)state;
    char folder[] = "/tmp/banyan-command-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char *script = mem_printf("cat > %s/new && mv %s/new %s/body", folder, folder, folder);
    char *body = mem_printf("%s/body", folder);
    struct conf_text words[] = {{.text = "sh"}, {.text = "-c"}, {.text = script}};
    struct scene *s = begin(200, 0);
    s->conf.webhook = NULL;
    s->conf.command = (struct conf_list){.items = words, .count = 3, .at = {1, 1}};
    alert_delivery_set(s->d, &s->conf);
    assert_true(tell(s, OBS_ALERT_FIRED, "shop", 1));
    wait_counted(s, "command", "delivered", 1);
    char text[4096] = "";
    FILE *f = fopen(body, "re");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    (void)fclose(f);
    assert_true(n > 0);
    assert_non_null(strstr(text, "\"status\":\"firing\""));
    assert_int_equal(s->hook.posts, 0);
    end(s);
    (void)unlink(body);
    (void)rmdir(folder);
    free(body);
    free(script);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN); /* as stop_install does in the program */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_are_exact),
        cmocka_unit_test(the_largest_batch_fits),
        cmocka_unit_test(the_form_follows_the_address),
        cmocka_unit_test(fires_once_and_resolves_once),
        cmocka_unit_test(what_goes_on_is_repeated),
        cmocka_unit_test(failures_are_tried_again),
        cmocka_unit_test(while_the_hook_is_away_states_are_kept),
        cmocka_unit_test(a_refusal_is_not_repeated_at_once),
        cmocka_unit_test(callers_never_wait),
        cmocka_unit_test(the_way_can_change),
        cmocka_unit_test(commands_end_as_they_end),
        cmocka_unit_test(long_inputs_do_not_block),
        cmocka_unit_test(commands_have_a_limit),
        cmocka_unit_test(commands_see_nothing_of_ours),
        cmocka_unit_test(a_command_is_a_way),
    };
    return cmocka_run_group_tests_name("alert_delivery", tests, NULL, NULL);
}
