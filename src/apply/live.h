/*
 * What the lanes of a pipeline measure while they work; read by whoever shows it. Any thread.
 */
#ifndef BANYAN_APPLY_LIVE_H
#define BANYAN_APPLY_LIVE_H

#include "obs/histogram.h"

struct apply_live {
    struct obs_histogram apply_us;         /* one bulk write, until it is acknowledged */
    struct obs_histogram batch_operations; /* operations of one bulk write */
};

#endif
