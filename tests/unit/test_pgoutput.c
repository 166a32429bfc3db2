/* The messages of protocol version 1: each kind, each truncated form, leftovers, nonsense. */
#include "base/buf.h"
#include "source/pgoutput.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- messages, built as the documentation describes them ---- */

static void put(struct buf *b, uint64_t v, int bytes) {
    for (int i = bytes - 1; i >= 0; i--)
        buf_add_char(b, (char)(unsigned char)(v >> (8 * i)));
}

static void put_text(struct buf *b, const char *text) {
    buf_add(b, text, strlen(text) + 1);
}

static void put_value(struct buf *b, const char *text) {
    buf_add_char(b, 't');
    put(b, strlen(text), 4);
    buf_add_text(b, text);
}

/* Columns: a text, null, an unchanged TOAST value. */
static void put_row(struct buf *b, char mark, const char *text) {
    buf_add_char(b, mark);
    put(b, 3, 2);
    put_value(b, text);
    buf_add_text(b, "nu");
}

static void build_begin(struct buf *b) {
    buf_add_char(b, 'B');
    put(b, UINT64_C(0x16B374D848), 8);
    put(b, (uint64_t)-5, 8);
    put(b, 4000000000U, 4);
}

static void build_commit(struct buf *b) {
    buf_add_char(b, 'C');
    put(b, 0, 1);
    put(b, 100, 8);
    put(b, 148, 8);
    put(b, 777, 8);
}

static void build_origin(struct buf *b) {
    buf_add_char(b, 'O');
    put(b, 100, 8);
    put_text(b, "elsewhere");
}

static void build_relation(struct buf *b) {
    buf_add_char(b, 'R');
    put(b, 16384, 4);
    put_text(b, "My \"Schema");
    put_text(b, "order.items");
    buf_add_char(b, 'd');
    put(b, 2, 2);
    put(b, 1, 1);
    put_text(b, "id");
    put(b, 20, 4);
    put(b, UINT32_MAX, 4);
    put(b, 0, 1);
    put_text(b, "$name");
    put(b, 1043, 4);
    put(b, 24, 4);
}

static void build_type(struct buf *b) {
    buf_add_char(b, 'Y');
    put(b, 16400, 4);
    put_text(b, "public");
    put_text(b, "mood");
}

static void build_insert(struct buf *b) {
    buf_add_char(b, 'I');
    put(b, 16384, 4);
    put_row(b, 'N', "new");
}

static void build_update(struct buf *b) {
    buf_add_char(b, 'U');
    put(b, 16384, 4);
    put_row(b, 'N', "new");
}

static void build_update_key(struct buf *b) {
    buf_add_char(b, 'U');
    put(b, 16384, 4);
    put_row(b, 'K', "old key");
    put_row(b, 'N', "new");
}

static void build_update_full(struct buf *b) {
    buf_add_char(b, 'U');
    put(b, 16384, 4);
    put_row(b, 'O', "old row");
    put_row(b, 'N', "new");
}

static void build_delete(struct buf *b) {
    buf_add_char(b, 'D');
    put(b, 16384, 4);
    put_row(b, 'K', "old key");
}

static void build_delete_full(struct buf *b) {
    buf_add_char(b, 'D');
    put(b, 16384, 4);
    put_row(b, 'O', "old row");
}

static void build_truncate(struct buf *b) {
    buf_add_char(b, 'T');
    put(b, 2, 4);
    put(b, 2, 1);
    put(b, 16384, 4);
    put(b, 16390, 4);
}

static void build_message(struct buf *b) {
    buf_add_char(b, 'M');
    put(b, 1, 1);
    put(b, 4711, 8);
    put_text(b, "banyan");
    put(b, 9, 4);
    buf_add_text(b, "heartbeat");
}

typedef void (*build_fn)(struct buf *b);

static const struct {
    build_fn build;
    enum pgo_kind kind;
} messages[] = {
    {build_begin, PGO_BEGIN},        {build_commit, PGO_COMMIT},
    {build_origin, PGO_ORIGIN},      {build_relation, PGO_RELATION},
    {build_type, PGO_TYPE},          {build_insert, PGO_INSERT},
    {build_update, PGO_UPDATE},      {build_update_key, PGO_UPDATE},
    {build_update_full, PGO_UPDATE}, {build_delete, PGO_DELETE},
    {build_delete_full, PGO_DELETE}, {build_truncate, PGO_TRUNCATE},
    {build_message, PGO_MESSAGE},
};
#define MESSAGES (sizeof messages / sizeof messages[0])

