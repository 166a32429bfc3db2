#include "gateway/nginx_log.h"

#include <string.h>

/* Between the texts of one side, and nginx's variables. */
enum known { NOTHING, ROUTE, TARGET, SERVICE, MIGRATED };

static const struct field {
    const char *name, *variable;
    enum known known; /* where the side is */
} fields[] = {{"time", "$time_iso8601", NOTHING},
              {"request_id", "$request_id", NOTHING},
              {"method", "$request_method", NOTHING},
              {"route", "$banyan_route", ROUTE},
              {"target", "$banyan_target", TARGET},
              {"service", "$banyan_service", SERVICE},
              {"migrated", "$banyan_migrated", MIGRATED},
              {"reason", "$banyan_reason", NOTHING},
              {"fallback", "$banyan_fallback", NOTHING},
              {"status", "$status", NOTHING},
              {"upstream_status", "$upstream_status", NOTHING},
              {"bytes", "$body_bytes_sent", NOTHING},
              {"seconds", "$request_time", NOTHING},
              {"upstream_seconds", "$upstream_response_time", NOTHING}};

/* Means the same in a string of nginx's configuration and in one of JSON. */
static bool is_plain(const char *text) {
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") ==
           strlen(text);
}

static const char *value_of(const struct field *f, const struct conf_route *r,
                            enum route_side side) {
    const struct conf_side *s = side == ROUTE_SQL ? &r->sql : &r->mongodb;
    switch (f->known) {
    case NOTHING:
        break;
    case ROUTE:
        return is_plain(r->prefix.text) ? r->prefix.text : f->variable;
    case TARGET:
        return route_side_name(side);
    case SERVICE:
        return s->service.text; /* conf_check_service: letters, digits, dots, dashes */
    case MIGRATED:
        return side == ROUTE_MONGODB ? "true" : "false";
    }
    return f->variable;
}

/* `r` NULL: nothing is known. */
static void add_fields(struct buf *out, const struct conf_route *r, enum route_side side) {
    buf_add_text(out, " escape=json");
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        buf_printf(out, "\n        '%s\"%s\":\"%s\"'", i ? "," : "{", fields[i].name,
                   r ? value_of(&fields[i], r, side) : fields[i].variable);
    buf_add_text(out, "\n        '}';\n");
}

void nginx_log_format(struct buf *out) {
    buf_add_text(out, "    log_format banyan");
    add_fields(out, NULL, ROUTE_SQL);
}

void nginx_log_format_of(struct buf *out, size_t n, const struct conf_route *r,
                         enum route_side side) {
    buf_printf(out, "    log_format banyan_%zu_%s", n, route_side_name(side));
    add_fields(out, r, side);
}
