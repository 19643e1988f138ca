/* Frames over a socket pair: what is sent is what comes, whatever its pieces; nobody waits for ever. */
#include "base/alloc.h"
#include "transfer/frame.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
/* after the system's headers */
#include <cmocka.h>

struct pair {
	int fd[2];
	struct frame_conn a, b;
	_Atomic bool stop;
};

static int setup(void **state)
{
	struct pair *p = mem_new(sizeof(*p));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p->fd), 0);
	frame_conn_init(&p->a, p->fd[0], &p->stop);
	frame_conn_init(&p->b, p->fd[1], &p->stop);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct pair *p = *state;
	frame_conn_done(&p->a);
	frame_conn_done(&p->b);
	close(p->fd[0]);
	close(p->fd[1]);
	mem_free(p);
	return 0;
}

static void expect(struct frame_conn *c, enum frame_type type, slice data)
{
	struct frame_got f;
	struct err e = { 0 };
	if (frame_receive(c, &f, &e) != ST_OK)
		fail_msg("%s", e.text);
	assert_int_equal(f.type, type);
	assert_true(slice_eq(f.data, data));
}

static void frames_come_as_they_went(void **state)
{
	struct pair *p = *state;
	struct err e;
	struct frame_got f;
	assert_false(frame_is_ready(&p->b));
	assert_int_equal(frame_send(&p->a, FRAME_DATA, SL("one"), &e), ST_OK);
	assert_int_equal(frame_send(&p->a, FRAME_ITEM, SL(""), &e), ST_OK);
	assert_int_equal(frame_send(&p->a, FRAME_DATA, slice_make("\0\r\n", 3), &e),
			 ST_OK);
	assert_int_equal(frame_send_json(&p->a, FRAME_RESULT, json_pack("{s:i}", "n", 7),
					 &e),
			 ST_OK);
	assert_int_equal(frame_flush(&p->a, &e), ST_OK);
	assert_true(frame_is_ready(&p->b));
	expect(&p->b, FRAME_DATA, SL("one"));
	expect(&p->b, FRAME_ITEM, SL(""));
	expect(&p->b, FRAME_DATA, slice_make("\0\r\n", 3));
	assert_int_equal(frame_receive(&p->b, &f, &e), ST_OK);
	json_t *v = frame_json(&f, &e);
	assert_int_equal(json_integer_value(json_object_get(v, "n")), 7);
	json_decref(v);
	assert_false(frame_is_ready(&p->b));
}

static void pieces_make_the_same_frames(void **state)
{
	static const char bytes[] = "\0\0\0\3Dabc\0\0\0\0I\0\0\0\1Dx";
	struct pair *p = *state;
	for (size_t i = 0; i + 1 < sizeof(bytes); i++) {
		assert_int_equal(send(p->fd[0], bytes + i, 1, MSG_NOSIGNAL), 1);
		assert_int_equal(frame_is_ready(&p->b), i >= 7);
	}
	expect(&p->b, FRAME_DATA, SL("abc"));
	expect(&p->b, FRAME_ITEM, SL(""));
	expect(&p->b, FRAME_DATA, SL("x"));
}

static void an_error_is_received_as_one(void **state)
{
	struct pair *p = *state;
	struct err why = { 0 }, e = { 0 };
	struct frame_got f;
	err_set(&why, ERR_NO_ACCOUNT, "nobody \xff here");
	frame_send_error(p->fd[0], &why);
	assert_int_equal(frame_receive(&p->b, &f, &e), err_status(ERR_NO_ACCOUNT));
	assert_int_equal(e.code, ERR_NO_ACCOUNT);
	assert_string_equal(e.text, "nobody ? here");
	assert_true(p->b.peer_failed);
}

static void the_last_word_explains_a_hang_up(void **state)
{
	struct pair *p = *state;
	struct err why = { 0 }, e = { 0 };
	enum status st = ST_OK;
	err_set(&why, ERR_DISK_FULL, "no room");
	frame_send_error(p->fd[1], &why);
	shutdown(p->fd[1], SHUT_RDWR);
	for (int i = 0; i < 100 && st == ST_OK; i++) {
		st = frame_send(&p->a, FRAME_DATA, SL("more"), &e);
		st = st == ST_OK ? frame_flush(&p->a, &e) : st;
	}
	assert_int_not_equal(st, ST_OK);
	frame_last_word(&p->a, &e);
	assert_int_equal(e.code, ERR_DISK_FULL);
	assert_string_equal(e.text, "no room");
}

