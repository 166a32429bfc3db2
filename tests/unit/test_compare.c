/* Two answers, walked: names, arrays, patterns, paths, masking and limits. */
#include "compare_try.h"

#include "base/mem.h"

static void fields_in_any_order(void **state) {
    (void)state;
    try_json(&exact, "{\"a\":1,\"b\":{\"c\":2,\"d\":3},\"e\":4}",
             "{\"e\":4,\"b\":{\"d\":3,\"c\":2},\"a\":1}", "");
    try_json(&exact, "{\"a\":1,\"b\":2,\"c\":3}", "{\"c\":4,\"d\":2,\"a\":1}",
             "missing b; mismatch c; extra d");
    try_json(&exact, "{}", "{\"a\":null}", "extra a");
    try_json(&exact, "{\"a\":{\"b\":[{\"c\":true}]}}", "{\"a\":{\"b\":[{\"c\":false}]}}",
             "mismatch a.b[0].c");
    try_json(&exact, "1", "2", "mismatch ");
    try_json(&exact, "{\"a\":1}", "[1]", "type_difference ");
    try_json(&exact, "{\"a\":null}", "{\"a\":1}", "type_difference a");
    try_json(&exact, "{\"a\":{}}", "{\"a\":[]}", "type_difference a");
}

static void a_name_twice(void **state) {
    (void)state;
    try_bson(&exact, "{\"a\":1,\"a\":2,\"b\":3}", "{\"b\":3,\"a\":1,\"a\":2}", "");
    try_bson(&exact, "{\"a\":1,\"a\":2,\"b\":3}", "{\"b\":3,\"a\":2,\"a\":1}",
             "mismatch a; mismatch a");
    try_bson(&exact, "{\"a\":1,\"a\":2,\"b\":3}", "{\"b\":3,\"a\":1}", "missing a");
    try_bson(&exact, "{\"b\":3,\"a\":1}", "{\"a\":1,\"a\":2,\"b\":3}", "extra a");
}

static void arrays_by_position(void **state) {
    (void)state;
    try_json(&exact, "[1,2,3]", "[1,2,3]", "");
    try_json(&exact, "[1,2,3]", "[1,3]", "mismatch [1]; missing [2]");
    try_json(&exact, "{\"t\":[[1],[2]]}", "{\"t\":[[1],[2],[3]]}", "extra t[2]");
    try_json(&exact, "{\"t\":[[1],[2]]}", "{\"t\":[[1],[3]]}", "mismatch t[1][0]");
}

