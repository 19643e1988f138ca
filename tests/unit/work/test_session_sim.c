/* The driver in one thread on a virtual clock. */
#include "toy.h"
#include "base/limits.h"
#include "base/log.h"
#include "net/conn_priv.h"
#include "work/driver.h"

struct fixture {
	struct toy toy;
	struct clock clock;
	struct worker_ctx *w;
	struct conn *c;
};

static struct fixture *start(bool implicit_tls)
{
	struct fixture *f = mem_new(sizeof(*f));
	struct worker_options opt = { .loops = 0, .clock = &f->clock };

	log_set_level(LOG_LEVEL_NONE);
	toy_init(&f->toy);
	clock_init_virtual(&f->clock, 1000000000);
	f->w = worker_new(&opt);
	f->c = worker_connect_sim(f->w, &toy_service, &f->toy, implicit_tls, NULL);
	worker_step(f->w);
	return f;
}

static void stop(struct fixture *f)
{
	worker_stop(f->w, 1000);
	worker_free(f->w);
	assert_int_equal(f->toy.open, 0);
	assert_int_equal(f->toy.sources, 0);
	mem_free(f);
}

static void expect(struct conn *c, const char *text)
{
	slice got = conn_sim_received(c);
	char *copy = mem_new(got.n + 1);

	memcpy(copy, got.p, got.n);
	assert_string_equal(copy, text);
	mem_free(copy);
	conn_sim_take(c, got.n);
}

static void say(struct fixture *f, const char *text)
{
	conn_sim_send(f->c, slice_str(text));
	worker_step(f->w);
}

static void pass_time(struct fixture *f, int64_t ms)
{
	clock_advance(&f->clock, ms * 1000);
	worker_step(f->w);
}

static void commands_run_in_all_three_places(void **state)
{
	struct fixture *f = start(false);

	(void)state;
	expect(f->c, "hello\r\n");
	say(f, "echo a\r\n");
	expect(f->c, "= a\r\n");
	say(f, "slow b\r\n");
	expect(f->c, "= b\r\n");
	say(f, "hash c\r\n");
	expect(f->c, "= c\r\n");
	say(f, "memo d\r\n");
	expect(f->c, "= d again\r\n");
	say(f, "echo 1\r\nslow 2\r\nmemo 2\r\nhash 3\r\necho 4\r\necho 5");
	expect(f->c, "= 1\r\n= 2\r\n= 2 again\r\n= 3\r\n= 4\r\n");
	say(f, "\r\n");
	expect(f->c, "= 5\r\n");
	stop(f);
}

static void any_cut_of_the_input_gives_the_same_answers(void **state)
{
	static const char script[] =
		"echo 1\r\nslow 2\r\ncommit 3\r\nread\r\nblob 15\r\nwait x\r\necho 4\r\nquit\r\n";
	static const char want[] =
		"hello\r\n= 1\r\n= 2\r\nok 3\r\n= 1\r\n{15}\r\n012345678901234\r\nok blob\r\n= x\r\n= 4\r\nbye\r\n";
	size_t cut;

	(void)state;
	for (cut = 0; cut <= sizeof(script) - 1; cut++) {
		struct fixture *f = start(false);

		f->toy.auto_commit = true;
		conn_sim_send(f->c, slice_make(script, cut));
		worker_step(f->w);
		conn_sim_send(f->c, slice_make(script + cut, sizeof(script) - 1 - cut));
		worker_step(f->w);
		if (f->toy.n_parked)
			f->toy.parked[0]->wake(f->toy.parked[0]);
		worker_step(f->w);
		expect(f->c, want);
		assert_true(conn_sim_is_closed(f->c));
		stop(f);
	}
}

