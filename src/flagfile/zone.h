/*
 * Time zones of the system: TZif files (RFC 8536). Private to flagfile/.
 *
 * zone_parse is pure. The rule at a file's end (a POSIX TZ string) is expanded up to 2100.
 */
#ifndef BANYAN_FLAGFILE_ZONE_H
#define BANYAN_FLAGFILE_ZONE_H

#include "base/arena.h"
#include "base/err.h"
#include "flags/model.h"

#define ZONE_YEAR_MAX 2100

/* "Europe/Paris", from the system's folder; memory of the arena. ERR_CONF says what is wrong with
 * the name. */
int zone_load(const char *name, struct arena *arena, struct flags_zone *ret_zone,
              struct err *err) must_check;

/* The bytes of a file of version 2 or newer; `name` must live as long as the zone. */
int zone_parse(const char *name, struct span bytes, struct arena *arena,
               struct flags_zone *ret_zone, struct err *err) must_check;

/* Days since 1970-01-01 of a date of the Gregorian calendar; month from 1. */
int64_t zone_days(int64_t year, int month, int day);

#endif
