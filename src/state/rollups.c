/* Statistics by the minute: merged when written, summed when read. */
#include "base/mem.h"
#include "obs/histogram.h"
#include "state/statement.h"

#define PAGE_ROWS 500    /* read at a time: the file is free in between */
#define EXPIRE_ROWS 1000 /* deleted in one transaction */
#define WRITER_DAYS 2    /* after its last batch a writer is forgotten */
#define MINUTES_A_DAY 1440
#define COUNT_COLUMNS "count, errors, rescued, compared, real, lag, unsettled, explained"
#define KEY_COLUMNS "module, kind, name, side"

/* ---- writing ---- */

static void bind_key(struct statement *st, const struct state_rollup_key *key) {
    statement_text(st, key->module);
    statement_text(st, key->kind);
    statement_text(st, key->name);
    statement_text(st, key->side);
}

static int check_row(const struct state_rollup *row, struct err *err) {
    const char *const texts[] = {row->key.module, row->key.kind, row->key.name, row->key.side};
    for (size_t i = 0; i < 4; i++)
        if (strlen(texts[i]) >= STATE_NAME_MAX)
            return err_set(err, ERR_LIMIT, "a name in statistics is longer than %d bytes: %.40s...",
                           STATE_NAME_MAX - 1, texts[i]);
    bool negative = row->minute < 0;
#define CHECK(name) negative = negative || row->name < 0;
    STATE_ROLLUP_COUNTS(CHECK)
#undef CHECK
    return negative ? err_set(err, ERR_INTERNAL, "statistics of %s count below 0", row->key.name)
                    : 0;
}

/* Adds the stored histogram of the row to `sum`; none is stored: adds nothing. */
static int add_stored(struct state *s, const struct state_rollup *row, struct obs_histogram *sum,
                      struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "SELECT histogram FROM rollup WHERE module = ? AND kind = ? AND name = ? AND "
                    "side = ? AND minute = ?");
    bind_key(&st, &row->key);
    statement_int(&st, row->minute);
    int rc = statement_row(&st, err);
    if (rc < 0)
        return rc;
    size_t len = 0;
    _cleanup_(mem_freep) char *blob = rc > 0 ? statement_get_blob(&st, 0, &len) : NULL;
    statement_end(&st);
    return blob ? obs_histogram_merge_blob(sum, span_make(blob, len), err) : 0;
}

static int merge_row(struct state *s, const struct state_rollup *row, struct obs_histogram *sum,
                     struct buf *blob, struct err *err) {
    struct statement st;
    obs_histogram_clear(sum);
    if (row->histogram)
        obs_histogram_merge(sum, row->histogram);
    int rc = add_stored(s, row, sum, err);
    if (rc < 0)
        return rc;
    buf_clear(blob);
    obs_histogram_to_blob(sum, blob);
    statement_begin(
        &st, s,
        "INSERT INTO rollup (" KEY_COLUMNS ", minute, " COUNT_COLUMNS ", histogram) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
        "count = count + excluded.count, errors = errors + excluded.errors, "
        "rescued = rescued + excluded.rescued, compared = compared + excluded.compared, "
        "real = real + excluded.real, lag = lag + excluded.lag, "
        "unsettled = unsettled + excluded.unsettled, explained = explained + excluded.explained, "
        "histogram = excluded.histogram");
    bind_key(&st, &row->key);
    statement_int(&st, row->minute);
#define BIND(name) statement_int(&st, row->name);
    STATE_ROLLUP_COUNTS(BIND)
#undef BIND
    statement_blob(&st, buf_span(blob));
    return statement_run(&st, NULL, err);
}

/* *ret_fresh false: the batch was merged before. */
static int take_sequence(struct state *s, const char *writer, int64_t sequence, int64_t minute,
                         bool *ret_fresh, struct err *err) {
    struct statement st;
    int64_t changed = 0;
    statement_begin(&st, s,
                    "INSERT INTO rollup_writer (writer, sequence, minute) VALUES (?, ?, ?) "
                    "ON CONFLICT DO UPDATE SET sequence = excluded.sequence, "
                    "minute = max(minute, excluded.minute) WHERE excluded.sequence > sequence");
    statement_text(&st, writer);
    statement_int(&st, sequence);
    statement_int(&st, minute);
    int rc = statement_run(&st, &changed, err);
    *ret_fresh = changed > 0;
    return rc;
}

