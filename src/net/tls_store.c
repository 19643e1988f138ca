/* The store: the current certificates, and one context per service over them. */
#include "net/tls_ctx.h"
#include "base/alloc.h"
#include <openssl/err.h>
#include <pthread.h>

/* TLS 1.2: forward secrecy only; CBC is left in for old senders on port 25. TLS 1.3
 * brings its own. */
#define CIPHERS_12 \
	"ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!aNULL:!eNULL:!MD5:!DSS:!PSK:!SRP"
#define GROUPS "X25519:P-256:P-384"

struct tls_store {
	pthread_mutex_t lock;
	size_t n;
	char **files; /* cert, key, cert, key… */
	struct tls_set *set;
	struct tls_ctx *ctxs;
};

/* --- sets of certificates --------------------------------------------------------- */

static void set_unref(struct tls_set *s)
{
	size_t i;

	if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	for (i = 0; i < s->n; i++)
		tls_cert_done(&s->certs[i]);
	mem_free(s);
}

static enum status set_load(const struct tls_store *store, struct tls_set **out,
			    struct err *e)
{
	struct tls_set *s = mem_new(sizeof(*s) + store->n * sizeof(s->certs[0]));
	size_t i;

	atomic_store(&s->refs, 1);
	for (i = 0; i < store->n; i++) {
		struct tls_pair pair = { store->files[2 * i], store->files[2 * i + 1] };
		enum status st;

		s->n = i + 1;
		st = tls_cert_load(&s->certs[i], &pair, e);
		if (st != ST_OK) {
			set_unref(s);
			return st;
		}
	}
	*out = s;
	return ST_OK;
}

/* --- callbacks of the handshake; on a crypto worker ------------------------------- */

/* A list without our name: alert 120 (RFC 7301 3.2; ALPACA). A service without a name
 * refuses web clients only. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
		   const unsigned char *in, unsigned in_n, void *arg)
{
	const struct tls_ctx *c = SSL_get_app_data(ssl);
	unsigned i, len;
	bool web = false;

	(void)arg;
	for (i = 0; i < in_n; i += 1 + len) {
		slice name;

		len = in[i];
		if (len > in_n - i - 1)
			return SSL_TLSEXT_ERR_ALERT_FATAL;
		name = slice_make(in + i + 1, len);
		web |= slice_eq(name, SL("h2")) || slice_eq(name, SL("http/1.1"));
		if (c->alpn[0] && slice_eq(name, slice_make(c->alpn + 1, c->alpn[0]))) {
			*out = in + i + 1;
			*out_n = (unsigned char)len;
			return SSL_TLSEXT_ERR_OK;
		}
	}
	return c->alpn[0] || web ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_NOACK;
}

static int on_servername(SSL *ssl, int *alert, void *arg)
{
	(void)ssl;
	(void)alert;
	(void)arg;
	/* Unknown names get the first certificate, never an alert (RFC 6066 3). */
	return SSL_TLSEXT_ERR_OK;
}

