/*
 * What can be measured, in one table, and the page that Prometheus reads.
 *
 * The table is OBS_METRICS: nothing else names a metric, and docs/metrics.md is written from it. A
 * collector walks what is live at a scrape and adds samples in any order:
 *
 *   struct obs_page *page = obs_page_new();
 *   obs_sample(page, METRIC_LAG_BYTES, 4096, "shop");
 *   obs_sample_histogram(page, METRIC_APPLY_LATENCY, &live->apply_us, "shop");
 *   obs_page_write(page, OBS_OPENMETRICS, &out);
 *   obs_page_clear(page);
 *
 * Values of labels stand in the order of the table, all of them, as NUL-terminated text that is
 * copied; NULL or "" is "no such label". The same page feeds the alert rules (obs/alerts.h). The
 * output depends only on the samples, not on their order; a series that is there twice and what is
 * over the limits is left out and counted in the metric METRIC_SERIES_DROPPED. One thread a page.
 */
#ifndef BANYAN_OBS_METRICS_H
#define BANYAN_OBS_METRICS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "obs/histogram.h"

#include <stdbool.h>
#include <stddef.h>

#define OBS_SERIES_MAX 50000            /* of one page */
#define OBS_PAGE_MAX (16 * 1024 * 1024) /* bytes of label values of one page */
#define OBS_LABELS_MAX 4                /* of one metric */
#define OBS_LABEL_VALUE_MAX 256         /* bytes; longer ones are cut at a character */
#define OBS_BOUNDS_MAX 24               /* of one histogram on a page */

enum obs_type { OBS_COUNTER, OBS_GAUGE, OBS_HISTOGRAM, OBS_INFO };

/*
 * id, name, type, unit, labels (module, collection, operation, route, side, reason, edge; never a
 * user, a tenant, a path or a document), help. A histogram of seconds is fed with microseconds; one
 * without a unit with counts.
 */
#define OBS_L(...)                                                                                 \
    { __VA_ARGS__ }
