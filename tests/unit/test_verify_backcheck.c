/* A document that does not say what its rows say, whoever decoded them. */
#include "verify/backcheck.h"

#include "verify/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* t (id int, name text) with the rows of item (n int, sku text) in "items", and a stamp. */
static const struct pg_type int4 = {.oid = 23, .name = "integer", .kind = PG_KIND_INT32};
static const struct pg_type text_type = {.oid = 25, .name = "text", .kind = PG_KIND_TEXT};
static const struct pg_column sources[] = {{.name = "id", .type = &int4},
                                           {.name = "name", .type = &text_type},
                                           {.name = "n", .type = &int4},
                                           {.name = "sku", .type = &text_type}};
static const struct plan_column root_columns[] = {{.name = "id", .source = &sources[0]},
                                                  {.name = "name", .source = &sources[1]}};
static const struct plan_column item_columns[] = {{.name = "n", .source = &sources[2]},
                                                  {.name = "sku", .source = &sources[3]}};

struct fixture {
    struct conf_types types;
    struct plan_field root_fields[3], item_fields[2];
    struct plan_node root, item;
    struct plan_collection collection;
    char path[64], text[64], back[64];
    const char *column;
    int findings;
};

static int set_up(void **state) {
    static struct fixture f;
    f = (struct fixture){0};
    f.item_fields[0] = (struct plan_field){.kind = PLAN_COLUMN, .name = SPAN_LIT("n"), .column = 0};
    f.item_fields[1] =
        (struct plan_field){.kind = PLAN_COLUMN, .name = SPAN_LIT("sku"), .column = 1};
    f.item = (struct plan_node){.parent = &f.root,
                                .name = SPAN_LIT("items"),
                                .path = "items",
                                .columns = item_columns,
                                .column_count = 2,
                                .fields = f.item_fields,
                                .field_count = 2};
    f.root_fields[0] = (struct plan_field){.kind = PLAN_NOW, .name = SPAN_LIT("synced")};
    f.root_fields[1] =
        (struct plan_field){.kind = PLAN_COLUMN, .name = SPAN_LIT("name"), .column = 1};
    f.root_fields[2] =
        (struct plan_field){.kind = PLAN_EMBED, .name = SPAN_LIT("items"), .node = &f.item};
    f.root = (struct plan_node){.path = "",
                                .columns = root_columns,
                                .column_count = 2,
                                .fields = f.root_fields,
                                .field_count = 3,
                                .child_count = 1};
    f.collection =
        (struct plan_collection){.name = "c", .types = &f.types, .root = &f.root, .id_count = 1};
    *state = &f;
    return 0;
}

static void keep(char *to, struct span s) {
    assert_true(s.len < 64);
    memcpy(to, s.ptr ? s.ptr : "", s.len);
    to[s.len] = '\0';
}

static int on_finding(void *context, const struct backcheck_finding *finding) {
    struct fixture *f = context;
    f->findings++;
    f->column = finding->column;
    keep(f->path, finding->path);
    keep(f->text, finding->text);
    keep(f->back, finding->back);
    return 7;
}

/* The rows are always the same: (1, 'ada') with the items (10, 'x') and (11, NULL). */
static int check(struct fixture *f, bson_t *document) {
    struct span first[] = {SPAN_LIT("10"), SPAN_LIT("x")}, second[] = {SPAN_LIT("11"), {0}};
    struct span values[] = {SPAN_LIT("1"), SPAN_LIT("ada")};
    struct map_row last = {.values = second};
    struct map_row item = {.next = &last, .values = first};
    const struct map_row *children[] = {&item};
    struct map_row row = {.values = values, .children = children};
    int rc = backcheck_document(&f->collection, &row,
                                span_make(bson_get_data(document), document->len), on_finding, f);
    bson_destroy(document);
    return rc;
}

#define ITEM(n, sku) "{", "n", n, "sku", sku, "}"

static void the_right_document_has_no_finding(void **state) {
    struct fixture *f = *state;
    int rc =
        check(f, BCON_NEW("_id", BCON_INT64(1), "synced", BCON_DATE_TIME(5), "name", "ada", "items",
                          "[", ITEM(BCON_INT32(10), "x"), ITEM(BCON_INT32(11), BCON_NULL), "]"));
    assert_int_equal(rc, 0);
    assert_int_equal(f->findings, 0);
}

static void another_value_is_found(void **state) {
    struct fixture *f = *state;
    int rc =
        check(f, BCON_NEW("_id", BCON_INT64(1), "synced", BCON_DATE_TIME(5), "name", "eve", "items",
                          "[", ITEM(BCON_INT32(10), "x"), ITEM(BCON_INT32(11), BCON_NULL), "]"));
    assert_int_equal(rc, 7);
    assert_string_equal(f->column, "name");
    assert_string_equal(f->path, "name");
    assert_string_equal(f->text, "ada");
    assert_string_equal(f->back, "eve");
}

static void an_embedded_value_is_found_by_its_path(void **state) {
    struct fixture *f = *state;
    int rc =
        check(f, BCON_NEW("_id", BCON_INT64(1), "synced", BCON_DATE_TIME(5), "name", "ada", "items",
                          "[", ITEM(BCON_INT32(10), "x"), ITEM(BCON_INT32(12), BCON_NULL), "]"));
    assert_int_equal(rc, 7);
    assert_string_equal(f->path, "items.n");
    assert_string_equal(f->text, "11");
    assert_string_equal(f->back, "12");
}

