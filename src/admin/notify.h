/* What systemd is told (sd_notify(3)): one datagram to the socket that it names. */
#ifndef BANYAN_ADMIN_NOTIFY_H
#define BANYAN_ADMIN_NOTIFY_H

/* "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=...". Nothing happens where nobody listens. */
void notify_systemd(const char *state);

#endif