#define OBS_METRICS(X)                                                                             \
    X(BUILD_INFO, "banyan_build_info", OBS_INFO, "", OBS_L("version"),                             \
      "The running version; always 1.")                                                            \
    X(PROCESS_START, "banyan_process_start_time_seconds", OBS_GAUGE, "seconds", OBS_L(),           \
      "When the process started, since 1970-01-01 UTC.")                                           \
    X(PROCESS_CPU, "banyan_process_cpu_seconds_total", OBS_COUNTER, "seconds", OBS_L(),            \
      "Processor time used, user and system.")                                                     \
    X(PROCESS_RESIDENT, "banyan_process_resident_memory_bytes", OBS_GAUGE, "bytes", OBS_L(),       \
      "Memory in use (VmRSS).")                                                                    \
    X(PROCESS_PEAK, "banyan_process_peak_memory_bytes", OBS_GAUGE, "bytes", OBS_L(),               \
      "The most memory ever in use (VmHWM).")                                                      \
    X(PIPELINE_STATE, "banyan_pipeline_state", OBS_GAUGE, "", OBS_L("module", "reason"),           \
      "1 for the state that the pipeline is in, 0 for the others: starting, waiting, copying, "    \
      "catching_up, streaming, paused, failed, stopped.")                                          \
    X(CHANGES_RECEIVED, "banyan_changes_received_total", OBS_COUNTER, "", OBS_L("module"),         \
      "Changes received from the source's log.")                                                   \
    X(CHANGES_APPLIED, "banyan_changes_applied_total", OBS_COUNTER, "", OBS_L("module"),           \
      "Changes whose writes the target has acknowledged.")                                         \
    X(DOCUMENTS_WRITTEN, "banyan_documents_written_total", OBS_COUNTER, "",                        \
      OBS_L("module", "collection", "operation"),                                                  \
      "Documents written, by operation: written (inserted or replaced), deleted, refreshed (read " \
      "again from the source because a joined row changed).")                                      \
    X(LAG_BYTES, "banyan_lag_bytes", OBS_GAUGE, "bytes", OBS_L("module"),                          \
      "Bytes of the source's log that the target has not acknowledged yet.")                       \
    X(LAG_SECONDS, "banyan_lag_seconds", OBS_GAUGE, "seconds", OBS_L("module"),                    \
      "Age of the newest commit received that is not acknowledged; 0 when idle; while the "        \
      "pipeline does not run, of what was applied last.")                                          \
    X(LAG_CHANGES, "banyan_lag_changes", OBS_GAUGE, "", OBS_L("module"),                           \
      "Changes received that the target has not acknowledged yet.")                                \
    X(BATCH_OPERATIONS, "banyan_batch_operations", OBS_HISTOGRAM, "", OBS_L("module"),             \
      "Operations in one batch sent to the target.")                                               \
    X(APPLY_LATENCY, "banyan_apply_latency_seconds", OBS_HISTOGRAM, "seconds", OBS_L("module"),    \
      "From sending a batch to its acknowledgement by the target.")                                \
    X(RETRIES, "banyan_retries_total", OBS_COUNTER, "", OBS_L("module"),                           \
      "Batches that the target did not take at once and that were sent again.")                    \
    X(ERRORS, "banyan_errors_total", OBS_COUNTER, "", OBS_L("module", "reason"),                   \
      "Times that the pipeline ended by a failure and was started again, by kind of error.")       \
    X(PARKED, "banyan_parked_changes", OBS_GAUGE, "", OBS_L("module", "collection"),               \
      "Changes set aside because the target refused them; they wait for a person.")                \
    X(QUEUE_FILL, "banyan_queue_fill_ratio", OBS_GAUGE, "ratio", OBS_L("module"),                  \
      "How full the queue between receiver and writers is, from 0 to 1.")                          \
    X(WRITES_LIMIT, "banyan_writes_per_second_limit", OBS_GAUGE, "", OBS_L("module"),              \
      "The limit of documents written in a second; 0: none.")                                      \
    X(SLOT_RETAINED, "banyan_slot_wal_retained_bytes", OBS_GAUGE, "bytes", OBS_L("module"),        \
      "Log that the source keeps on its disk for the slot.")                                       \
    X(SLOT_STATE, "banyan_slot_state", OBS_GAUGE, "", OBS_L("module", "reason"),                   \
      "1 for what the source says about the slot's log (reserved, extended, unreserved, lost, "    \
      "missing), 0 for the others.")                                                               \
    X(CHECKPOINT_POSITION, "banyan_checkpoint_position_bytes", OBS_GAUGE, "bytes",                 \
      OBS_L("module"),                                                                             \
      "The position in the source's log before which everything is acknowledged.")                 \
    X(CHECKPOINT_AGE, "banyan_checkpoint_age_seconds", OBS_GAUGE, "seconds", OBS_L("module"),      \
      "Time since the checkpoint was stored.")                                                     \
    X(SNAPSHOT_COPIED, "banyan_snapshot_documents_copied", OBS_GAUGE, "", OBS_L("module"),         \
      "Documents that the snapshot has copied.")                                                   \
    X(SNAPSHOT_EXPECTED, "banyan_snapshot_documents_expected", OBS_GAUGE, "", OBS_L("module"),     \
      "Documents that the snapshot will have copied, by the source's estimate.")                   \
    X(FANOUTS_WAITING, "banyan_fanouts_waiting", OBS_GAUGE, "", OBS_L("module", "collection"),     \
      "Rows whose very many documents are still to be read again.")                                \
    X(COLLECTIONS, "banyan_collections", OBS_GAUGE, "", OBS_L("module", "reason"),                 \
      "Collections by phase: new, copying, catching_up, streaming, stopped.")                      \
    X(VERIFICATION_RUNNING, "banyan_verification_running", OBS_GAUGE, "", OBS_L("module"),         \
      "1 while a verification runs.")                                                              \
    X(VERIFICATION_COMPARED, "banyan_verification_compared_total", OBS_COUNTER, "",                \
      OBS_L("module"), "Documents compared by verifications since the process started.")           \
    X(VERIFICATION_DIFFERENT, "banyan_verification_different_total", OBS_COUNTER, "",              \
      OBS_L("module"), "Documents that verifications found different since the process started.")  \
    X(VERIFICATION_UNSETTLED, "banyan_verification_unsettled_total", OBS_COUNTER, "",              \
      OBS_L("module"),                                                                             \
      "Documents that changed too often to be compared, since the process started.")               \
    X(VERIFICATION_LAST_DIFFERENT, "banyan_verification_last_different", OBS_GAUGE, "",            \
      OBS_L("module"), "Documents that the last finished verification found different.")           \
    X(VERIFICATION_AGE, "banyan_verification_age_seconds", OBS_GAUGE, "seconds", OBS_L("module"),  \
      "Time since the last verification finished.")                                                \
    X(FLAGS, "banyan_flags", OBS_GAUGE, "", OBS_L("reason"),                                       \
      "Flags by what they are: enabled, disabled, killed, overridden, stale.")                     \
    X(FLAGS_CHANGES, "banyan_flags_changes_total", OBS_COUNTER, "", OBS_L(),                       \
      "Times that the flags in use changed, by a file, a person or another daemon.")               \
    X(FLAGS_LOADS, "banyan_flags_loads_total", OBS_COUNTER, "", OBS_L("reason"),                   \
      "Times that flags were read: loaded, refused (the flags before stay in use).")               \
    X(FLAG_EVALUATIONS, "banyan_flag_evaluations_total", OBS_COUNTER, "",                          \
      OBS_L("operation", "reason"),                                                                \
      "Flag evaluations, by result (on, off, other) and reason (STATIC, SPLIT, TARGETING_MATCH, "  \
      "DISABLED, DEFAULT, ERROR).")                                                                \
    X(REDIS_UP, "banyan_redis_up", OBS_GAUGE, "", OBS_L(),                                         \
      "1 while Redis answers; absent where none is configured.")                                   \
    X(OPERATIONS, "banyan_operation_calls_total", OBS_COUNTER, "",                                 \
      OBS_L("module", "operation", "side", "reason"),                                              \
      "Calls of a side for an operation whose caller waits, by outcome: ok, 404 (no row), "        \
      "connect, timeout, 5xx.")                                                                    \
    X(OPERATION_LATENCY, "banyan_operation_duration_seconds", OBS_HISTOGRAM, "seconds",            \
      OBS_L("module", "operation", "side"), "How long such a call of a side took.")                \
    X(OPERATION_SAMPLES, "banyan_operation_samples_total", OBS_COUNTER, "",                        \
      OBS_L("module", "operation", "side"), "Calls of the side that does not answer, to compare.") \
    X(OPERATION_DROPPED, "banyan_operation_samples_dropped_total", OBS_COUNTER, "",                \
      OBS_L("module", "operation", "reason"),                                                      \
      "Samples not taken: budget (too many a second), busy (too many at one time).")               \
    X(OPERATION_RESCUED, "banyan_operation_rescued_total", OBS_COUNTER, "",                        \
      OBS_L("module", "operation", "side"),                                                        \
      "Calls of a side that the other one answered in its place.")                                 \
    X(OPERATION_BREAKER, "banyan_operation_breaker_open", OBS_GAUGE, "",                           \
      OBS_L("module", "operation"), "1 while MongoDB is left alone, as it failed too often.")      \
    X(OPERATION_SESSIONS, "banyan_operation_sessions", OBS_GAUGE, "", OBS_L("side"),               \
      "Sessions of operations that are open or being opened.")                                     \
    X(EDGE_UP, "banyan_edge_up", OBS_GAUGE, "", OBS_L("edge"),                                     \
      "1 while the gateway on another machine asks; 0 when it was not heard of for 3 seconds.")    \
    X(EDGE_CONFIRMED, "banyan_edge_confirmed", OBS_GAUGE, "", OBS_L("edge"),                       \
      "1 when the edge uses the flags and settings that hold.")                                    \
    X(EDGE_SAMPLES_DROPPED, "banyan_edge_samples_dropped_total", OBS_COUNTER, "", OBS_L("edge"),   \
      "Samples that the edge could not hand over.")                                                \
    X(CONTROL_UP, "banyan_control_up", OBS_GAUGE, "", OBS_L(),                                     \
      "On an edge: 1 while the control daemon answers.")                                           \
    X(HANDED_OVER, "banyan_handed_over_total", OBS_COUNTER, "", OBS_L("operation", "reason"),      \
      "On an edge: samples and batches of statistics by outcome: sent, dropped, lost.")            \
    X(BATCHES_WAITING, "banyan_batches_waiting", OBS_GAUGE, "", OBS_L(),                           \
      "On an edge: batches of statistics that wait for the control daemon.")                       \
    X(HTTP_REQUESTS, "banyan_http_requests_total", OBS_COUNTER, "",                                \
      OBS_L("route", "operation", "reason"),                                                       \
      "Requests answered, by template of the route, method and class of the status (2xx ...).")    \
    X(HTTP_LATENCY, "banyan_http_request_duration_seconds", OBS_HISTOGRAM, "seconds",              \
      OBS_L("route"), "From a request's last byte to its answer.")                                 \
    X(HTTP_CONNECTIONS, "banyan_http_connections", OBS_GAUGE, "", OBS_L(), "Open connections.")    \
    X(HTTP_REFUSED, "banyan_http_refused_total", OBS_COUNTER, "", OBS_L("reason"),                 \
      "Refused: limit (connections), host, access (token, role, other site), malformed, slow.")    \
    X(SSE_STREAMS, "banyan_sse_streams", OBS_GAUGE, "", OBS_L(), "Open streams of events.")        \
    X(SSE_CUT, "banyan_sse_cut_total", OBS_COUNTER, "", OBS_L("reason"),                           \
      "Streams of events that were cut: slow readers, limit.")                                     \
    X(COMPARED, "banyan_compared_total", OBS_COUNTER, "", OBS_L("module", "operation", "route"),   \
      "Sampled reads whose answers of both sides were compared.")                                  \
    X(DIVERGENT, "banyan_divergent_total", OBS_COUNTER, "", OBS_L("module", "operation", "route"), \
      "Compared reads that really differ: not by lag, and not settled by asking again.")           \
    X(DIVERGENCE_RATIO, "banyan_divergence_ratio", OBS_GAUGE, "ratio",                             \
      OBS_L("module", "operation", "route"),                                                       \
      "Share of compared reads that really differ, weighted as they were sampled, since the "      \
      "process started.")                                                                          \
    X(COMPARED_LAG, "banyan_compared_lag_total", OBS_COUNTER, "",                                  \
      OBS_L("module", "operation", "route"),                                                       \
      "Compared reads that differed only because MongoDB was behind.")                             \
    X(COMPARED_UNSETTLED, "banyan_compared_unsettled_total", OBS_COUNTER, "",                      \
      OBS_L("module", "operation", "route"),                                                       \
      "Compared reads of which it could not be found out whether they really differ.")             \
    X(NOISE_RUNS, "banyan_noise_runs_total", OBS_COUNTER, "",                                      \
      OBS_L("module", "operation", "route"), "Reads that ran twice on SQL.")                       \
    X(NOISE, "banyan_noise_total", OBS_COUNTER, "", OBS_L("module", "operation", "route"),         \
      "Reads that ran twice on SQL and got different answers.")                                    \
    X(EXPLAINED, "banyan_explained_total", OBS_COUNTER, "",                                        \
      OBS_L("module", "operation", "route", "reason"),                                             \
      "Differences that a rule (reason) has explained away.")                                      \
    X(NOT_COMPARED, "banyan_not_compared_total", OBS_COUNTER, "",                                  \
      OBS_L("module", "operation", "route", "reason"),                                             \
      "Samples that were not compared, by reason: head, not_modified, partial, event_stream, "     \
      "encoding, too_large, damaged, write, budget, breaker, unreachable, timeout, forbidden, "    \
      "queue, not_ready.")                                                                         \
    X(SAMPLES_DROPPED, "banyan_samples_dropped_total", OBS_COUNTER, "",                            \
      OBS_L("module", "route", "reason"),                                                          \
      "Samples that the gateway did not hand over, by reason: away, full, large, aborted.")        \
    X(KEPT_ON_SQL, "banyan_kept_on_sql_total", OBS_COUNTER, "",                                    \
      OBS_L("module", "route", "reason"),                                                          \
      "Reads of the gateway that MongoDB would have had, by reason: own_write (the user has just " \
      "written), breaker (MongoDB failed too often).")                                             \
    X(OWN_WRITES_EXPIRED, "banyan_own_writes_expired_total", OBS_COUNTER, "",                      \
      OBS_L("module", "route"),                                                                    \
      "Marks of own writes that ended by own_writes.wait before MongoDB had the write.")           \
    X(SAMPLES_FOREIGN, "banyan_samples_refused_total", OBS_COUNTER, "", OBS_L("reason"),           \
      "Frames of the gateway that were not taken: of no route that the daemon knows, broken.")     \
    X(SAMPLES_WAITING, "banyan_samples_waiting", OBS_GAUGE, "", OBS_L(),                           \
      "Samples that wait for a worker of the parallel run.")                                       \
    X(SETTLING, "banyan_settling", OBS_GAUGE, "", OBS_L(),                                         \
      "Mismatches that are being asked again.")                                                    \
    X(DIVERGENCES_DROPPED, "banyan_divergences_dropped_total", OBS_COUNTER, "", OBS_L(),           \
      "Calls with divergences that were counted but not stored.")                                  \
    X(GATEWAY_WORKERS, "banyan_gateway_workers", OBS_GAUGE, "", OBS_L(),                           \
      "Workers of nginx that are connected to the daemon.")                                        \
    X(SIDE_CALLS, "banyan_calls_total", OBS_COUNTER, "",                                           \
      OBS_L("module", "operation", "route", "side"),                                               \
      "Calls that a client waited for, by the side that was asked.")                               \
    X(SIDE_ERRORS, "banyan_call_errors_total", OBS_COUNTER, "",                                    \
      OBS_L("module", "operation", "route", "side"), "Those that failed, rescued ones included.")  \
    X(RESCUED, "banyan_calls_rescued_total", OBS_COUNTER, "",                                      \
      OBS_L("module", "operation", "route"),                                                       \
      "Calls that failed on MongoDB and that SQL has answered.")                                   \
    X(SIDE_LATENCY, "banyan_call_seconds", OBS_HISTOGRAM, "seconds",                               \
      OBS_L("module", "operation", "route", "side"),                                               \
      "How long the side took for a call that a client waited for.")                               \
    X(SHADOW_CALLS, "banyan_shadow_calls_total", OBS_COUNTER, "",                                  \
      OBS_L("module", "operation", "route", "side"),                                               \
      "Calls of the parallel run itself, by the side that was asked.")                             \
    X(SHADOW_ERRORS, "banyan_shadow_errors_total", OBS_COUNTER, "",                                \
      OBS_L("module", "operation", "route", "side"), "Those that failed.")                         \
    X(SHADOW_LATENCY, "banyan_shadow_seconds", OBS_HISTOGRAM, "seconds",                           \
      OBS_L("module", "operation", "route", "side"),                                               \
      "How long the side took for a call of the parallel run.")                                    \
    X(ALERT_STATE, "banyan_alert_state", OBS_GAUGE, "", OBS_L("module", "collection", "reason"),   \
      "Alerts by rule (reason): 0 inactive, 1 pending, 2 firing.")                                 \
    X(ALERT_DELIVERIES, "banyan_alert_deliveries_total", OBS_COUNTER, "",                          \
      OBS_L("operation", "reason"),                                                                \
      "Alerts sent, by way (webhook, command, log) and outcome (delivered, failed, dropped).")     \
    X(ROLLUPS_WRITTEN, "banyan_rollup_writes_total", OBS_COUNTER, "", OBS_L("reason"),             \
      "Times that the statistics of a minute were stored: written, failed.")                       \
    X(SERIES_DROPPED, "banyan_scrape_series_dropped", OBS_GAUGE, "", OBS_L(),                      \
      "Series left out of this page: given twice, or over a limit.")

