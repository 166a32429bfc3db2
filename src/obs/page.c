/* Samples of one scrape, sorted into families and written as text. */
#include "obs/metrics.h"

#include "base/arena.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/utf8.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SERIES_FIRST 64

struct series {
    enum obs_metric metric;
    uint32_t number; /* of the call: the first of two equal ones stays */
    double value;
    const char *labels;         /* one text behind the other, each with its NUL */
    const uint64_t *cumulative; /* histogram */
};

struct obs_page {
    struct arena arena;
    struct series *series;
    size_t count, room;
    uint64_t dropped;
};

struct obs_page *obs_page_new(void) {
    struct obs_page *page = mem_zalloc(1, sizeof *page);
    arena_init(&page->arena, OBS_PAGE_MAX);
    return page;
}

void obs_page_free(struct obs_page *page) {
    if (!page)
        return;
    arena_release(&page->arena);
    free(page->series);
    free(page);
}

void obs_page_clear(struct obs_page *page) {
    arena_reset(&page->arena);
    page->count = 0;
    page->dropped = 0;
}

static size_t label_count(enum obs_metric metric) {
    const struct obs_metric_info *info = obs_metric_info(metric);
    size_t n = 0;
    while (info->labels[n])
        n++;
    return n;
}

/* At most OBS_LABEL_VALUE_MAX bytes of well-formed UTF-8; returns the length. */
static size_t copy_value(const char *value, char *out) {
    struct span left = span_of(value);
    size_t len = 0;
    while (left.len > 0) {
        size_t n = utf8_char_len(left), step = n > 0 ? n : 1;
        struct span c = n > 0 ? span_make(left.ptr, n) : SPAN_LIT("\xef\xbf\xbd");
        if (len + c.len > OBS_LABEL_VALUE_MAX)
            break;
        memcpy(out + len, c.ptr, c.len);
        len += c.len;
        left = span_make(left.ptr + step, left.len - step);
    }
    return len;
}

/* NULL: the page is full. */
static const char *pack_labels(struct obs_page *page, const char *const *values, size_t count) {
    char packed[OBS_LABELS_MAX * (OBS_LABEL_VALUE_MAX + 1) + 1];
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        len += copy_value(values[i] ? values[i] : "", packed + len);
        packed[len++] = '\0';
    }
    return arena_copy(&page->arena, span_make(packed, len)).ptr;
}

static struct series *add_series(struct obs_page *page, enum obs_metric metric, double value,
                                 const char *const *labels, size_t count) {
    assert(metric < OBS_METRIC_COUNT && count == label_count(metric));
    if (!isfinite(value))
        return NULL;
    const char *packed = page->count < OBS_SERIES_MAX ? pack_labels(page, labels, count) : NULL;
    if (!packed) {
        page->dropped++;
        return NULL;
    }
    if (page->count == page->room) {
        page->room = page->room > 0 ? page->room * 2 : SERIES_FIRST;
        page->series = mem_realloc(page->series, page->room, sizeof *page->series);
    }
    struct series *s = &page->series[page->count];
    *s = (struct series){metric, (uint32_t)page->count, value, packed, NULL};
    page->count++;
    return s;
}

void obs_sample_values(struct obs_page *page, enum obs_metric metric, double value,
                       const char *const *labels, size_t count) {
    assert(obs_metric_info(metric)->type != OBS_HISTOGRAM);
    (void)add_series(page, metric, value, labels, count);
}

void obs_sample_histogram_values(struct obs_page *page, enum obs_metric metric,
                                 const struct obs_histogram *h, const char *const *labels,
                                 size_t count) {
    assert(obs_metric_info(metric)->type == OBS_HISTOGRAM);
    size_t bounds;
    (void)obs_metric_bounds(metric, &bounds);
    uint64_t *cumulative = arena_alloc(&page->arena, (bounds + 1) * sizeof *cumulative);
    if (!cumulative) {
        page->dropped++;
        return;
    }
    double sum = obs_metric_cumulate(metric, h, cumulative);
    struct series *s = add_series(page, metric, sum, labels, count);
    if (s)
        s->cumulative = cumulative;
}

size_t obs_page_count(const struct obs_page *page) {
    return page->count;
}

static void unpack_labels(const struct series *s, const char **ret_labels) {
    const char *at = s->labels;
    size_t count = label_count(s->metric);
    for (size_t i = 0; i < count; i++) {
        ret_labels[i] = at;
        at += strlen(at) + 1;
    }
}

void obs_page_series(const struct obs_page *page, size_t index, struct obs_series *ret) {
    const struct series *s = &page->series[index];
    *ret = (struct obs_series){.metric = s->metric, .value = s->value, .cumulative = s->cumulative};
    for (size_t i = 0; i < OBS_LABELS_MAX; i++)
        ret->labels[i] = "";
    unpack_labels(s, ret->labels);
}

/* ---- text ---- */

struct writer {
    struct buf *out;
    enum obs_format format;
};

static int compare_labels(const struct series *a, const struct series *b) {
    const char *x = a->labels, *y = b->labels;
    for (size_t left = label_count(a->metric); left > 0; left--) {
        int order = strcmp(x, y);
        if (order != 0)
            return order;
        x += strlen(x) + 1;
        y += strlen(y) + 1;
    }
    return 0;
}

