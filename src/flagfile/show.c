#include "flagfile/show.h"

#include <time.h>

const char *flagfile_source(const struct state_flag *change) {
    return change->killed ? "kill" : change->changes ? "override" : "file";
}

bool flagfile_is_stale(int64_t full_since_us, int64_t now_us) {
    return full_since_us > 0 && now_us - full_since_us >= FLAGFILE_STALE_US;
}

void flagfile_show_value(struct json_out *j, const char *name, const struct flags_value *v) {
    switch (v->type) {
    case FLAGS_NULL:
        json_out_text(j, name, NULL);
        return;
    case FLAGS_BOOL:
        json_out_bool(j, name, v->boolean);
        return;
    case FLAGS_NUMBER:
        if (v->text.len)
            json_out_raw(j, name, v->text);
        else
            json_out_double(j, name, v->number);
        return;
    case FLAGS_STRING:
        json_out_span(j, name, v->text.len ? v->text : SPAN_LIT(""));
        return;
    case FLAGS_JSON:
        json_out_raw(j, name, v->text);
        return;
    }
}

static void show_list(struct json_out *j, const char *name, const struct span *items,
                      size_t count) {
    json_out_open(j, name, '[');
    for (size_t i = 0; i < count; i++)
        json_out_span(j, NULL, items[i]);
    json_out_close(j, ']');
}

static void show_time(struct json_out *j, const char *name, int64_t us) {
    time_t seconds = (time_t)(us / 1000000);
    struct tm t;
    char text[32];
    if (us == 0 || !gmtime_r(&seconds, &t) || !strftime(text, sizeof text, "%FT%TZ", &t))
        json_out_text(j, name, NULL);
    else
        json_out_text(j, name, text);
}

static void show_percent(struct json_out *j, const struct flags_flag *f) {
    /* Rules and targeting have no one percentage. */
    bool one = !f->targeting && !f->rules_only && !f->fixed;
    json_out_raw(j, "rollout_percentage",
                 one ? span_of(flagfile_percent(f->rollout).text) : SPAN_LIT("null"));
}

static void show_requires(struct json_out *j, const struct flags_flag *f) {
    json_out_open(j, "requires", '[');
    for (size_t i = 0; i < f->require_count; i++)
        json_out_span(j, NULL, f->requires[i].flag);
    json_out_close(j, ']');
}

static void show_expires(struct json_out *j, const struct flags_flag *f, int64_t now_us) {
    time_t seconds = (time_t)f->expires * 86400;
    struct tm t;
    char text[32];
    bool has = f->expires && gmtime_r(&seconds, &t) && strftime(text, sizeof text, "%F", &t);
    json_out_text(j, "expires", has ? text : NULL);
    json_out_bool(j, "expired", flagfile_expired(f, now_us));
}

static void show_override(struct json_out *j, const struct state_flag *c) {
    if (!c->changes && !c->killed) {
        json_out_text(j, "override", NULL);
        return;
    }
    json_out_open(j, "override", '{');
    json_out_text(j, "who", c->who);
    json_out_text(j, "why", c->why);
    show_time(j, "when", c->changed_us);
    json_out_raw(j, "changes", c->changes ? span_of(c->changes) : SPAN_LIT("{}"));
    json_out_close(j, '}');
}

static void show_optional(struct json_out *j, const char *name, struct span text) {
    json_out_span(j, name, text.len ? text : (struct span){NULL, 0});
}

void flagfile_show(struct json_out *j, const struct snapshot *s, size_t flag, int64_t full_since_us,
                   int64_t now_us) {
    const struct flags_flag *f = &s->model.flags[flag];
    struct state_flag change = snapshot_change_of(s, f->name.ptr);
    struct flagfile_lines lines = s->file->lines[flag];
    json_out_span(j, "name", f->name);
    json_out_bool(j, "enabled", f->enabled);
    json_out_bool(j, "killed", f->killed);
    show_percent(j, f);
    show_list(j, "enabled_for_users", f->users_on, f->users_on_count);
    show_list(j, "enabled_for_tenants", f->tenants_on, f->tenants_on_count);
    show_list(j, "disabled_for_users", f->users_off, f->users_off_count);
    show_list(j, "disabled_for_tenants", f->tenants_off, f->tenants_off_count);
    json_out_int(j, "conditions", (int64_t)(f->condition_count + f->window_count));
    show_requires(j, f);
    json_out_text(j, "source", flagfile_source(&change));
    json_out_int(j, "version", change.version);
    show_override(j, &change);
    show_optional(j, "owner", f->owner);
    show_optional(j, "module", f->module);
    show_expires(j, f, now_us);
    show_time(j, "full_since", full_since_us);
    json_out_bool(j, "stale", flagfile_is_stale(full_since_us, now_us));
    json_out_text(j, "file", s->path);
    json_out_int(j, "first_line", lines.first);
    json_out_int(j, "last_line", lines.last);
}
