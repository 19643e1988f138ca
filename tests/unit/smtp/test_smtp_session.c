/* Whole sessions over sim: delivery, hand-offs, the queue, locks, failing disks,
 * shutdown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <unistd.h>
#include "base/io.h"
#include "base/log.h"
#include "smtp_world.h"

static struct smtp_world w;

static int begin(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_NONE);
	world_init(&w, NULL);
	return 0;
}

static int end(void **state)
{
	(void)state;
	world_done(&w);
	return 0;
}

static void send_to(struct conn *c, slice bytes)
{
	conn_sim_send(c, bytes);
	world_settle(&w);
}

/* All that came since the last time. */
static void received_is(struct conn *c, const char *want)
{
	slice got = conn_sim_received(c);
	if (!slice_eq(got, slice_str(want)))
		fail_msg("want %s\ngot %.*s", want, FMT(got));
	conn_sim_take(c, got.n);
}

static void received_ends(struct conn *c, const char *want)
{
	slice got = conn_sim_received(c);
	if (!slice_ends(got, slice_str(want)))
		fail_msg("want …%s\ngot …%.*s", want,
			 FMT(slice_from(got, got.n > 300 ? got.n - 300 : 0)));
	conn_sim_take(c, got.n);
}

static struct conn *greeted(const struct service *svc, bool tls)
{
	struct conn *c = world_connect(&w, svc, tls);
	received_is(c, "220 mail.example.org ESMTP Facteur\r\n");
	send_to(c, SL("EHLO client.example.com\r\n"));
	received_ends(c, "\r\n250 HELP\r\n");
	return c;
}

static void a_pipelined_message_is_answered_in_one_piece(void **state)
{
	(void)state;
	struct conn *c = greeted(&smtp_service_mx, false);
	send_to(c,
		SL("MAIL FROM:<x@y.example>\r\nRCPT TO:<ann@example.org>\r\nBDAT 16 LAST\r\nSubject: x\r\n\r\n\r\n"
		   "MAIL FROM:<x@y.example>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n"));
	received_is(c, "250 2.1.0 OK\r\n250 2.1.5 OK\r\n250 2.0.0 OK id=0000-1-1\r\n"
		       "250 2.1.0 OK\r\n250 2.1.5 OK\r\n354 End with CRLF.CRLF\r\n");
	send_to(c, SL(".\r\nQUIT\r\n"));
	received_is(c, "250 2.0.0 OK id=0000-1-2\r\n221 2.0.0 Bye\r\n");
	assert_true(conn_sim_is_closed(c));
	assert_int_equal(world_inbox(&w, SL("ann@example.org")), 1);
	assert_int_equal(world_inbox(&w, SL("bob@example.org")), 1);
}

/* More accounts than one transaction files: the rest is handed off with it and filed
 * right after. */
static void a_hundred_accounts_get_it_once_each(void **state)
{
	(void)state;
	world_users(&w, 100);
	struct conn *c = greeted(&smtp_service_mx, false);
	send_to(c, SL("MAIL FROM:<x@y.example>\r\n"));
	for (unsigned i = 0; i < 100; i++)
		send_to(c, arena_fmt(&w.mem, "RCPT TO:<u%u@example.org>\r\n", 99 - i));
	send_to(c,
		SL("RCPT TO:<U7@example.org>\r\nBDAT 16 LAST\r\nSubject: x\r\n\r\n\r\nNOOP\r\n"));
	received_ends(c, "\r\n250 2.0.0 OK id=0000-1-1\r\n250 2.0.0 OK\r\n");
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(world_inbox(&w, arena_fmt(&w.mem, "u%u@example.org", i)),
				 1);
}

static void log_in(struct conn *c)
{
	send_to(c, SL("AUTH PLAIN AGFubkBleGFtcGxlLm9yZwBhbm4tcGFzc3dvcmQ=\r\n"));
	received_is(c, "235 2.7.0 Authentication successful\r\n");
}

