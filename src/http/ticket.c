#include "http/ticket.h"

#include "http/openssl.h"

#include <stdio.h>
#include <stdlib.h>

#define MAC_BYTES ((size_t)HTTP_TICKET_TEXT / 2)

bool http_ticket_key_init(struct http_ticket_key *key) {
    return RAND_bytes(key->bytes, sizeof key->bytes) == 1;
}

static void write_period(const struct http_ticket_key *key, const char *path, int64_t period,
                         char text[HTTP_TICKET_TEXT + 1]) {
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    char message[256];
    int n = snprintf(message, sizeof message, "%lld %s", (long long)period, path);
    /* Fails only where OpenSSL has no SHA-256 (no listener starts then) or a path of ours is too
     * long. */
    if (n < 0 || (size_t)n >= sizeof message ||
        !HMAC(EVP_sha256(), key->bytes, sizeof key->bytes, (const unsigned char *)message,
              (size_t)n, mac, &len) ||
        len < MAC_BYTES)
        abort();
    for (size_t i = 0; i < MAC_BYTES; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", mac[i]);
}

void http_ticket_write(const struct http_ticket_key *key, const char *path, int64_t now_us,
                       char text[HTTP_TICKET_TEXT + 1]) {
    write_period(key, path, now_us / HTTP_TICKET_US, text);
}

bool http_ticket_is_good(const struct http_ticket_key *key, const char *path, struct span text,
                         int64_t now_us) {
    char mine[HTTP_TICKET_TEXT + 1];
    bool good = false;
    if (text.len != HTTP_TICKET_TEXT)
        return false;
    for (int64_t age = 0; age <= 1; age++) {
        write_period(key, path, now_us / HTTP_TICKET_US - age, mine);
        good |= CRYPTO_memcmp(mine, text.ptr, HTTP_TICKET_TEXT) == 0;
    }
    return good;
}