/* ---- decoding; the bytes lie in a block of their exact size ---- */

struct bench {
    struct pgo_decoder *decoder;
    char *bytes;
    struct pgo_message m;
    struct err err;
};

static int set_up(void **state) {
    struct bench *t = calloc(1, sizeof *t);
    t->decoder = pgo_decoder_new();
    *state = t;
    return 0;
}

static int tear_down(void **state) {
    struct bench *t = *state;
    pgo_decoder_free(t->decoder);
    free(t->bytes);
    free(t);
    return 0;
}

static int decode_bytes(struct bench *t, struct span s) {
    free(t->bytes);
    t->bytes = malloc(s.len ? s.len : 1);
    if (s.len)
        memcpy(t->bytes, s.ptr, s.len);
    t->err = (struct err){0};
    return pgo_decode(t->decoder, span_make(t->bytes, s.len), &t->m, &t->err);
}

static void decode(struct bench *t, build_fn build) {
    struct buf b;
    buf_init(&b, 4096);
    build(&b);
    assert_int_equal(decode_bytes(t, buf_span(&b)), 0);
    buf_release(&b);
}

static void refuse(struct bench *t, struct buf *b, const char *message) {
    assert_int_equal(decode_bytes(t, buf_span(b)), ERR_WIRE);
    assert_int_equal(t->err.code, ERR_WIRE);
    assert_false(t->err.retriable);
    if (!strstr(t->err.text, message))
        fail_msg("\"%s\" does not say \"%s\"", t->err.text, message);
}

static void check_row(const struct pgo_tuple *row, const char *text) {
    assert_int_equal(row->count, 3);
    assert_int_equal(row->values[0].kind, PGO_TEXT);
    assert_true(span_is(row->values[0].text, text));
    assert_int_equal(row->values[1].kind, PGO_NULL);
    assert_int_equal(row->values[2].kind, PGO_UNCHANGED);
}

static void begin_and_commit(void **state) {
    struct bench *t = *state;
    decode(t, build_begin);
    assert_int_equal(t->m.kind, PGO_BEGIN);
    assert_int_equal(t->m.begin.final_lsn, UINT64_C(0x16B374D848));
    assert_int_equal(t->m.begin.commit_time_us, -5);
    assert_int_equal(t->m.begin.xid, 4000000000U);
    decode(t, build_commit);
    assert_int_equal(t->m.kind, PGO_COMMIT);
    assert_int_equal(t->m.commit.commit_lsn, 100);
    assert_int_equal(t->m.commit.end_lsn, 148);
    assert_int_equal(t->m.commit.commit_time_us, 777);
}

static void relation(void **state) {
    struct bench *t = *state;
    decode(t, build_relation);
    const struct pgo_relation *r = &t->m.relation;
    assert_int_equal(t->m.kind, PGO_RELATION);
    assert_int_equal(r->oid, 16384);
    assert_true(span_is(r->schema, "My \"Schema"));
    assert_true(span_is(r->name, "order.items"));
    assert_int_equal(r->replica_identity, 'd');
    assert_int_equal(r->column_count, 2);
    assert_true(r->columns[0].key);
    assert_true(span_is(r->columns[0].name, "id"));
    assert_int_equal(r->columns[0].type_oid, 20);
    assert_int_equal(r->columns[0].typmod, -1);
    assert_false(r->columns[1].key);
    assert_true(span_is(r->columns[1].name, "$name"));
    assert_int_equal(r->columns[1].type_oid, 1043);
    assert_int_equal(r->columns[1].typmod, 24);
}

static void insert(void **state) {
    struct bench *t = *state;
    decode(t, build_insert);
    assert_int_equal(t->m.kind, PGO_INSERT);
    assert_int_equal(t->m.change.relation, 16384);
    assert_int_equal(t->m.change.old_row.count, 0);
    check_row(&t->m.change.new_row, "new");
}

static void update_with_and_without_old_row(void **state) {
    struct bench *t = *state;
    decode(t, build_update);
    assert_int_equal(t->m.kind, PGO_UPDATE);
    assert_int_equal(t->m.change.old_row.count, 0);
    check_row(&t->m.change.new_row, "new");
    decode(t, build_update_key);
    assert_false(t->m.change.old_is_full);
    check_row(&t->m.change.old_row, "old key");
    check_row(&t->m.change.new_row, "new");
    decode(t, build_update_full);
    assert_true(t->m.change.old_is_full);
    check_row(&t->m.change.old_row, "old row");
    check_row(&t->m.change.new_row, "new");
}

