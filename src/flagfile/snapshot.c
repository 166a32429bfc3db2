#include "flagfile/snapshot.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "flagfile/given.h"
#include "flagfile/overrides.h"
#include "flags/compile.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define ATTEMPTS_MAX 20

const char *snapshot_file(const struct conf *conf) {
    if (conf->flags.at.line == 0 && access(conf->flags.text, F_OK) != 0)
        return NULL;
    return conf->flags.text;
}

char *snapshot_blob_path(const char *state_path) {
    return mem_printf("%s.flags.blob", state_path);
}

static char *last_good_path(const char *state_path) {
    return mem_printf("%s.flags.last", state_path);
}

void snapshot_free(struct snapshot *s) {
    if (!s)
        return;
    for (size_t i = 0; i < s->change_count; i++)
        state_flag_clear(&s->changes[i]);
    free(s->changes);
    flagfile_free(s->file);
    arena_release(&s->arena);
    buf_release(&s->blob);
    buf_release(&s->text);
    free(s->path);
    free(s);
}

struct state_flag snapshot_change_of(const struct snapshot *s, const char *name) {
    struct state_flag none = {0};
    for (size_t i = 0; i < s->change_count; i++)
        if (strcmp(s->changes[i].name, name) == 0)
            return s->changes[i];
    (void)snprintf(none.name, sizeof none.name, "%s", name);
    return none;
}

/* ---- building ---- */

static int check_modules(const struct conf *conf, const struct flags_model *model,
                         struct err *err) {
    for (size_t i = 0; i < conf->module_count; i++) {
        const struct conf_text *flag = &conf->modules[i].flag;
        if (!flag->text || flagfile_find(model, flag->text))
            continue;
        const char *similar = flagfile_similar(model, flag->text);
        const char *file = model->file ? model->file : conf->flags.text;
        if (similar)
            return conf_error(conf, flag->at, err, "flag '%s' is not in %s, did you mean '%s'?",
                              flag->text, file, similar);
        return conf_error(conf, flag->at, err, "flag '%s' is not in %s; add it there", flag->text,
                          file);
    }
    return 0;
}

/* Of the file alone: what people change at run time must not keep a kill from being published. */
static int check_edges(const struct conf *conf, const struct snapshot *s, struct err *err) {
    if (!conf->serve.token_edge || s->blob.len <= SNAPSHOT_EDGE_MAX)
        return 0;
    return err_set(
        err, ERR_CONF,
        "%s: its flags have %.1f MiB when compiled, and edges (tokens.edge) can fetch %d "
        "MiB at most; list fewer users, or decide by an attribute",
        s->path, (double)s->blob.len / (1 << 20), SNAPSHOT_EDGE_MAX >> 20);
}

/* The file is good when it reads, compiles, and has what the modules name. */
static int read_good(struct snapshot *s, const struct conf *conf, const char *name,
                     const struct buf *text, struct err *err) {
    int rc = flagfile_parse(name, text->data, text->len, FLAGFILE_ANY, &s->file, err);
    if (rc == 0)
        rc = check_modules(conf, &s->file->model, err);
    if (rc == 0)
        rc = given_check(conf, &s->file->model, err);
    if (rc == 0)
        rc = flags_compile(&s->file->model, &s->blob, err);
    if (rc == 0)
        rc = check_edges(conf, s, err);
    if (rc < 0) {
        flagfile_free(s->file);
        s->file = NULL;
    }
    return rc;
}

static int read_file(struct snapshot *s, const struct conf *conf, const char *state_path,
                     struct err *err) {
    _cleanup_(mem_freep) char *last = last_good_path(state_path);
    _cleanup_(buf_release) struct buf text = {.max = FLAGFILE_MAX + 128 * (size_t)1024};
    int rc = flagfile_read(s->path, &text, &s->bad);
    if (rc == 0)
        rc = read_good(s, conf, s->path, &text, &s->bad);
    if (rc == 0) {
        s->text = text;
        text = (struct buf){0};
        return 0;
    }
    buf_clear(&text);
    /* Its own errors would only hide the one that has to be mended. */
    if (access(last, R_OK) == 0 && flagfile_read(last, &text, NULL) == 0 &&
        read_good(s, conf, s->path, &text, NULL) == 0)
        return 0;
    if (err)
        *err = s->bad;
    return rc;
}

