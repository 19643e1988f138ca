/* Certificates from files, and the names they are good for. */
#include "net/tls_ctx.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/io.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

enum { FILE_MAX = 1 << 20, NAMES_MAX = 1000 };

const char *tls_error_text(char *dst, size_t n)
{
	unsigned long code = ERR_get_error();

	if (code)
		ERR_error_string_n(code, dst, n);
	else
		snprintf(dst, n, "unknown error");
	ERR_clear_error();
	return dst;
}

/* A server has nobody to ask: an encrypted key is an error, not a prompt. */
static int no_password(char *buf, int n, int writing, void *ctx)
{
	(void)buf;
	(void)n;
	(void)writing;
	(void)ctx;
	return -1;
}

static enum status read_pem(const char *file, BIO **out, struct buf *text, struct err *e)
{
	enum status st;

	buf_init(text, FILE_MAX);
	st = io_read_file(file, FILE_MAX, text, e);
	if (st != ST_OK)
		return st;
	*out = BIO_new_mem_buf(text->p, (int)text->n);
	return ST_OK;
}

static enum status load_chain(struct tls_cert *c, const char *file, struct err *e)
{
	AUTO_BUF text = { 0 };
	enum status st;
	char why[160];
	BIO *b = NULL;
	X509 *x;

	st = read_pem(file, &b, &text, e);
	if (st != ST_OK)
		return st;
	c->leaf = PEM_read_bio_X509_AUX(b, NULL, no_password, NULL);
	c->chain = sk_X509_new_null();
	while (c->leaf && (x = PEM_read_bio_X509(b, NULL, no_password, NULL)))
		sk_X509_push(c->chain, x);
	BIO_free(b);
	if (!c->leaf)
		return err_set(e, ERR_CANNOT, "%s: no certificate: %s", file,
			       tls_error_text(why, sizeof(why)));
	ERR_clear_error(); /* the end of the file is reported as an error */
	return ST_OK;
}

static enum status load_key(struct tls_cert *c, const char *file, struct err *e)
{
	AUTO_BUF text = { 0 };
	enum status st;
	char why[160];
	BIO *b = NULL;

	st = read_pem(file, &b, &text, e);
	if (st != ST_OK)
		return st;
	c->key = PEM_read_bio_PrivateKey(b, NULL, no_password, NULL);
	BIO_free(b);
	if (text.p)
		OPENSSL_cleanse(text.p, text.n);
	if (!c->key)
		return err_set(e, ERR_CANNOT, "%s: no private key: %s", file,
			       tls_error_text(why, sizeof(why)));
	return ST_OK;
}

static void add_name(struct tls_cert *c, const char *p, int n)
{
	char *name;
	int i;

	if (n <= 0 || c->n_names == NAMES_MAX || memchr(p, 0, (size_t)n))
		return;
	name = mem_new((size_t)n + 1);
	for (i = 0; i < n; i++)
		name[i] = ascii_lower(p[i]);
	c->names = mem_grow(c->names, c->n_names + 1, sizeof(char *));
	c->names[c->n_names++] = name;
}

static void read_names(struct tls_cert *c)
{
	GENERAL_NAMES *list = X509_get_ext_d2i(c->leaf, NID_subject_alt_name, NULL, NULL);
	int i, n = list ? sk_GENERAL_NAME_num(list) : 0;

	for (i = 0; i < n; i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(list, i);

		if (g->type == GEN_DNS)
			add_name(c, (const char *)ASN1_STRING_get0_data(g->d.dNSName),
				 ASN1_STRING_length(g->d.dNSName));
	}
	GENERAL_NAMES_free(list);
}

enum status tls_cert_load(struct tls_cert *c, const struct tls_pair *pair, struct err *e)
{
	enum status st = load_chain(c, pair->cert_file, e);

	ERR_clear_error();
	if (st == ST_OK)
		st = load_key(c, pair->key_file, e);
	if (st != ST_OK)
		return st;
	if (X509_check_private_key(c->leaf, c->key) != 1) {
		ERR_clear_error();
		return err_set(e, ERR_CANNOT, "%s does not hold the key of %s",
			       pair->key_file, pair->cert_file);
	}
	read_names(c);
	ERR_clear_error();
	return ST_OK;
}

void tls_cert_done(struct tls_cert *c)
{
	size_t i;

	for (i = 0; i < c->n_names; i++)
		mem_free(c->names[i]);
	mem_free(c->names);
	X509_free(c->leaf);
	sk_X509_pop_free(c->chain, X509_free);
	EVP_PKEY_free(c->key);
	memset(c, 0, sizeof(*c));
}

/* RFC 6125 6.4.3: the asterisk stands for the whole leftmost label, and for one. */
bool tls_cert_is_for(const struct tls_cert *c, slice host)
{
	size_t i;

	if (host.n && host.p[host.n - 1] == '.')
		host.n--;
	for (i = 0; i < c->n_names; i++) {
		slice name = slice_str(c->names[i]);
		size_t dot = slice_chr(host, '.', 0);

		if (slice_ieq(name, host))
			return true;
		if (slice_starts(name, SL("*.")) && dot > 0 && dot < host.n &&
		    slice_ieq(slice_from(name, 1), slice_from(host, dot)))
			return true;
	}
	return false;
}
