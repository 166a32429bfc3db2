/*
 * Heap memory that is there or the program ends.
 *
 * Running out of memory is not handled case by case: every write to the target is idempotent and
 * the position moves only behind acknowledged writes, so ending the process (exit 4) is safe and
 * the next start continues. What grows with data has a maximum of its own (arena, buf, queue) and
 * reports that as an error, so these calls only see small, bounded sizes. Any thread.
 */
#ifndef BANYAN_BASE_MEM_H
#define BANYAN_BASE_MEM_H

#include "base/compiler.h"

#include <stddef.h>
#include <stdlib.h>

void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_zalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *old, size_t count, size_t size) __attribute__((returns_nonnull));
char *mem_strdup(const char *text) __attribute__((malloc, returns_nonnull));
char *mem_strndup(const char *text, size_t len) __attribute__((malloc, returns_nonnull));
char *mem_printf(const char *fmt, ...) printf_like(1, 2) __attribute__((malloc, returns_nonnull));

/* Cleanup handler: _cleanup_(mem_freep) char *text = ...; */
static inline void mem_freep(void *pointer_to_pointer) {
    free(*(void **)pointer_to_pointer);
}

#endif