static void what_is_no_frame_is_refused(void **state)
{
	static const slice bad[] = { S("\0\0\0\1Qx"),
				     S("\xff\xff\xff\xff"
				       "D"),
				     S("\0\0\0\0\0"), S("GET / HTTP/1.1\r\n") };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct frame_got f;
		struct err e = { 0 };
		void *one;
		setup(&one);
		struct pair *p = one;
		assert_int_equal(send(p->fd[0], bad[i].p, bad[i].n, MSG_NOSIGNAL),
				 bad[i].n);
		assert_int_not_equal(frame_receive(&p->b, &f, &e), ST_OK);
		assert_int_equal(e.code, ERR_CORRUPT);
		teardown(&one);
	}
	(void)state;
}

static void a_hang_up_is_noticed(void **state)
{
	struct pair *p = *state;
	struct frame_got f;
	struct err e = { 0 };
	assert_int_equal(send(p->fd[0], "\0\0\0\5Da", 6, MSG_NOSIGNAL), 6);
	shutdown(p->fd[0], SHUT_WR);
	assert_int_equal(frame_receive(&p->b, &f, &e), err_status(ERR_BUSY));
	assert_non_null(strstr(e.text, "mid-frame"));
	shutdown(p->fd[1], SHUT_WR);
	assert_int_equal(frame_receive(&p->a, &f, &e), ST_NOT_FOUND);
	assert_int_equal(e.code, ERR_BUSY);
}

static void a_frame_too_long_is_not_sent(void **state)
{
	struct pair *p = *state;
	struct err e = { 0 };
	char *big = mem_new(LIMIT_FRAME + 1);
	assert_int_equal(frame_send(&p->a, FRAME_DATA, slice_make(big, LIMIT_FRAME + 1),
				    &e),
			 ST_LIMIT);
	mem_free(big);
}

#define MANY  400
#define PIECE 20000

/* Both ends send eight megabytes before either receives a thing. */
static void *talk_then_listen(void *arg)
{
	struct frame_conn *c = arg;
	struct frame_got f;
	struct err e = { 0 };
	char *piece = mem_new(PIECE);
	enum status st = ST_OK;
	for (int i = 0; i < MANY / 2 && st == ST_OK; i++)
		st = frame_send(c, FRAME_DATA, slice_make(piece, PIECE), &e);
	for (int i = 0; i < MANY / 2 && st == ST_OK; i++) {
		st = frame_receive(c, &f, &e);
		if (st == ST_OK && f.data.n != PIECE)
			st = ST_INVALID;
	}
	mem_free(piece);
	return (void *)(uintptr_t)st;
}

static void two_that_talk_at_once_do_not_block(void **state)
{
	struct pair *p = *state;
	pthread_t t;
	void *far;
	assert_int_equal(pthread_create(&t, NULL, talk_then_listen, &p->b), 0);
	void *near = talk_then_listen(&p->a);
	pthread_join(t, &far);
	assert_int_equal((uintptr_t)near, ST_OK);
	assert_int_equal((uintptr_t)far, ST_OK);
}

static void *stop_it(void *arg)
{
	struct pair *p = arg;
	struct frame_got f;
	struct err e = { 0 };
	enum status st = frame_receive(&p->b, &f, &e);
	return (void *)(uintptr_t)(st != ST_OK && e.code == ERR_BUSY);
}

static void stop_ends_the_wait(void **state)
{
	struct pair *p = *state;
	struct err e = { 0 };
	pthread_t t;
	void *ended;
	char *piece = mem_new(PIECE);
	assert_int_equal(pthread_create(&t, NULL, stop_it, p), 0);
	atomic_store(&p->stop, true);
	pthread_join(t, &ended);
	assert_true(ended != NULL);
	enum status st = ST_OK;
	while (st == ST_OK) /* nobody reads: the socket fills */
		st = frame_send(&p->a, FRAME_DATA, slice_make(piece, PIECE), &e);
	assert_int_equal(e.code, ERR_BUSY);
	mem_free(piece);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(frames_come_as_they_went),
		TEST(pieces_make_the_same_frames),
		TEST(an_error_is_received_as_one),
		TEST(the_last_word_explains_a_hang_up),
		TEST(what_is_no_frame_is_refused),
		TEST(a_hang_up_is_noticed),
		TEST(a_frame_too_long_is_not_sent),
		TEST(two_that_talk_at_once_do_not_block),
		TEST(stop_ends_the_wait),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
