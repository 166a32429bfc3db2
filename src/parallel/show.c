#include "parallel/show.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void show_time(struct json_out *j, const char *name, int64_t us) {
    char text[40];
    struct tm tm;
    time_t seconds = (time_t)(us / 1000000);
    gmtime_r(&seconds, &tm);
    size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(text + n, sizeof text - n, ".%03dZ", (int)(us / 1000 % 1000));
    json_out_text(j, name, text);
}

static void show_json(struct json_out *j, const char *name, const char *json) {
    if (json)
        json_out_raw(j, name, span_of(json));
}

static void show_example(struct json_out *j, const struct state_example *e) {
    json_out_open(j, NULL, '{');
    json_out_int(j, "id", e->id);
    show_time(j, "time", e->at_us);
    json_out_text(j, "path", e->path);
    show_json(j, "sql", e->sql);
    show_json(j, "mongodb", e->mongodb);
    json_out_text(j, "request", e->request);
    show_json(j, "parameters", e->parameters);
    json_out_text(j, "reproducer", e->reproducer);
    json_out_text(j, "collection", e->collection[0] ? e->collection : NULL);
    show_json(j, "sql_document", e->sql_document);
    show_json(j, "mongodb_document", e->mongodb_document);
    json_out_close(j, '}');
}

void show_divergence(struct json_out *j, const struct state_divergence *d,
                     const struct state_example *examples, size_t count) {
    char fingerprint[24];
    (void)snprintf(fingerprint, sizeof fingerprint, "%016" PRIx64, d->fingerprint);
    json_out_open(j, NULL, '{');
    json_out_int(j, "id", d->id);
    json_out_text(j, "fingerprint", fingerprint);
    json_out_text(j, "module", d->module);
    json_out_text(j, "name", d->subject);
    json_out_text(j, "path", d->shape);
    json_out_text(j, "kind", d->kind);
    json_out_int(j, "count", d->count);
    show_time(j, "first", d->first_us);
    show_time(j, "last", d->last_us);
    json_out_bool(j, "analyzed", d->analyzed);
    if (examples) {
        json_out_open(j, "examples", '[');
        for (size_t i = 0; i < count; i++)
            show_example(j, &examples[i]);
        json_out_close(j, ']');
    }
    json_out_close(j, '}');
}

/* ---- resync ---- */

static int pipeline_of(struct state *s, const char *collection, char *ret_pipeline,
                       struct err *err) {
    struct state_collection *list = NULL;
    size_t count = 0;
    bool found = false;
    int rc = state_collection_list(s, NULL, &list, &count, err);
    for (size_t i = 0; rc == 0 && i < count && !found; i++) {
        found = strcmp(list[i].name, collection) == 0;
        if (found)
            (void)snprintf(ret_pipeline, STATE_NAME_MAX, "%s", list[i].pipeline);
    }
    free(list);
    return rc == 0 && !found
               ? err_set(err, ERR_NO, "collection %s has never been copied", collection)
               : rc;
}

static int request(struct state *s, const struct state_example *e, char *ret_collection,
                   struct err *err) {
    char pipeline[STATE_NAME_MAX];
    if (!e->collection[0] || !e->key)
        return err_set(err, ERR_NO,
                       "it is not known which document the divergence is about; `banyan verify "
                       "--repair` finds it");
    int rc = pipeline_of(s, e->collection, pipeline, err);
    if (rc == 0)
        rc = state_request_add(s, pipeline, e->collection, span_make(e->key, e->key_len), err);
    if (rc == 0)
        (void)snprintf(ret_collection, STATE_NAME_MAX, "%s", e->collection);
    return rc;
}

int resync_divergence(struct state *s, int64_t id, int64_t example, char *ret_collection,
                      struct err *err) {
    struct state_example *list = NULL;
    const struct state_example *chosen = NULL;
    size_t count = 0;
    int rc = state_example_list(s, id, &list, &count, err);
    for (size_t i = 0; i < count && !chosen; i++)
        if (example ? list[i].id == example : list[i].collection[0] != '\0')
            chosen = &list[i];
    if (rc == 0 && !chosen && count && !example)
        chosen = &list[0];
    if (rc == 0)
        rc = chosen ? request(s, chosen, ret_collection, err)
                    : err_set(err, ERR_NO, "no example of this divergence is kept");
    for (size_t i = 0; i < count; i++)
        state_example_clear(&list[i]);
    free(list);
    return rc;
}
