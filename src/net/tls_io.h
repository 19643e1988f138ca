#pragma once
/* tls_io.h — one TLS session on one non-blocking socket: what conn.c needs of OpenSSL. Internal to net/.
 *
 * struct ssl_st is OpenSSL's SSL. A context is found once (tls_ctx_get, any thread); the SSL object belongs to one
 * thread at a time: to a crypto worker while it shakes hands, to the loop otherwise. */
#include "net/tls.h"

struct ssl_st;
struct tls_ctx;
/* The store's current certificates for this service; a reference of the caller's. */
struct tls_ctx *tls_ctx_get(struct tls_store *s, slice service, slice alpn);
void tls_ctx_unref(struct tls_ctx *c);

enum tls_io { TLS_IO_OK, TLS_IO_WANT_READ, TLS_IO_WANT_WRITE, TLS_IO_EOF, TLS_IO_ERROR };
struct ssl_st *tls_io_new(struct tls_ctx *c, int fd); /* takes its own reference; NULL: OpenSSL has no memory */
void tls_io_free(struct ssl_st *ssl);
enum tls_io tls_io_handshake(struct ssl_st *ssl);
enum tls_io tls_io_read(struct ssl_st *ssl, void *p, size_t n, size_t *got);
bool tls_io_has_pending(const struct ssl_st *ssl); /* octets of the socket that it has, and epoll does not know of */
enum tls_io tls_io_write(struct ssl_st *ssl, const void *p, size_t n, size_t *put);
void tls_io_shutdown(struct ssl_st *ssl); /* sends close_notify, waits for nothing */
size_t tls_io_text(struct ssl_st *ssl, char *dst, size_t n);
