/*
 * Any bytes as a flags file, of each format: the first byte says which (0: it is found out).
 * Refused with a place, or a model that compiles and answers; where feature-flags.yml has words for
 * it, what is written means the same: everybody gets the same answer from it.
 */
#include "base/mem.h"
#include "flagfile/flagfile.h"
#include "flags/compile.h"
#include "flags/flags.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
const char *__lsan_default_suppressions(void);

/* See fuzz_conf.c: libfyaml's own. */
const char *__lsan_default_suppressions(void) {
    return "leak:libfyaml.so\n";
}

/* clang-format off: a span where constants are wanted */
#define S(text)                                                                                    \
    { text, sizeof(text) - 1 }
/* clang-format on */

#define NAME "f.yml"
#define USERS 24

struct loaded {
    struct flagfile *file;
    struct buf blob;
    struct flags_set set;
};

/* "f.yml:line:column: words" */
static void check_place(const char *text) {
    size_t at = strlen(NAME);
    if (strncmp(text, NAME, at) != 0)
        abort();
    for (int i = 0; i < 2; i++) {
        size_t digits = strspn(text + at + 1, "0123456789");
        if (text[at] != ':' || digits == 0)
            abort();
        at += 1 + digits;
    }
    if (strncmp(text + at, ": ", 2) != 0 || !text[at + 2])
        abort();
}

static void unload(struct loaded *l) {
    flagfile_free(l->file);
    buf_release(&l->blob);
}

static bool load(struct loaded *l, const char *text, size_t len, enum flagfile_format format,
                 struct err *err) {
    *l = (struct loaded){.blob = {.max = FLAGS_BLOB_MAX}};
    if (flagfile_parse(NAME, text, len, format, &l->file, err) < 0)
        return false;
    if (flags_compile(&l->file->model, &l->blob, err) < 0) {
        unload(l);
        return false;
    }
    if (flags_open(l->blob.data, l->blob.len, &l->set, err) < 0)
        abort(); /* what was compiled here is sound */
    return true;
}

static void ask(const struct loaded *l, uint32_t flag, int who, struct flags_result *ret) {
    static const struct flags_attribute attributes[] = {
        {S("email"), {.type = FLAGS_STRING, .text = S("z@bank.example")}},
        {S("age"), {.type = FLAGS_NUMBER, .number = 17}},
        {S("plan"), {.type = FLAGS_STRING, .text = S("gold")}},
        {S("level"), {.type = FLAGS_STRING, .text = S("5")}},
        {S("groups"), {.type = FLAGS_JSON, .text = S("[\"a\",\"staff\"]")}},
        {S("ip"), {.type = FLAGS_STRING, .text = S("10.1.2.3")}}};
    char user[24];
    struct flags_context context = {.tenant = who % 3 ? SPAN_LIT("bank_7") : (struct span){0},
                                    .user_attributes = attributes,
                                    .tenant_attributes = attributes,
                                    .user_attribute_count = (size_t)who % 7,
                                    .tenant_attribute_count = (size_t)who % 4,
                                    .now_us = INT64_C(1771622898123456) + who * INT64_C(3600000000),
                                    .random = (uint64_t)who + 1};
    (void)snprintf(user, sizeof user, "user_%d", who);
    context.user = who == 0 ? (struct span){0} : span_of(user);
    flags_evaluate(&l->set, flag, &context, ret);
}

/* As a switch. Names of variants, and whether an off flag carries its value, are the format's own.
 */
static bool same(const struct flags_result *a, const struct flags_result *b) {
    return a->on == b->on &&
           (!a->has_value || !b->has_value || a->value.boolean == b->value.boolean);
}

static void compare(const struct loaded *first, const struct loaded *again, int who_from,
                    struct buf *text) {
    if (flags_count(&first->set) != flags_count(&again->set))
        abort();
    for (uint32_t i = 0; i < flags_count(&first->set); i++)
        for (int who = who_from; who < USERS; who++) {
            struct flags_result one, other;
            ask(first, i, who, &one);
            ask(again, i, who, &other);
            if (!same(&one, &other)) {
                (void)fprintf(stderr, "flag %u, user %d: %s %.*s was %s %.*s\n%s", i, who,
                              flags_reason_name(other.reason), SPAN_ARG(other.variant),
                              flags_reason_name(one.reason), SPAN_ARG(one.variant), buf_text(text));
                abort();
            }
        }
}

static void write_again(const struct loaded *l) {
    _cleanup_(buf_release) struct buf text = {.max = FLAGFILE_MAX};
    _cleanup_(buf_release) struct buf notes = {.max = FLAGFILE_MAX};
    struct loaded again;
    struct err err = {0};
    if (flagfile_write(&l->file->model, &text, &notes, &err) < 0)
        return;
    if (!load(&again, text.data, text.len, FLAGFILE_FEATURES, &err)) {
        (void)fprintf(stderr, "%s\n%s", err.text, buf_text(&text));
        abort();
    }
    /* The one thing of an import that a note leaves open: nobody, who is drawn at random there. */
    compare(l, &again, strstr(buf_text(&notes), "who has no user") ? 1 : 0, &text);
    unload(&again);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) {
    struct loaded l;
    struct err err = {0};
    if (size == 0)
        return 0;
    enum flagfile_format format = (enum flagfile_format)(data[0] % (FLAGFILE_LAUNCHDARKLY + 1));
    if (!load(&l, (const char *)data + 1, size - 1, format, &err)) {
        check_place(err.text);
        return 0;
    }
    write_again(&l);
    unload(&l);
    return 0;
}
