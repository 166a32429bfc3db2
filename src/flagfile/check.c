/* What concerns several flags of a file: names, requirements, cycles. */
#include "flagfile/reader.h"

#include "base/mem.h"
#include "base/spanmap.h"
#include "base/text.h"

static struct conf_at at_of(struct flags_place place) {
    return (struct conf_at){(int)place.line, (int)place.column};
}

const struct flags_flag *flagfile_find(const struct flags_model *model, const char *name) {
    for (size_t i = 0; i < model->flag_count; i++)
        if (span_is(model->flags[i].name, name))
            return &model->flags[i];
    return NULL;
}

const char *flagfile_similar(const struct flags_model *model, const char *name) {
    const char *best = NULL;
    size_t least = 4;
    for (size_t i = 0; i < model->flag_count; i++) {
        struct span candidate = model->flags[i].name;
        size_t d = text_distance(span_of(name), candidate);
        if (d < least && d < candidate.len && d < strlen(name)) {
            least = d;
            best = candidate.ptr;
        }
    }
    return best;
}

struct checks {
    struct reader *r;
    const struct flags_model *model;
    struct spanmap names; /* -> index + 1 */
    unsigned char *seen;  /* 0: not yet, 1: on the way, 2: done */
};

static int check_names(struct checks *c) {
    for (size_t i = 0; i < c->model->flag_count; i++) {
        const struct flags_flag *f = &c->model->flags[i];
        bool fresh;
        uint32_t *at = spanmap_put(&c->names, f->name, &fresh);
        if (!fresh) {
            const struct flags_place first = c->model->flags[*at - 1].place;
            return read_fail(c->r, at_of(f->place),
                             "flag '%s' is given twice, first at %u:%u; remove one", f->name.ptr,
                             first.line, first.column);
        }
        *at = (uint32_t)i + 1;
    }
    return 0;
}

static int check_required(struct checks *c, const struct flags_flag *f,
                          const struct flags_require *q, size_t *ret_index) {
    const uint32_t *at = spanmap_get(&c->names, q->flag);
    if (at) {
        *ret_index = *at - 1;
        return 0;
    }
    const char *similar = flagfile_similar(c->model, q->flag.ptr);
    c->r->flag = f->name.ptr;
    return similar ? read_fail(c->r, at_of(q->place),
                               "requires '%s', which is no flag of this file, "
                               "did you mean '%s'?",
                               q->flag.ptr, similar)
                   : read_fail(c->r, at_of(q->place),
                               "requires '%s', which is no flag of this file", q->flag.ptr);
}

/* Depth first, without recursion: a chain may be as long as the file. */
static int check_cycles(struct checks *c, size_t start) {
    struct step {
        size_t flag, next;
    } *stack = mem_zalloc(c->model->flag_count + 1, sizeof *stack);
    size_t depth = 0;
    int rc = 0;
    stack[depth++] = (struct step){start, 0};
    c->seen[start] = 1;
    while (rc == 0 && depth > 0) {
        struct step *s = &stack[depth - 1];
        const struct flags_flag *f = &c->model->flags[s->flag];
        if (s->next == f->require_count) {
            c->seen[s->flag] = 2;
            depth--;
            continue;
        }
        const struct flags_require *q = &f->requires[s->next++];
        size_t to = 0;
        rc = check_required(c, f, q, &to);
        if (rc < 0 || c->seen[to] == 2)
            continue;
        if (c->seen[to] == 1) {
            c->r->flag = f->name.ptr;
            rc = read_fail(c->r, at_of(q->place),
                           "requires '%s', which requires this flag again: a cycle; remove one of "
                           "them",
                           q->flag.ptr);
            continue;
        }
        c->seen[to] = 1;
        stack[depth++] = (struct step){to, 0};
    }
    free(stack);
    return rc;
}

int read_check(struct reader *r) {
    struct checks c = {.r = r, .model = &r->out->model};
    c.seen = mem_zalloc(c.model->flag_count + 1, 1);
    r->flag = NULL;
    int rc = check_names(&c);
    for (size_t i = 0; rc == 0 && i < c.model->flag_count; i++)
        if (c.seen[i] == 0 && c.model->flags[i].require_count > 0)
            rc = check_cycles(&c, i);
    free(c.seen);
    spanmap_release(&c.names);
    return rc;
}