static void foreign_recipients_of_a_submission_are_queued_with_it(void **state)
{
	struct store_queue_entry *q;
	size_t n;
	struct err e;
	(void)state;
	struct conn *c = greeted(&smtp_service_submission, true);
	log_in(c);
	send_to(c,
		SL("MAIL FROM:<ann@example.org> BODY=8BITMIME\r\nRCPT TO:<a@far.example>\r\nRCPT TO:<bob@example.org>\r\n"
		   "RCPT TO:<b@[192.0.2.7]>\r\nRCPT TO:<a@far.example>\r\nBDAT 16 LAST\r\nSubject: x\r\n\r\n\r\n"));
	received_ends(c, "\r\n250 2.0.0 OK id=0000-1-1\r\n");
	world_must(store_queue_list(w.store, 10, &w.mem, &q, &n, &e), &e);
	assert_int_equal(n, 1);
	assert_true(slice_eq(q[0].sender, SL("ann@example.org")) && q[0].n_rcpt == 2 &&
		    q[0].body_8bit && !q[0].smtputf8);
	assert_true(slice_eq(q[0].rcpt[0], SL("a@far.example")) &&
		    slice_eq(q[0].rcpt[1], SL("b@[192.0.2.7]")));
	assert_true(slice_starts(
		q[0].prefix,
		SL("Received: from client.example.com ([192.0.2.10])\r\n\tby mail.example.org "
		   "with ESMTPSA")));
	assert_true(slice_find(q[0].prefix, SL(" for "), 0) == q[0].prefix.n);
	assert_int_equal(q[0].size, q[0].prefix.n + 16);
	assert_int_equal(world_inbox(&w, SL("bob@example.org")), 1);
}

/* 1,000 long foreign addresses do not fit into one row; each is queued once all the
 * same. */
static void many_long_foreign_recipients_are_split(void **state)
{
	struct store_queue_entry *q;
	size_t n, total = 0;
	struct err e;
	char longest[256];
	(void)state;
	memset(longest, 'x', sizeof longest);
	struct conn *c = greeted(&smtp_service_submission, true);
	log_in(c);
	send_to(c, SL("MAIL FROM:<ann@example.org>\r\n"));
	for (unsigned i = 0; i < LIMIT_SMTP_RCPT; i++)
		send_to(c, arena_fmt(&w.mem, "RCPT TO:<%.*s%u@far.example>\r\n", 250,
				     longest, i));
	send_to(c, SL("BDAT 2 LAST\r\n\r\n"));
	received_ends(c, "\r\n250 2.0.0 OK id=0000-1-1\r\n");
	world_must(store_queue_list(w.store, 100, &w.mem, &q, &n, &e), &e);
	assert_in_range(n, 2, 10);
	for (size_t i = 0; i < n; i++)
		total += q[i].n_rcpt;
	assert_int_equal(total, LIMIT_SMTP_RCPT);
}

/* Somebody holds the account's lock: nothing is answered, nothing is lost, and the
 * rest of the group is not run twice. */
static void a_delivery_waits_for_the_accounts_lock(void **state)
{
	struct store_account bob;
	struct store_txn *t;
	struct err e;
	(void)state;
	world_must(store_account_get(w.store, SL("bob@example.org"), &w.mem, &bob, &e),
		   &e);
	world_must(store_begin(w.store, &bob.id, 1, NULL, &t, &e), &e);
	struct conn *c = greeted(&smtp_service_mx, false),
		    *d = greeted(&smtp_service_mx, false);
	send_to(c,
		SL("MAIL FROM:<x@y.example>\r\nRCPT TO:<ann@example.org>\r\nRCPT TO:<bob@example.org>\r\n"
		   "BDAT 16 LAST\r\nSubject: x\r\n\r\n\r\nNOOP\r\n"));
	send_to(d,
		SL("MAIL FROM:<x@y.example>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n"));
	received_is(d, "250 2.1.0 OK\r\n250 2.1.5 OK\r\n354 End with CRLF.CRLF\r\n");
	send_to(d, SL("..\r\n.\r\n"));
	received_is(c, "");
	received_is(d, "");
	store_abort(t);
	world_settle(&w);
	received_is(
		c,
		"250 2.1.0 OK\r\n250 2.1.5 OK\r\n250 2.1.5 OK\r\n250 2.0.0 OK id=0000-1-1\r\n250 2.0.0 OK\r\n");
	received_is(d, "250 2.0.0 OK id=0000-2-1\r\n");
	assert_int_equal(world_inbox(&w, SL("ann@example.org")), 1);
	assert_int_equal(world_inbox(&w, SL("bob@example.org")), 2);
}