static int compare_series(const void *left, const void *right) {
    const struct series *a = left, *b = right;
    if (a->metric != b->metric)
        return a->metric < b->metric ? -1 : 1;
    int order = compare_labels(a, b);
    if (order != 0)
        return order;
    return a->number < b->number ? -1 : a->number > b->number;
}

static void add_number(struct buf *out, double v) {
    char text[TEXT_DOUBLE_MAX];
    if (v == floor(v) && fabs(v) < 9007199254740992.0) {
        buf_printf(out, "%" PRId64, (int64_t)v);
        return;
    }
    buf_add(out, text, text_double(v, text));
}

/* A bound is written as the client libraries of each format write it, so that series stay the same
 * when the format changes. */
static void add_bound(const struct writer *w, double v) {
    add_number(w->out, v);
    if (w->format == OBS_OPENMETRICS && v == floor(v))
        buf_add_text(w->out, ".0");
}

static void add_escaped(struct buf *out, const char *text, bool quotes) {
    for (const char *p = text; *p; p++) {
        if (*p == '\n')
            buf_add_text(out, "\\n");
        else if (*p == '\\' || (*p == '"' && quotes))
            buf_printf(out, "\\%c", *p);
        else
            buf_add_char(out, *p);
    }
}

/* Labels that are empty are absent: that is what they mean to Prometheus. */
static void add_line_start(const struct writer *w, const struct series *s, const char *suffix,
                           const double *bound) {
    const struct obs_metric_info *info = obs_metric_info(s->metric);
    const char *values[OBS_LABELS_MAX];
    char before = '{';
    unpack_labels(s, values);
    buf_printf(w->out, "%s%s", info->name, suffix);
    for (size_t i = 0; info->labels[i]; i++) {
        if (values[i][0] == '\0')
            continue;
        buf_printf(w->out, "%c%s=\"", before, info->labels[i]);
        add_escaped(w->out, values[i], true);
        buf_add_char(w->out, '"');
        before = ',';
    }
    if (bound) {
        buf_printf(w->out, "%cle=\"", before);
        if (isinf(*bound))
            buf_add_text(w->out, "+Inf");
        else
            add_bound(w, *bound);
        buf_add_char(w->out, '"');
        before = ',';
    }
    buf_add_text(w->out, before == ',' ? "} " : " ");
}

static void write_plain(const struct writer *w, const struct series *s) {
    add_line_start(w, s, "", NULL);
    add_number(w->out, s->value);
    buf_add_char(w->out, '\n');
}

static void write_histogram(const struct writer *w, const struct series *s) {
    static const double infinite = INFINITY;
    size_t bounds;
    const double *bound = obs_metric_bounds(s->metric, &bounds);
    for (size_t i = 0; i <= bounds; i++) {
        add_line_start(w, s, "_bucket", i < bounds ? &bound[i] : &infinite);
        buf_printf(w->out, "%" PRIu64 "\n", s->cumulative[i]);
    }
    add_line_start(w, s, "_sum", NULL);
    add_number(w->out, s->value);
    buf_add_char(w->out, '\n');
    add_line_start(w, s, "_count", NULL);
    buf_printf(w->out, "%" PRIu64 "\n", s->cumulative[bounds]);
}

/* The name of the family: without what OpenMetrics says is a suffix of its samples. */
static struct span family_name(const struct writer *w, const struct obs_metric_info *info) {
    struct span name = span_of(info->name);
    if (w->format == OBS_OPENMETRICS && info->type == OBS_COUNTER)
        name.len -= strlen("_total");
    if (w->format == OBS_OPENMETRICS && info->type == OBS_INFO)
        name.len -= strlen("_info");
    return name;
}

static void write_head(const struct writer *w, enum obs_metric metric) {
    const struct obs_metric_info *info = obs_metric_info(metric);
    struct span name = family_name(w, info);
    bool open = w->format == OBS_OPENMETRICS;
    buf_printf(w->out, "# HELP %.*s ", SPAN_ARG(name));
    add_escaped(w->out, info->help, open);
    buf_printf(w->out, "\n# TYPE %.*s %s\n", SPAN_ARG(name),
               obs_type_name(info->type == OBS_INFO && !open ? OBS_GAUGE : info->type));
    if (open && info->unit[0] != '\0')
        buf_printf(w->out, "# UNIT %.*s %s\n", SPAN_ARG(name), info->unit);
}

static void write_series(const struct writer *w, const struct series *s,
                         const struct series *before) {
    if (!before || before->metric != s->metric)
        write_head(w, s->metric);
    if (s->cumulative)
        write_histogram(w, s);
    else
        write_plain(w, s);
}

void obs_page_write(struct obs_page *page, enum obs_format format, struct buf *out) {
    struct writer w = {out, format};
    const struct series *before = NULL;
    uint64_t dropped = page->dropped;
    if (page->count > 0)
        qsort(page->series, page->count, sizeof *page->series, compare_series);
    for (size_t i = 0; i < page->count; i++) {
        const struct series *s = &page->series[i];
        if (before && before->metric == s->metric && compare_labels(before, s) == 0) {
            dropped++;
            continue;
        }
        write_series(&w, s, before);
        before = s;
    }
    struct series last = {METRIC_SERIES_DROPPED, 0, (double)dropped, "", NULL};
    write_series(&w, &last, before);
    if (format == OBS_OPENMETRICS)
        buf_add_text(out, "# EOF\n");
}
