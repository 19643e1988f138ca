/* The driver on real sockets, loops and pools; TLS with OpenSSL's client. */
#include "toy.h"
#include "base/limits.h"
#include "base/log.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <sys/socket.h>

enum { DEADLINE = 20 }; /* seconds that any one answer may take */

struct server {
	struct toy toy;
	struct clock clock;
	struct worker_ctx *w;
	struct listener *plain, *secure;
	struct tls_store *tls;
	char dir[64], dir2[64];
};

struct client {
	int fd;
	SSL *ssl;
};

/* --- the server ------------------------------------------------------------------- */

static void make_pair(char *dir, const char *const *names, size_t n)
{
	struct err e = { 0 };

	snprintf(dir, 64, "/tmp/facteur-net-XXXXXX");
	assert_non_null(mkdtemp(dir));
	if (tls_make_private_ca(dir, names, n, time(NULL), &e) != ST_OK)
		fail_msg("%s", e.text);
}

static void drop_pair(const char *dir)
{
	static const char *const files[] = { "ca.pem", "ca.key", "cert.pem", "key.pem" };
	char path[128];
	size_t i;

	for (i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		unlink(path);
	}
	rmdir(dir);
}

static struct server *start(bool limits)
{
	static const char *const first[] = { "localhost", "127.0.0.1" };
	static const char *const second[] = { "*.example.org" };
	struct server *s = mem_new(sizeof(*s));
	struct worker_options opt = {
		.loops = 2, .db_threads = 3, .crypto_threads = 2, .limit_loopback = limits
	};
	char path[4][128];
	const struct tls_pair pairs[] = { { path[0], path[1] }, { path[2], path[3] } };
	struct err e = { 0 };

	log_set_level(LOG_LEVEL_NONE);
	toy_init(&s->toy);
	clock_init_real(&s->clock);
	opt.clock = &s->clock;
	make_pair(s->dir, first, 2);
	make_pair(s->dir2, second, 1);
	snprintf(path[0], 128, "%s/cert.pem", s->dir);
	snprintf(path[1], 128, "%s/key.pem", s->dir);
	snprintf(path[2], 128, "%s/cert.pem", s->dir2);
	snprintf(path[3], 128, "%s/key.pem", s->dir2);
	assert_int_equal(tls_store_new(pairs, 2, &s->tls, &e), ST_OK);
	s->w = worker_new(&opt);
	assert_int_equal(worker_listen(s->w, &toy_service, &s->toy, "127.0.0.1", 0,
				       s->tls, false, &s->plain, &e),
			 ST_OK);
	assert_int_equal(worker_listen(s->w, &toy_service, &s->toy, "127.0.0.1", 0,
				       s->tls, true, &s->secure, &e),
			 ST_OK);
	worker_start(s->w);
	return s;
}

static void stop(struct server *s)
{
	listener_close(s->plain);
	listener_close(s->secure);
	worker_stop(s->w, 5000);
	worker_free(s->w);
	tls_store_free(s->tls);
	assert_int_equal(s->toy.open, 0);
	assert_int_equal(s->toy.sources, 0);
	drop_pair(s->dir);
	drop_pair(s->dir2);
	mem_free(s);
}

/* --- the client ------------------------------------------------------------------- */