/* The client goes away while its delivery is parked: the message was complete, and is
 * filed; the lock is free again. */
static void a_parked_delivery_survives_its_client(void **state)
{
	struct store_account bob;
	struct store_txn *t;
	struct err e;
	(void)state;
	world_must(store_account_get(w.store, SL("bob@example.org"), &w.mem, &bob, &e),
		   &e);
	world_must(store_begin(w.store, &bob.id, 1, NULL, &t, &e), &e);
	struct conn *c = greeted(&smtp_service_mx, false);
	send_to(c,
		SL("MAIL FROM:<x@y.example>\r\nRCPT TO:<bob@example.org>\r\nBDAT 2 LAST\r\n\r\n"));
	conn_sim_eof(c);
	conn_abort(c);
	world_settle(&w);
	store_abort(t);
	world_settle(&w);
	world_must(store_begin(w.store, &bob.id, 1, NULL, &t, &e), &e);
	store_abort(t);
	assert_int_equal(world_inbox(&w, SL("bob@example.org")), 1);
}

static void vanish_after(slice said, bool tls)
{
	struct conn *c = greeted(&smtp_service_mx, tls);
	send_to(c, said);
	conn_sim_eof(c);
	world_settle(&w);
	assert_true(conn_sim_is_closed(c));
	assert_int_equal(world_inbox(&w, SL("ann@example.org")), 0);
}

/* Cut off at every octet: no half message is ever filed, and nothing leaks (address
 * sanitizer). */
static void a_client_that_vanishes_leaves_nothing_half(void **state)
{
	static const slice all = S(
		"MAIL FROM:<x@y.example>\r\nRCPT TO:<ann@example.org>\r\nDATA\r\nSubject: x\r\n\r\ntext\r\n.\r\n");
	static const slice bdat = S(
		"MAIL FROM:<x@y.example>\r\nRCPT TO:<ann@example.org>\r\nBDAT 3\r\na\r\nBDAT 3 LAST\r\nb\r\n");
	(void)state;
	for (size_t n = 0; n < all.n; n++)
		vanish_after(slice_sub(all, 0, n), n % 2);
	for (size_t n = 0; n < bdat.n; n++)
		vanish_after(slice_sub(bdat, 0, n), n % 2);
}

static void bare_newlines_are_rejected_when_asked_for(void **state)
{
	static const slice bad[] = { S("a\nb\r\n"),	 S("a\rb\r\n"),
				     S("a\r\n.\nb\r\n"), S("a\n.\r\nb\r\n"),
				     S("a\r\r\n"),	 S("\n\r\n") };
	(void)state;
	w.config.bare_newline = SMTP_NEWLINE_REJECT;
	struct conn *c = greeted(&smtp_service_mx, false);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		send_to(c,
			SL("MAIL FROM:<x@y.example>\r\nRCPT TO:<ann@example.org>\r\nDATA\r\n"));
		received_is(c,
			    "250 2.1.0 OK\r\n250 2.1.5 OK\r\n354 End with CRLF.CRLF\r\n");
		send_to(c, bad[i]);
		received_is(c, "");
		send_to(c, SL(".\r\n"));
		received_is(c, "550 5.5.2 Message holds bare CR or LF\r\n");
		send_to(c,
			SL("MAIL FROM:<x@y.example>\r\nRCPT TO:<ann@example.org>\r\n"));
		send_to(c, arena_fmt(&w.mem, "BDAT %zu LAST\r\n%.*s", bad[i].n,
				     FMT(bad[i])));
		received_is(
			c,
			"250 2.1.0 OK\r\n250 2.1.5 OK\r\n550 5.5.2 Message holds bare CR or LF\r\n");
	}
	assert_int_equal(world_inbox(&w, SL("ann@example.org")), 0);
	send_to(c,
		SL("MAIL FROM:<x@y.example>\r\nRCPT TO:<ann@example.org>\r\nBDAT 4 LAST\r\na.\r\n"));
	received_ends(c, "250 2.0.0 OK id=0000-1-1\r\n");
}

