/* Certificates: the private CA, names, reload. The handshake itself is tested with the
 * driver (unit/work). */
#include "base/alloc.h"
#include "net/tls_ctx.h"
#include "base/io.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sys/stat.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static const int64_t now = 1790000000;
static const char *const names[] = { "localhost", "127.0.0.1", "::1", "mail.example.org",
				     "*.example.org" };

struct dir {
	char path[64], file[128];
};

static int setup(void **state)
{
	struct dir *d = mem_new(sizeof(*d));

	snprintf(d->path, sizeof(d->path), "/tmp/facteur-tls-XXXXXX");
	assert_non_null(mkdtemp(d->path));
	*state = d;
	return 0;
}

static int teardown(void **state)
{
	static const char *const files[] = { "ca.pem", "ca.key", "cert.pem", "key.pem" };
	struct dir *d = *state;
	size_t i;

	for (i = 0; i < 4; i++) {
		snprintf(d->file, sizeof(d->file), "%s/%s", d->path, files[i]);
		unlink(d->file);
	}
	rmdir(d->path);
	mem_free(d);
	return 0;
}

static const char *file(struct dir *d, const char *name)
{
	snprintf(d->file, sizeof(d->file), "%s/%s", d->path, name);
	return d->file;
}

static X509 *cert(struct dir *d, const char *name)
{
	FILE *f = fopen(file(d, name), "r");
	X509 *x;

	assert_non_null(f);
	x = PEM_read_X509(f, NULL, NULL, NULL);
	fclose(f);
	assert_non_null(x);
	return x;
}

static void make(struct dir *d, size_t n, int64_t when)
{
	struct err e = { 0 };

	if (tls_make_private_ca(d->path, names, n, when, &e) != ST_OK)
		fail_msg("%s", e.text);
}

static bool same(struct dir *d, const char *name, X509 *before)
{
	X509 *x = cert(d, name);
	bool r = X509_cmp(x, before) == 0;

	X509_free(x);
	return r;
}