static void a_vanished_client_at_every_byte_leaves_nothing(void **state)
{
	static const char script[] =
		"slow 2\r\ncommit 3\r\ncommit 4\r\nparts 3\r\nblob 1000000\r\nbig 900000\r\ntake 9\r\nabcdefghiwait x\r\n"
		"delay 10\r\nstarttls\r\n";
	size_t cut, variant;

	(void)state;
	for (variant = 0; variant < 3; variant++) {
		for (cut = 0; cut <= sizeof(script) - 1; cut++) {
			struct fixture *f = start(false);

			f->toy.auto_commit = variant == 0;
			conn_sim_send(f->c, slice_make(script, cut));
			if (variant == 2) {
				conn_sim_window(f->c, cut * 997);
				worker_step(f->w);
				conn_abort(f->c);
			} else {
				conn_sim_eof(f->c);
			}
			worker_step(f->w);
			while (f->toy.n_tickets) {
				toy_finish(&f->toy, f->toy.n_tickets - 1, cut % 2);
				worker_step(f->w);
			}
			if (f->toy.n_parked)
				f->toy.parked[0]->wake(f->toy.parked[0]);
			worker_step(f->w);
			while (f->toy.n_tickets) {
				toy_finish(&f->toy, 0, cut % 3);
				worker_step(f->w);
			}
			pass_time(f, 20);
			assert_true(conn_sim_is_closed(f->c));
			assert_int_equal(f->toy.open, 0);
			stop(f);
		}
	}
}

static void answers_wait_for_their_commits_in_order(void **state)
{
	struct fixture *f = start(false);

	(void)state;
	conn_sim_take(f->c, conn_sim_received(f->c).n);
	say(f, "commit a\r\ncommit b\r\ncommit c\r\nread\r\n");
	assert_int_equal(f->toy.n_tickets,
			 3); /* pipelined writes run on; the read waits */
	expect(f->c, "");
	toy_finish(&f->toy, 1, true);
	worker_step(f->w);
	expect(f->c, "");
	toy_finish(&f->toy, 0, true);
	worker_step(f->w);
	expect(f->c, "ok a\r\nok b\r\n");
	toy_finish(&f->toy, 0, true);
	worker_step(f->w);
	expect(f->c, "ok c\r\n= 3\r\n");
	stop(f);
}

static void a_failed_commit_sends_the_failure_instead(void **state)
{
	struct fixture *f = start(false);

	(void)state;
	conn_sim_take(f->c, conn_sim_received(f->c).n);
	say(f, "commit a\r\ncommit b\r\necho x\r\n");
	toy_finish(&f->toy, 0, false);
	worker_step(f->w);
	expect(f->c, "no a\r\n");
	toy_finish(&f->toy, 0, true);
	worker_step(f->w);
	expect(f->c, "ok b\r\n= x\r\n");
	stop(f);
}

static void parts_after_a_failed_part_say_nothing(void **state)
{
	struct fixture *f = start(false);

	(void)state;
	conn_sim_take(f->c, conn_sim_received(f->c).n);
	say(f, "parts 3\r\necho after\r\n");
	assert_int_equal(f->toy.n_tickets, 3);
	toy_finish(&f->toy, 0, true);
	toy_finish(&f->toy, 0, false);
	worker_step(f->w);
	expect(f->c, "part 1\r\nno parts\r\n");
	toy_finish(&f->toy, 0, true);
	worker_step(f->w);
	expect(f->c, "= after\r\n");
	say(f, "parts 2\r\n");
	toy_finish(&f->toy, 0, true);
	toy_finish(&f->toy, 0, true);
	worker_step(f->w);
	expect(f->c, "part 1\r\npart 2\r\nok parts\r\n");
	stop(f);
}

static void a_bounded_number_of_commits_is_under_way(void **state)
{
	struct fixture *f = start(false);
	int i;

	(void)state;
	conn_sim_take(f->c, conn_sim_received(f->c).n);
	for (i = 0; i < 200; i++)
		say(f, "commit a\r\n");
	assert_int_equal(f->toy.n_tickets, LIMIT_HELD_ANSWERS);
	for (i = 0; i < 200; i++) {
		toy_finish(&f->toy, 0, true);
		worker_step(f->w);
	}
	assert_int_equal(conn_sim_received(f->c).n, 200 * 6);
	stop(f);
}

