/*
 * The keys that tokens are verified with, as files beside nginx's configuration: each worker's
 * master reads them when it reads that.
 */
#ifndef BANYAN_GATEWAY_KEYS_H
#define BANYAN_GATEWAY_KEYS_H

#include "base/buf.h"
#include "base/err.h"
#include "conf/conf.h"

/* "FOLDER/jwt-<of the key>.key": another key is another file, so that a configuration that is
 * still in use keeps its own. */
void keys_path(struct buf *out, const char *folder, const char *key);

/* Checks every key and writes its file. ERR_CONF with the place. */
int keys_write(const struct conf *conf, const char *folder, struct err *err) must_check;

#endif
