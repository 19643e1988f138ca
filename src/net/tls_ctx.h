#pragma once
/* tls_ctx.h — one service's OpenSSL context over one set of certificates. Internal to net/.
 *
 * Immutable and counted: a connection keeps its own until it closes, a reload makes new ones. Any thread. */
#include "net/tls_io.h"
#include <openssl/ssl.h>
#include <stdatomic.h>

/* One certificate with its chain and key; names are those it is good for. */
struct tls_cert {
	X509 *leaf;
	STACK_OF(X509) *chain;
	EVP_PKEY *key;
	char **names; /* lower case; "*.example.org" for one label */
	size_t n_names;
};
struct tls_set {
	_Atomic unsigned refs;
	size_t n;
	struct tls_cert certs[];
};
struct tls_ctx {
	_Atomic unsigned refs;
	SSL_CTX *ctx;
	BIO_METHOD *bio;
	struct tls_set *set;
	struct tls_ctx *next; /* of the store */
	char service[32];
	unsigned char alpn[32]; /* wire form: length, name; 0: none */
};
void tls_ctx_ref(struct tls_ctx *c);
BIO_METHOD *tls_bio_method(void);
/* tls_cert.c */
enum status tls_cert_load(struct tls_cert *c, const struct tls_pair *pair, struct err *e) MUST_USE;
void tls_cert_done(struct tls_cert *c);
bool tls_cert_is_for(const struct tls_cert *c, slice host);
/* The first error OpenSSL has queued, as text; clears the queue. */
const char *tls_error_text(char *dst, size_t n);
