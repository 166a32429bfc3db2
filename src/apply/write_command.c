#include "apply/write_command.h"

#include "model/bsonw.h"

#define CODE_DUPLICATE_KEY 11000

static void add_delete(struct bsonw *w, struct span index, const struct target_op *op) {
    bsonw_doc_open(w, index);
    bsonw_raw_doc(w, SPAN_LIT("q"), op->id, false);
    bsonw_int32(w, SPAN_LIT("limit"), 1);
    bsonw_close(w);
}

static void add_update(struct bsonw *w, struct span index, const struct target_op *op) {
    bsonw_doc_open(w, index);
    bsonw_raw_doc(w, SPAN_LIT("q"), op->id, false);
    bsonw_raw_doc(w, SPAN_LIT("u"), op->document, false);
    if (op->kind == TARGET_PUT)
        bsonw_bool(w, SPAN_LIT("upsert"), true);
    bsonw_close(w);
}

static const char *verb(enum target_op_kind kind) {
    switch (kind) {
    case TARGET_INSERT:
        return "insert";
    case TARGET_PUT:
    case TARGET_SET:
        return "update";
    case TARGET_DELETE:
        return "delete";
    }
    return "";
}

static const char *list_name(enum target_op_kind kind) {
    switch (kind) {
    case TARGET_INSERT:
        return "documents";
    case TARGET_PUT:
    case TARGET_SET:
        return "updates";
    case TARGET_DELETE:
        return "deletes";
    }
    return "";
}

bool write_command_build(struct buf *out, const char *collection, enum target_op_kind kind,
                         const struct target_op *ops, const uint32_t *which, size_t count) {
    struct bsonw w;
    buf_clear(out);
    bsonw_begin(&w, out);
    bsonw_utf8(&w, span_of(verb(kind)), span_of(collection));
    bsonw_bool(&w, SPAN_LIT("ordered"), false);
    bsonw_int32(&w, SPAN_LIT("maxTimeMS"), MONGO_WRITE_MAX_MS);
    bsonw_array_open(&w, span_of(list_name(kind)));
    for (size_t i = 0; i < count; i++) {
        struct bsonw_index room;
        struct span index = bsonw_index_key(&room, (uint32_t)i);
        const struct target_op *op = &ops[which[i]];
        if (kind == TARGET_INSERT)
            bsonw_raw_doc(&w, index, op->document, false);
        else if (kind == TARGET_DELETE)
            add_delete(&w, index, op);
        else
            add_update(&w, index, op);
    }
    bsonw_close(&w);
    bsonw_end(&w);
    return bsonw_ok(&w);
}

/* ---- replies ---- */

static bool read_int(const bson_iter_t *it, int64_t *ret) {
    if (!BSON_ITER_HOLDS_INT32(it) && !BSON_ITER_HOLDS_INT64(it) && !BSON_ITER_HOLDS_DOUBLE(it))
        return false;
    *ret = bson_iter_as_int64(it);
    return true;
}

static struct span read_text(const bson_iter_t *it) {
    uint32_t len;
    if (!BSON_ITER_HOLDS_UTF8(it))
        return (struct span){"", 0};
    const char *text = bson_iter_utf8(it, &len);
    return span_make(text, len);
}

static bool contains(struct span s, const char *text) {
    return s.len && memmem(s.ptr, s.len, text, strlen(text)) != NULL;
}

/* keyPattern {_id: 1}: newer servers say it; older ones name the index in the text. */
static bool is_id_pattern(const bson_iter_t *pattern) {
    bson_iter_t it;
    return BSON_ITER_HOLDS_DOCUMENT(pattern) && bson_iter_recurse(pattern, &it) &&
           bson_iter_next(&it) && strcmp(bson_iter_key(&it), "_id") == 0 && !bson_iter_next(&it);
}

static bool read_error(const bson_iter_t *element, size_t count, struct write_error *errors) {
    bson_iter_t it;
    int64_t index = -1, code = 0;
    bool has_pattern = false, id_pattern = false;
    struct span message = {"", 0};
    if (!BSON_ITER_HOLDS_DOCUMENT(element) || !bson_iter_recurse(element, &it))
        return false;
    while (bson_iter_next(&it)) {
        const char *key = bson_iter_key(&it);
        if (strcmp(key, "index") == 0 && !read_int(&it, &index))
            return false;
        if (strcmp(key, "code") == 0 && !read_int(&it, &code))
            return false;
        if (strcmp(key, "errmsg") == 0)
            message = read_text(&it);
        if (strcmp(key, "keyPattern") == 0) {
            has_pattern = true;
            id_pattern = is_id_pattern(&it);
        }
    }
    if (index < 0 || index >= (int64_t)count || code <= 0 || code > INT32_MAX)
        return false;
    errors[index] = (struct write_error){
        .code = (int)code,
        .duplicate_id = code == CODE_DUPLICATE_KEY &&
                        (has_pattern ? id_pattern : contains(message, "index: _id_ ")),
        .message = message};
    return true;
}

static bool read_errors(const bson_iter_t *list, size_t count, struct write_error *errors) {
    bson_iter_t it;
    if (!BSON_ITER_HOLDS_ARRAY(list) || !bson_iter_recurse(list, &it))
        return false;
    while (bson_iter_next(&it))
        if (!read_error(&it, count, errors))
            return false;
    return true;
}

static bool read_concern(const bson_iter_t *document, struct write_reply *ret) {
    bson_iter_t it;
    int64_t code = 0;
    if (!BSON_ITER_HOLDS_DOCUMENT(document) || !bson_iter_recurse(document, &it))
        return false;
    while (bson_iter_next(&it)) {
        if (strcmp(bson_iter_key(&it), "code") == 0 && !read_int(&it, &code))
            return false;
        if (strcmp(bson_iter_key(&it), "errmsg") == 0)
            ret->concern_message = read_text(&it);
    }
    if (code <= 0 || code > INT32_MAX)
        return false;
    ret->concern_code = (int)code;
    return true;
}

int write_reply_read(const bson_t *reply, size_t count, struct write_error *errors,
                     struct write_reply *ret, struct err *err) {
    bson_iter_t it;
    bool has_n = false, ok = true;
    *ret = (struct write_reply){.concern_message = {"", 0}};
    memset(errors, 0, count * sizeof *errors);
    if (!bson_iter_init(&it, reply))
        return err_set(err, ERR_WIRE, "target: reply is not BSON");
    while (ok && bson_iter_next(&it)) {
        const char *key = bson_iter_key(&it);
        if (strcmp(key, "n") == 0)
            ok = has_n = read_int(&it, &ret->n);
        else if (strcmp(key, "writeErrors") == 0)
            ok = read_errors(&it, count, errors);
        else if (strcmp(key, "writeConcernError") == 0)
            ok = read_concern(&it, ret);
    }
    if (!ok || !has_n || ret->n < 0 || ret->n > (int64_t)count)
        return err_set(err, ERR_WIRE, "target: reply to a write of %zu documents makes no sense",
                       count);
    return 0;
}