/* No file: no flags, and none may be named. */
static int read_nothing(struct snapshot *s, const struct conf *conf, struct err *err) {
    static const char empty[] = "features: []";
    int rc = check_modules(conf, &(struct flags_model){0}, err);
    return rc < 0 ? rc
                  : flagfile_parse("feature-flags.yml", empty, sizeof empty - 1, FLAGFILE_FEATURES,
                                   &s->file, err);
}

/* What becomes of an override. */
struct fate {
    bool stays;
    bool kill;
    const char *why;
};

/* An override that the file says itself is taken back, so that it does not come alive again when
 * the file changes once more; so is one that the flag cannot have any more. Not where daemons share
 * them: another's file may say something else, and would hold again there. One that cannot be read
 * must not keep all the others from taking effect, nor may it leave a flag on that somebody wanted
 * otherwise. */
static struct fate fate_of(const struct conf *conf, const struct flags_flag *f, const char *changes,
                           struct buf *ret_left) {
    _cleanup_(buf_release) struct buf ignored = {.max = STATE_CHANGES_MAX};
    struct err why = {0};
    if (overrides_merge(f, changes, SPAN_LIT("{}"), ret_left, &why) < 0)
        return (struct fate){
            .kill = true, .why = "it cannot be read: the flag is killed, until somebody resets it"};
    bool fits = overrides_merge(f, NULL, span_of(changes), &ignored, &why) == 0;
    return (struct fate){
        .stays = conf->redis || strcmp(buf_text(ret_left), changes) == 0,
        .why = fits ? "the flags file says the same"
                    : "by the flags file, this flag is not decided by a percentage any more"};
}

static int drop_one(struct state_flag *c, const struct fate *fate, struct buf *left,
                    struct state *state, struct err *err) {
    bool conflict = false;
    struct state_flag next = *c;
    next.changes = left->len && !fate->kill ? left->data : NULL; /* with its NUL, by fate_of */
    next.killed = c->killed || fate->kill;
    struct state_audit_line line = {.who = "banyan",
                                    .role = "system",
                                    .action = "flag_override_dropped",
                                    .subject = c->name,
                                    .before = c->changes,
                                    .after = next.changes,
                                    .why = fate->why};
    int rc = state_flag_change(state, &next, &line, &next.version, &conflict, err);
    if (rc < 0 || conflict) /* somebody changed it right now, and it holds as it was read */
        return rc;
    char *kept = next.changes ? mem_strdup(next.changes) : NULL;
    free(c->changes);
    c->changes = kept;
    c->killed = next.killed;
    c->version = next.version;
    return 0;
}

static int drop_overrides(struct snapshot *s, const struct conf *conf, struct state *state,
                          struct err *err) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && s->bad.code == 0 && i < s->change_count; i++) {
        struct state_flag *c = &s->changes[i];
        const struct flags_flag *f = flagfile_find(&s->file->model, c->name);
        _cleanup_(buf_release) struct buf left = {.max = STATE_CHANGES_MAX};
        if (!f || !c->changes)
            continue;
        struct fate fate = fate_of(conf, f, c->changes, &left);
        if (!fate.stays)
            rc = drop_one(c, &fate, &left, state, err);
    }
    return rc;
}

static int lay_over(struct snapshot *s, struct err *err) {
    struct override *list = mem_zalloc(s->change_count + 1, sizeof *list);
    for (size_t i = 0; i < s->change_count; i++)
        list[i] =
            (struct override){s->changes[i].name, s->changes[i].changes, s->changes[i].killed};
    int rc = overrides_apply(&s->file->model, list, s->change_count, &s->arena, &s->model, err);
    free(list);
    return rc;
}