/* Chooses by name. Several pairs for one name, say RSA and ECDSA, are offered together. */
static int on_cert(SSL *ssl, void *arg)
{
	const struct tls_ctx *c = SSL_get_app_data(ssl);
	slice host = slice_str(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
	bool first = true;
	size_t i;

	(void)arg;
	if (!host.n)
		return 1;
	for (i = 0; i < c->set->n; i++) {
		const struct tls_cert *k = &c->set->certs[i];

		if (!tls_cert_is_for(k, host))
			continue;
		if (first)
			SSL_certs_clear(ssl);
		first = false;
		if (SSL_use_cert_and_key(ssl, k->leaf, k->key, k->chain, 0) != 1)
			ERR_clear_error(); /* a second one of a kind: the first stays */
	}
	return 1;
}

/* --- contexts --------------------------------------------------------------------- */

void tls_ctx_ref(struct tls_ctx *c)
{
	atomic_fetch_add(&c->refs, 1);
}

void tls_ctx_unref(struct tls_ctx *c)
{
	if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	SSL_CTX_free(c->ctx);
	BIO_meth_free(c->bio);
	set_unref(c->set);
	mem_free(c);
}

static void ctx_configure(struct tls_ctx *c, slice service)
{
	SSL_CTX *x = c->ctx;
	const struct tls_cert *first = &c->set->certs[0];

	SSL_CTX_set_min_proto_version(x, TLS1_2_VERSION);
	SSL_CTX_set_options(x, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
				       SSL_OP_CIPHER_SERVER_PREFERENCE |
				       SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(x, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(x, 1);
	/* Resumption by tickets alone: nothing to keep per client. The keys are this
	 * context's, so that a ticket of one service is worth nothing on another. */
	SSL_CTX_set_session_cache_mode(x, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_session_id_context(x, (const unsigned char *)service.p,
				       (unsigned)service.n);
	SSL_CTX_set_num_tickets(x, 1);
	SSL_CTX_set_timeout(x, 7200);
	SSL_CTX_set_max_early_data(x, 0);
	SSL_CTX_set_alpn_select_cb(x, on_alpn, NULL);
	SSL_CTX_set_tlsext_servername_callback(x, on_servername);
	SSL_CTX_set_cert_cb(x, on_cert, NULL);
	if (SSL_CTX_set_cipher_list(x, CIPHERS_12) != 1 ||
	    SSL_CTX_set1_groups_list(x, GROUPS) != 1 ||
	    SSL_CTX_use_cert_and_key(x, first->leaf, first->key, first->chain, 1) != 1)
		abort(); /* our own lists, and a pair that was matched when it was read */
}

static struct tls_ctx *ctx_new(struct tls_store *s, slice service, slice alpn)
{
	struct tls_ctx *c = mem_new(sizeof(*c));

	atomic_store(&c->refs, 1); /* the store's */
	c->bio = tls_bio_method();
	c->set = s->set;
	atomic_fetch_add(&c->set->refs, 1);
	snprintf(c->service, sizeof(c->service), "%.*s", FMT(service));
	if (alpn.n && alpn.n < sizeof(c->alpn)) {
		c->alpn[0] = (unsigned char)alpn.n;
		memcpy(c->alpn + 1, alpn.p, alpn.n);
	}
	c->ctx = SSL_CTX_new(TLS_server_method());
	if (!c->ctx || !c->bio)
		abort(); /* no memory */
	ctx_configure(c, slice_str(c->service));
	ERR_clear_error();
	return c;
}

struct tls_ctx *tls_ctx_get(struct tls_store *s, slice service, slice alpn)
{
	struct tls_ctx *c;

	pthread_mutex_lock(&s->lock);
	for (c = s->ctxs; c; c = c->next) {
		if (slice_eq(slice_str(c->service), service) &&
		    slice_eq(slice_make(c->alpn + 1, c->alpn[0]), alpn))
			break;
	}
	if (!c) {
		c = ctx_new(s, service, alpn);
		c->next = s->ctxs;
		s->ctxs = c;
	}
	tls_ctx_ref(c);
	pthread_mutex_unlock(&s->lock);
	return c;
}

/* --- the store -------------------------------------------------------------------- */

static char *dup_text(const char *s)
{
	size_t n = strlen(s) + 1;
	char *p = mem_new(n);

	memcpy(p, s, n);
	return p;
}

enum status tls_store_new(const struct tls_pair *pairs, size_t n, struct tls_store **out,
			  struct err *e)
{
	struct tls_store *s;
	enum status st;
	size_t i;

	if (n == 0)
		return err_set(e, ERR_CANNOT, "no certificate is given");
	s = mem_new(sizeof(*s));
	pthread_mutex_init(&s->lock, NULL);
	s->n = n;
	s->files = mem_array(2 * n, sizeof(char *));
	for (i = 0; i < n; i++) {
		s->files[2 * i] = dup_text(pairs[i].cert_file);
		s->files[2 * i + 1] = dup_text(pairs[i].key_file);
	}
	st = set_load(s, &s->set, e);
	if (st != ST_OK) {
		tls_store_free(s);
		return st;
	}
	*out = s;
	return ST_OK;
}

static void drop_ctxs(struct tls_ctx *c)
{
	struct tls_ctx *next;

	for (; c; c = next) {
		next = c->next;
		tls_ctx_unref(c);
	}
}

enum status tls_store_reload(struct tls_store *s, struct err *e)
{
	struct tls_set *fresh, *old;
	struct tls_ctx *ctxs;
	enum status st = set_load(s, &fresh, e);

	if (st != ST_OK)
		return st;
	pthread_mutex_lock(&s->lock);
	old = s->set;
	ctxs = s->ctxs;
	s->set = fresh;
	s->ctxs = NULL; /* made anew when they are asked for, with new ticket keys */
	pthread_mutex_unlock(&s->lock);
	drop_ctxs(ctxs);
	set_unref(old);
	return ST_OK;
}

void tls_store_free(struct tls_store *s)
{
	size_t i;

	if (!s)
		return;
	drop_ctxs(s->ctxs);
	set_unref(s->set);
	for (i = 0; i < 2 * s->n; i++)
		mem_free(s->files[i]);
	mem_free(s->files);
	pthread_mutex_destroy(&s->lock);
	mem_free(s);
}
