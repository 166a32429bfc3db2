#include "conf/conf_emit.h"

#include "base/json_text.h"

#include <assert.h>

static bool is_flow(const struct emit *e) {
    return e->json || (e->depth && e->level[e->depth - 1].flow);
}

/* Readers of YAML 1.1 take the words of the second line for true and false. */
static bool is_bare(struct span s) {
    static const char *const special[] = {"null", "true", "false", "yes", "no",
                                          "on",   "off",  "y",     "n",   NULL};
    for (const char *const *p = special; *p; p++)
        if (span_is(s, *p))
            return false;
    bool letters = s.len > 0 && s.ptr[0] != '_' && s.ptr[0] != '-';
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        letters = letters && ((c >= 'a' && c <= 'z') || c == '_' || c == '-' ||
                              (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9' && i > 0));
    }
    return letters;
}

static void add_word(struct emit *e, struct span s) {
    if (!is_flow(e) && is_bare(s))
        buf_add_span(e->out, s);
    else
        json_text_string(e->out, s);
}

/* Everything in front of a value: comma or new line, name, colon. */
static void begin_value(struct emit *e, const char *name) {
    if (e->depth == 0)
        return;
    bool filled = e->level[e->depth - 1].filled;
    e->level[e->depth - 1].filled = true;
    if (is_flow(e) && filled)
        buf_add_text(e->out, e->json ? "," : ", ");
    if (!is_flow(e)) {
        if (e->out->len && e->out->data[e->out->len - 1] != '\n')
            buf_add_char(e->out, '\n');
        for (size_t i = 1; i < e->depth; i++)
            buf_add_text(e->out, "  ");
    }
    if (name) {
        add_word(e, span_of(name));
        buf_add_char(e->out, ':');
    }
}

/* The blank behind a colon, where a value follows on the same line. */
static void blank(struct emit *e, const char *name) {
    if (name && !e->json)
        buf_add_char(e->out, ' ');
}

static void open_level(struct emit *e, const char *name, bool list, bool flow) {
    begin_value(e, name);
    bool inside = is_flow(e) || flow || list;
    if (inside) {
        blank(e, name);
        buf_add_char(e->out, list ? '[' : '{');
    }
    assert(e->depth < EMIT_DEPTH_MAX);
    e->level[e->depth].list = list;
    e->level[e->depth].flow = inside;
    e->level[e->depth].filled = false;
    e->depth++;
}

void emit_map(struct emit *e, const char *name, bool flow) {
    open_level(e, name, false, flow);
}

void emit_list(struct emit *e, const char *name) {
    open_level(e, name, true, true);
}

void emit_close(struct emit *e) {
    e->depth--;
    if (e->level[e->depth].flow)
        buf_add_char(e->out, e->level[e->depth].list ? ']' : '}');
    if (e->depth == 0)
        buf_add_char(e->out, '\n');
}

void emit_text(struct emit *e, const char *name, const char *text) {
    begin_value(e, name);
    blank(e, name);
    if (e->json || !strstr(text, "${")) {
        json_text_string(e->out, span_of(text));
        return;
    }
    _cleanup_(buf_release) struct buf escaped = {.max = e->out->max};
    for (const char *p = text; *p; p++) {
        if (p[0] == '$' && p[1] == '{')
            buf_add_char(&escaped, '$');
        buf_add_char(&escaped, *p);
    }
    json_text_string(e->out, buf_span(&escaped));
}

void emit_raw(struct emit *e, const char *name, const char *text) {
    begin_value(e, name);
    blank(e, name);
    buf_add_text(e->out, text);
}

void emit_word(struct emit *e, const char *name, struct span word) {
    begin_value(e, name);
    blank(e, name);
    bool duration = !e->json && word.len && word.ptr[0] >= '0' && word.ptr[0] <= '9';
    if (duration)
        buf_add_span(e->out, word);
    else
        add_word(e, word);
}

void emit_comment(struct emit *e, const char *name, const char *text) {
    if (e->json)
        return;
    bool filled = e->level[e->depth - 1].filled;
    begin_value(e, NULL);
    e->level[e->depth - 1].filled = filled;
    buf_add_text(e->out, "# ");
    if (name)
        buf_printf(e->out, "%s: ", name);
    buf_add_text(e->out, text);
}
