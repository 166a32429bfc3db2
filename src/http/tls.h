/* TLS for listeners and clients: contexts, and bytes through a socket that may have it. Private to
 * http/. */
#ifndef BANYAN_HTTP_TLS_H
#define BANYAN_HTTP_TLS_H

#include "base/err.h"
#include "http/http.h"
#include "http/openssl.h"

#include <sys/types.h>

/* From the listener's files; TLS 1.2 or newer. ERR_CONF names key and file. */
int http_tls_server(const struct http_listener *config, SSL_CTX **ret_context,
                    struct err *err) must_check;
/* Verifies servers; ca NULL: the system's certificates. cert and key NULL: none of our own. */
int http_tls_client(const char *ca, const char *cert, const char *key, SSL_CTX **ret_context,
                    struct err *err) must_check;

enum { HTTP_IO_END = 0, HTTP_IO_READ = -1, HTTP_IO_WRITE = -2, HTTP_IO_FAILED = -3 };

/* Bytes moved, or one of the above (READ, WRITE: again when the socket is ready for that). `ssl`
 * NULL: the socket itself. */
ssize_t http_io_read(int fd, SSL *ssl, void *bytes, size_t len);
ssize_t http_io_write(int fd, SSL *ssl, const void *bytes, size_t len);

/* A connection that was kept since `used_us`: not too long, and neither closed by the other end nor
 * with what nobody asked for. */
bool http_io_is_usable(int fd, int64_t used_us, int64_t now_us);

/* The newest error of OpenSSL in this thread, in words. */
const char *http_tls_error(char *text, size_t size);

#endif
