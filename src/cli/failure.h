/* How the program says why it failed: the last line of standard error. Pure. */
#ifndef BANYAN_CLI_FAILURE_H
#define BANYAN_CLI_FAILURE_H

#include "base/buf.h"
#include "base/err.h"

/* "banyan: <message>", one line whatever servers put into the message. */
void failure_text(const struct err *err, struct buf *out);

/* {"error":{"code":"ERR_CONF","exit_code":2,"message":"...","retriable":false,
 *  "file":"banyan.yml","line":3,"column":5}}
 * The message is the one of the text form. file, line and column are null unless the message names
 * a place of the configuration `config_path`. */
void failure_json(const struct err *err, const char *config_path, struct buf *out);

#endif