static void delete_by_key_and_by_row(void **state) {
    struct bench *t = *state;
    decode(t, build_delete);
    assert_int_equal(t->m.kind, PGO_DELETE);
    assert_false(t->m.change.old_is_full);
    check_row(&t->m.change.old_row, "old key");
    assert_int_equal(t->m.change.new_row.count, 0);
    decode(t, build_delete_full);
    assert_true(t->m.change.old_is_full);
    check_row(&t->m.change.old_row, "old row");
}

static void truncate_lists_its_tables(void **state) {
    struct bench *t = *state;
    decode(t, build_truncate);
    assert_int_equal(t->m.kind, PGO_TRUNCATE);
    assert_int_equal(t->m.truncate.relation_count, 2);
    assert_int_equal(t->m.truncate.relations[0], 16384);
    assert_int_equal(t->m.truncate.relations[1], 16390);
    assert_false(t->m.truncate.cascade);
    assert_true(t->m.truncate.restart_identity);
}

static void logical_message(void **state) {
    struct bench *t = *state;
    decode(t, build_message);
    assert_int_equal(t->m.kind, PGO_MESSAGE);
    assert_true(t->m.message.transactional);
    assert_int_equal(t->m.message.lsn, 4711);
    assert_true(span_is(t->m.message.prefix, "banyan"));
    assert_true(span_is(t->m.message.content, "heartbeat"));
}

static void origin_and_type_are_named(void **state) {
    struct bench *t = *state;
    decode(t, build_origin);
    assert_int_equal(t->m.kind, PGO_ORIGIN);
    decode(t, build_type);
    assert_int_equal(t->m.kind, PGO_TYPE);
}

static void values_may_hold_any_bytes(void **state) {
    struct bench *t = *state;
    struct buf b;
    buf_init(&b, 4096);
    buf_add_char(&b, 'I');
    put(&b, 1, 4);
    buf_add_char(&b, 'N');
    put(&b, 2, 2);
    buf_add(&b, "t\0\0\0\3a\0b", 8);
    buf_add(&b, "t\0\0\0\0", 5);
    assert_int_equal(decode_bytes(t, buf_span(&b)), 0);
    assert_true(span_eq(t->m.change.new_row.values[0].text, span_make("a\0b", 3)));
    assert_int_equal(t->m.change.new_row.values[1].kind, PGO_TEXT);
    assert_int_equal(t->m.change.new_row.values[1].text.len, 0);
    buf_release(&b);
}

static void no_prefix_of_a_message_is_a_message(void **state) {
    struct bench *t = *state;
    for (size_t i = 0; i < MESSAGES; i++) {
        struct buf b;
        buf_init(&b, 4096);
        messages[i].build(&b);
        for (size_t len = 0; len < b.len; len++)
            assert_int_equal(decode_bytes(t, span_make(b.data, len)), ERR_WIRE);
        assert_int_equal(decode_bytes(t, buf_span(&b)), 0);
        assert_int_equal(t->m.kind, messages[i].kind);
        buf_release(&b);
    }
}

static void leftover_bytes_are_refused(void **state) {
    struct bench *t = *state;
    for (size_t i = 0; i < MESSAGES; i++) {
        struct buf b;
        buf_init(&b, 4096);
        messages[i].build(&b);
        char place[32];
        (void)snprintf(place, sizeof place, "byte %zu", b.len);
        buf_add_char(&b, '\0');
        /* TRUNCATE counts what must follow, so it fails earlier */
        refuse(t, &b, messages[i].kind == PGO_TRUNCATE ? "byte" : place);
        buf_release(&b);
    }
}

/* A failure leaves what the caller had. */
static void failures_do_not_touch_the_output(void **state) {
    struct bench *t = *state;
    decode(t, build_begin);
    assert_int_equal(decode_bytes(t, SPAN_LIT("C")), ERR_WIRE);
    assert_int_equal(t->m.kind, PGO_BEGIN);
    assert_int_equal(t->m.begin.xid, 4000000000U);
}

static void unknown_kinds_are_refused(void **state) {
    struct bench *t = *state;
    for (int kind = 0; kind < 256; kind++) {
        if (kind && strchr("BCORYIUDTM", kind))
            continue;
        struct buf b;
        buf_init(&b, 4096);
        build_begin(&b);
        b.data[0] = (char)kind;
        char text[16];
        (void)snprintf(text, sizeof text, "kind 0x%02x", (unsigned)kind);
        refuse(t, &b, text);
        buf_release(&b);
    }
}

