/* Replication messages: every span that comes out lies inside the message. */
#include "source/pgoutput.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_span(struct span s, struct span in) {
    if (s.len && (s.ptr < in.ptr || s.ptr + s.len > in.ptr + in.len))
        abort();
}

static void check_tuple(const struct pgo_tuple *t, struct span in) {
    if (t->count > PGO_COLUMNS_MAX)
        abort();
    for (size_t i = 0; i < t->count; i++)
        check_span(t->values[i].text, in);
}

static void check(const struct pgo_message *m, struct span in) {
    uint32_t sum = 0;
    switch (m->kind) {
    case PGO_RELATION:
        check_span(m->relation.schema, in);
        check_span(m->relation.name, in);
        for (size_t i = 0; i < m->relation.column_count; i++)
            check_span(m->relation.columns[i].name, in);
        return;
    case PGO_INSERT:
    case PGO_UPDATE:
    case PGO_DELETE:
        check_tuple(&m->change.old_row, in);
        check_tuple(&m->change.new_row, in);
        return;
    case PGO_TRUNCATE:
        for (size_t i = 0; i < m->truncate.relation_count; i++)
            sum += m->truncate.relations[i]; /* all of it is readable */
        if (sum && m->truncate.relation_count * 4 > in.len)
            abort();
        return;
    case PGO_MESSAGE:
        check_span(m->message.prefix, in);
        check_span(m->message.content, in);
        return;
    case PGO_BEGIN:
    case PGO_COMMIT:
    case PGO_ORIGIN:
    case PGO_TYPE:
        return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct pgo_decoder *d = pgo_decoder_new();
    struct pgo_message m;
    struct err err = {0};
    struct span in = span_make(data, size);
    int rc = pgo_decode(d, in, &m, &err);
    if (rc == 0)
        check(&m, in);
    else if (rc != ERR_WIRE || err.code != ERR_WIRE || err.text[0] == '\0')
        abort();
    pgo_decoder_free(d);
    return 0;
}
