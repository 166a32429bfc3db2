#include "operation/sql_text.h"

#include <string.h>
#include <strings.h>

struct lexer {
    struct span in;
    size_t at;
    struct sql_text *out;
    sql_text_find_fn find;
    void *context;
    struct err *err;
    bool started; /* the first word was seen */
    bool ended;   /* a semicolon was */
};

void sql_text_release(struct sql_text *t) {
    buf_release(&t->text);
}

/* ---- characters ---- */

static char peek(const struct lexer *l, size_t ahead) {
    return l->at + ahead < l->in.len ? l->in.ptr[l->at + ahead] : '\0';
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Letters of other scripts are bytes from 0x80. */
static bool is_name_start(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_name(char c) {
    return is_name_start(c) || is_digit(c);
}

static void copy(struct lexer *l, size_t n) {
    size_t left = l->in.len - l->at;
    n = n < left ? n : left;
    buf_add(&l->out->text, l->in.ptr + l->at, n);
    l->at += n;
}

static int fail(struct lexer *l, size_t at, const char *what) {
    size_t len = l->in.len - at < 24 ? l->in.len - at : 24;
    return err_set(l->err, ERR_VALUE, "%s, at \"%.*s\"", what, (int)len, l->in.ptr + at);
}

/* ---- quotes ---- */

/* Behind the opening quote. A doubled quote is one; `escapes`: a backslash takes the next one. */
static bool skip_quoted(struct lexer *l, char quote, bool escapes) {
    while (l->at < l->in.len) {
        char c = peek(l, 0);
        if (escapes && c == '\\') {
            copy(l, 2);
        } else if (c != quote) {
            copy(l, 1);
        } else if (peek(l, 1) == quote) {
            copy(l, 2);
        } else {
            copy(l, 1);
            return true;
        }
    }
    return false;
}

/* Whether the string goes on behind white space with a line break in it (and comments behind that),
 * in the same manner: 'a'
 *                     'b'. Stands at the next quote then. */
static bool is_continued(struct lexer *l) {
    size_t at = l->at;
    bool broken = false;
    while (at < l->in.len) {
        char c = l->in.ptr[at];
        if (is_space(c)) {
            broken = broken || c == '\n' || c == '\r';
            at++;
        } else if (broken && c == '-' && at + 1 < l->in.len && l->in.ptr[at + 1] == '-') {
            while (at < l->in.len && l->in.ptr[at] != '\n' && l->in.ptr[at] != '\r')
                at++;
        } else {
            break;
        }
    }
    if (!broken || at >= l->in.len || l->in.ptr[at] != '\'')
        return false;
    copy(l, at - l->at);
    return true;
}

static int string(struct lexer *l, bool escapes) {
    size_t start = l->at;
    do {
        copy(l, 1);
        if (!skip_quoted(l, '\'', escapes))
            return fail(l, start, "a string does not end");
    } while (is_continued(l));
    return 0;
}

static int set_config(struct lexer *l, size_t at) {
    return fail(l, at, "set_config could undo what makes the session read-only");
}

static int quoted_name(struct lexer *l) {
    size_t start = l->at;
    copy(l, 1);
    if (!skip_quoted(l, '"', false))
        return fail(l, start, "a quoted name does not end");
    bool is_it = span_is(span_make(l->in.ptr + start, l->at - start), "\"set_config\"");
    return is_it ? set_config(l, start) : 0;
}

/* $tag$ ... $tag$ */
static int dollar(struct lexer *l) {
    size_t start = l->at, tag = 1;
    if (is_name_start(peek(l, 1)))
        while (is_name(peek(l, tag)))
            tag++;
    if (peek(l, tag) != '$')
        return fail(l, start, "$ stands for nothing here; a parameter is :name");
    struct span mark = span_make(l->in.ptr + start, tag + 1);
    struct span rest = span_make(l->in.ptr + start + mark.len, l->in.len - start - mark.len);
    const char *end = rest.len ? memmem(rest.ptr, rest.len, mark.ptr, mark.len) : NULL;
    if (!end)
        return fail(l, start, "a dollar quote does not end");
    copy(l, mark.len + (size_t)(end - rest.ptr) + mark.len);
    return 0;
}

/* ---- comments ---- */

static void line_comment(struct lexer *l) {
    while (l->at < l->in.len && peek(l, 0) != '\n' && peek(l, 0) != '\r')
        copy(l, 1);
}

static int block_comment(struct lexer *l) {
    size_t start = l->at, depth = 0;
    do {
        if (l->at >= l->in.len)
            return fail(l, start, "a comment does not end");
        if (peek(l, 0) == '/' && peek(l, 1) == '*') {
            depth++;
            copy(l, 2);
        } else if (peek(l, 0) == '*' && peek(l, 1) == '/') {
            depth--;
            copy(l, 2);
        } else {
            copy(l, 1);
        }
    } while (depth > 0);
    return 0;
}

/* ---- words ---- */

static bool is_word(struct span s, const char *word) {
    return s.len == strlen(word) && strncasecmp(s.ptr, word, s.len) == 0;
}

static int word(struct lexer *l) {
    size_t start = l->at, len = 0;
    while (is_name(peek(l, len)) || (len && peek(l, len) == '$'))
        len++;
    struct span s = span_make(l->in.ptr + start, len);
    if (!l->started && !is_word(s, "select") && !is_word(s, "with") && !is_word(s, "values") &&
        !is_word(s, "table"))
        return fail(l, start, "a read begins with SELECT, WITH, VALUES or TABLE");
    l->started = true;
    if (is_word(s, "set_config"))
        return set_config(l, start);
    if (is_word(s, "u") && peek(l, 1) == '&' && peek(l, 2) == '"')
        return fail(l, start, "a name with escapes, which may be any; write it without U&");
    copy(l, len);
    if (peek(l, 0) == '\'')
        return string(l, is_word(s, "e"));
    return 0;
}

/* ---- parameters ---- */

static int add_param(struct lexer *l, size_t start, int param, bool like) {
    struct sql_text *t = l->out;
    size_t i = 0;
    while (i < t->count && (t->params[i].param != param || t->params[i].like != like))
        i++;
    if (i == SQL_TEXT_PARAMS_MAX)
        return fail(l, start, "too many parameters");
    if (i == t->count) {
        t->params[i].param = param;
        t->params[i].like = like;
        t->count++;
    }
    buf_printf(&t->text, "$%zu", i + 1);
    return 0;
}

/* Nothing but the text of a parameter may run into what follows: "$1" and a digit would be "$12".
 */
static int parameter(struct lexer *l) {
    size_t start = l->at, len = 1;
    while (is_name(peek(l, len)))
        len++;
    struct span name = span_make(l->in.ptr + start + 1, len - 1);
    int param = l->find(l->context, name);
    if (param < 0)
        return fail(l, start, "there is no such parameter");
    bool like = l->in.len - start - len >= 5 && memcmp(l->in.ptr + start + len, "|like", 5) == 0 &&
                !is_name(peek(l, len + 5)) && peek(l, len + 5) != '$';
    l->at += len + (like ? 5 : 0);
    if (peek(l, 0) == '$')
        return fail(l, start, "a $ behind a parameter");
    return add_param(l, start, param, like);
}

static int colon(struct lexer *l) {
    if (peek(l, 1) == ':' || peek(l, 1) == '=') {
        copy(l, 2);
        return 0;
    }
    if (is_name_start(peek(l, 1)))
        return parameter(l);
    copy(l, 1);
    return 0;
}

/* ---- all ---- */

/* Digits, with what may stand in a number; a letter behind it belongs to it. */
static void number(struct lexer *l) {
    while (is_name(peek(l, 0)) || peek(l, 0) == '.')
        copy(l, 1);
}

static int other(struct lexer *l) {
    char c = peek(l, 0);
    if (!l->started && c != '(')
        return fail(l, l->at, "a read begins with SELECT, WITH, VALUES or TABLE");
    if (c == ':')
        return colon(l);
    if (c == '\'')
        return string(l, false);
    if (c == '"')
        return quoted_name(l);
    if (c == '$')
        return dollar(l);
    if (is_digit(c))
        number(l);
    else
        copy(l, 1);
    return 0;
}

static int token(struct lexer *l) {
    char c = peek(l, 0);
    if (c == '\0')
        return fail(l, l->at, "a NUL in the statement");
    if (is_space(c)) {
        copy(l, 1);
        return 0;
    }
    if (c == '-' && peek(l, 1) == '-') {
        line_comment(l);
        return 0;
    }
    if (c == '/' && peek(l, 1) == '*')
        return block_comment(l);
    if (l->ended)
        return fail(l, l->at, "a second statement");
    if (c == ';' && l->started) {
        l->ended = true;
        l->at++;
        return 0;
    }
    return is_name_start(c) ? word(l) : other(l);
}

int sql_text_compile(struct span text, sql_text_find_fn find, void *context, struct sql_text *ret,
                     struct err *err) {
    struct lexer l = {.in = text, .out = ret, .find = find, .context = context, .err = err};
    *ret = (struct sql_text){.text = {.max = 2 * text.len + 4096}};
    int rc = 0;
    while (rc == 0 && l.at < text.len)
        rc = token(&l);
    if (rc == 0 && !l.started)
        rc = err_set(err, ERR_VALUE, "there is no statement");
    (void)buf_text(&ret->text);
    if (rc == 0 && !buf_ok(&ret->text))
        rc = err_set(err, ERR_LIMIT, "the statement is too long");
    if (rc < 0)
        sql_text_release(ret);
    return rc;
}