static void the_private_ca_signs_for_all_names(void **state)
{
	struct dir *d = *state;
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509 *ca, *x;
	struct stat st;

	make(d, 4, now);
	ca = cert(d, "ca.pem");
	x = cert(d, "cert.pem");
	X509_STORE_add_cert(store, ca);
	X509_STORE_CTX_init(ctx, store, x, NULL);
	X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(ctx), now + 100 * 86400);
	X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(ctx),
				    X509_V_FLAG_X509_STRICT);
	X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_SERVER);
	assert_int_equal(X509_verify_cert(ctx), 1);
	assert_int_equal(X509_check_host(x, "localhost", 0, 0, NULL), 1);
	assert_int_equal(X509_check_host(x, "mail.example.org", 0, 0, NULL), 1);
	assert_int_equal(X509_check_host(x, "example.org", 0, 0, NULL), 0);
	assert_int_equal(X509_check_ip_asc(x, "127.0.0.1", 0), 1);
	assert_int_equal(X509_check_ip_asc(x, "::1", 0), 1);
	assert_int_equal(stat(file(d, "ca.key"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(file(d, "key.pem"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	X509_free(ca);
	X509_free(x);
}

static void it_is_made_again_only_when_needed(void **state)
{
	struct dir *d = *state;
	X509 *ca, *x;

	make(d, 2, now);
	ca = cert(d, "ca.pem");
	x = cert(d, "cert.pem");
	make(d, 2, now + 86400);
	assert_true(same(d, "cert.pem", x));
	make(d, 3, now + 86400); /* a new name */
	assert_false(same(d, "cert.pem", x));
	X509_free(x);
	x = cert(d, "cert.pem");
	make(d, 2, now + 86400); /* one name fewer is served as well */
	assert_true(same(d, "cert.pem", x));
	make(d, 3, now + 86400 + (int64_t)(825 - 31) * 86400);
	assert_true(same(d, "cert.pem", x));
	make(d, 3, now + 86400 + (int64_t)(825 - 29) * 86400);
	assert_false(same(d, "cert.pem", x));
	X509_free(x);
	x = cert(d, "cert.pem");
	unlink(file(d, "key.pem")); /* what a crash may leave */
	make(d, 3, now + (int64_t)800 * 86400);
	assert_false(same(d, "cert.pem", x));
	assert_true(same(d, "ca.pem", ca)); /* through all of this */
	X509_free(x);
	X509_free(ca);
}

static void a_ca_without_its_key_is_never_replaced(void **state)
{
	struct dir *d = *state;
	struct err e;
	X509 *ca;

	make(d, 1, now);
	ca = cert(d, "ca.pem");
	unlink(file(d, "ca.key"));
	assert_int_not_equal(tls_make_private_ca(d->path, names, 1, now, &e), ST_OK);
	assert_true(same(d, "ca.pem", ca));
	X509_free(ca);
}

static void names_match_whole_labels(void **state)
{
	static char *list[] = { (char *)(uintptr_t) "example.org",
				(char *)(uintptr_t) "*.example.org" };
	const struct tls_cert c = { .names = list, .n_names = 2 };

	(void)state;
	assert_true(tls_cert_is_for(&c, SL("example.org")));
	assert_true(tls_cert_is_for(&c, SL("EXAMPLE.org.")));
	assert_true(tls_cert_is_for(&c, SL("Mail.example.org")));
	assert_false(tls_cert_is_for(&c, SL("a.mail.example.org")));
	assert_false(tls_cert_is_for(&c, SL(".example.org")));
	assert_false(tls_cert_is_for(&c, SL("mailexample.org")));
	assert_false(tls_cert_is_for(&c, SL("example.net")));
	assert_false(tls_cert_is_for(&c, SL("")));
}

static void a_failed_reload_keeps_the_old_certificates(void **state)
{
	struct dir *d = *state;
	char c[128], k[128];
	const struct tls_pair pair = { c, k };
	struct tls_store *s = NULL;
	struct tls_ctx *x, *y;
	struct err e = { 0 };

	make(d, 1, now);
	snprintf(c, sizeof(c), "%s/cert.pem", d->path);
	snprintf(k, sizeof(k), "%s/key.pem", d->path);
	assert_int_equal(tls_store_new(&pair, 1, &s, &e), ST_OK);
	x = tls_ctx_get(s, SL("imap"), SL("imap"));
	y = tls_ctx_get(s, SL("imap"), SL("imap"));
	assert_ptr_equal(x, y);
	tls_ctx_unref(y);
	y = tls_ctx_get(s, SL("pop3"), SL("pop3"));
	assert_ptr_not_equal(x, y);
	tls_ctx_unref(y);
	assert_int_equal(io_write_file(c, SL("no certificate"), 0644, &e), ST_OK);
	assert_int_not_equal(tls_store_reload(s, &e), ST_OK);
	assert_non_null(strstr(e.text, "cert.pem"));
	y = tls_ctx_get(s, SL("imap"), SL("imap"));
	assert_ptr_equal(x, y);
	tls_ctx_unref(y);
	make(d, 1, now); /* repairs it */
	assert_int_equal(tls_store_reload(s, &e), ST_OK);
	y = tls_ctx_get(s, SL("imap"), SL("imap"));
	assert_ptr_not_equal(x, y);
	tls_ctx_unref(x);
	tls_ctx_unref(y);
	tls_store_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_private_ca_signs_for_all_names, setup,
						teardown),
		cmocka_unit_test_setup_teardown(it_is_made_again_only_when_needed, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_ca_without_its_key_is_never_replaced,
						setup, teardown),
		cmocka_unit_test(names_match_whole_labels),
		cmocka_unit_test_setup_teardown(
			a_failed_reload_keeps_the_old_certificates, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