static void arrays_by_key(void **state) {
    (void)state;
    const struct compare_options *o = WITH(COMPARE_EXACT, {.path = "items", .key = "id"});
    const char *three = "{\"items\":[{\"id\":1,\"p\":1},{\"id\":2,\"p\":2},{\"id\":3,\"p\":3}]}";
    try_json(o, three, three, "");
    try_json(o, three, "{\"items\":[{\"id\":1,\"p\":1},{\"id\":3,\"p\":3}]}",
             "missing items[id=2]");
    try_json(o, "{\"items\":[{\"id\":3,\"p\":3}]}", three, "extra items[id=1]; extra items[id=2]");
    try_json(o, three, "{\"items\":[{\"p\":1,\"id\":1},{\"id\":2,\"p\":5},{\"id\":3,\"p\":3}]}",
             "mismatch items[id=2].p");
    /* Another order is a difference, of the array, unless order says nothing. */
    const char *turned = "{\"items\":[{\"id\":2,\"p\":2},{\"id\":1,\"p\":1},{\"id\":3,\"p\":4}]}";
    try_json(o, three, turned, "mismatch items; mismatch items[id=3].p");
    try_json(WITH(COMPARE_EXACT, {.path = "items", .key = "id", .any_order = true}), three, turned,
             "mismatch items[id=3].p; order=1");
    /* Twice the same key: the first belongs to the first. */
    try_json(o, "{\"items\":[{\"id\":1,\"p\":1},{\"id\":1,\"p\":2}]}",
             "{\"items\":[{\"id\":1,\"p\":1}]}", "missing items[id=1]");
    try_json(o, "{\"items\":[{\"id\":1,\"p\":1}]}",
             "{\"items\":[{\"id\":1,\"p\":2},{\"id\":1,\"p\":1}]}",
             "mismatch items[id=1].p; extra items[id=1]");
    /* No key: by position among themselves. */
    try_json(o, "{\"items\":[5,{\"id\":1},{\"id\":null},{\"p\":1}]}",
             "{\"items\":[5,{\"id\":1},{\"id\":null},{\"p\":2}]}", "mismatch items[3].p");
    try_json(o, "{\"items\":[{\"id\":1},{\"id\":{}}]}", "{\"items\":[{\"id\":1}]}",
             "missing items[1]");
    try_json(o, "{\"items\":[5,{\"id\":1}]}", "{\"items\":[{\"id\":1},5]}", "mismatch items");
    /* Elements of another type have no key. */
    try_json(o, "{\"items\":[]}", "{\"items\":[[1]]}", "extra items[0]");
    /* The whole answer. */
    try_json(WITH(COMPARE_EXACT, {.path = "", .key = "id"}), "[{\"id\":\"a\"},{\"id\":\"b]\"}]",
             "[{\"id\":\"a\"}]", "missing [id=b\\]]");
    /* Of an array in an array. */
    try_json(WITH(COMPARE_EXACT, {.path = "o", .key = "id"}, {.path = "o.i", .key = "k"}),
             "{\"o\":[{\"id\":1,\"i\":[{\"k\":1},{\"k\":2,\"v\":[]}]}]}",
             "{\"o\":[{\"id\":1,\"i\":[{\"k\":2,\"v\":{}}]}]}",
             "missing o[id=1].i[k=1]; type_difference o[id=1].i[k=2].v");
}

static void keys_in_other_forms(void **state) {
    (void)state;
    const char *numbers = "{\"i\":[{\"id\":1},{\"id\":2}]}",
               *texts = "{\"i\":[{\"id\":\"2\"},{\"id\":\"1\"}]}";
    try_json(WITH(COMPARE_MAPPED, {.path = "i", .key = "id", .any_order = true},
                  {.path = "i.id", .form = COMPARE_NUMBER}),
             numbers, texts, "number=2; order=1");
    try_json(WITH(COMPARE_MAPPED, {.path = "i", .key = "id", .any_order = true}), numbers, texts,
             "missing i[id=1]; missing i[id=2]; extra i[id=2]; extra i[id=1]");
    try_json(WITH(COMPARE_REFERENCE, {.path = "i", .key = "item_id", .any_order = true}),
             "{\"i\":[{\"item_id\":1},{\"item_id\":2}]}",
             "{\"i\":[{\"itemId\":\"2\"},{\"itemId\":1}]}", "name=2; number=1; order=1");
    try_bson(WITH(COMPARE_MAPPED, {.path = "i", .key = "id"}),
             "{\"i\":[{\"id\":{\"$numberDecimal\":\"1.0\"}},{\"id\":2}]}",
             "{\"i\":[{\"id\":1},{\"id\":2.0}]}", "number=2");
}