enum obs_metric {
#define OBS_METRIC_ENUM(id, name, type, unit, labels, help) METRIC_##id,
    OBS_METRICS(OBS_METRIC_ENUM)
#undef OBS_METRIC_ENUM
        OBS_METRIC_COUNT
};

struct obs_metric_info {
    const char *name;
    enum obs_type type;
    const char *unit;
    const char *help;
    const char *labels[OBS_LABELS_MAX + 1]; /* NULL ends them */
};
const struct obs_metric_info *obs_metric_info(enum obs_metric metric);
/* "counter", "gauge", ... */
const char *obs_type_name(enum obs_type type);
/* OBS_METRIC_COUNT: there is none of that name. */
enum obs_metric obs_metric_find(struct span name);
/* docs/metrics.md. */
void obs_metrics_docs(struct buf *out);

struct obs_page;
struct obs_page *obs_page_new(void);
void obs_page_free(struct obs_page *page);
DEFINE_CLEANUP(struct obs_page *, obs_page_free)
/* Forgets the samples; keeps the memory. */
void obs_page_clear(struct obs_page *page);

/* A counter, gauge or info (value 1). The number of values of labels is checked. A value that is
 * not finite is "not known" and left out. */
#define obs_sample(page, metric, value, ...)                                                       \
    obs_sample_values((page), (metric), (double)(value), OBS_VALUES(__VA_ARGS__),                  \
                      OBS_VALUE_COUNT(__VA_ARGS__))
