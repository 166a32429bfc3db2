/*
 * One page of rows: what they become, and what of it the target has. Private to verify/.
 *
 * @thread main
 */
#ifndef BANYAN_VERIFY_PAGE_H
#define BANYAN_VERIFY_PAGE_H

#include "verify/session.h"

#define PAGE_ROWS ((size_t)VERIFY_PAGE * 4)

struct page {
    struct session *s;
    struct arena memory;
    struct spanmap index; /* identity -> position, from 1 */
    struct span identities[PAGE_ROWS];
    struct span documents[PAGE_ROWS];
    const struct span *keys[PAGE_ROWS];
    bool seen[PAGE_ROWS];
    size_t count;
};

struct page *page_new(struct session *s);
void page_free(struct page *p);
void page_clear(struct page *p);

/* An assemble_fn: adds the row to the page that is its context; large documents are looked up
 * before the page is complete. */
int page_add_row(void *context, const struct assembled *doc, struct err *err) must_check;

/* Looks the page's documents up; those that are not there or differ become candidates. */
int page_look_up(struct page *p, struct err *err) must_check;

#endif