static void sets(void **state) {
    (void)state;
    const struct compare_options any = {.mode = COMPARE_EXACT, .any_order = true};
    const struct compare_options any_mapped = {.mode = COMPARE_MAPPED, .any_order = true};
    const struct compare_options any_reference = {.mode = COMPARE_REFERENCE, .any_order = true};
    try_json(&any, "[1,2,3]", "[1,2,3]", "");
    try_json(&any, "[1,2,3]", "[3,1,2]", "order=1");
    try_json(&any, "[1,2,3]", "[3,1]", "missing [1]; order=1");
    try_json(&any, "[1,2,3]", "[1,3]", "missing [1]");
    try_json(&any, "[1,1,2]", "[1,2,2]", "mismatch [1]");
    try_json(&any, "[{\"a\":1,\"b\":2},{\"a\":2,\"b\":3}]", "[{\"b\":3,\"a\":2},{\"b\":4,\"a\":1}]",
             "mismatch [0].b");
    try_json(&any, "[]", "[{}]", "extra [0]");
    /* What only tolerance makes the same has no hash in common. */
    try_bson(WITH(COMPARE_MAPPED, {.path = "s", .any_order = true}), "{\"s\":[0.1,0.5,7]}",
             "{\"s\":[7.00001,0.10001,0.5]}", "tolerance=2; order=1");
    try_json(&any_mapped, "[0.1,0.5]", "[0.5,0.10001]", "mismatch [0]");
    try_json(&any_reference, "[0.1,0.5]", "[0.5,0.10001]", "tolerance=1; order=1");
    try_json(&any_reference, "[{\"id\":\"x\"},{\"id\":\"y\"}]", "[{\"_id\":\"y\"},{\"_id\":\"x\"}]",
             "name=2; order=1");
    try_json(&any_reference, "[{\"d\":\"2026-11-24\"},true]",
             "[1,{\"d\":\"2026-11-24T00:00:00Z\",\"n\":null}]",
             "boolean=1; date=1; null=1; order=1");
    /* A set in a set; an array in a set keeps its order. */
    try_json(WITH(COMPARE_EXACT, {.path = "", .any_order = true}, {.path = "s", .any_order = true}),
             "[{\"s\":[1,2]},{\"s\":[3,4]}]", "[{\"s\":[4,3]},{\"s\":[2,1]}]", "order=3");
    try_json(&any, "[[1,2],[3,4]]", "[[4,3],[1,2]]", "mismatch [1][0]; mismatch [1][1]");
}

static void names_of_the_reference(void **state) {
    (void)state;
    try_json(&reference, "{\"unit_price\":1,\"stock\":2}", "{\"stock\":2,\"unitPrice\":1}",
             "name=1");
    try_json(&mapped, "{\"unit_price\":1}", "{\"unitPrice\":1}",
             "missing unit_price; extra unitPrice");
    /* The very name comes first. */
    try_json(&reference, "{\"a_b\":1,\"aB\":2}", "{\"aB\":2,\"a_b\":1}", "");
    try_json(&reference, "{\"id\":1}", "{\"_id\":\"507f1f77bcf86cd799439011\",\"__v\":0,\"id\":1}",
             "internal=2");
    try_json(&reference, "{\"id\":1,\"_x\":1}", "{\"_id\":1,\"_x\":2}", "name=1; internal=1");
    try_json(&reference, "{\"_x\":1}", "{\"_x\":1}", "");
    try_json(&reference, "{\"a\":null}", "{\"b\":null}", "null=2");
    try_json(&mapped, "{\"a\":null}", "{}", "missing a");
    try_json(WITH(COMPARE_MAPPED, {.path = "a", .null_is_absent = true}), "{\"a\":null}", "{}",
             "null=1");
    try_json(WITH(COMPARE_EXACT, {.path = "*.a", .null_is_absent = true}), "{\"x\":{}}",
             "{\"x\":{\"a\":null}}", "null=1");
}