static int merge_batch(struct state *s, const char *writer, int64_t sequence,
                       const struct state_rollup *rows, size_t count, struct err *err) {
    _cleanup_(mem_freep) struct obs_histogram *sum = obs_histogram_new();
    _cleanup_(buf_release) struct buf blob = {.max = OBS_HISTOGRAM_BLOB_MAX};
    int64_t newest = 0;
    bool fresh = false;
    for (size_t i = 0; i < count; i++)
        if (rows[i].minute > newest)
            newest = rows[i].minute;
    int rc = take_sequence(s, writer, sequence, newest, &fresh, err);
    for (size_t i = 0; rc == 0 && fresh && i < count; i++)
        rc = merge_row(s, &rows[i], sum, &blob, err);
    return rc;
}

int state_rollups_write(struct state *s, const char *writer, int64_t sequence,
                        const struct state_rollup *rows, size_t count, struct err *err) {
    if (count > STATE_ROLLUP_ROWS_MAX)
        return err_set(err, ERR_LIMIT, "statistics of one batch have more than %d rows",
                       STATE_ROLLUP_ROWS_MAX);
    for (size_t i = 0; i < count; i++) {
        int rc = check_row(&rows[i], err);
        if (rc < 0)
            return rc;
    }
    int rc = state_transaction(s, err);
    if (rc < 0)
        return rc;
    rc = merge_batch(s, writer, sequence, rows, count, err);
    return state_commit(s, rc, err);
}

/* ---- reading ---- */

struct row {
    char module[STATE_NAME_MAX], kind[STATE_NAME_MAX], name[STATE_NAME_MAX], side[STATE_NAME_MAX];
    int64_t minute;
#define FIELD(name_) int64_t name_;
    struct {
        STATE_ROLLUP_COUNTS(FIELD)
    } counts;
#undef FIELD
    char *blob;
    size_t blob_len;
};

static void read_row(const struct statement *st, struct row *row) {
    int column = 0;
    statement_get_text(st, column++, row->module, sizeof row->module);
    statement_get_text(st, column++, row->kind, sizeof row->kind);
    statement_get_text(st, column++, row->name, sizeof row->name);
    statement_get_text(st, column++, row->side, sizeof row->side);
    row->minute = statement_get_int(st, column++);
#define READ(name_) row->counts.name_ = statement_get_int(st, column++);
    STATE_ROLLUP_COUNTS(READ)
#undef READ
    row->blob = statement_get_blob(st, column, &row->blob_len);
}

/* The next rows behind `last`, at most PAGE_ROWS. */
static int read_page(struct state *s, const struct state_rollup_filter *f, const struct row *last,
                     struct row *page, size_t *ret_count, struct err *err) {
    struct statement st;
    const char *const wanted[] = {f->key.module, f->key.kind, f->key.name, f->key.side};
    int rc;
    statement_begin(&st, s,
                    "SELECT " KEY_COLUMNS ", minute, " COUNT_COLUMNS ", histogram FROM rollup "
                    "WHERE (module, kind, name, side, minute) > (?, ?, ?, ?, ?) "
                    "AND module = ifnull(?, module) AND kind = ifnull(?, kind) "
                    "AND name = ifnull(?, name) AND side = ifnull(?, side) "
                    "AND minute >= ? AND minute < ? "
                    "ORDER BY module, kind, name, side, minute LIMIT ?");
    statement_text(&st, last->module);
    statement_text(&st, last->kind);
    statement_text(&st, last->name);
    statement_text(&st, last->side);
    statement_int(&st, last->minute);
    for (size_t i = 0; i < 4; i++)
        statement_text(&st, wanted[i]);
    statement_int(&st, f->from);
    statement_int(&st, f->until);
    statement_int(&st, PAGE_ROWS);
    *ret_count = 0;
    while ((rc = statement_row(&st, err)) > 0)
        read_row(&st, &page[(*ret_count)++]);
    if (rc < 0)
        return rc;
    statement_end(&st);
    return 0;
}

struct summing {
    const struct state_rollup_filter *filter;
    state_rollup_fn each;
    void *context;
    struct row key; /* of the sum under way; its counts are the sum */
    struct obs_histogram *histogram;
    bool open;
};

static int64_t step_of(const struct state_rollup_filter *f, int64_t minute) {
    return f->step > 0 ? minute - minute % f->step : f->from;
}

static int emit(struct summing *sum, struct err *err) {
    const struct row *k = &sum->key;
    if (!sum->open)
        return 0;
    sum->open = false;
    const struct state_rollup out = {.key = {k->module, k->kind, k->name, k->side},
                                     .minute = k->minute,
#define COPY(name_) .name_ = k->counts.name_,
                                     STATE_ROLLUP_COUNTS(COPY)
#undef COPY
                                         .histogram = sum->histogram};
    return sum->each(sum->context, &out, err);
}