/* Copies what it needs of `h`. */
#define obs_sample_histogram(page, metric, h, ...)                                                 \
    obs_sample_histogram_values((page), (metric), (h), OBS_VALUES(__VA_ARGS__),                    \
                                OBS_VALUE_COUNT(__VA_ARGS__))
#define OBS_VALUES(...) ((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})
#define OBS_VALUE_COUNT(...) (sizeof OBS_VALUES(__VA_ARGS__) / sizeof(char *) - 1)

void obs_sample_values(struct obs_page *page, enum obs_metric metric, double value,
                       const char *const *labels, size_t label_count);
void obs_sample_histogram_values(struct obs_page *page, enum obs_metric metric,
                                 const struct obs_histogram *h, const char *const *labels,
                                 size_t label_count);

enum obs_format { OBS_PROMETHEUS, OBS_OPENMETRICS };
/* By the Accept header of a request; NULL or anything else: Prometheus text. */
enum obs_format obs_format_accepted(const char *accept);
const char *obs_content_type(enum obs_format format);
/* Sorts the samples and writes them all; the buffer's limit latches in it. */
void obs_page_write(struct obs_page *page, enum obs_format format, struct buf *out);

/* A series of a page, for the alert rules. Borrowed until the page changes. */
struct obs_series {
    enum obs_metric metric;
    const char *labels[OBS_LABELS_MAX]; /* in the table's order; never NULL */
    double value;                       /* of a histogram: the sum, in its unit */
    const uint64_t *cumulative;         /* histogram: samples up to each bound, then all */
};
size_t obs_page_count(const struct obs_page *page);
void obs_page_series(const struct obs_page *page, size_t index, struct obs_series *ret);
/* The bounds (le) of a metric's histogram, in its unit; *ret_count does not count +Inf. */
const double *obs_metric_bounds(enum obs_metric metric, size_t *ret_count);
/* Samples up to each bound and all (bounds + 1 numbers); returns the sum, in the metric's unit. */
double obs_metric_cumulate(enum obs_metric metric, const struct obs_histogram *h,
                           uint64_t *ret_cumulative);

#endif