static void patterns(void **state) {
    (void)state;
    const char
        *a = "{\"a\":{\"b\":1,\"c\":2},\"x\":{\"b\":1},\"b\":1,\"l\":[{\"b\":1},[{\"b\":1}]]}",
        *b = "{\"a\":{\"b\":2,\"c\":2},\"x\":{\"b\":2},\"b\":2,\"l\":[{\"b\":2},[{\"b\":2}]]}";
    try_json(&exact, a, b,
             "mismatch a.b; mismatch x.b; mismatch b; mismatch l[0].b; mismatch l[1][0].b");
    try_json(WITH(COMPARE_EXACT, {.path = "a.b", .ignore = true}), a, b,
             "mismatch x.b; mismatch b; mismatch l[0].b; mismatch l[1][0].b; ignored=1");
    try_json(WITH(COMPARE_EXACT, {.path = "*.b", .ignore = true}), a, b, "ignored=5");
    try_json(WITH(COMPARE_EXACT, {.path = "l.b", .ignore = true}, {.path = "a", .ignore = true}), a,
             b, "mismatch x.b; mismatch b; ignored=3");
    try_json(WITH(COMPARE_EXACT, {.path = "", .ignore = true}), a, b, "ignored=1");
    try_json(WITH(COMPARE_EXACT, {.path = "", .ignore = true}), a, a, "");
    /* What is ignored and the same was not explained away. */
    try_json(WITH(COMPARE_EXACT, {.path = "a", .ignore = true}), "{\"a\":[1,{\"b\":2}]}",
             "{\"a\":[1,{\"b\":2}]}", "");
    try_json(WITH(COMPARE_EXACT, {.path = "a", .ignore = true}), "{\"a\":1}", "{}", "ignored=1");
    try_json(WITH(COMPARE_EXACT, {.path = "x.*.y.*.z", .ignore = true}),
             "{\"x\":{\"y\":{\"y\":{\"q\":{\"z\":1},\"z\":1}},\"z\":1}}",
             "{\"x\":{\"y\":{\"y\":{\"q\":{\"z\":2},\"z\":2}},\"z\":2}}",
             "mismatch x.z; ignored=2");
    /* Names with what means something in a path. */
    try_json(WITH(COMPARE_EXACT, {.path = "a\\.b.\\*", .ignore = true}),
             "{\"a.b\":{\"*\":1,\"c[]\\\\\":1}}", "{\"a.b\":{\"*\":2,\"c[]\\\\\":2}}",
             "mismatch a\\.b.c\\[\\]\\\\; ignored=1");
    try_json(WITH(COMPARE_REFERENCE, {.path = "unit_price", .ignore = true}), "{\"unitPrice\":1}",
             "{\"unitPrice\":2}", "ignored=1");
    /* Of two, the last form; all else adds up. */
    try_json(WITH(COMPARE_MAPPED, {.path = "*.n", .form = COMPARE_NUMBER},
                  {.path = "a.n", .form = COMPARE_BOOLEAN}),
             "{\"a\":{\"n\":1},\"b\":{\"n\":1}}", "{\"a\":{\"n\":true},\"b\":{\"n\":\"1\"}}",
             "number=1; boolean=1");
    /* ... whichever of them has the star, and where one is the beginning of another. */
    try_json(WITH(COMPARE_MAPPED, {.path = "a.n", .form = COMPARE_BOOLEAN},
                  {.path = "*.n", .form = COMPARE_NUMBER}),
             "{\"a\":{\"n\":\"1\"}}", "{\"a\":{\"n\":1}}", "number=1");
    const struct compare_options *nested =
        WITH(COMPARE_MAPPED, {.path = "a.b.c", .form = COMPARE_NUMBER}, {.path = "a.b", .key = "k"},
             {.path = "a.bc", .form = COMPARE_NUMBER}, {.path = "a.b", .any_order = true},
             {.path = "a", .null_is_absent = true}, {.path = "b.c", .form = COMPARE_NUMBER});
    try_json(nested, "{\"a\":{\"b\":[{\"k\":1,\"c\":1},{\"k\":2}],\"bc\":\"1\",\"c\":1}}",
             "{\"a\":{\"b\":[{\"k\":2},{\"k\":1,\"c\":\"1\"}],\"bc\":1,\"c\":\"1\"}}",
             "type_difference a.c; number=2; order=1");
    try_json(nested, "{\"a\":null,\"b\":{\"c\":\"2\"}}", "{\"b\":{\"c\":2}}", "number=1; null=1");
}

static void masks(void **state) {
    (void)state;
    const struct compare_options *o =
        WITH(COMPARE_EXACT, {.path = "email", .mask = true}, {.path = "*.iban", .mask = true},
             {.path = "l", .key = "iban"}, {.path = "m", .key = "id"});
    try_json(o, "{\"email\":\"a\",\"n\":1}", "{\"email\":\"b\",\"n\":2}",
             "mismatch email (masked); mismatch n");
    try_json(o, "{\"email\":{\"x\":[1]}}", "{\"email\":{\"x\":[2]}}",
             "mismatch email.x[0] (masked)");
    /* In something that is missing as a whole. */
    try_json(o, "{\"p\":{\"q\":[{\"iban\":1}]},\"r\":{\"s\":1}}", "{}",
             "missing p (masked); missing r");
    try_json(o, "{\"p\":{\"iban\":1}}", "{\"p\":5}", "type_difference p (masked)");
    /* A key that is masked is not in the path either. */
    try_json(o, "{\"l\":[{\"iban\":\"FR1\",\"v\":1}],\"m\":[{\"id\":1,\"v\":1}]}",
             "{\"l\":[{\"iban\":\"FR1\",\"v\":2}],\"m\":[{\"id\":1,\"v\":2}]}",
             "mismatch l[0].v; mismatch m[id=1].v");
}