int snapshot_build(const struct conf *conf, const char *state_path, struct state *state,
                   struct snapshot **ret_snapshot, struct err *err) {
    struct snapshot *s = mem_zalloc(1, sizeof *s);
    const char *path = snapshot_file(conf);
    arena_init(&s->arena, FLAGFILE_MEMORY_MAX);
    buf_init(&s->blob, FLAGS_BLOB_MAX);
    s->path = path ? mem_strdup(path) : NULL;
    int rc = path ? read_file(s, conf, state_path, err) : read_nothing(s, conf, err);
    if (rc == 0 && state)
        rc = state_flag_list(state, &s->changes, &s->change_count, err);
    if (rc == 0 && state)
        rc = drop_overrides(s, conf, state, err);
    if (rc == 0)
        rc = lay_over(s, err);
    if (rc == 0) {
        for (size_t i = 0; i < s->change_count; i++)
            s->model.version += (uint64_t)s->changes[i].version;
        rc = flags_compile(&s->model, &s->blob, err);
    }
    if (rc == 0)
        rc = flags_open(s->blob.data, s->blob.len, &s->set, err);
    if (rc < 0)
        snapshot_free(s);
    else
        *ret_snapshot = s;
    return rc;
}

/* ---- publishing ---- */

/* One writer at a time, see lock_refresh. */
static int replace_file(const char *path, struct span bytes, struct err *err) {
    int rc = file_replace(path, bytes, err);
    return rc < 0 ? err_prefix(err, "flags stay as they were published last") : 0;
}

bool snapshot_is_full(const struct flags_flag *f) {
    return f->enabled && !f->killed && !f->targeting && !f->fixed && !f->rules_only &&
           f->rollout == FLAGS_ROLLOUT_ALL && f->window_count == 0 && f->require_count == 0 &&
           f->users_off_count == 0 && f->tenants_off_count == 0 && f->split_count == 0 &&
           f->rule_count == 0;
}

static int note_full(const struct snapshot *snapshot, struct state *s, struct err *err) {
    const struct flags_model *m = &snapshot->model;
    const char **names = mem_zalloc(m->flag_count + 1, sizeof *names);
    size_t n = 0;
    for (size_t i = 0; i < m->flag_count; i++)
        if (snapshot_is_full(&m->flags[i]))
            names[n++] = m->flags[i].name.ptr;
    int rc = state_flags_full(s, names, n, clock_wall_us(), err);
    free(names);
    return rc;
}

/* Blob and last good file, durable when it returns. The file as it was read: it may be another, and
 * a bad one, by now. */
static int publish(struct snapshot *snapshot, const char *state_path, struct state *s,
                   struct err *err) {
    _cleanup_(mem_freep) char *blob = snapshot_blob_path(state_path);
    _cleanup_(mem_freep) char *last = last_good_path(state_path);
    int rc = replace_file(blob, buf_span(&snapshot->blob), err);
    if (rc == 0 && snapshot->path && snapshot->bad.code == 0)
        rc = replace_file(last, buf_span(&snapshot->text), err);
    buf_release(&snapshot->text);
    return rc < 0 || !s ? rc : note_full(snapshot, s, err);
}

/* One at a time builds and publishes, so the one that read the state last is published last. */
static int lock_refresh(const char *state_path, struct err *err) {
    _cleanup_(mem_freep) char *path = mem_printf("%s.flags.lock", state_path);
    int fd = file_lock(path, err);
    return fd < 0 ? err_prefix(err, "flags stay as they were published last") : fd;
}

int snapshot_refresh(const struct conf *conf, const char *state_path, struct state *s,
                     struct snapshot **ret_snapshot, struct err *err) {
    struct snapshot *built = NULL;
    int lock = lock_refresh(state_path, err);
    if (lock < 0)
        return lock;
    int rc = snapshot_build(conf, state_path, s, &built, err);
    if (rc == 0)
        rc = publish(built, state_path, s, err);
    (void)close(lock);
    if (rc < 0)
        snapshot_free(built);
    else
        *ret_snapshot = built;
    return rc;
}

/* ---- changing ---- */

