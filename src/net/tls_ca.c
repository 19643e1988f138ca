/* The private CA of a first start, so that TLS works at once. Runs before anything is
 * served. */
#include "net/tls_ctx.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/hash.h"
#include "base/io.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

enum {
	DAY = 86400,
	CERT_DAYS = 825, /* what Apple's clients accept at most of a private CA */
	CA_DAYS = 3650,
	RENEW_DAYS = 30,
	SKEW_DAYS = 1 /* a client's clock may be behind */
};

struct maker {
	struct arena a;
	const char *dir;
	int64_t now_s;
	struct tls_cert ca, cert;
};

static const char *path(struct maker *m, const char *file)
{
	return arena_fmt(&m->a, "%s/%s", m->dir, file).p;
}

static enum status fail(struct err *e, const char *what)
{
	char why[160];

	return err_set(e, ERR_CANNOT, "making the %s: %s", what,
		       tls_error_text(why, sizeof(why)));
}

/* --- certificates ----------------------------------------------------------------- */

static bool add_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;
	int ok;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	if (!ext)
		return false;
	ok = X509_add_ext(x, ext, -1);
	X509_EXTENSION_free(ext);
	return ok == 1;
}

static bool set_serial(X509 *x)
{
	unsigned char bytes[16];
	BIGNUM *n;
	bool ok;

	random_bytes(bytes, sizeof(bytes));
	bytes[0] = (bytes[0] & 0x7f) | 0x40; /* positive, and never short */
	n = BN_bin2bn(bytes, sizeof(bytes), NULL);
	ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
	BN_free(n);
	return ok;
}

static bool set_name(X509_NAME *n, const char *cn)
{
	return X509_NAME_add_entry_by_txt(n, "O", MBSTRING_UTF8,
					  (const unsigned char *)"Facteur", -1, -1,
					  0) == 1 &&
	       X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_UTF8,
					  (const unsigned char *)cn, -1, -1, 0) == 1;
}

/* A version 3 certificate with key, subject, serial and dates; the rest is the caller's. */
static X509 *cert_begin(EVP_PKEY *key, const char *cn, int64_t from, int64_t to)
{
	X509 *x = X509_new();

	if (!x)
		return NULL;
	if (X509_set_version(x, 2) == 1 && set_serial(x) &&
	    X509_set_pubkey(x, key) == 1 && ASN1_TIME_set(X509_getm_notBefore(x), from) &&
	    ASN1_TIME_set(X509_getm_notAfter(x), to) &&
	    set_name(X509_get_subject_name(x), cn))
		return x;
	X509_free(x);
	return NULL;
}

