/* Who has just written reads from SQL, until MongoDB has what was written.
 *
 * The mark of a user is made when a write begins, in memory that all workers share, and stamped
 * when its answer ends (route/marks.h). How far MongoDB is, the daemon says in a file that every
 * worker maps (route/watermark.h); a worker says there that somebody waits. */
#include "banyan.h"

#include <openssl/rand.h>
#include <xxhash.h>

#define USER_SEED UINT64_C(0x62616e79616e2f75)   /* "banyan/u" */
#define COOKIE_SEED UINT64_C(0x62616e79616e2f63) /* "banyan/c" */
#define COOKIE_MAX_AGE "3600"                    /* seconds: as long as MongoDB may be away */

static struct {
    struct watermark *map;
    ino_t inode;
    struct watermark_slot *slots[BANYAN_ROUTES_MAX]; /* by route; NULL: not looked for yet */
} applied;

/* ---- how far MongoDB is ---- */

void banyan_applied_look(const banyan_main_conf_t *conf) {
    struct stat st;
    struct watermark *map = NULL;
    const char *path = (const char *)conf->applied_path.data;
    if (conf->applied_path.len == 0 || stat(path, &st) < 0 ||
        (applied.map && st.st_ino == applied.inode) || watermark_open(path, &map, NULL) < 0)
        return;
    watermark_close(applied.map);
    ngx_memzero(applied.slots, sizeof applied.slots);
    applied.map = map;
    applied.inode = st.st_ino;
}

static struct watermark_slot *slot_of(const banyan_route_t *route) {
    struct watermark_slot **slot = &applied.slots[route->number];
    if (!*slot && applied.map)
        *slot = watermark_find(applied.map, (const char *)route->module.data);
    return *slot;
}

static void want(const banyan_route_t *route, int64_t now) {
    struct watermark_slot *slot = slot_of(route);
    if (slot)
        watermark_want(slot, now);
}

/* ---- who ---- */

static uint64_t key_of(struct span text, uint64_t seed) {
    uint64_t key = XXH3_64bits_withSeed(text.ptr, text.len, seed);
    return key ? key : 1; /* 0 is nobody */
}

static struct span user_of(ngx_http_request_t *r, banyan_request_t *b) {
    if (!b->user_known) {
        b->user = banyan_asker_user(r, b->route);
        b->user_known = 1;
    }
    return b->user;
}

/* Of ours only: 32 hexadecimal digits. */
static struct span cookie_of(ngx_http_request_t *r, const banyan_main_conf_t *conf) {
    const ngx_http_variable_value_t *v = ngx_http_get_indexed_variable(r, (ngx_uint_t)conf->cookie);
    if (!v || v->not_found || v->len != BANYAN_COOKIE_LEN)
        return (struct span){0};
    for (ngx_uint_t i = 0; i < v->len; i++)
        if (!((v->data[i] >= '0' && v->data[i] <= '9') || (v->data[i] >= 'a' && v->data[i] <= 'f')))
            return (struct span){0};
    return span_make(v->data, v->len);
}

static ngx_uint_t make_cookie(banyan_request_t *b) {
    u_char raw[BANYAN_COOKIE_LEN / 2];
    if (RAND_bytes(raw, sizeof raw) != 1)
        return 0;
    (void)ngx_hex_dump(b->cookie, raw, sizeof raw);
    return 1;
}

/* ---- marks ---- */

static struct marks_bucket *bucket_of(const banyan_main_conf_t *conf, uint64_t key) {
    return marks_bucket(banyan_shared(conf)->marks, BANYAN_MARK_BUCKETS, key);
}

static void lock(struct marks_bucket *bucket) {
    banyan_lock((ngx_atomic_t *)&bucket->lock);
}

static void unlock(struct marks_bucket *bucket) {
    banyan_unlock((ngx_atomic_t *)&bucket->lock);
}

static uint64_t writer_of(ngx_http_request_t *r, const banyan_main_conf_t *conf,
                          banyan_request_t *b) {
    struct span user = user_of(r, b);
    if (user.len)
        return key_of(user, USER_SEED);
    if (!b->mongodb_reads) /* no cookie for nothing */
        return 0;
    struct span cookie = cookie_of(r, conf);
    if (cookie.len)
        ngx_memcpy(b->cookie, cookie.ptr, BANYAN_COOKIE_LEN);
    else if (!make_cookie(b))
        return 0;
    b->set_cookie = 1;
    return key_of(span_make(b->cookie, BANYAN_COOKIE_LEN), COOKIE_SEED);
}

