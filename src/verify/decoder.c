/* A decoder's own mistake: the document does not say what its row says. */
#include "base/mem.h"
#include "verify/backcheck.h"
#include "verify/session.h"

#include <stdio.h>

#define PATH_BYTES 600

struct check {
    struct session *s;
    struct span identity;
    struct err *err;
};

/* The first one of a document says enough. */
static int on_finding(void *context, const struct backcheck_finding *f) {
    struct check *k = context;
    char path[PATH_BYTES];
    _cleanup_(mem_freep) char *text =
        mem_strndup(f->text.ptr ? f->text.ptr : "NULL", f->text.ptr ? f->text.len : 4);
    _cleanup_(mem_freep) char *back = mem_strndup(f->back.ptr ? f->back.ptr : "", f->back.len);
    (void)snprintf(path, sizeof path, "%.*s", SPAN_ARG(f->path));
    int rc = difference_report(k->s, k->identity, path, "decoder", text, back, k->err);
    return rc < 0 ? rc : 1;
}

int decoder_check(struct session *s, const struct assembled *doc, struct err *err) {
    struct check k = {s, doc->identity, err};
    if (doc->failure || s->options->keys_only)
        return 0;
    int rc = backcheck_document(s->c, doc->row, doc->document, on_finding, &k);
    if (rc == 0)
        return 0;
    s->decoder++;
    return rc < 0 ? rc : 0;
}
