/* The routes of OFREP. They run in the HTTP loops and touch memory only: never behind the state. */
#include "admin/api.h"
#include "admin/ofrep.h"
#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

static void ask(const struct http_request *r, struct flagset *flags, struct ofrep_question *q) {
    *q = (struct ofrep_question){.flags = flags,
                                 .body = r->body,
                                 .arena = r->arena,
                                 .now_us = clock_wall_us(),
                                 .random = XXH3_64bits(&r->now_us, sizeof r->now_us) | 1};
}

#define EVENTS_PATH "/ofrep/v1/events"

/* A browser's EventSource sends no token: a ticket is in its address. */
static const char *events_address(const struct http_request *r, char *room, size_t size) {
    char ticket[HTTP_TICKET_TEXT + 1];
    bool needed = http_ticket(r, EVENTS_PATH, ticket);
    (void)snprintf(room, size, EVENTS_PATH "%s%s", needed ? "?ticket=" : "", needed ? ticket : "");
    return room;
}

/* A client that saw an event with another ETag than its own wants the whole answer. */
static bool must_send(const struct http_request *r, const char *etag) {
    struct span seen = http_query(r, "flagConfigEtag");
    return seen.ptr && !span_is(seen, etag);
}

static void post_all(const struct http_request *r, struct http_response *a, void *context) {
    struct service *s = context;
    _cleanup_(flagset_putp) struct flagset *flags = flagset_get(&s->flags);
    struct ofrep_question question;
    char etag[32], address[sizeof EVENTS_PATH + sizeof "?ticket=" + HTTP_TICKET_TEXT];
    ask(r, flags, &question);
    question.events = events_address(r, address, sizeof address);
    a->status = ofrep_all(&question, &a->body);
    if (a->status != 200)
        return;
    /* Of the ticket too: a 304 brings no new one, and whoever holds one that ran out asks with the
     * ETag that came with it. It changes once in HTTP_TICKET_US. */
    (void)snprintf(etag, sizeof etag, "\"%016" PRIx64 "\"", XXH3_64bits(a->body.data, a->body.len));
    if (must_send(r, flags ? flags->etag : ""))
        http_add_header(a, "ETag", etag);
    else if (http_not_modified(r, a, etag))
        buf_clear(&a->body);
}

static void post_one(const struct http_request *r, struct http_response *a, void *context) {
    struct service *s = context;
    _cleanup_(flagset_putp) struct flagset *flags = flagset_get(&s->flags);
    struct ofrep_question question;
    struct flags_result result;
    ask(r, flags, &question);
    a->status = ofrep_one(&question, r->parameter[0], &a->body, &result);
    service_count_evaluation(s, &result);
}

static void get_events(const struct http_request *r, struct http_response *a, void *context) {
    (void)r;
    (void)context;
    http_stream(a, SERVICE_FLAG_EVENTS,
                (struct http_lost){"message", "{\"type\":\"refetchEvaluation\"}"});
}

static const struct http_route routes[] = {
    {"POST", "/ofrep/v1/evaluate/flags/{key*}", HTTP_EVALUATE, post_one, NULL, HTTP_CORS},
    {"POST", "/ofrep/v1/evaluate/flags", HTTP_EVALUATE, post_all, NULL, HTTP_CORS},
    {"POST", "/ofrep/v1/evaluate/flags/", HTTP_EVALUATE, post_all, NULL, HTTP_CORS},
    {"GET", EVENTS_PATH, HTTP_EVALUATE, get_events, NULL, HTTP_CORS | HTTP_TICKET},
};
const struct api_routes ofrep_routes = {routes, sizeof routes / sizeof *routes};