void banyan_write_begin(ngx_http_request_t *r, const banyan_main_conf_t *conf,
                        banyan_request_t *b) {
    if (b->read || b->route->own_wait_us == 0)
        return;
    b->writer = writer_of(r, conf, b);
    if (!b->writer)
        return;
    int64_t now = banyan_now_us();
    struct marks_bucket *bucket = bucket_of(conf, b->writer);
    lock(bucket);
    marks_begin(bucket, b->writer, now, b->route->own_wait_us);
    unlock(bucket);
    if (b->mongodb_reads)
        want(b->route, now);
}

/* The service was reached and has not answered: it may still commit. */
static ngx_uint_t is_open_ended(ngx_http_request_t *r) {
    const ngx_array_t *states = r->upstream_states;
    if (!states || states->nelts == 0)
        return 0;
    const ngx_http_upstream_state_t *last =
        (const ngx_http_upstream_state_t *)states->elts + states->nelts - 1;
    return last->connect_time != (ngx_msec_t)-1 && last->header_time == (ngx_msec_t)-1;
}

void banyan_write_end(ngx_http_request_t *r, const banyan_main_conf_t *conf,
                      const banyan_request_t *b) {
    if (!b->writer)
        return;
    int64_t now = banyan_now_us();
    int64_t stamp = is_open_ended(r) ? now + b->route->own_wait_us : now;
    struct marks_bucket *bucket = bucket_of(conf, b->writer);
    lock(bucket);
    marks_end(bucket, b->writer, stamp);
    unlock(bucket);
    if (b->mongodb_reads)
        want(b->route, now);
}

/* Whether reads of `key` stay on SQL. A mark whose time is over for this route stays: it may hold
 * longer for another. */
static bool holds(const banyan_main_conf_t *conf, const banyan_route_t *route, uint64_t key) {
    const struct watermark_slot *slot = slot_of(route);
    struct marks_bucket *bucket = bucket_of(conf, key);
    int64_t now = banyan_now_us(), stamp = 0;
    bool pinned = true, ended = false;
    lock(bucket);
    enum marked marked = marks_find(bucket, key, now, &stamp);
    if (marked == MARKED_NOT) {
        pinned = false;
    } else if (marked == MARKED_UNTIL_APPLIED && slot) {
        bool passed = watermark_applied(slot) > stamp;
        ended = !passed && now - stamp > route->own_wait_us &&
                !watermark_is_old(slot, now, conf->watermark_max_age_us);
        pinned = !passed && !ended;
        ended = ended && marks_note_end(bucket, key, stamp);
    }
    unlock(bucket);
    if (ended)
        banyan_count_pin_ended(route);
    return pinned;
}

bool banyan_has_written(ngx_http_request_t *r, const banyan_main_conf_t *conf,
                        banyan_request_t *b) {
    if (b->route->own_wait_us == 0)
        return false;
    struct span user = user_of(r, b), cookie = cookie_of(r, conf);
    bool marked = (user.len && holds(conf, b->route, key_of(user, USER_SEED))) ||
                  (cookie.len && holds(conf, b->route, key_of(cookie, COOKIE_SEED)));
    if (marked)
        want(b->route, banyan_now_us());
    return marked;
}

/* ---- the cookie ---- */

ngx_int_t banyan_write_cookie(ngx_http_request_t *r, const banyan_request_t *b) {
    static const char before[] = "banyan_rw=",
                      after[] = "; Path=/; Max-Age=" COOKIE_MAX_AGE "; HttpOnly; SameSite=Lax",
                      secure[] = "; Secure";
    if (!b->set_cookie)
        return NGX_OK;
    size_t room = sizeof before + BANYAN_COOKIE_LEN + sizeof after + sizeof secure;
    u_char *text = ngx_pnalloc(r->pool, room);
    ngx_table_elt_t *h = ngx_list_push(&r->headers_out.headers);
    if (!text || !h)
        return NGX_ERROR;
    ngx_memzero(h, sizeof *h);
    h->hash = 1;
    ngx_str_set(&h->key, "Set-Cookie");
    h->value.data = text;
    text = ngx_cpymem(text, before, sizeof before - 1);
    text = ngx_cpymem(text, b->cookie, BANYAN_COOKIE_LEN);
    text = ngx_cpymem(text, after, sizeof after - 1);
    if (r->connection->ssl)
        text = ngx_cpymem(text, secure, sizeof secure - 1);
    h->value.len = (size_t)(text - h->value.data);
    return NGX_OK;
}