static int stop_at_first(void *context, const struct compare_difference *d) {
    (void)d;
    ++*(int *)context;
    return 1;
}

static int compare_texts(const struct compare_options *o, const char *a, const char *b,
                         struct arena *scratch, compare_fn fn, void *context,
                         struct compare_result *result, struct err *err) {
    struct try_tree x, y;
    struct compare_rules *rules = try_rules(o);
    try_read(TRY_JSON, a, &x);
    try_read(TRY_JSON, b, &y);
    int rc = compare_trees(rules, &x.tree, &y.tree, scratch, fn, context, result, err);
    try_release(&x);
    try_release(&y);
    compare_rules_free(rules);
    return rc;
}

static void ends_when_told(void **state) {
    (void)state;
    int calls = 0;
    struct compare_result result;
    struct err err;
    struct arena scratch;
    arena_init(&scratch, TRY_MEMORY);
    assert_int_equal(
        compare_texts(&exact, "[1,2,3]", "[4,5,6]", &scratch, stop_at_first, &calls, &result, &err),
        0);
    assert_int_equal(calls, 1);
    assert_int_equal(result.differences, 1);
    assert_int_equal(
        compare_texts(&exact, "[1,2,3]", "[4,5,6]", &scratch, NULL, NULL, &result, &err), 0);
    assert_int_equal(result.differences, 3);
    arena_release(&scratch);
}

/* ---- limits ---- */

static void add_times(struct buf *out, size_t count, const char *format) {
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_add_char(out, ',');
        buf_printf(out, format, i); /* NOLINT(clang-diagnostic-format-nonliteral) */
    }
}

static void steps_and_memory_are_bounded(void **state) {
    (void)state;
    struct compare_result result = {.differences = 77};
    struct err err;
    struct arena scratch;
    _cleanup_(buf_release) struct buf a = {0}, b = {0};
    const struct compare_options set = {.mode = COMPARE_REFERENCE, .any_order = true};
    buf_init(&a, 1 << 22);
    buf_init(&b, 1 << 22);
    arena_init(&scratch, TRY_MEMORY);
    for (struct buf *out = &a; out; out = out == &a ? &b : NULL) {
        buf_add_char(out, '[');
        for (size_t i = 0; i < 10000; i++)
            buf_printf(out, "%s%zu", i ? "," : "", i + (out == &b ? 100000 : 0));
        buf_add_char(out, ']');
    }
    /* Floating point of which none is like another: each with each is too much ... */
    assert_int_equal(
        compare_texts(&set, buf_text(&a), buf_text(&b), &scratch, NULL, NULL, &result, &err),
        ERR_LIMIT);
    assert_string_equal(err.text, "more than 5000000 steps: too large to compare; a key for the "
                                  "elements of large arrays helps");
    assert_int_equal(result.differences, 77);
    /* ... but where they are the same, or exact, it is not. */
    assert_int_equal(
        compare_texts(&set, buf_text(&a), buf_text(&a), &scratch, NULL, NULL, &result, &err), 0);
    assert_int_equal(result.differences, 0);
    const struct compare_options strict = {.mode = COMPARE_MAPPED, .any_order = true};
    assert_int_equal(
        compare_texts(&strict, buf_text(&a), buf_text(&b), &scratch, NULL, NULL, &result, &err), 0);
    assert_int_equal(result.differences, 10000);
    arena_release(&scratch);
    arena_init(&scratch, 20000);
    assert_int_equal(
        compare_texts(&strict, buf_text(&a), buf_text(&b), &scratch, NULL, NULL, &result, &err),
        ERR_LIMIT);
    assert_string_equal(err.text, "too large to compare in 20000 bytes of memory");
    arena_release(&scratch);
}