static struct client dial(struct listener *l)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_port = htons(listener_port(l)) };
	struct timeval tv = { .tv_sec = DEADLINE };
	struct client c = { .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(c.fd >= 0);
	setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(c.fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	assert_int_equal(connect(c.fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return c;
}

static void hang_up(struct client *c)
{
	SSL_free(c->ssl);
	c->ssl = NULL;
	close(c->fd);
}

static void say(struct client *c, const char *text)
{
	size_t n = strlen(text);

	if (c->ssl)
		assert_int_equal(SSL_write(c->ssl, text, (int)n), (int)n);
	else
		assert_int_equal(send(c->fd, text, n, MSG_NOSIGNAL), (ssize_t)n);
}

static int take(struct client *c, char *p, size_t n)
{
	return c->ssl ? SSL_read(c->ssl, p, (int)n) : (int)recv(c->fd, p, n, 0);
}

static void expect(struct client *c, const char *text)
{
	size_t want = strlen(text), n = 0;
	char got[2048] = "";

	assert_true(want < sizeof(got));
	while (n < want) {
		int r = take(c, got + n, want - n);

		if (r <= 0)
			fail_msg("closed after '%s', expected '%s'", got, text);
		n += (size_t)r;
	}
	assert_string_equal(got, text);
}

static void expect_end(struct client *c)
{
	char b[1];

	assert_true(take(c, b, 1) <= 0);
}

static SSL_CTX *client_ctx(void)
{
	SSL_CTX *x = SSL_CTX_new(TLS_client_method());

	assert_non_null(x);
	return x;
}

/* Shakes hands; false when the server refuses. */
static bool secure(struct client *c, SSL_CTX *x, const char *sni, SSL_SESSION *resume)
{
	c->ssl = SSL_new(x);
	SSL_set_fd(c->ssl, c->fd);
	if (sni)
		SSL_set_tlsext_host_name(c->ssl, sni);
	if (resume)
		SSL_set_session(c->ssl, resume);
	return SSL_connect(c->ssl) == 1;
}

/* --- plain ------------------------------------------------------------------------ */

static void commands_run_and_answers_keep_their_order(void **state)
{
	struct server *s = start(false);
	struct client c = dial(s->plain);
	char script[4096] = "", want[4096] = "";
	size_t i, n = 0, m = 0;

	(void)state;
	s->toy.auto_commit = true;
	expect(&c, "hello\r\n");
	for (i = 0; i < 100; i++) {
		static const char *const verbs[] = { "echo", "slow", "hash" };

		n += (size_t)snprintf(script + n, sizeof(script) - n, "%s %zu\r\n",
				      verbs[i % 3], i);
		m += (size_t)snprintf(want + m, sizeof(want) - m, "= %zu\r\n", i);
	}
	say(&c, script);
	expect(&c, want);
	say(&c, "commit 1\r\ncommit 2\r\nread\r\nquit\r\n");
	expect(&c, "ok 1\r\nok 2\r\n= 2\r\nbye\r\n");
	expect_end(&c);
	hang_up(&c);
	stop(s);
}

static void *commit_thread(void *arg)
{
	struct server *s = arg;
	int left = 300;

	while (left) {
		size_t n;

		pthread_mutex_lock(&s->toy.lock);
		n = s->toy.n_tickets;
		pthread_mutex_unlock(&s->toy.lock);
		if (!n) {
			sched_yield();
			continue;
		}
		toy_finish(&s->toy, n - 1, left % 5 != 0);
		left--;
	}
	return NULL;
}

static void commits_come_back_from_another_thread(void **state)
{
	struct server *s = start(false);
	struct client c[3];
	pthread_t committer;
	int i, k;

	(void)state;
	pthread_create(&committer, NULL, commit_thread, s);
	for (k = 0; k < 3; k++) {
		c[k] = dial(s->plain);
		expect(&c[k], "hello\r\n");
		for (i = 0; i < 100; i++)
			say(&c[k], "commit x\r\n");
	}
	for (k = 0; k < 3; k++) {
		for (i = 0; i < 100; i++) {
			char got[7] = "";
			size_t n = 0;

			while (n < 6) {
				int r = take(&c[k], got + n, 6 - n);

				assert_true(r > 0);
				n += (size_t)r;
			}
			assert_true(strcmp(got, "ok x\r\n") == 0 ||
				    strcmp(got, "no x\r\n") == 0);
		}
		hang_up(&c[k]);
	}
	pthread_join(committer, NULL);
	stop(s);
}

static void a_commit_that_is_faster_than_its_command_is_answered(void **state)
{
	struct server *s = start(false);
	struct client c = dial(s->plain);
	int i;

	(void)state;
	s->toy.auto_commit = true;
	s->toy.linger = true;
	expect(&c, "hello\r\n");
	for (i = 0; i < 5; i++) {
		say(&c, "commit x\r\n");
		expect(&c, "ok x\r\n");
	}
	hang_up(&c);
	stop(s);
}

static void large_answers_go_out_whole(void **state)
{
	struct server *s = start(false);
	struct client c = dial(s->plain);
	size_t want = sizeof("{20000000}\r\n") - 1 + 20000000 +
		      sizeof("\r\nok blob\r\n") - 1 + 8000000,
	       n = 0;
	char *b = mem_new(1 << 16);

	(void)state;
	expect(&c, "hello\r\n");
	say(&c, "blob 20000000\r\nbig 8000000\r\nquit\r\n");
	while (n < want) {
		int r = take(&c, b, want - n < 1 << 16 ? want - n : 1 << 16);

		assert_true(r > 0);
		n += (size_t)r;
	}
	expect(&c, "bye\r\n");
	expect_end(&c);
	mem_free(b);
	hang_up(&c);
	stop(s);
}

static void clients_that_vanish_leave_nothing(void **state)
{
	static const char script[] =
		"slow 1\r\ncommit 2\r\nparts 3\r\nblob 900000\r\nhash 4\r\ntake 9\r\nabcdefghibig 900000\r\n";
	struct server *s = start(false);
	size_t cut;

	(void)state;
	s->toy.auto_commit = true;
	for (cut = 0; cut < sizeof(script); cut++) {
		struct client c = dial(s->plain);
		struct linger hard = { .l_onoff = 1 };

		if (cut % 3 == 0)
			expect(&c, "hello\r\n");
		if (cut)
			assert_int_equal(send(c.fd, script, cut, MSG_NOSIGNAL),
					 (ssize_t)cut);
		if (cut % 2)
			setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &hard,
				   sizeof(hard)); /* a reset */
		hang_up(&c);
	}
	stop(s);
}

static void a_stop_says_goodbye_and_waits_for_what_is_out(void **state)
{
	struct server *s = start(false);
	struct client c = dial(s->plain), idle = dial(s->plain);
	struct client tls = dial(s->secure); /* in the middle of its handshake */
	pthread_t t;

	(void)state;
	expect(&idle, "hello\r\n");
	expect(&c, "hello\r\n");
	s->toy.hold_slow = true;
	say(&c, "slow 1\r\n");
	while (!atomic_load(&s->toy.in_slow))
		sched_yield();
	pthread_create(&t, NULL, (void *(*)(void *))(void (*)(void))stop, s);
	expect(&idle, "down\r\n");
	expect_end(&idle);
	expect_end(&tls);
	atomic_store(&s->toy.hold_slow, false);
	expect(&c, "= 1\r\ndown\r\n");
	expect_end(&c);
	hang_up(&c);
	hang_up(&idle);
	hang_up(&tls);
	pthread_join(t, NULL);
}

static void loopback_is_limited_when_asked(void **state)
{
	struct server *s = start(true);
	struct client c[LIMIT_CONN_PREAUTH_PER_NET + 1];
	int i;

	(void)state;
	for (i = 0; i < LIMIT_CONN_PREAUTH_PER_NET; i++) {
		c[i] = dial(s->plain);
		expect(&c[i], "hello\r\n");
	}
	c[i] = dial(s->plain);
	expect(&c[i], "busy\r\n");
	expect_end(&c[i]);
	for (i = 0; i <= LIMIT_CONN_PREAUTH_PER_NET; i++)
		hang_up(&c[i]);
	stop(s);
}

/* --- TLS -------------------------------------------------------------------------- */

static void tls_carries_everything(void **state)
{
	struct server *s = start(false);
	SSL_CTX *x = client_ctx();
	struct client c = dial(s->secure);
	size_t want = sizeof("{3000000}\r\n") - 1 + 3000000 + sizeof("\r\nok blob\r\n") -
		      1,
	       n = 0;
	char path[128], *b = mem_new(1 << 16);

	(void)state;
	snprintf(path, sizeof(path), "%s/ca.pem", s->dir);
	assert_int_equal(SSL_CTX_load_verify_locations(x, path, NULL), 1);
	SSL_CTX_set_verify(x, SSL_VERIFY_PEER, NULL);
	assert_true(secure(&c, x, "localhost", NULL));
	expect(&c, "hello tls\r\n");
	say(&c, "secret\r\n");
	expect(&c, "= TLSv1.3 TLS_AES_256_GCM_SHA384\r\n");
	say(&c, "echo 1\r\nslow 2\r\nblob 3000000\r\n");
	expect(&c, "= 1\r\n= 2\r\n");
	while (n < want) {
		int r = take(&c, b, want - n < 1 << 16 ? want - n : 1 << 16);

		assert_true(r > 0);
		n += (size_t)r;
	}
	say(&c, "quit\r\n");
	expect(&c, "bye\r\n");
	assert_true(SSL_read(c.ssl, b, 1) <= 0);
	assert_int_equal(SSL_get_shutdown(c.ssl) & SSL_RECEIVED_SHUTDOWN,
			 SSL_RECEIVED_SHUTDOWN);
	mem_free(b);
	hang_up(&c);
	SSL_CTX_free(x);
	stop(s);
}

/* More than the driver takes at once, and nothing behind it that the socket could tell of:
 * the rest stands in OpenSSL alone, while a job stops the reading just when it was to go
 * on. */
static void what_tls_has_read_ahead_is_not_forgotten_during_a_job(void **state)
{
	struct server *s = start(false);
	struct service small = toy_service;
	struct listener *l;
	SSL_CTX *x = client_ctx();
	char script[4096] = "", want[2048] = "";
	size_t n = 0, m = 0;
	struct err e = { 0 };

	(void)state;
	small.input_max = 2048;
	assert_int_equal(worker_listen(s->w, &small, &s->toy, "127.0.0.1", 0, s->tls,
				       true, &l, &e),
			 ST_OK);
	struct client c = dial(l);

	assert_true(secure(&c, x, NULL, NULL));
	expect(&c, "hello tls\r\n");
	for (int i = 0; i < 365; i++) {
		n += (size_t)snprintf(script + n, sizeof(script) - n, "%s x\r\n",
				      i == 32 ? "slow" : "echo");
		m += (size_t)snprintf(want + m, sizeof(want) - m, "= x\r\n");
	}
	say(&c, script);
	expect(&c, want);
	hang_up(&c);
	SSL_CTX_free(x);
	listener_close(l);
	stop(s);
}

/* Answers to a large upload that is followed by a command in the same breath. */
static void uploads_arrive_whole(void **state)
{
	struct server *s = start(false);
	SSL_CTX *x = client_ctx();
	size_t i, n, total = 5000000;
	char *body = mem_new(total), head[64], want[64];
	uint64_t sum = 0;
	int tls;

	(void)state;
	for (i = 0; i < total; i++) {
		body[i] = (char)(i * 7 + i / 255);
		sum += (unsigned char)body[i];
	}
	snprintf(head, sizeof(head), "take %zu\r\n", total);
	snprintf(want, sizeof(want), "= %llu\r\n= after\r\n", (unsigned long long)sum);
	for (tls = 0; tls < 2; tls++) {
		struct client c = dial(tls ? s->secure : s->plain);

		if (tls)
			assert_true(secure(&c, x, NULL, NULL));
		expect(&c, tls ? "hello tls\r\n" : "hello\r\n");
		say(&c, head);
		for (n = 0; n < total;) {
			size_t m = total - n < 30000 ? total - n : 30000;
			ssize_t r = tls ? SSL_write(c.ssl, body + n, (int)m)
					: send(c.fd, body + n, m, MSG_NOSIGNAL);

			assert_true(r > 0);
			n += (size_t)r;
		}
		say(&c, "echo after\r\n");
		expect(&c, want);
		hang_up(&c);
	}
	mem_free(body);
	SSL_CTX_free(x);
	stop(s);
}

static void starttls_starts_anew(void **state)
{
	struct server *s = start(false);
	SSL_CTX *x = client_ctx();
	struct client c = dial(s->plain);

	(void)state;
	expect(&c, "hello\r\n");
	say(&c, "starttls\r\n");
	expect(&c, "go\r\n");
	assert_true(secure(&c, x, NULL, NULL));
	say(&c, "echo in private\r\n");
	expect(&c, "= in private\r\n");
	hang_up(&c);
	SSL_CTX_free(x);
	stop(s);
}

static void a_command_behind_starttls_in_one_segment_is_never_answered(void **state)
{
	struct server *s = start(false);
	SSL_CTX *x = client_ctx();
	struct client c = dial(s->plain);

	(void)state;
	expect(&c, "hello\r\n");
	say(&c, "starttls\r\necho injected\r\n");
	expect(&c, "go\r\n");
	assert_false(secure(&c, x, NULL, NULL));
	hang_up(&c);
	/* the same bytes a moment later are taken for a broken handshake */
	c = dial(s->plain);
	expect(&c, "hello\r\n");
	say(&c, "starttls\r\n");
	expect(&c, "go\r\n");
	say(&c, "echo injected\r\n");
	assert_false(secure(&c, x, NULL, NULL));
	hang_up(&c);
	SSL_CTX_free(x);
	stop(s);
}

static bool shake_with_alpn(struct server *s, SSL_CTX *x, const char *wire, unsigned n,
			    int *alert)
{
	struct client c = dial(s->secure);
	bool ok;

	ERR_clear_error();
	c.ssl = SSL_new(x);
	SSL_set_fd(c.ssl, c.fd);
	SSL_set_alpn_protos(c.ssl, (const unsigned char *)wire, n);
	ok = SSL_connect(c.ssl) == 1;
	*alert = ok ? 0 : ERR_GET_REASON(ERR_peek_error()) - SSL_AD_REASON_OFFSET;
	if (ok) {
		const unsigned char *got;
		unsigned got_n;

		SSL_get0_alpn_selected(c.ssl, &got, &got_n);
		assert_int_equal(got_n, 3);
		assert_memory_equal(got, "toy", 3);
		expect(&c, "hello tls\r\n");
	}
	hang_up(&c);
	return ok;
}

static void a_foreign_alpn_gets_alert_120(void **state)
{
	struct server *s = start(false);
	SSL_CTX *x = client_ctx();
	int alert;

	(void)state;
	assert_true(shake_with_alpn(s, x, "\x08http/1.1\x03toy", 13, &alert));
	assert_false(shake_with_alpn(s, x, "\x08http/1.1", 9, &alert));
	assert_int_equal(alert, 120);
	SSL_CTX_free(x);
	stop(s);
}

static void old_protocols_are_refused(void **state)
{
	struct server *s = start(false);
	SSL_CTX *x = client_ctx();
	struct client c = dial(s->secure);

	(void)state;
	SSL_CTX_set_security_level(x, 0);
	SSL_CTX_set_min_proto_version(x, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(x, TLS1_1_VERSION);
	SSL_CTX_set_cipher_list(x, "ALL:@SECLEVEL=0");
	assert_false(secure(&c, x, NULL, NULL));
	hang_up(&c);
	SSL_CTX_set_max_proto_version(x, TLS1_2_VERSION);
	c = dial(s->secure);
	assert_true(secure(&c, x, NULL, NULL));
	expect(&c, "hello tls\r\n");
	assert_int_not_equal(SSL_do_handshake(c.ssl) == 1 &&
				     SSL_renegotiate(c.ssl) == 1 &&
				     SSL_do_handshake(c.ssl) == 1 &&
				     SSL_renegotiate_pending(c.ssl) == 0,
			     1);
	hang_up(&c);
	SSL_CTX_free(x);
	stop(s);
}

static void names_choose_certificates(void **state)
{
	static const struct {
		const char *sni, *cn;
	} rows[] = {
		{ NULL, "localhost" },
		{ "localhost", "localhost" },
		{ "Mail.Example.Org", "*.example.org" },
		{ "unknown.example.net", "localhost" },
	};
	struct server *s = start(false);
	SSL_CTX *x = client_ctx();
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct client c = dial(s->secure);
		char cn[64] = "";
		X509 *peer;

		assert_true(secure(&c, x, rows[i].sni, NULL));
		peer = SSL_get1_peer_certificate(c.ssl);
		X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, cn,
					  sizeof(cn));
		assert_string_equal(cn, rows[i].cn);
		X509_free(peer);
		hang_up(&c);
	}
	SSL_CTX_free(x);
	stop(s);
}

static SSL_SESSION *one_visit(struct listener *l, SSL_CTX *x, SSL_SESSION *with,
			      bool *resumed, const char *greeting)
{
	struct client c = dial(l);
	SSL_SESSION *sess;

	if (greeting) {
		expect(&c, "hello\r\n");
		say(&c, "starttls\r\n");
		expect(&c, "go\r\n");
	}
	assert_true(secure(&c, x, "localhost", with));
	if (!greeting)
		expect(&c, "hello tls\r\n");
	say(&c, "echo x\r\n"); /* TLS 1.3 sends its ticket behind the handshake */
	expect(&c, "= x\r\n");
	*resumed = SSL_session_reused(c.ssl);
	sess = SSL_get1_session(c.ssl);
	SSL_shutdown(c.ssl);
	hang_up(&c);
	return sess;
}

static void sessions_resume_within_a_service_until_a_reload(void **state)
{
	int version;

	(void)state;
	for (version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		struct server *s = start(false);
		SSL_CTX *x = client_ctx();
		SSL_SESSION *a, *b;
		struct err e = { 0 };
		bool resumed;

		SSL_CTX_set_max_proto_version(x, version);
		a = one_visit(s->secure, x, NULL, &resumed, NULL);
		assert_false(resumed);
		b = one_visit(s->secure, x, a, &resumed, NULL);
		assert_true(resumed);
		SSL_SESSION_free(a);
		assert_int_equal(tls_store_reload(s->tls, &e), ST_OK);
		a = one_visit(s->secure, x, b, &resumed, NULL);
		assert_false(resumed);
		SSL_SESSION_free(a);
		SSL_SESSION_free(b);
		SSL_CTX_free(x);
		stop(s);
	}
}

static void a_reload_drops_nobody_and_serves_the_new_certificate(void **state)
{
	static const char *const more[] = { "localhost", "127.0.0.1", "new.example.net" };
	struct server *s = start(false);
	SSL_CTX *x = client_ctx();
	struct client old = dial(s->secure), fresh;
	struct err e = { 0 };
	X509 *peer;

	(void)state;
	assert_true(secure(&old, x, NULL, NULL));
	expect(&old, "hello tls\r\n");
	assert_int_equal(tls_make_private_ca(s->dir, more, 3, time(NULL), &e), ST_OK);
	assert_int_equal(tls_store_reload(s->tls, &e), ST_OK);
	say(&old, "echo still here\r\n");
	expect(&old, "= still here\r\n");
	fresh = dial(s->secure);
	assert_true(secure(&fresh, x, NULL, NULL));
	peer = SSL_get1_peer_certificate(fresh.ssl);
	assert_int_equal(X509_check_host(peer, "new.example.net", 0, 0, NULL), 1);
	X509_free(peer);
	hang_up(&old);
	hang_up(&fresh);
	SSL_CTX_free(x);
	stop(s);
}

struct flood {
	struct server *s;
	_Atomic bool stop;
	_Atomic int done;
};

static void *flood(void *arg)
{
	struct flood *f = arg;
	SSL_CTX *x = client_ctx();

	while (!atomic_load(&f->stop)) {
		struct client c = dial(f->s->secure);

		if (secure(&c, x, NULL, NULL))
			atomic_fetch_add(&f->done, 1);
		hang_up(&c);
	}
	SSL_CTX_free(x);
	return NULL;
}

static void a_flood_of_handshakes_stops_neither_sessions_nor_passwords(void **state)
{
	struct flood f = { .s = start(false) };
	struct client c = dial(f.s->plain);
	pthread_t t[4];
	int i;

	(void)state;
	expect(&c, "hello\r\n");
	for (i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, flood, &f);
	for (i = 0; i < 100 || atomic_load(&f.done) < 20; i++) {
		say(&c, "echo 1\r\nslow 2\r\nhash 3\r\n");
		expect(&c, "= 1\r\n= 2\r\n= 3\r\n");
	}
	atomic_store(&f.stop, true);
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	hang_up(&c);
	stop(f.s);
}

static void broken_handshakes_leave_nothing(void **state)
{
	static const unsigned char hello[] = { 22, 3, 1, 0, 5, 1, 0, 0, 1, 3 };
	struct server *s = start(false);
	size_t cut;

	(void)state;
	for (cut = 0; cut <= sizeof(hello); cut++) {
		struct client c = dial(s->secure);

		if (cut)
			assert_int_equal(send(c.fd, hello, cut, MSG_NOSIGNAL),
					 (ssize_t)cut);
		hang_up(&c);
		c = dial(s->secure);
		say(&c, "GET / HTTP/1.1\r\n\r\n");
		hang_up(&c);
	}
	stop(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_run_and_answers_keep_their_order),
		cmocka_unit_test(commits_come_back_from_another_thread),
		cmocka_unit_test(a_commit_that_is_faster_than_its_command_is_answered),
		cmocka_unit_test(large_answers_go_out_whole),
		cmocka_unit_test(clients_that_vanish_leave_nothing),
		cmocka_unit_test(a_stop_says_goodbye_and_waits_for_what_is_out),
		cmocka_unit_test(loopback_is_limited_when_asked),
		cmocka_unit_test(tls_carries_everything),
		cmocka_unit_test(what_tls_has_read_ahead_is_not_forgotten_during_a_job),
		cmocka_unit_test(uploads_arrive_whole),
		cmocka_unit_test(starttls_starts_anew),
		cmocka_unit_test(
			a_command_behind_starttls_in_one_segment_is_never_answered),
		cmocka_unit_test(a_foreign_alpn_gets_alert_120),
		cmocka_unit_test(old_protocols_are_refused),
		cmocka_unit_test(names_choose_certificates),
		cmocka_unit_test(sessions_resume_within_a_service_until_a_reload),
		cmocka_unit_test(a_reload_drops_nobody_and_serves_the_new_certificate),
		cmocka_unit_test(
			a_flood_of_handshakes_stops_neither_sessions_nor_passwords),
		cmocka_unit_test(broken_handshakes_leave_nothing),
	};

	signal(SIGPIPE, SIG_IGN); /* of the client here */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