static void null_is_not_the_empty_text(void **state) {
    struct fixture *f = *state;
    int rc =
        check(f, BCON_NEW("_id", BCON_INT64(1), "synced", BCON_DATE_TIME(5), "name", "ada", "items",
                          "[", ITEM(BCON_INT32(10), "x"), ITEM(BCON_INT32(11), ""), "]"));
    assert_int_equal(rc, 7);
    assert_string_equal(f->path, "items.sku");
}

static void a_number_as_text_is_found(void **state) {
    struct fixture *f = *state;
    int rc =
        check(f, BCON_NEW("_id", BCON_INT64(1), "synced", BCON_DATE_TIME(5), "name", "ada", "items",
                          "[", ITEM("10", "x"), ITEM(BCON_INT32(11), BCON_NULL), "]"));
    assert_int_equal(rc, 7);
    assert_string_equal(f->path, "items.n");
}

static void a_field_that_was_left_out_is_found(void **state) {
    struct fixture *f = *state;
    int rc = check(f, BCON_NEW("_id", BCON_INT64(1), "synced", BCON_DATE_TIME(5), "items", "[",
                               ITEM(BCON_INT32(10), "x"), "]"));
    assert_int_equal(rc, 7);
    assert_string_equal(f->path, "name");
}

/* ---- what becomes of a finding ---- */

struct told {
    int count;
    char kind[16], path[16], id[8];
};

static int tell(void *context, const struct verify_difference *d, struct err *err) {
    struct told *told = context;
    (void)err;
    told->count++;
    (void)snprintf(told->kind, sizeof told->kind, "%s", d->kind);
    (void)snprintf(told->path, sizeof told->path, "%s", d->path);
    (void)snprintf(told->id, sizeof told->id, "%s", d->id);
    return 0;
}

static int tell_nobody(void *context, const struct verify_difference *d, struct err *err) {
    (void)context;
    (void)d;
    return err_set(err, ERR_STATE, "no space left");
}

/* The row (1, 'ada') without items as a document that says "eve". */
static int check_decoder(struct fixture *f, struct verify_options *options, int64_t *ret_count,
                         struct err *err) {
    struct span values[] = {SPAN_LIT("1"), SPAN_LIT("ada")};
    const struct map_row *children[] = {NULL};
    struct map_row row = {.values = values, .children = children};
    bson_t *identity = BCON_NEW("_id", BCON_INT64(1));
    bson_t *document = BCON_NEW("_id", BCON_INT64(1), "synced", BCON_DATE_TIME(5), "name", "eve",
                                "items", "[", "]");
    struct session s = {.options = options, .c = &f->collection};
    struct assembled doc = {.identity = span_make(bson_get_data(identity), identity->len),
                            .document = span_make(bson_get_data(document), document->len),
                            .row = &row};
    int rc = decoder_check(&s, &doc, err);
    *ret_count = s.decoder;
    bson_destroy(identity);
    bson_destroy(document);
    return rc;
}

static void a_finding_is_told_and_counted(void **state) {
    struct told told = {0};
    struct verify_options options = {.difference = tell, .context = &told};
    struct err err = {0};
    int64_t count = 0;
    assert_int_equal(check_decoder(*state, &options, &count, &err), 0);
    assert_int_equal(count, 1);
    assert_int_equal(told.count, 1);
    assert_string_equal(told.kind, "decoder");
    assert_string_equal(told.path, "name");
    assert_string_equal(told.id, "1");
}

/* The report's full disk was ignored here, and the finding only counted. */
static void a_finding_that_cannot_be_told_is_an_error(void **state) {
    struct verify_options options = {.difference = tell_nobody};
    struct err err = {0};
    int64_t count = 0;
    assert_int_equal(check_decoder(*state, &options, &count, &err), ERR_STATE);
    assert_string_equal(err.text, "no space left");
}

static void keys_are_no_matter_of_decoders(void **state) {
    struct told told = {0};
    struct verify_options options = {.difference = tell, .context = &told, .keys_only = true};
    struct err err = {0};
    int64_t count = 0;
    assert_int_equal(check_decoder(*state, &options, &count, &err), 0);
    assert_int_equal(told.count + count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_right_document_has_no_finding, set_up),
        cmocka_unit_test_setup(another_value_is_found, set_up),
        cmocka_unit_test_setup(an_embedded_value_is_found_by_its_path, set_up),
        cmocka_unit_test_setup(null_is_not_the_empty_text, set_up),
        cmocka_unit_test_setup(a_number_as_text_is_found, set_up),
        cmocka_unit_test_setup(a_field_that_was_left_out_is_found, set_up),
        cmocka_unit_test_setup(a_finding_is_told_and_counted, set_up),
        cmocka_unit_test_setup(a_finding_that_cannot_be_told_is_an_error, set_up),
        cmocka_unit_test_setup(keys_are_no_matter_of_decoders, set_up),
    };
    return cmocka_run_group_tests_name("verify_backcheck", tests, NULL, NULL);
}
