/*
 * Which route a path belongs to. Pure; no allocation.
 *
 * A route owns its prefix and what lies below it, on borders of segments: "/api/products" owns
 * "/api/products" and "/api/products/7", not "/api/productsX". The longest prefix wins.
 *
 * A request has one path and many readings: a service may decode it once more than we do, or leave
 * dots where they stand. Where such a reading belongs to another route, the request would get past
 * the rules of that route, so route_is_ambiguous tells.
 */
#ifndef BANYAN_ROUTE_PATH_H
#define BANYAN_ROUTE_PATH_H

#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>

#define ROUTE_NONE ((size_t)-1)
#define ROUTE_PATH_MAX ((size_t)16 * 1024) /* longer raw paths are ambiguous */

/* `prefixes` in any order; each begins with '/' and does not end with one, but for "/" itself. */
size_t route_find(const struct span *prefixes, size_t count, struct span path);

/* Percent-decodes once into `out` (room for path.len bytes) and returns its length. What is no
 * escape stays. */
size_t route_decode(struct span path, char *out);

/* Merges slashes and resolves "." and ".." as a service might: in place of `path`, returns the
 * length. Above the root: stays at the root. What does not begin with '/' is left as it is. */
size_t route_resolve(char *path, size_t len);

/* Whether some reading of the raw path (as it stood in the request line, without the query) belongs
 * to another route than `chosen`: decoded once or twice, dots resolved or left. */
bool route_is_ambiguous(const struct span *prefixes, size_t count, struct span raw, size_t chosen);

#endif
