#include "operation/breaker.h"

#define WINDOW_MAX 64 /* bits of the window: breaker.of is at most this */
#define TOKEN 1000    /* thousandths of a call */
#define BURST 100     /* calls that may be taken over at once, whatever the percentage */

void breaker_init(struct breaker *b) {
    *b = (struct breaker){.tokens = (int64_t)BURST * TOKEN};
    pthread_mutex_init(&b->lock, NULL);
}

void breaker_release(struct breaker *b) {
    pthread_mutex_destroy(&b->lock);
}

bool breaker_is_open(struct breaker *b, const struct conf_fallback *f, int64_t now_us,
                     bool *ret_trial) {
    pthread_mutex_lock(&b->lock);
    bool lost = b->trying && now_us - b->trying_since_us >= f->breaker.open_us;
    *ret_trial = b->open && now_us >= b->open_until_us && (!b->trying || lost);
    if (*ret_trial) {
        b->trying = true;
        b->trying_since_us = now_us;
    }
    bool open = b->open && !*ret_trial;
    pthread_mutex_unlock(&b->lock);
    return open;
}

bool breaker_looks_open(struct breaker *b) {
    pthread_mutex_lock(&b->lock);
    bool open = b->open;
    pthread_mutex_unlock(&b->lock);
    return open;
}

static void end_trial(struct breaker *b, const struct conf_fallback *f, bool failed,
                      int64_t now_us) {
    b->trying = false;
    b->open = failed;
    b->open_until_us = now_us + f->breaker.open_us;
    b->failed = 0;
    b->calls = 0;
}

static void add_call(struct breaker *b, const struct conf_fallback *f, bool failed,
                     int64_t now_us) {
    int of = f->breaker.of;
    uint64_t window = of >= WINDOW_MAX ? UINT64_MAX : (UINT64_C(1) << of) - 1;
    b->failed = (b->failed << 1 | failed) & window;
    b->calls += b->calls < of;
    int failures = __builtin_popcountll(b->failed);
    if (b->open || b->calls < of || failures * 100 < f->breaker.errors * of)
        return;
    b->open = true;
    b->open_until_us = now_us + f->breaker.open_us;
}

void breaker_count(struct breaker *b, const struct conf_fallback *f, bool failed, bool trial,
                   int64_t now_us) {
    pthread_mutex_lock(&b->lock);
    if (trial)
        end_trial(b, f, failed, now_us);
    else
        add_call(b, f, failed, now_us);
    b->tokens += (int64_t)(f->budget * TOKEN / 100);
    if (b->tokens > (int64_t)BURST * TOKEN)
        b->tokens = (int64_t)BURST * TOKEN;
    pthread_mutex_unlock(&b->lock);
}

bool breaker_take_over(struct breaker *b) {
    pthread_mutex_lock(&b->lock);
    bool left = b->tokens >= TOKEN;
    if (left)
        b->tokens -= TOKEN;
    pthread_mutex_unlock(&b->lock);
    return left;
}
