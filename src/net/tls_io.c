#include "net/tls_io.h"
#include "net/tls_ctx.h"
#include "base/alloc.h"
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

/* --- a BIO on a socket that never raises SIGPIPE ---------------------------------- */

static int fd_of(BIO *b)
{
	return (int)(intptr_t)BIO_get_data(b);
}

static bool is_later(int error)
{
	return error == EAGAIN || error == EINTR;
}

static int bio_write(BIO *b, const char *p, int n)
{
	ssize_t r = send(fd_of(b), p, (size_t)n, MSG_NOSIGNAL);

	BIO_clear_retry_flags(b);
	if (r < 0 && is_later(errno))
		BIO_set_retry_write(b);
	return (int)r;
}

static int bio_read(BIO *b, char *p, int n)
{
	ssize_t r = recv(fd_of(b), p, (size_t)n, 0);

	BIO_clear_retry_flags(b);
	if (r < 0 && is_later(errno))
		BIO_set_retry_read(b);
	if (r == 0)
		BIO_set_flags(b, BIO_FLAGS_IN_EOF);
	return (int)r;
}

static long bio_ctrl(BIO *b, int cmd, long n, void *p)
{
	(void)n;
	(void)p;
	if (cmd == BIO_CTRL_FLUSH)
		return 1;
	if (cmd == BIO_CTRL_EOF)
		return BIO_test_flags(b, BIO_FLAGS_IN_EOF) != 0;
	return 0;
}

BIO_METHOD *tls_bio_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK | 126, "facteur socket");

	if (!m)
		return NULL;
	BIO_meth_set_write(m, bio_write);
	BIO_meth_set_read(m, bio_read);
	BIO_meth_set_ctrl(m, bio_ctrl);
	return m;
}

/* --- one session ------------------------------------------------------------------ */

struct ssl_st *tls_io_new(struct tls_ctx *c, int fd)
{
	SSL *ssl = SSL_new(c->ctx);
	BIO *b = ssl ? BIO_new(c->bio) : NULL;

	if (!b) {
		SSL_free(ssl);
		ERR_clear_error();
		return NULL;
	}
	BIO_set_data(b, (void *)(intptr_t)fd);
	BIO_set_init(b, 1);
	SSL_set_bio(ssl, b, b);
	SSL_set_accept_state(ssl);
	/* Callbacks look at the context until the end; SSL_CTX itself is counted by
	 * OpenSSL. */
	SSL_set_app_data(ssl, c);
	tls_ctx_ref(c);
	return ssl;
}

void tls_io_free(struct ssl_st *ssl)
{
	struct tls_ctx *c;

	if (!ssl)
		return;
	c = SSL_get_app_data(ssl);
	SSL_free(ssl);
	tls_ctx_unref(c);
}

static enum tls_io outcome(SSL *ssl, int r)
{
	int saved = errno;

	switch (SSL_get_error(ssl, r)) {
	case SSL_ERROR_NONE:
		return TLS_IO_OK;
	case SSL_ERROR_WANT_READ:
		return TLS_IO_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TLS_IO_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_IO_EOF;
	default:
		ERR_clear_error();
		errno = saved;
		return TLS_IO_ERROR;
	}
}

enum tls_io tls_io_handshake(struct ssl_st *ssl)
{
	ERR_clear_error();
	return outcome(ssl, SSL_do_handshake(ssl));
}

enum tls_io tls_io_read(struct ssl_st *ssl, void *p, size_t n, size_t *got)
{
	ERR_clear_error();
	return outcome(ssl, SSL_read_ex(ssl, p, n, got));
}

bool tls_io_has_pending(const struct ssl_st *ssl)
{
	return SSL_has_pending(ssl) != 0;
}

enum tls_io tls_io_write(struct ssl_st *ssl, const void *p, size_t n, size_t *put)
{
	ERR_clear_error();
	return outcome(ssl, SSL_write_ex(ssl, p, n, put));
}

void tls_io_shutdown(struct ssl_st *ssl)
{
	ERR_clear_error();
	if (SSL_is_init_finished(ssl))
		SSL_shutdown(ssl);
	ERR_clear_error();
}

size_t tls_io_text(struct ssl_st *ssl, char *dst, size_t n)
{
	int r = snprintf(dst, n, "%s %s", SSL_get_version(ssl), SSL_get_cipher_name(ssl));

	return r < 0 ? 0 : (size_t)r < n ? (size_t)r : n - 1;
}