static void a_slow_reader_holds_no_worker_and_little_memory(void **state)
{
	struct fixture *f = start(false);
	size_t total = 0, want = 5000000;

	(void)state;
	conn_sim_take(f->c, conn_sim_received(f->c).n);
	conn_sim_window(f->c, 1000);
	say(f, "big 5000000\r\necho end\r\n");
	assert_int_equal(conn_sim_received(f->c).n, 1000);
	while (total < want + 7) {
		size_t n = conn_sim_received(f->c).n;

		assert_true(n > 0);
		assert_true(conn_unwritten(f->c) < 3 * LIMIT_OUT_STEP);
		total += n;
		conn_sim_take(f->c, n);
		conn_sim_window(f->c, 100000);
		worker_step(f->w);
	}
	assert_int_equal(total, want + 7);
	stop(f);
}

static void blobs_are_read_as_the_socket_drains(void **state)
{
	struct fixture *f = start(false);
	size_t total = 0, want = sizeof("{3000000}\r\n") - 1 + 3000000 +
				 sizeof("\r\nok blob\r\n= end\r\n") - 1;
	char *all = mem_new(want + 1);

	(void)state;
	conn_sim_take(f->c, conn_sim_received(f->c).n);
	conn_sim_window(f->c, 1000);
	say(f, "blob 3000000\r\necho end\r\n");
	while (total < want) {
		slice got = conn_sim_received(f->c);

		assert_true(got.n > 0 && total + got.n <= want);
		assert_true(conn_unwritten(f->c) < 3 * LIMIT_OUT_STEP);
		memcpy(all + total, got.p, got.n);
		total += got.n;
		conn_sim_take(f->c, got.n);
		conn_sim_window(f->c, 100000);
		worker_step(f->w);
	}
	assert_memory_equal(all, "{3000000}\r\n0123456789", 21);
	assert_memory_equal(all + 11 + 2999990, "0123456789\r\nok blob\r\n= end\r\n", 28);
	mem_free(all);
	stop(f);
}

static void an_unreadable_blob_ends_the_connection(void **state)
{
	struct fixture *f = start(false);

	(void)state;
	f->toy.source_fails = true;
	say(f, "blob 10\r\necho x\r\n");
	assert_true(conn_sim_is_closed(f->c));
	expect(f->c, "hello\r\n");
	stop(f);
}

static void delays_and_parking_hold_no_worker(void **state)
{
	struct fixture *f = start(false);
	struct conn *other = worker_connect_sim(f->w, &toy_service, &f->toy, false, NULL);

	(void)state;
	conn_sim_take(f->c, conn_sim_received(f->c).n);
	say(f, "delay 500\r\necho x\r\n");
	conn_sim_send(other, SL("wait w\r\n"));
	worker_step(f->w);
	assert_int_equal(f->toy.n_parked, 1);
	pass_time(f, 499);
	expect(f->c, "");
	pass_time(f, 1);
	expect(f->c, "late\r\n= x\r\n");
	expect(other, "hello\r\n");
	f->toy.parked[0]->wake(f->toy.parked[0]);
	worker_step(f->w);
	expect(other, "= w\r\n");
	conn_sim_send(other, SL("wait loud\r\n"));
	worker_step(f->w);
	expect(other, "parked\r\n");
	f->toy.parked[1]->wake(f->toy.parked[1]);
	worker_step(f->w);
	expect(other, "= loud\r\n");
	stop(f);
}

static void plaintext_behind_starttls_closes(void **state)
{
	struct fixture *f = start(false);

	(void)state;
	say(f, "starttls\r\necho injected\r\n");
	expect(f->c, "hello\r\ngo\r\n");
	assert_true(conn_sim_is_closed(f->c));
	stop(f);
	f = start(false);
	say(f, "starttls\r\n");
	expect(f->c, "hello\r\ngo\r\n");
	assert_true(conn_is_tls(f->c));
	say(f, "echo private\r\n");
	expect(f->c, "= private\r\n");
	stop(f);
	f = start(true);
	expect(f->c, "hello tls\r\n");
	stop(f);
}

static void timeouts_count_complete_commands(void **state)
{
	struct fixture *f = start(false);

	(void)state;
	conn_sim_take(f->c, conn_sim_received(f->c).n);
	pass_time(f, 50000);
	say(f, "echo x\r\n");
	pass_time(f, 50000);
	expect(f->c, "= x\r\n");
	say(f, "ec"); /* a trickle is no progress */
	pass_time(f, 9000);
	assert_false(conn_sim_is_closed(f->c));
	pass_time(f, 1000);
	expect(f->c, "timeout\r\n");
	assert_true(conn_sim_is_closed(f->c));
	stop(f);
}

