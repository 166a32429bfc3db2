/* The rules of the configuration, made ready. Pure. */
#ifndef BANYAN_ADMIN_ALERT_SETUP_H
#define BANYAN_ADMIN_ALERT_SETUP_H

#include "conf/conf.h"
#include "obs/alerts.h"

/* The configured rules; the five of docs/monitoring.md where the key is absent. free() it. Errors
 * of written rules have the place in the file, as those of conf_load: call it wherever a
 * configuration is checked. */
int alert_setup(const struct conf *conf, struct obs_alert_rule **ret_rules, size_t *ret_count,
                struct err *err) must_check;

#endif
