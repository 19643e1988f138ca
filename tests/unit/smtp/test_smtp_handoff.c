/* Hand-offs wait for locks; the sessions that hold them need workers. On real threads. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "kv/kv.h"
#include "smtp/smtp.h"
#include "store/store.h"
#include "work/session.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <time.h>
#include <cmocka.h>

enum { ACCOUNTS = 40, WORKERS = 2, DEADLINE = 10 };

struct site {
	struct clock clock;
	struct kv *kv;
	struct store *store;
	struct worker_ctx *w;
	struct listener *l;
	struct smtp_config config;
	struct smtp_ctx ctx;
	uint32_t id[ACCOUNTS];
};

static void start(struct site *s)
{
	struct kv_options opt = { .engine = KV_MEMORY, .mode = KV_COMMIT_THREAD };
	struct worker_options wopt = {
		.loops = 1, .db_threads = WORKERS, .crypto_threads = 1, .clock = &s->clock
	};
	struct err e = { 0 };

	log_set_level(LOG_LEVEL_NONE);
	clock_init_real(&s->clock);
	assert_int_equal(kv_open(&opt, &s->kv, &e), ST_OK);
	assert_int_equal(store_open(s->kv, &s->clock, &s->store, &e), ST_OK);
	assert_int_equal(store_domain_add(s->store, SL("example.org"), &e), ST_OK);
	for (int i = 0; i < ACCOUNTS; i++) {
		char name[32];

		snprintf(name, sizeof(name), "u%d@example.org", i);
		assert_int_equal(store_account_add(s->store, slice_str(name), SL("{X}x"),
						   &s->id[i], &e),
				 ST_OK);
	}
	s->config.hostname = SL("mail.example.org");
	s->w = worker_new(&wopt);
	s->ctx = (struct smtp_ctx){ .config = &s->config,
				    .store = s->store,
				    .background = worker_pool_background(s->w) };
	assert_int_equal(worker_listen(s->w, &smtp_service_mx, &s->ctx, "127.0.0.1", 0,
				       NULL, false, &s->l, &e),
			 ST_OK);
	worker_start(s->w);
}

/* Reads answers until a line says code and a blank. */
static bool wait_for(int fd, const char *code)
{
	char text[8192];
	size_t n = 0;

	while (n < sizeof(text)) {
		ssize_t r = recv(fd, text + n, sizeof(text) - n, 0);

		if (r <= 0)
			return false;
		n += (size_t)r;
		slice all = slice_make(text, n), rest = all;

		while (rest.n) {
			slice line = slice_cut(&rest, '\n');

			if (slice_starts(line, slice_str(code)) && line.n > 3 &&
			    line.p[3] == ' ' && text[n - 1] == '\n')
				return true;
		}
	}
	return false;
}

static bool say(int fd, slice text)
{
	return send(fd, text.p, text.n, MSG_NOSIGNAL) == (ssize_t)text.n;
}

static int dial(struct site *s)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_port = htons(listener_port(s->l)),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval tv = { .tv_sec = DEADLINE };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_true(wait_for(fd, "220"));
	assert_true(say(fd, SL("EHLO c.example.com\r\n")) && wait_for(fd, "250"));
	return fd;
}

/* A whole message to the accounts [from, to); its last answer is not waited for. */
static void send_message(int fd, int from, int to)
{
	AUTO_BUF b = { 0 };

	buf_init(&b, 1 << 16);
	buf_adds(&b, "MAIL FROM:<x@example.com>\r\n");
	for (int i = from; i < to; i++)
		buf_addf(&b, "RCPT TO:<u%d@example.org>\r\n", i);
	buf_adds(&b, "DATA\r\n");
	assert_true(say(fd, buf_slice(&b)) && wait_for(fd, "354"));
	assert_true(say(fd, SL("Subject: x\r\n\r\nx\r\n.\r\n")));
}

static uint64_t filed(struct site *s, uint32_t id)
{
	AUTO_ARENA a = { 0 };
	struct store_account acct = { 0 };
	struct err e = { 0 };

	assert_int_equal(store_account_by_id(s->store, id, &a, &acct, &e), ST_OK);
	return acct.messages;
}

static void stop(struct site *s)
{
	listener_close(s->l);
	worker_stop(s->w, 5000);
	worker_free(s->w);
	store_close(s->store);
	kv_close(s->kv);
}

/* A hand-off that nobody files yet, for the first account. */
static void leave_handoff(struct site *s)
{
	struct intake *in = intake_new(s->store, 0, 1000);
	struct store_place place = { .account = s->id[0] };
	static const uint32_t none[] = { 0 };
	struct store_txn *t = NULL;
	struct err e = { 0 };

	assert_int_equal(intake_write(in, SL("Subject: y\r\n\r\ny\r\n"), &e), ST_OK);
	assert_int_equal(intake_end(in, &e), ST_OK);
	assert_int_equal(store_begin(s->store, none, 1, NULL, &t, &e), ST_OK);
	assert_int_equal(store_handoff_add(t, in, &place, &e), ST_OK);
	assert_int_equal(store_commit_wait(t, &e), ST_OK);
	intake_free(in);
}

static void moment(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
}

static void hand_offs_never_take_the_workers_that_sessions_wait_for(void **state)
{
	struct site s = { 0 };
	struct store_txn *t = NULL;
	struct err e = { 0 };
	int many[WORKERS];

	(void)state;
	start(&s);
	leave_handoff(&s);
	AUTO_FD first = dial(&s);

	for (int i = 0; i < WORKERS; i++)
		many[i] = dial(&s);
	/* The first account is busy: a session parks behind us, the hand-offs behind it. */
	assert_int_equal(store_begin(s.store, &s.id[0], 1, NULL, &t, &e), ST_OK);
	send_message(first, 0, 1);
	moment();
	for (int i = 0; i < WORKERS; i++) {
		send_message(many[i], 1, ACCOUNTS);
		assert_true(wait_for(many[i], "250"));
		moment();
	}
	/* Now the lock is the session's, which needs a worker to go on. */
	store_abort(t);
	assert_true(wait_for(first, "250"));
	for (int i = 0; i < 50 * DEADLINE && filed(&s, s.id[ACCOUNTS - 1]) < WORKERS; i++)
		moment();
	assert_int_equal(filed(&s, s.id[ACCOUNTS - 1]), WORKERS);
	assert_int_equal(filed(&s, s.id[0]), 2);
	for (int i = 0; i < WORKERS; i++)
		close(many[i]);
	stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hand_offs_never_take_the_workers_that_sessions_wait_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
