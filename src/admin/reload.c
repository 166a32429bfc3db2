#include "admin/reload.h"

#include "admin/alert_setup.h"
#include "admin/flagstore.h"
#include "admin/watch.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

static struct stat look(const struct service *s) {
    struct stat st;
    if (stat(s->options->config_path, &st) < 0)
        memset(&st, 0, sizeof st);
    return st;
}

void reload_init(struct reload *r, const struct service *s) {
    r->seen = look(s);
}

bool reload_is_due(struct reload *r, const struct service *s) {
    struct stat now = look(s);
    bool changed = now.st_ino != r->seen.st_ino || now.st_size != r->seen.st_size ||
                   now.st_mtim.tv_sec != r->seen.st_mtim.tv_sec ||
                   now.st_mtim.tv_nsec != r->seen.st_mtim.tv_nsec;
    r->seen = now;
    return changed && now.st_ino != 0; /* between a delete and a rename there is nothing to read */
}

/* The first line in which two texts differ, of the second one; none: only secrets do. */
static struct span first_difference(const char *before, const char *after) {
    size_t i = 0;
    while (before[i] && before[i] == after[i])
        i++;
    if (!before[i] && !after[i])
        return SPAN_LIT("a token, a password or another secret");
    while (i > 0 && after[i - 1] != '\n')
        i--;
    return span_make(after + i, strcspn(after + i, "\n"));
}

/* Everything but what can change while running. */
static int check_rest(const struct conf *running, const struct conf *fresh, struct err *err) {
    struct conf rest = *fresh;
    rest.target.writes_per_second = running->target.writes_per_second;
    rest.source.snapshot_rows_per_second = running->source.snapshot_rows_per_second;
    rest.alerts = running->alerts;
    if (conf_same(running, &rest))
        return 0;
    _cleanup_(buf_release) struct buf before = {.max = CONF_SHOWN_MAX};
    _cleanup_(buf_release) struct buf after = {.max = CONF_SHOWN_MAX};
    conf_show(running, false, &before);
    conf_show(&rest, false, &after);
    struct span line = first_difference(buf_text(&before), buf_text(&after));
    return err_set(err, ERR_CONF,
                   "%s: what has changed needs a restart of the daemon (%.*s); limits, alerts, "
                   "flags and the contents of certificates do not",
                   fresh->file, (int)line.len, line.ptr);
}

static int check_alerts(const struct conf *fresh, struct err *err) {
    struct obs_alert_rule *rules = NULL;
    size_t count = 0;
    int rc = alert_setup(fresh, &rules, &count, err);
    free(rules);
    return rc;
}

/* What may fail comes first, and what this file itself says is taken last: flags and certificates
 * are files of their own, each taken whole or not at all. */
static int apply(struct service *s, const struct conf *fresh, struct err *err) {
    int rc = check_rest(s->conf, fresh, err);
    if (rc == 0)
        rc = check_alerts(fresh, err);
    if (rc == 0)
        rc = flagstore_reload(s->flagstore, err);
    if (rc == 0)
        rc = http_server_reload_tls(s->http, err);
    if (rc == 0)
        rc = watch_reload(s->watch, fresh, err);
    for (size_t i = 0; rc == 0 && i < s->module_count; i++)
        module_set_limits(s->modules[i], fresh->target.writes_per_second,
                          fresh->source.snapshot_rows_per_second);
    return rc;
}

void reload_now(struct service *s) {
    struct conf *fresh = NULL;
    struct err err = {0};
    int rc = conf_load(s->options->config_path, &fresh, &err);
    if (rc == 0)
        rc = apply(s, fresh, &err);
    service_set_problem(s, err.text);
    if (rc == 0)
        log_event(LOG_INFO, "configuration_loaded", LOG_STR("file", s->options->config_path));
    else
        log_event(LOG_ERROR, "configuration_refused", LOG_STR("reason", err.text));
    conf_free(fresh);
}