static bool same_key(const struct row *a, const struct row *b) {
    return strcmp(a->module, b->module) == 0 && strcmp(a->kind, b->kind) == 0 &&
           strcmp(a->name, b->name) == 0 && strcmp(a->side, b->side) == 0;
}

static int add_row(struct summing *sum, const struct row *row, struct err *err) {
    int64_t minute = step_of(sum->filter, row->minute);
    if (sum->open && (!same_key(&sum->key, row) || sum->key.minute != minute)) {
        int rc = emit(sum, err);
        if (rc != 0)
            return rc;
    }
    if (!sum->open) {
        sum->key = *row;
        sum->key.minute = minute;
        sum->key.blob = NULL;
        obs_histogram_clear(sum->histogram);
        sum->open = true;
    } else {
#define ADD(name_) sum->key.counts.name_ += row->counts.name_;
        STATE_ROLLUP_COUNTS(ADD)
#undef ADD
    }
    int rc = obs_histogram_merge_blob(sum->histogram, span_make(row->blob, row->blob_len), err);
    return rc < 0
               ? err_prefix(err, "statistics of %s, minute %lld", row->name, (long long)row->minute)
               : 0;
}

/* Adds a page and forgets it; what stands in `last` afterwards is where the next one begins. */
static int add_page(struct summing *sum, struct row *page, size_t count, struct row *last,
                    struct err *err) {
    int rc = 0;
    for (size_t i = 0; i < count; i++) {
        if (rc == 0)
            rc = add_row(sum, &page[i], err);
        free(page[i].blob);
        page[i].blob = NULL;
    }
    if (count > 0)
        *last = page[count - 1];
    return rc;
}

int state_rollups_sum(struct state *s, const struct state_rollup_filter *filter,
                      state_rollup_fn each, void *context, struct err *err) {
    _cleanup_(mem_freep) struct row *page = mem_zalloc(PAGE_ROWS, sizeof *page);
    _cleanup_(mem_freep) struct obs_histogram *histogram = obs_histogram_new();
    struct summing sum = {
        .filter = filter, .each = each, .context = context, .histogram = histogram};
    struct row last = {.minute = -1};
    size_t count = PAGE_ROWS;
    int rc = 0;
    while (rc == 0 && count == PAGE_ROWS) {
        rc = read_page(s, filter, &last, page, &count, err);
        if (rc < 0)
            for (size_t i = 0; i < count; i++)
                free(page[i].blob);
        else
            rc = add_page(&sum, page, count, &last, err);
    }
    return rc == 0 ? emit(&sum, err) : rc;
}

/* ---- lately ---- */

int state_rollups_recent(struct state *s, int64_t from, state_rollup_fn each, void *context,
                         struct err *err) {
    _cleanup_(mem_freep) struct row *row = mem_zalloc(1, sizeof *row);
    _cleanup_(mem_freep) struct obs_histogram *histogram = obs_histogram_new();
    struct summing sum = {.filter = &(struct state_rollup_filter){.from = from, .step = 1},
                          .each = each,
                          .context = context,
                          .histogram = histogram};
    struct statement st;
    int rc;
    statement_begin(&st, s,
                    "SELECT " KEY_COLUMNS ", minute, " COUNT_COLUMNS ", histogram FROM rollup "
                    "INDEXED BY rollup_minute WHERE minute >= ?");
    statement_int(&st, from);
    while ((rc = statement_row(&st, err)) > 0) {
        read_row(&st, row);
        rc = add_row(&sum, row, err);
        free(row->blob);
        if (rc == 0)
            rc = emit(&sum, err);
        if (rc != 0)
            break;
    }
    statement_end(&st);
    return rc;
}

/* ---- forgetting ---- */

int state_rollups_expire(struct state *s, int64_t minute, struct err *err) {
    struct statement st;
    int64_t changed = EXPIRE_ROWS;
    int rc = 0;
    while (rc == 0 && changed == EXPIRE_ROWS) {
        statement_begin(&st, s,
                        "DELETE FROM rollup WHERE (" KEY_COLUMNS ", minute) IN (SELECT " KEY_COLUMNS
                        ", minute FROM rollup WHERE minute < ? LIMIT ?)");
        statement_int(&st, minute);
        statement_int(&st, EXPIRE_ROWS);
        rc = statement_run(&st, &changed, err);
    }
    if (rc < 0)
        return rc;
    statement_begin(&st, s, "DELETE FROM rollup_writer WHERE minute < ?");
    statement_int(&st, minute + (STATE_ROLLUP_DAYS - WRITER_DAYS) * MINUTES_A_DAY);
    return statement_run(&st, NULL, err);
}