/* One byte of a good message, changed to what cannot be there. */
static void refuse_changed(struct bench *t, build_fn build, size_t at, char to) {
    struct buf b;
    buf_init(&b, 4096);
    build(&b);
    assert_true(at < b.len && b.data[at] != to);
    b.data[at] = to;
    refuse(t, &b, "byte");
    buf_release(&b);
}

static void marks_and_flags_are_checked(void **state) {
    struct bench *t = *state;
    refuse_changed(t, build_commit, 1, 1);
    refuse_changed(t, build_insert, 5, 'O');
    refuse_changed(t, build_update, 5, 'X');
    refuse_changed(t, build_update_key, 25, 'K'); /* mark of the new row */
    refuse_changed(t, build_delete, 5, 'N');
    refuse_changed(t, build_truncate, 5, 4);
    refuse_changed(t, build_message, 1, 2);
    refuse_changed(t, build_relation, 28, 'x'); /* replica identity */
    refuse_changed(t, build_relation, 31, 2);   /* flags of the first column */
    refuse_changed(t, build_insert, 8, 'b');    /* binary, never asked for */
    refuse_changed(t, build_insert, 8, 'T');
}

static void impossible_numbers_are_refused(void **state) {
    struct bench *t = *state;
    refuse_changed(t, build_insert, 6, 0x7f); /* columns */
    refuse_changed(t, build_relation, 29, 7); /* 1792 columns and more */
    refuse_changed(t, build_insert, 9, 0x40); /* a value of 1 GiB */
    refuse_changed(t, build_insert, 9, -1);   /* of 4 GiB */
    refuse_changed(t, build_truncate, 1, -1); /* tables */
    refuse_changed(t, build_truncate, 4, 1);
    refuse_changed(t, build_truncate, 4, 3);
    refuse_changed(t, build_message, 17, -1); /* length of the content */
}

static void the_widest_table_passes(void **state) {
    struct bench *t = *state;
    for (unsigned columns = PGO_COLUMNS_MAX; columns <= PGO_COLUMNS_MAX + 1; columns++) {
        struct buf b;
        buf_init(&b, 65536);
        buf_add_char(&b, 'D');
        put(&b, 1, 4);
        buf_add_char(&b, 'O');
        put(&b, columns, 2);
        for (unsigned i = 0; i < columns; i++)
            buf_add_char(&b, 'n');
        int rc = decode_bytes(t, buf_span(&b));
        assert_int_equal(rc, columns > PGO_COLUMNS_MAX ? ERR_WIRE : 0);
        buf_release(&b);
    }
    assert_int_equal(t->m.change.old_row.count, PGO_COLUMNS_MAX);
}

/* Nonsense gives an error or a message whose spans lie inside it; ASan sees the rest. */
static void mutations_do_no_harm(void **state) {
    struct bench *t = *state;
    uint64_t random = 7;
    for (int round = 0; round < 20000; round++) {
        struct buf b;
        buf_init(&b, 4096);
        messages[(size_t)round % MESSAGES].build(&b);
        for (int i = 0; i <= round % 3; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            b.data[(random >> 32) % b.len] = (char)(random >> 56);
        }
        if (decode_bytes(t, buf_span(&b)) == 0 && t->m.kind == PGO_INSERT)
            for (size_t i = 0; i < t->m.change.new_row.count; i++) {
                struct span v = t->m.change.new_row.values[i].text;
                assert_true(v.len == 0 || (v.ptr > t->bytes && v.ptr + v.len <= t->bytes + b.len));
            }
        buf_release(&b);
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(begin_and_commit),
        TEST(relation),
        TEST(insert),
        TEST(update_with_and_without_old_row),
        TEST(delete_by_key_and_by_row),
        TEST(truncate_lists_its_tables),
        TEST(logical_message),
        TEST(origin_and_type_are_named),
        TEST(values_may_hold_any_bytes),
        TEST(no_prefix_of_a_message_is_a_message),
        TEST(leftover_bytes_are_refused),
        TEST(failures_do_not_touch_the_output),
        TEST(unknown_kinds_are_refused),
        TEST(marks_and_flags_are_checked),
        TEST(impossible_numbers_are_refused),
        TEST(the_widest_table_passes),
        TEST(mutations_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
