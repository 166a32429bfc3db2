/*
 * Edges: gateways on other machines that follow this daemon. Each asks a few times a second and
 * says what it uses; so who asks is known, and what it has confirmed.
 *
 * One that has asked once is known until somebody forgets it: its nginx goes on with what it had,
 * whether it can be reached or not, and a kill switch must say so. Any thread, but for poll.
 */
#ifndef BANYAN_ADMIN_EDGES_H
#define BANYAN_ADMIN_EDGES_H

#include "admin/service.h"
#include "base/json_write.h"
#include "gateway/exchange.h"

#define EDGES_MAX 200
#define EDGES_AWAY_US INT64_C(3000000) /* not heard of for so long */

struct edges;

struct edge_view {
    char name[CONF_EDGE_NAME_MAX + 1];
    char version[EXCHANGE_VERSION_MAX];
    int64_t seen_us; /* wall clock */
    bool away;
    bool confirmed;   /* uses the flags and the settings that hold */
    bool same_routes; /* or has not said yet */
    bool nginx;
    char problem[EXCHANGE_PROBLEM_MAX];
    int64_t samples_dropped;
};

int edges_start(struct service *s, struct edges **ret_edges, struct err *err) must_check;
void edges_stop(struct edges *e); /* NULL is fine */

/* What is new goes to the state. @thread main */
void edges_poll(struct edges *e, int64_t now_us);

/* An edge asks. ERR_BUSY: another one has that name; ERR_LIMIT: there are EDGES_MAX. */
int edges_ask(struct edges *e, const struct exchange_ask *ask, struct exchange_answer *ret,
              struct err *err) must_check;

/* Samples of the edge with this id, for the parallel run; see relay_samples. ERR_BUSY: it has not
 * asked since we started, or has other routes: they cannot be compared. */
int edges_take_samples(struct edges *e, const char *id, struct span frames, size_t *ret_taken,
                       size_t *ret_all, struct err *err) must_check;

/* By name; free() it. */
struct edge_view *edges_list(struct edges *e, size_t *ret_count);
void edges_show(struct edges *e, struct json_out *j, const char *name);
void edges_show_list(const struct edge_view *list, size_t count, int64_t now_us, struct json_out *j,
                     const char *name);

int edges_forget(struct edges *e, const char *name, const struct state_audit_line *line,
                 bool *ret_there, struct err *err) must_check;

void edges_sample(struct edges *e, struct obs_page *page);

#endif