static void a_peer_that_reads_nothing_is_dropped(void **state)
{
	struct fixture *f = start(false);

	(void)state;
	conn_sim_window(f->c, 0);
	say(f, "big 2000000\r\n");
	pass_time(f, 59000);
	assert_false(conn_sim_is_closed(f->c));
	pass_time(f, 2000);
	assert_true(conn_sim_is_closed(f->c));
	stop(f);
}

static void wakes_reach_the_session_and_are_merged(void **state)
{
	struct fixture *f = start(false);
	struct session_ref ref = { conn_get_id(f->c), conn_loop(f->c), f->w };

	(void)state;
	conn_sim_take(f->c, conn_sim_received(f->c).n);
	session_ref_wake(&ref);
	session_ref_wake(&ref);
	worker_step(f->w);
	expect(f->c, "news\r\n");
	conn_abort(f->c);
	worker_step(f->w);
	session_ref_wake(&ref); /* nobody there: nothing happens */
	worker_step(f->w);
	stop(f);
}

static void too_long_a_line_ends_the_connection(void **state)
{
	struct fixture *f = start(false);
	char *line = mem_new(LIMIT_READ_CHUNK + 2);

	(void)state;
	memset(line, 'a', LIMIT_READ_CHUNK);
	line[LIMIT_READ_CHUNK - 1] = 0;
	say(f, line);
	assert_false(conn_sim_is_closed(f->c));
	say(f, line);
	assert_true(conn_sim_is_closed(f->c));
	mem_free(line);
	stop(f);
}

static void bodies_come_in_pieces_of_any_size(void **state)
{
	static const size_t pieces[] = { 1, 999, 4095, 4096, 4097, 70000, 1000000 };
	struct fixture *f = start(false);
	size_t i, n, total = 1000000;
	char *body = mem_new(total);
	uint64_t sum = 0;
	char want[64];

	(void)state;
	conn_sim_take(f->c, conn_sim_received(f->c).n);
	for (i = 0; i < total; i++) {
		body[i] = (char)(i * 7 + i / 255);
		sum += (unsigned char)body[i];
	}
	snprintf(want, sizeof(want), "= %llu\r\n= after\r\n", (unsigned long long)sum);
	for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		say(f, "take 1000000\r\n");
		for (n = 0; n < total; n += pieces[i]) {
			conn_sim_send(f->c,
				      slice_sub(slice_make(body, total), n, pieces[i]));
			if (pieces[i] > 1 || n % 64 == 0)
				worker_step(f->w);
		}
		worker_step(f->w);
		say(f, "echo after\r\n");
		expect(f->c, want);
	}
	mem_free(body);
	stop(f);
}

static void an_idle_connection_is_small(void **state)
{
	struct fixture *f = start(false);

	(void)state;
	say(f, "slow a\r\nblob 100000\r\necho b\r\n");
	/* what is on the heap besides: the loop's event, about 170 octets */
	assert_true(sizeof(struct conn) + sizeof(struct driver) <= 1280);
	assert_null(f->c->in); /* and no buffers */
	assert_null(f->c->out.head);
	assert_null(((struct driver *)conn_owner(f->c))->s->arena.head);
	stop(f);
}

static void who_and_kick(void **state)
{
	struct fixture *f = start(false);
	struct worker_session_info *list;
	struct arena a = { 0 };

	(void)state;
	say(f, "login kim@example.org\r\n");
	assert_int_equal(worker_who(f->w, &a, &list), 1);
	assert_string_equal(list[0].user, "kim@example.org");
	assert_string_equal(list[0].service, "toy");
	assert_string_equal(list[0].addr, "192.0.2.1");
	assert_int_equal(worker_kick(f->w, SL("lee@example.org"), 0), 0);
	assert_int_equal(worker_kick(f->w, SL("kim@example.org"), 0), 1);
	worker_step(f->w);
	expect(f->c, "hello\r\nhi\r\ndown\r\n");
	assert_true(conn_sim_is_closed(f->c));
	assert_int_equal(worker_who(f->w, &a, &list), 0);
	arena_release(&a);
	stop(f);
}

