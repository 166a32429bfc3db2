#include "http/tls.h"

#include "http/keep.h"

#include <errno.h>
#include <sys/socket.h>

const char *http_tls_error(char *text, size_t size) {
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    (void)snprintf(text, size, "%s", reason ? reason : "no reason given");
    ERR_clear_error();
    return text;
}

/* A key with a pass phrase fails; the default would ask on the terminal. */
static int no_pass_phrase(char *out, int size, int writing, void *context) {
    (void)out;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *in, unsigned in_len, void *context) {
    (void)ssl;
    (void)context;
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof ours - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int file_error(const char *key, const char *file, struct err *err) {
    char reason[256];
    return err_set(err, ERR_CONF, "%s: %s: %s", key, file, http_tls_error(reason, sizeof reason));
}

static int own_certificate(SSL_CTX *ctx, const char *cert, const char *key, struct err *err) {
    SSL_CTX_set_default_passwd_cb(ctx, no_pass_phrase);
    if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
        return file_error("tls.cert", cert, err);
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(ctx) != 1)
        return file_error("tls.key", key, err);
    return 0;
}

static int new_context(const SSL_METHOD *method, SSL_CTX **ret, struct err *err) {
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1) {
        SSL_CTX_free(ctx);
        return err_set(err, ERR_INTERNAL, "OpenSSL makes no context");
    }
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    *ret = ctx;
    return 0;
}

static int client_certificates(SSL_CTX *ctx, const char *ca, struct err *err) {
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(ca);
    if (!names || SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return file_error("tls.client_ca", ca, err);
    }
    SSL_CTX_set_client_CA_list(ctx, names);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return 0;
}

int http_tls_server(const struct http_listener *config, SSL_CTX **ret_context, struct err *err) {
    static const unsigned char session_context[] = "banyan";
    SSL_CTX *ctx;
    int rc = new_context(TLS_server_method(), &ctx, err);
    if (rc < 0)
        return rc;
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    SSL_CTX_set_session_id_context(ctx, session_context, sizeof session_context - 1);
    rc = own_certificate(ctx, config->tls_cert, config->tls_key, err);
    if (rc == 0 && config->tls_client_ca)
        rc = client_certificates(ctx, config->tls_client_ca, err);
    if (rc < 0)
        SSL_CTX_free(ctx);
    else
        *ret_context = ctx;
    return rc;
}

int http_tls_client(const char *ca, const char *cert, const char *key, SSL_CTX **ret_context,
                    struct err *err) {
    SSL_CTX *ctx;
    int rc = new_context(TLS_client_method(), &ctx, err);
    if (rc < 0)
        return rc;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    if (ca && SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1)
        rc = file_error("tls.ca", ca, err);
    else if (!ca && SSL_CTX_set_default_verify_paths(ctx) != 1)
        rc = err_set(err, ERR_CONF, "the system's certificates cannot be read");
    if (rc == 0 && cert && key)
        rc = own_certificate(ctx, cert, key, err);
    if (rc < 0)
        SSL_CTX_free(ctx);
    else
        *ret_context = ctx;
    return rc;
}

static ssize_t tls_result(SSL *ssl, int rc, int syscall_error) {
    switch (SSL_get_error(ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return HTTP_IO_READ;
    case SSL_ERROR_WANT_WRITE:
        return HTTP_IO_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return HTTP_IO_END;
    default:
        errno = syscall_error;
        return HTTP_IO_FAILED;
    }
}

ssize_t http_io_read(int fd, SSL *ssl, void *bytes, size_t len) {
    if (ssl) {
        ERR_clear_error();
        int rc = SSL_read(ssl, bytes, len > INT32_MAX ? INT32_MAX : (int)len);
        return rc > 0 ? rc : tls_result(ssl, rc, errno);
    }
    ssize_t n = recv(fd, bytes, len, 0);
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EINTR ? HTTP_IO_READ : HTTP_IO_FAILED;
}

bool http_io_is_usable(int fd, int64_t used_us, int64_t now_us) {
    char byte;
    return fd >= 0 && now_us - used_us < HTTP_KEPT_IDLE_US &&
           recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           (errno == EAGAIN || errno == EWOULDBLOCK);
}

ssize_t http_io_write(int fd, SSL *ssl, const void *bytes, size_t len) {
    if (ssl) {
        ERR_clear_error();
        int rc = SSL_write(ssl, bytes, len > INT32_MAX ? INT32_MAX : (int)len);
        return rc > 0 ? rc : tls_result(ssl, rc, errno);
    }
    ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EINTR ? HTTP_IO_WRITE : HTTP_IO_FAILED;
}
