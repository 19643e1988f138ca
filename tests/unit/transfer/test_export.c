/* An export of a damaged store: what cannot be read is named, the rest comes out. */
#include "../store/store_test.h"
#include "kv/kv.h"
#include "store/schema.h"
#include "transfer/export.h"
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

struct serving {
	struct store *s;
	int fd;
};
struct heard {
	unsigned messages, boxes;
	uint64_t failed; /* as the mailboxes' ends say */
	uint32_t uid[8]; /* that failed, in order */
	size_t n_failed;
	uint32_t uidnext[8]; /* of the mailboxes, in order */
};

static void *serve(void *arg)
{
	struct serving *v = arg;
	struct err e = { 0 };
	if (export_serve(v->s, SL("alice@example.org"), SL(""), v->fd, NULL, &e) != ST_OK)
		frame_send_error(v->fd, &e);
	shutdown(v->fd, SHUT_RDWR);
	return NULL;
}

static void total(void *ctx, uint64_t messages, uint64_t bytes)
{
	(void)ctx;
	(void)messages;
	(void)bytes;
}
static enum status account(void *ctx, slice address, struct err *e)
{
	(void)ctx;
	(void)address;
	(void)e;
	return ST_OK;
}
static enum status box_begin(void *ctx, const struct export_box *box,
			     struct export_ranges *have, struct err *e)
{
	struct heard *h = ctx;
	(void)have;
	(void)e;
	assert_int_not_equal(box->uidvalidity, 0);
	h->uidnext[h->boxes++ % 8] = box->uidnext;
	return ST_OK;
}
static enum status on_message(void *ctx, const struct transfer_message *m, struct err *e)
{
	struct heard *h = ctx;
	(void)m;
	(void)e;
	h->messages++;
	return ST_OK;
}
static enum status data(void *ctx, slice octets, struct err *e)
{
	(void)ctx;
	(void)octets;
	(void)e;
	return ST_OK;
}
static enum status end(void *ctx, bool keep, struct err *e)
{
	(void)ctx;
	(void)e;
	assert_true(keep);
	return ST_OK;
}
static enum status box_end(void *ctx, const struct export_box_end *x, struct err *e)
{
	struct heard *h = ctx;
	(void)e;
	h->failed += x->failed;
	return ST_OK;
}
static void failed(void *ctx, slice who, slice box, uint32_t uid, slice why)
{
	struct heard *h = ctx;
	assert_slice(who, "alice@example.org");
	assert_slice(box, "INBOX");
	assert_true(why.n > 0);
	h->uid[h->n_failed++ % 8] = uid;
}

static const struct export_sink sink = {
	.total = total,
	.account = account,
	.box_begin = box_begin,
	.message = on_message,
	.data = data,
	.end = end,
	.box_end = box_end,
	.failed = failed,
};

static struct heard export_all(struct bench *b)
{
	struct heard h = { 0 };
	struct frame_conn c;
	pthread_t t;
	int fd[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	struct serving v = { b->s, fd[0] };
	assert_int_equal(pthread_create(&t, NULL, serve, &v), 0);
	frame_conn_init(&c, fd[1], NULL);
	OK(export_receive(&c, &sink, &h, &e));
	frame_conn_done(&c);
	pthread_join(t, NULL);
	close(fd[0]);
	close(fd[1]);
	return h;
}

/* Written behind the store's back; it begins anew with what is there. */
static void damage(struct bench *b, struct skey k)
{
	struct kv_txn *t;
	OK(kv_begin(b->kv, &b->alice, 1, NULL, &t, &e));
	kv_put(t, slice_make(k.b, k.n), SL("\377 damaged"));
	OK(kv_commit_wait(t, &e));
	bench_reopen(b);
}

static void deliver_three(struct bench *b)
{
	for (int i = 0; i < 3; i++)
		deliver(b, b->alice, 0, SL(""), SL("Subject: one\r\n\r\nText.\r\n"));
}

static void a_damaged_row_of_a_message_is_named(void **state)
{
	struct bench *b = *state;
	deliver_three(b);
	damage(b, key_message(b->alice, mbox_id(b, b->alice, "INBOX"), 2));
	struct heard h = export_all(b);
	assert_int_equal(h.messages, 2);
	assert_int_equal(h.n_failed, 1);
	assert_int_equal(h.uid[0], 2);
	assert_int_equal(h.failed, 1);
}

static void a_damaged_row_of_a_mailbox_is_named_and_its_messages_come(void **state)
{
	struct bench *b = *state;
	deliver_three(b);
	damage(b, key_mbox(b->alice, mbox_id(b, b->alice, "INBOX")));
	struct heard h = export_all(b);
	assert_int_equal(h.messages, 3);
	assert_int_equal(h.n_failed, 1);
	assert_int_equal(h.uid[0], 0);
	assert_int_equal(h.failed, 1);
	assert_int_equal(h.uidnext[0], 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_damaged_row_of_a_message_is_named,
						bench_setup, bench_teardown),
		cmocka_unit_test_setup_teardown(
			a_damaged_row_of_a_mailbox_is_named_and_its_messages_come,
			bench_setup, bench_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