static int no_such_flag(const struct snapshot *snapshot, const char *name, struct err *err) {
    const char *similar = flagfile_similar(&snapshot->file->model, name);
    if (!snapshot->path)
        return err_set(err, ERR_NO, "there are no flags: no 'flags:' and no feature-flags.yml");
    if (similar)
        return err_set(err, ERR_NO, "no flag '%s' in %s, did you mean '%s'?", name, snapshot->path,
                       similar);
    return err_set(err, ERR_NO, "no flag '%s' in %s", name, snapshot->path);
}

/* The new row, from what the state holds now. */
static int make_change(const struct snapshot_change *change, const struct flags_flag *flag,
                       struct state_flag *now, struct buf *json, struct err *err) {
    struct span keys = change->json;
    int rc = 0;
    switch (change->action) {
    case SNAPSHOT_ON:
        now->killed = false;
        keys = SPAN_LIT("{\"enabled\":true}");
        /* fall through */
    case SNAPSHOT_SET:
        rc = overrides_merge(flag, now->changes, keys, json, err);
        if (rc == 0) {
            free(now->changes);
            now->changes = json->len ? mem_strdup(buf_text(json)) : NULL;
        }
        break;
    case SNAPSHOT_KILL:
        now->killed = true;
        break;
    case SNAPSHOT_RESET:
        now->killed = false;
        free(now->changes);
        now->changes = NULL;
        break;
    }
    return rc;
}

/* {"killed":true,"override":{...}} */
static void describe(const struct state_flag *f, struct buf *out) {
    buf_clear(out);
    buf_printf(out, "{\"killed\":%s,\"override\":%s}", f->killed ? "true" : "false",
               f->changes ? f->changes : "null");
}

static int change_once(const struct snapshot_change *change, const struct flags_flag *flag,
                       struct state *s, int64_t *ret_version, bool *ret_conflict, struct err *err) {
    static const char *const actions[] = {"flag_set", "flag_off", "flag_on", "flag_reset"};
    _cleanup_(buf_release) struct buf json = {.max = STATE_CHANGES_MAX};
    _cleanup_(buf_release) struct buf before = {.max = 2 * STATE_CHANGES_MAX};
    _cleanup_(buf_release) struct buf after = {.max = 2 * STATE_CHANGES_MAX};
    struct state_flag now;
    int rc = state_flag_get(s, change->name, &now, err);
    if (rc < 0)
        return rc;
    describe(&now, &before);
    if (change->version >= 0 && now.version != change->version) {
        *ret_version = now.version;
        *ret_conflict = true;
    } else {
        rc = make_change(change, flag, &now, &json, err);
        describe(&now, &after);
        struct state_audit_line line = {.who = change->who,
                                        .role = change->role,
                                        .action = actions[change->action],
                                        .subject = change->name,
                                        .before = buf_text(&before),
                                        .after = buf_text(&after),
                                        .why = change->why};
        if (rc == 0)
            rc = state_flag_change(s, &now, &line, ret_version, ret_conflict, err);
    }
    state_flag_clear(&now);
    return rc;
}

int snapshot_change(const struct snapshot *snapshot, struct state *s,
                    const struct snapshot_change *change, int64_t *ret_version, bool *ret_conflict,
                    struct err *err) {
    const struct flags_flag *flag = flagfile_find(&snapshot->file->model, change->name);
    if (!flag)
        return no_such_flag(snapshot, change->name, err);
    if (strlen(change->name) >= STATE_NAME_MAX)
        return err_set(err, ERR_LIMIT, "only flags with names of at most %d bytes can be changed",
                       STATE_NAME_MAX - 1);
    int rc = 0;
    *ret_conflict = true;
    /* Without a version of its own it is made for whatever holds: again, if that moved. */
    for (int i = 0; rc == 0 && *ret_conflict && i < ATTEMPTS_MAX; i++) {
        rc = change_once(change, flag, s, ret_version, ret_conflict, err);
        if (change->version >= 0)
            break;
    }
    if (rc == 0 && *ret_conflict && change->version < 0)
        rc = err_set_retriable(err, ERR_STATE,
                               "flag '%s' is being changed by others all the time; try again",
                               change->name);
    return rc;
}