static bool ca_make(struct maker *m)
{
	X509 *x;

	m->ca.key = EVP_EC_gen("P-256");
	if (!m->ca.key)
		return false;
	x = m->ca.leaf = cert_begin(m->ca.key, "Facteur private CA",
				    m->now_s - SKEW_DAYS * DAY,
				    m->now_s + (int64_t)CA_DAYS * DAY);
	return x && X509_set_issuer_name(x, X509_get_subject_name(x)) == 1 &&
	       add_ext(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
	       add_ext(x, x, NID_key_usage, "critical,keyCertSign,cRLSign") &&
	       add_ext(x, x, NID_subject_key_identifier, "hash") &&
	       X509_sign(x, m->ca.key, EVP_sha256()) > 0;
}

static bool is_ip(const char *name)
{
	unsigned char ip[16];

	return inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1;
}

static bool add_names(X509 *x, const char *const *names, size_t n)
{
	GENERAL_NAMES *list = sk_GENERAL_NAME_new_null();
	bool ok = list != NULL;
	size_t i;

	for (i = 0; ok && i < n; i++) {
		GENERAL_NAME *g = a2i_GENERAL_NAME(NULL, NULL, NULL,
						   is_ip(names[i]) ? GEN_IPADD : GEN_DNS,
						   names[i], 0);

		ok = g && sk_GENERAL_NAME_push(list, g) > 0;
	}
	ok = ok &&
	     X509_add1_ext_i2d(x, NID_subject_alt_name, list, 0, X509V3_ADD_DEFAULT) == 1;
	GENERAL_NAMES_free(list);
	return ok;
}

static int64_t asn1_unix(const ASN1_TIME *t)
{
	ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
	int days = 0, seconds = 0;

	if (!epoch || ASN1_TIME_diff(&days, &seconds, epoch, t) != 1)
		days = seconds = 0; /* unreadable: long expired */
	ASN1_TIME_free(epoch);
	return (int64_t)days * DAY + seconds;
}

static bool cert_make(struct maker *m, const char *const *names, size_t n)
{
	int64_t to = m->now_s + (int64_t)CERT_DAYS * DAY,
		ca_to = asn1_unix(X509_get0_notAfter(m->ca.leaf));
	X509 *x;

	m->cert.key = EVP_EC_gen("P-256");
	if (!m->cert.key)
		return false;
	x = m->cert.leaf =
		cert_begin(m->cert.key, strlen(names[0]) <= 64 ? names[0] : "mail server",
			   m->now_s - SKEW_DAYS * DAY, to < ca_to ? to : ca_to);
	return x && X509_set_issuer_name(x, X509_get_subject_name(m->ca.leaf)) == 1 &&
	       add_ext(x, m->ca.leaf, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_ext(x, m->ca.leaf, NID_key_usage, "critical,digitalSignature") &&
	       add_ext(x, m->ca.leaf, NID_ext_key_usage, "serverAuth") &&
	       add_ext(x, m->ca.leaf, NID_subject_key_identifier, "hash") &&
	       add_ext(x, m->ca.leaf, NID_authority_key_identifier, "keyid:always") &&
	       add_names(x, names, n) && X509_sign(x, m->ca.key, EVP_sha256()) > 0;
}

/* --- files ------------------------------------------------------------------------ */

static enum status write_bio(struct maker *m, const char *file, BIO *b, mode_t mode,
			     struct err *e)
{
	enum status st;
	char *p;
	long n = BIO_get_mem_data(b, &p);

	st = io_write_file(path(m, file), slice_make(p, (size_t)n), mode, e);
	BIO_free(b);
	return st;
}

static enum status write_key(struct maker *m, const char *file, EVP_PKEY *key,
			     struct err *e)
{
	BIO *b = BIO_new(BIO_s_secmem());

	if (!b || PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL) != 1) {
		BIO_free(b);
		return fail(e, "key file");
	}
	return write_bio(m, file, b, 0600, e);
}

static enum status write_cert(struct maker *m, const char *file, X509 *x, struct err *e)
{
	BIO *b = BIO_new(BIO_s_mem());

	if (!b || PEM_write_bio_X509(b, x) != 1) {
		BIO_free(b);
		return fail(e, "certificate file");
	}
	return write_bio(m, file, b, 0644, e);
}

static enum status load(struct maker *m, struct tls_cert *c, const char *cert,
			const char *key, struct err *e)
{
	struct tls_pair pair = { path(m, cert), path(m, key) };

	return tls_cert_load(c, &pair, e);
}

/* --- what is needed --------------------------------------------------------------- */

static enum status need_ca(struct maker *m, struct err *e)
{
	enum status st = load(m, &m->ca, "ca.pem", "ca.key", e);
	struct err ignored;
	int fd = -1;

	if (st == ST_OK)
		return ST_OK;
	/* A CA that people have installed is never replaced because a file of it is
	 * missing or unreadable. The key is written first: alone it is what a crash has
	 * left. */
	if (io_open(path(m, "ca.pem"), O_RDONLY, 0, &fd, &ignored) != ST_NOT_FOUND) {
		if (fd >= 0)
			close(fd);
		return st;
	}
	tls_cert_done(&m->ca);
	if (!ca_make(m))
		return fail(e, "private CA");
	st = write_key(m, "ca.key", m->ca.key, e);
	return st == ST_OK ? write_cert(m, "ca.pem", m->ca.leaf, e) : st;
}

static bool has_name(X509 *x, const char *name)
{
	if (is_ip(name))
		return X509_check_ip_asc(x, name, 0) == 1;
	return X509_check_host(x, name, 0,
			       X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
				       X509_CHECK_FLAG_NO_WILDCARDS,
			       NULL) == 1;
}

static bool cert_serves(struct maker *m, const char *const *names, size_t n)
{
	struct err ignored;
	EVP_PKEY *ca;
	size_t i;

	if (load(m, &m->cert, "cert.pem", "key.pem", &ignored) != ST_OK)
		return false;
	ca = X509_get0_pubkey(m->ca.leaf);
	if (!ca || X509_verify(m->cert.leaf, ca) != 1)
		return false;
	if (asn1_unix(X509_get0_notAfter(m->cert.leaf)) < m->now_s + RENEW_DAYS * DAY)
		return false;
	for (i = 0; i < n; i++)
		if (!has_name(m->cert.leaf, names[i]))
			return false;
	return true;
}

static enum status need_cert(struct maker *m, const char *const *names, size_t n,
			     struct err *e)
{
	enum status st;

	if (cert_serves(m, names, n))
		return ST_OK;
	tls_cert_done(&m->cert);
	if (!cert_make(m, names, n))
		return fail(e, "certificate");
	/* A crash between the two leaves a pair that does not match: it is made again at
	 * the next start. */
	st = write_key(m, "key.pem", m->cert.key, e);
	return st == ST_OK ? write_cert(m, "cert.pem", m->cert.leaf, e) : st;
}

enum status tls_make_private_ca(const char *dir, const char *const *names, size_t n,
				int64_t now_s, struct err *e)
{
	struct maker m = { .dir = dir, .now_s = now_s };
	enum status st;

	if (n == 0)
		return err_set(e, ERR_CANNOT, "a certificate needs a name");
	st = io_mkdir(dir, 0700, e);
	if (st == ST_OK)
		st = need_ca(&m, e);
	if (st == ST_OK)
		st = need_cert(&m, names, n, e);
	tls_cert_done(&m.ca);
	tls_cert_done(&m.cert);
	arena_release(&m.a);
	ERR_clear_error();
	return st;
}