static void shutdown_says_421_and_takes_no_half_message(void **state)
{
	(void)state;
	struct conn *idle = greeted(&smtp_service_mx, false),
		    *busy = greeted(&smtp_service_mx, false);
	send_to(busy,
		SL("MAIL FROM:<x@y.example>\r\nRCPT TO:<ann@example.org>\r\nDATA\r\n"));
	received_is(busy, "250 2.1.0 OK\r\n250 2.1.5 OK\r\n354 End with CRLF.CRLF\r\n");
	send_to(busy, SL("Subject: half\r\n"));
	worker_stop(w.workers, 1000);
	received_is(idle, "421 4.3.2 Shutting down, closing\r\n");
	received_is(busy, "421 4.3.2 Shutting down, closing\r\n");
	assert_int_equal(world_inbox(&w, SL("ann@example.org")), 0);
}

/* --- a disk that fails ---------------------------------------------------------------------------------------------- */

static int fail_sync(void *ctx, enum io_op op)
{
	return *(bool *)ctx && op == IO_SYNC ? 5 /* EIO */ : 0;
}

static void no_250_leaves_when_the_sync_fails(void **state)
{
	char dir[] = "/tmp/smtp-test-XXXXXX";
	bool fails = false;
	(void)state;
	world_done(&w);
	assert_non_null(mkdtemp(dir));
	io_set_fault(fail_sync, &fails);
	world_init(&w, &(struct kv_options){ .engine = KV_ROCKSDB,
					     .mode = KV_COMMIT_INLINE,
					     .dir = dir });
	struct conn *c = greeted(&smtp_service_mx, false);
	send_to(c,
		SL("MAIL FROM:<x@y.example>\r\nRCPT TO:<ann@example.org>\r\nBDAT 4 LAST\r\nab\r\n"));
	received_is(c, "250 2.1.0 OK\r\n250 2.1.5 OK\r\n250 2.0.0 OK id=0000-1-1\r\n");
	fails = true;
	send_to(c,
		SL("MAIL FROM:<x@y.example>\r\nRCPT TO:<ann@example.org>\r\nBDAT 4 LAST\r\ncd\r\nNOOP\r\n"));
	received_is(
		c,
		"250 2.1.0 OK\r\n250 2.1.5 OK\r\n451 4.3.0 The message could not be stored, try again later\r\n250 2.0.0 OK\r\n");
	fails = false; /* a failed sync is final: nothing is taken until restart */
	send_to(c,
		SL("MAIL FROM:<x@y.example>\r\nRCPT TO:<ann@example.org>\r\nBDAT 4 LAST\r\nef\r\n"));
	received_is(
		c,
		"250 2.1.0 OK\r\n250 2.1.5 OK\r\n451 4.3.0 Temporary failure, try again later\r\n");
	world_done(&w);
	io_set_fault(NULL, NULL);
	char *const rm[] = { "rm", "-rf", dir, NULL };
	if (fork() == 0) {
		execvp("rm", rm);
		_exit(1);
	}
	world_init(&w, NULL);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		T(a_pipelined_message_is_answered_in_one_piece),
		T(a_hundred_accounts_get_it_once_each),
		T(foreign_recipients_of_a_submission_are_queued_with_it),
		T(many_long_foreign_recipients_are_split),
		T(a_delivery_waits_for_the_accounts_lock),
		T(a_parked_delivery_survives_its_client),
		T(a_client_that_vanishes_leaves_nothing_half),
		T(bare_newlines_are_rejected_when_asked_for),
		T(shutdown_says_421_and_takes_no_half_message),
		T(no_250_leaves_when_the_sync_fails),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
