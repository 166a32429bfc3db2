#include "gateway/routing.h"

#include "base/json_write.h"

#include <stdio.h>
#include <string.h>

/* ---- what holds ---- */

/* The phase is none before there is somebody who moves it: SQL answers and is written. */
static enum route_reads reads_of(enum conf_reads reads) {
    return reads == CONF_READS_AUTO ? READS_SQL : (enum route_reads)(reads - CONF_READS_SQL);
}

static enum route_writes writes_of(enum conf_writes writes) {
    return writes == CONF_WRITES_AUTO ? WRITES_SQL : (enum route_writes)(writes - CONF_WRITES_SQL);
}

const char *routing_configured_reads(const struct conf_module *module) {
    return module->reads == CONF_READS_AUTO ? "auto" : route_reads_name(reads_of(module->reads));
}

const char *routing_configured_writes(const struct conf_module *module) {
    return module->writes == CONF_WRITES_AUTO ? "auto"
                                              : route_writes_name(writes_of(module->writes));
}

static void lay_over(const struct conf_module *m, struct routing *r) {
    (void)snprintf(r->module.name, sizeof r->module.name, "%s", m->name.text);
    if (!route_reads_parse(r->set.reads, &r->module.reads))
        r->module.reads = reads_of(m->reads);
    if (!route_writes_parse(r->set.writes, &r->module.writes))
        r->module.writes = writes_of(m->writes);
    r->module.fallback = r->set.fallback != 0;
}

void routing_configured(const struct conf_module *module, struct routing *ret) {
    *ret = (struct routing){.set = {.fallback = -1}};
    lay_over(module, ret);
}

int routing_get(const struct conf_module *module, struct state *s, struct routing *ret,
                struct err *err) {
    *ret = (struct routing){0};
    int rc = state_routing_get(s, module->name.text, &ret->set, err);
    if (rc == 0)
        lay_over(module, ret);
    return rc;
}

int routing_settings(const struct conf *conf, struct state *s, struct route_settings *ret,
                     struct err *err) {
    int rc = 0;
    ret->version = 0;
    ret->count = 0;
    if (conf->module_count > ROUTE_MODULES_MAX)
        return err_set(err, ERR_LIMIT, "more than %d modules", ROUTE_MODULES_MAX);
    for (size_t i = 0; rc == 0 && i < conf->module_count; i++) {
        struct routing r;
        rc = routing_get(&conf->modules[i], s, &r, err);
        ret->modules[ret->count++] = r.module;
        ret->version += (uint64_t)r.set.version;
    }
    return rc;
}

/* ---- changes ---- */

static const struct {
    const char *name, *reads, *writes;
} stages[] = {{"off", "sql", "sql"},           {"dualwrite", "sql", "both"},
              {"shadow", "shadow", "both"},    {"live", "flag", "both"},
              {"rampdown", "mongodb", "both"}, {"complete", "mongodb", "mongodb"}};

const char *routing_stage(const struct route_module *module) {
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
        if (strcmp(stages[i].reads, route_reads_name(module->reads)) == 0 &&
            strcmp(stages[i].writes, route_writes_name(module->writes)) == 0)
            return stages[i].name;
    return NULL;
}

static int read_stage(const char *stage, const char **reads, const char **writes, struct err *err) {
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
        if (strcmp(stages[i].name, stage) == 0) {
            *reads = stages[i].reads;
            *writes = stages[i].writes;
            return 0;
        }
    return err_set(err, ERR_CONF,
                   "there is no stage '%.60s'; it is one of off, dualwrite, shadow, live, "
                   "rampdown, complete",
                   stage);
}

static int take_reads(const char *text, struct state_routing *set, struct err *err) {
    enum route_reads ignored;
    bool automatic = strcmp(text, "auto") == 0;
    if (!automatic && !route_reads_parse(text, &ignored))
        return err_set(err, ERR_CONF,
                       "reads cannot be '%.60s'; it is one of auto, sql, shadow, flag, mongodb",
                       text);
    (void)snprintf(set->reads, sizeof set->reads, "%s", automatic ? "" : text);
    return 0;
}

static int take_writes(const char *text, struct state_routing *set, struct err *err) {
    enum route_writes ignored;
    bool automatic = strcmp(text, "auto") == 0;
    if (!automatic && !route_writes_parse(text, &ignored))
        return err_set(err, ERR_CONF,
                       "writes cannot be '%.60s'; it is one of auto, sql, both, mongodb", text);
    (void)snprintf(set->writes, sizeof set->writes, "%s", automatic ? "" : text);
    return 0;
}

static int take(const struct routing_change *c, struct state_routing *set, struct err *err) {
    const char *reads = c->reads, *writes = c->writes;
    int rc = c->stage ? read_stage(c->stage, &reads, &writes, err) : 0;
    if (rc == 0 && reads)
        rc = take_reads(reads, set, err);
    if (rc == 0 && writes)
        rc = take_writes(writes, set, err);
    if (rc == 0 && c->fallback >= 0)
        set->fallback = c->fallback;
    return rc;
}

/* What MongoDB alone was told, SQL does not know. */
static int check(const struct conf_module *m, const struct routing *before,
                 const struct routing *after, struct err *err) {
    bool was_mongodb = before->module.writes == WRITES_MONGODB;
    bool stays = after->module.writes == WRITES_MONGODB && after->module.reads == READS_MONGODB;
    if (was_mongodb && !stays)
        return err_set(err, ERR_CONF,
                       "module '%s' writes to MongoDB, and SQL does not have what was written "
                       "since: reads and writes go back only through a reverse sync that has "
                       "caught up",
                       m->name.text);
    if (after->module.writes == WRITES_MONGODB && after->module.reads != READS_MONGODB)
        return err_set(err, ERR_CONF,
                       "writes to MongoDB alone need reads from MongoDB too: set reads to mongodb "
                       "first, or take the stage complete");
    if (after->module.reads == READS_FLAG && !m->flag.text)
        return err_set(err, ERR_CONF, "module '%s' names no flag; add 'flag' to its configuration",
                       m->name.text);
    return 0;
}

static const char *as_json(struct buf *out, const struct routing *r) {
    struct json_out j;
    json_out_begin(&j, out);
    json_out_open(&j, NULL, '{');
    json_out_text(&j, "reads", route_reads_name(r->module.reads));
    json_out_text(&j, "writes", route_writes_name(r->module.writes));
    json_out_bool(&j, "fallback", r->module.fallback);
    json_out_close(&j, '}');
    return buf_text(out);
}

int routing_change(const struct conf_module *module, struct state *s,
                   const struct routing_change *change, int64_t *ret_version, bool *ret_conflict,
                   struct err *err) {
    struct routing before, after;
    _cleanup_(buf_release) struct buf old = {.max = 4096}, new = {.max = 4096};
    int rc = routing_get(module, s, &before, err);
    after = before;
    if (rc == 0)
        rc = take(change, &after.set, err);
    if (rc < 0)
        return rc;
    lay_over(module, &after);
    rc = check(module, &before, &after, err);
    if (rc < 0)
        return rc;
    if (change->version >= 0)
        after.set.version = change->version;
    const struct state_audit_line line = {.who = change->who,
                                          .role = change->role,
                                          .action = "routing",
                                          .subject = module->name.text,
                                          .before = as_json(&old, &before),
                                          .after = as_json(&new, &after),
                                          .why = change->why};
    return state_routing_change(s, &after.set, &line, ret_version, ret_conflict, err);
}
