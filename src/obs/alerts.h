/*
 * Alert rules over the metrics: pure, the time is an argument.
 *
 * Each rule watches every series of its metric (one alert for each module, collection ...):
 *
 *   inactive --fails--> pending --has failed for `for`--> firing --passes--> inactive
 *      ^                   |                     (event FIRED)     (event RESOLVED)
 *      +------passes-------+
 *
 * What is compared: a gauge as it is, or its mean over the window where the rule has one; a counter
 * as its growth a second over the window; a histogram as its 99th percentile over the window; a
 * rate (error_rate, divergence_rate) as bad / all over the window, by Wilson's interval (95 %): it
 * fails only when the whole interval is beyond the threshold, passes when it is not beyond by its
 * estimate, and is inconclusive below `min_samples`: nothing changes then. A firing alert passes
 * only at 10 % inside the threshold, so it does not flap, or when its window has no samples at all.
 * A series that is no longer reported passes after its window, at least a minute.
 *
 * Owner: one thread. Times are microseconds, monotonic or wall, but always the same clock.
 */
#ifndef BANYAN_OBS_ALERTS_H
#define BANYAN_OBS_ALERTS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "obs/metrics.h"

#include <stdbool.h>
#include <stdint.h>

#define OBS_ALERT_RULES_MAX 200
#define OBS_ALERTS_MAX 2000                         /* alerts of all rules; more are not watched */
#define OBS_ALERT_WINDOW_MAX (INT64_C(86400000000)) /* a day */
#define OBS_ALERT_NAME_MAX 64

/* The unit that a threshold was written in: 10000, 60s, 1%. */
enum obs_threshold_unit { OBS_UNIT_NUMBER, OBS_UNIT_SECONDS, OBS_UNIT_PERCENT };

enum obs_alert_kind { OBS_RULE_GAUGE, OBS_RULE_COUNTER, OBS_RULE_HISTOGRAM, OBS_RULE_RATE };

struct obs_alert_rule {
    char metric_name[OBS_ALERT_NAME_MAX]; /* as written: of the table or of the reference */
    char name[OBS_ALERT_NAME_MAX * 2];    /* "streaming_lag > 60": what makes it this rule */
    enum obs_alert_kind kind;
    enum obs_metric metric; /* of a rate: the counter of what is bad */
    enum obs_metric of;     /* of a rate: what makes all; of a histogram its count */
    bool of_all;            /* `of` counts the bad ones too */
    bool under;             /* fails below the threshold instead of above */
    double threshold;       /* in the metric's unit; of a rate from 0 to 1 */
    int64_t window_us;      /* 0: as it is now */
    int64_t for_us;
    uint64_t min_samples;
    char severity[16];
    char module[OBS_LABEL_VALUE_MAX + 1]; /* only series of this one; "": of all */
};

/*
 * Fills a rule for a metric's name: of the table, or of the reference: kafka_lag (changes waiting),
 * streaming_lag (seconds), error_rate (failures out of attempts to write), divergence_rate (reads
 * that really differ out of those that the parallel run compared), verification_rate (documents
 * found different out of those compared). A window of -1 and a min_samples of -1 stand
 * for the defaults: 5 minutes and 100 for a rate, 1 minute and 1 for a counter, 5 minutes and 20
 * for a histogram, none for a gauge. ERR_CONF says what does not fit; the caller adds the place.
 */
struct obs_alert_spec {
    const char *metric;
    bool under;
    double threshold;
    enum obs_threshold_unit unit;
    int64_t window_us, for_us;
    int64_t min_samples;
    const char *severity; /* NULL: high */
    const char *module;   /* NULL: all of them */
};
int obs_alert_rule_init(struct obs_alert_rule *rule, const struct obs_alert_spec *spec,
                        struct err *err) must_check;

enum obs_alert_state { OBS_ALERT_INACTIVE, OBS_ALERT_PENDING, OBS_ALERT_FIRING };
enum obs_verdict { OBS_PASS, OBS_FAIL, OBS_INCONCLUSIVE };

struct obs_alert_label {
    const char *name; /* static */
    char value[OBS_LABEL_VALUE_MAX + 1];
};

struct obs_alert {
    const struct obs_alert_rule *rule;
    uint64_t fingerprint; /* of rule and labels: the same in every process */
    struct obs_alert_label labels[OBS_LABELS_MAX]; /* those that are not empty */
    size_t label_count;
    enum obs_alert_state state;
    enum obs_verdict verdict; /* of the last evaluation */
    double value;             /* what was compared */
    uint64_t samples;         /* of the window */
    int64_t since_us;         /* in this state */
    int64_t fired_us;         /* when it last became firing; 0: never */
};

enum obs_alert_event { OBS_ALERT_FIRED, OBS_ALERT_RESOLVED };
typedef void (*obs_alert_fn)(void *context, enum obs_alert_event event,
                             const struct obs_alert *alert);

struct obs_alerts;
/* Copies the rules. */
struct obs_alerts *obs_alerts_new(const struct obs_alert_rule *rules, size_t count);
void obs_alerts_free(struct obs_alerts *alerts);
DEFINE_CLEANUP(struct obs_alerts *, obs_alerts_free)

/* Looks at a page of samples and tells what changed. Every few seconds; `now_us` never goes back.
 */
void obs_alerts_evaluate(struct obs_alerts *alerts, const struct obs_page *page, int64_t now_us,
                         obs_alert_fn changed, void *context);

/* New rules, all at once: alerts of a rule that stays as it is keep their state; firing ones of a
 * rule that is gone are resolved. */
void obs_alerts_reload(struct obs_alerts *alerts, const struct obs_alert_rule *rules, size_t count,
                       int64_t now_us, obs_alert_fn changed, void *context);

size_t obs_alerts_count(const struct obs_alerts *alerts);
/* In the order in which they were seen. Borrowed until the next evaluation or reload. */
const struct obs_alert *obs_alerts_get(const struct obs_alerts *alerts, size_t index);
/* Adds METRIC_ALERT_STATE. */
void obs_alerts_sample(const struct obs_alerts *alerts, struct obs_page *page);

/* The value of a label; "" where the alert has none of that name. */
const char *obs_alert_label(const struct obs_alert *alert, const char *name);

/* "streaming lag of shop is 75 s, over 60 s for 2 minutes", without a full stop. */
void obs_alert_words(const struct obs_alert *alert, struct buf *out);
const char *obs_alert_state_name(enum obs_alert_state state);

/* Wilson's score interval of `bad` out of `all`, 95 %: the ends of where the true rate is. */
struct obs_interval {
    double low, high;
};
struct obs_interval obs_wilson(uint64_t bad, uint64_t all);

#endif