/* Twice the same key, and twice the same name, thousands of times. */
static void many_duplicates(void **state) {
    (void)state;
    struct compare_result result;
    struct err err;
    struct arena scratch;
    _cleanup_(buf_release) struct buf a = {0}, b = {0};
    buf_init(&a, 1 << 22);
    buf_init(&b, 1 << 22);
    arena_init(&scratch, TRY_MEMORY);
    buf_add_char(&a, '[');
    add_times(&a, 20000, "{\"id\":1,\"v\":%zu}");
    buf_add_text(&a, "]");
    buf_add_char(&b, '[');
    add_times(&b, 10000, "{\"v\":%zu,\"id\":1}");
    buf_add_text(&b, "]");
    assert_int_equal(compare_texts(WITH(COMPARE_EXACT, {.path = "", .key = "id"}), buf_text(&a),
                                   buf_text(&b), &scratch, NULL, NULL, &result, &err),
                     0);
    assert_int_equal(result.differences, 10000);
    arena_release(&scratch);
    bson_t x = BSON_INITIALIZER, y = BSON_INITIALIZER;
    BSON_APPEND_INT32(&x, "z", 1);
    for (int i = 0; i < 20000; i++) {
        BSON_APPEND_INT32(&x, "a", i);
        BSON_APPEND_INT32(&y, "a", i);
    }
    BSON_APPEND_INT32(&y, "z", 1);
    struct compare_tree s, t;
    struct arena arena;
    arena_init(&arena, TRY_MEMORY);
    arena_init(&scratch, TRY_MEMORY);
    assert_int_equal(compare_read_bson(span_make(bson_get_data(&x), x.len), &arena, &s, &err), 0);
    assert_int_equal(compare_read_bson(span_make(bson_get_data(&y), y.len), &arena, &t, &err), 0);
    struct compare_rules *rules = try_rules(&exact);
    assert_int_equal(compare_trees(rules, &s, &t, &scratch, NULL, NULL, &result, &err), 0);
    assert_int_equal(result.differences, 0);
    compare_rules_free(rules);
    bson_destroy(&x);
    bson_destroy(&y);
    arena_release(&arena);
    arena_release(&scratch);
}

static void long_paths_are_cut(void **state) {
    (void)state;
    _cleanup_(buf_release) struct buf a = {0}, expected = {0};
    char name[301];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    buf_init(&a, 1 << 16);
    buf_init(&expected, 1 << 16);
    buf_printf(&a, "{\"%s\":{\"%s\":1}}", name, name);
    buf_printf(&expected, "mismatch %s.%.208s...", name, name);
    assert_int_equal(expected.len, strlen("mismatch ") + COMPARE_PATH_MAX);
    _cleanup_(buf_release) struct buf b = {0};
    buf_init(&b, 1 << 16);
    buf_printf(&b, "{\"%s\":{\"%s\":2}}", name, name);
    try_json(&exact, buf_text(&a), buf_text(&b), buf_text(&expected));
    /* Not within a character: 255 of two bytes end at 510. */
    buf_clear(&a);
    buf_clear(&b);
    buf_clear(&expected);
    buf_add_text(&a, "{\"");
    buf_add_text(&b, "{\"");
    buf_add_text(&expected, "mismatch ");
    for (int i = 0; i < 300; i++) {
        buf_add_text(&a, "\xc3\xa9");
        buf_add_text(&b, "\xc3\xa9");
        if (i < 254)
            buf_add_text(&expected, "\xc3\xa9");
    }
    buf_add_text(&a, "\":1}");
    buf_add_text(&b, "\":2}");
    buf_add_text(&expected, "...");
    try_json(&exact, buf_text(&a), buf_text(&b), buf_text(&expected));
}