static void a_net_has_a_limit_before_login_and_in_all(void **state)
{
	struct fixture *f = start(false);
	struct conn *c[LIMIT_CONN_PER_NET + 1];
	int i;

	(void)state;
	for (i = 1; i < LIMIT_CONN_PREAUTH_PER_NET; i++)
		c[i] = worker_connect_sim(f->w, &toy_service, &f->toy, false, NULL);
	c[i] = worker_connect_sim(f->w, &toy_service, &f->toy, false, NULL);
	worker_step(f->w);
	expect(c[i - 1], "hello\r\n");
	expect(c[i], "busy\r\n");
	assert_true(conn_sim_is_closed(c[i]));
	conn_sim_send(f->c, SL("login a\r\n"));
	for (i = 1; i < LIMIT_CONN_PREAUTH_PER_NET; i++)
		conn_sim_send(c[i], SL("login b\r\n"));
	worker_step(f->w);
	for (; i < LIMIT_CONN_PER_NET; i++) {
		c[i] = worker_connect_sim(f->w, &toy_service, &f->toy, false, NULL);
		conn_sim_send(c[i], SL("login c\r\n"));
		worker_step(f->w);
		expect(c[i], i - LIMIT_CONN_PREAUTH_PER_NET < LIMIT_CONN_PER_USER
				     ? "hello\r\nhi\r\n"
				     : "hello\r\ntoo many\r\n");
	}
	c[i] = worker_connect_sim(f->w, &toy_service, &f->toy, false, NULL);
	worker_step(f->w);
	expect(c[i], "busy\r\n");
	stop(f);
}

static void a_net_has_a_rate(void **state)
{
	struct fixture *f = start(false);
	struct conn *c = NULL;
	int i;

	(void)state;
	for (i = 1; i < LIMIT_CONN_RATE; i++) {
		c = worker_connect_sim(f->w, &toy_service, &f->toy, false, NULL);
		worker_step(f->w);
		expect(c, "hello\r\n");
		conn_abort(c);
		worker_step(f->w);
		conn_sim_free(c);
	}
	c = worker_connect_sim(f->w, &toy_service, &f->toy, false, NULL);
	worker_step(f->w);
	expect(c, "busy\r\n");
	pass_time(f, 1000);
	c = worker_connect_sim(f->w, &toy_service, &f->toy, false, NULL);
	worker_step(f->w);
	expect(c, "hello\r\n");
	stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_run_in_all_three_places),
		cmocka_unit_test(any_cut_of_the_input_gives_the_same_answers),
		cmocka_unit_test(a_vanished_client_at_every_byte_leaves_nothing),
		cmocka_unit_test(answers_wait_for_their_commits_in_order),
		cmocka_unit_test(a_failed_commit_sends_the_failure_instead),
		cmocka_unit_test(parts_after_a_failed_part_say_nothing),
		cmocka_unit_test(a_bounded_number_of_commits_is_under_way),
		cmocka_unit_test(a_slow_reader_holds_no_worker_and_little_memory),
		cmocka_unit_test(blobs_are_read_as_the_socket_drains),
		cmocka_unit_test(an_unreadable_blob_ends_the_connection),
		cmocka_unit_test(delays_and_parking_hold_no_worker),
		cmocka_unit_test(plaintext_behind_starttls_closes),
		cmocka_unit_test(timeouts_count_complete_commands),
		cmocka_unit_test(a_peer_that_reads_nothing_is_dropped),
		cmocka_unit_test(wakes_reach_the_session_and_are_merged),
		cmocka_unit_test(too_long_a_line_ends_the_connection),
		cmocka_unit_test(bodies_come_in_pieces_of_any_size),
		cmocka_unit_test(an_idle_connection_is_small),
		cmocka_unit_test(who_and_kick),
		cmocka_unit_test(a_net_has_a_limit_before_login_and_in_all),
		cmocka_unit_test(a_net_has_a_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
