/*
 * How far the modules of one pipeline are applied, as nginx's workers see it: between the receiver
 * (pipeline/applied.h) and the file that workers map (route/watermark.h).
 */
#ifndef BANYAN_ADMIN_WATERMARKS_H
#define BANYAN_ADMIN_WATERMARKS_H

#include "conf/conf.h"
#include "pipeline/applied.h"
#include "route/watermark.h"

struct watermarks;

/* Of the pipeline: a module's name, or "all". `file` NULL: there is no gateway, nobody looks. It
 * must live longer. @thread main */
struct watermarks *watermarks_new(const struct conf *conf, const char *pipeline,
                                  struct watermark *file);
void watermarks_free(struct watermarks *w); /* NULL is fine */

/* For applied_new. */
struct applied_hooks watermarks_hooks(struct watermarks *w);

#endif