static void rules_are_checked(void **state) {
    (void)state;
    char long_path[3 * COMPARE_SEGMENTS_MAX + 3] = "";
    for (size_t i = 0; i <= COMPARE_SEGMENTS_MAX; i++)
        memcpy(long_path + 2 * i, i < COMPARE_SEGMENTS_MAX ? "a." : "a",
               i < COMPARE_SEGMENTS_MAX ? 3 : 2);
    const struct {
        struct compare_pattern pattern;
        const char *error;
    } bad[] = {
        {{.path = "a..b"}, "the path 'a..b' has an empty name"},
        {{.path = ".a"}, "the path '.a' has an empty name"},
        {{.path = "a."}, "the path 'a.' has an empty name"},
        {{.path = "a.*"}, "the path 'a.*' ends with a star; name what is meant"},
        {{.path = "a", .key = ""}, "the key of 'a' has no name"},
        {{.path = long_path}, NULL},
    };
    struct compare_rules *rules = NULL;
    struct err err;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct compare_options o = {.patterns = &bad[i].pattern, .pattern_count = 1};
        assert_int_equal(compare_compile(&o, &rules, &err), ERR_CONF);
        if (bad[i].error)
            assert_string_equal(err.text, bad[i].error);
        else
            assert_non_null(strstr(err.text, "' has more than 32 names"));
        assert_null(rules);
    }
    struct compare_pattern *many = mem_zalloc(COMPARE_PATTERNS_MAX + 1, sizeof *many);
    for (size_t i = 0; i <= COMPARE_PATTERNS_MAX; i++)
        many[i] = (struct compare_pattern){.path = "*.a.*.a.*.a.*.b", .ignore = true};
    struct compare_options o = {.patterns = many, .pattern_count = COMPARE_PATTERNS_MAX + 1};
    assert_int_equal(compare_compile(&o, &rules, &err), ERR_CONF);
    assert_string_equal(err.text, "more than 1024 paths");
    /* As many as may be, each at many places at once. */
    o.pattern_count = COMPARE_PATTERNS_MAX;
    try_json(&o, "{\"a\":{\"a\":{\"a\":{\"a\":{\"b\":1}}}},\"b\":1}",
             "{\"a\":{\"a\":{\"a\":{\"a\":{\"b\":2}}}},\"b\":2}", "mismatch b; ignored=1");
    free(many);
    compare_rules_free(NULL);
}

static void names_and_fingerprints(void **state) {
    (void)state;
    enum compare_mode mode;
    assert_true(compare_mode_parse("mapped", &mode));
    assert_int_equal(mode, COMPARE_MAPPED);
    assert_false(compare_mode_parse("loose", &mode));
    assert_string_equal(compare_type_name(COMPARE_OTHER), "other");
    /* Stored: they must not change. */
    const struct span op = SPAN_LIT("find_product"), shape = SPAN_LIT("items[].price");
    assert_true(compare_fingerprint(op, shape, COMPARE_MISMATCH) == UINT64_C(0xb0204fc76e4b537f));
    assert_true(compare_fingerprint(op, shape, COMPARE_MISSING) !=
                compare_fingerprint(op, shape, COMPARE_MISMATCH));
    assert_true(compare_fingerprint(SPAN_LIT("ab"), SPAN_LIT("c"), COMPARE_MISSING) !=
                compare_fingerprint(SPAN_LIT("a"), SPAN_LIT("bc"), COMPARE_MISSING));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_in_any_order),
        cmocka_unit_test(a_name_twice),
        cmocka_unit_test(arrays_by_position),
        cmocka_unit_test(arrays_by_key),
        cmocka_unit_test(keys_in_other_forms),
        cmocka_unit_test(sets),
        cmocka_unit_test(names_of_the_reference),
        cmocka_unit_test(patterns),
        cmocka_unit_test(masks),
        cmocka_unit_test(ends_when_told),
        cmocka_unit_test(steps_and_memory_are_bounded),
        cmocka_unit_test(many_duplicates),
        cmocka_unit_test(long_paths_are_cut),
        cmocka_unit_test(rules_are_checked),
        cmocka_unit_test(names_and_fingerprints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
