/*
 * The parallel run in the daemon: what it needs of the other parts. @thread main
 */
#ifndef BANYAN_ADMIN_SHADOW_H
#define BANYAN_ADMIN_SHADOW_H

#include "admin/service.h"

/* Before nginx is started, so that its workers find somebody who listens. */
int shadow_start(struct service *s, struct err *err) must_check;
/* It asks nobody any more. While the server still answers. */
void shadow_end(struct service *s);
/* After the operations, before the modules are freed; what was counted is stored. */
void shadow_stop(struct service *s);

/* Any thread. */
void shadow_sample(struct service *s, struct obs_page *page);

#endif
