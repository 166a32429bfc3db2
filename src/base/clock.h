/* Monotonic and wall time in microseconds. Pure code gets time as an argument instead. */
#ifndef BANYAN_BASE_CLOCK_H
#define BANYAN_BASE_CLOCK_H

#include <stdint.h>

/* Monotonic microseconds; only differences mean something. Any thread. */
int64_t clock_mono_us(void);

/* Microseconds since 1970-01-01 UTC. Any thread. */
int64_t clock_wall_us(void);

/* Less than a second; signals may end it early. Any thread. */
void clock_sleep(int64_t us);

#endif
