/* test_store_message.c — a message comes in and is read again. */
#include "store_test.h"
#include "mime/mime_digest.h"

#define TEXT   "From: a@example.org\r\nMessage-ID: <1@x>\r\nSubject: one\r\n\r\nHello\r\n"
#define PREFIX "Return-Path: <a@example.org>\r\nDelivered-To: alice@example.org\r\n"

static void test_a_delivered_message_reads_back_byte_for_byte(void **state)
{
	struct bench *b = *state;
	uint32_t uid = deliver(b, b->alice, 0, SL(PREFIX), SL(TEXT));
	uint32_t inbox = mbox_id(b, b->alice, "INBOX");
	struct store_row row;
	struct store_email m;

	assert_int_equal(uid, 1);
	OK(store_row_get(b->s, b->alice, inbox, uid, &row, &e));
	assert_int_equal(row.size, sizeof(PREFIX TEXT) - 1);
	assert_int_equal(row.internal_date, NOW_S);
	OK(store_email_get(b->s, b->alice, row.email, &b->a, &m, &e));
	assert_slice(whole(b, &m), PREFIX TEXT);
	assert_slice(mime_digest_message_id(m.digest), "1@x");
	assert_int_equal(m.id, row.email);
	assert_int_equal(m.thread, row.email);
}

static void test_every_part_of_a_message_can_be_read_across_prefix_and_blob(void **state)
{
	struct bench *b = *state;
	uint32_t uid = deliver(b, b->alice, 0, SL(PREFIX), SL(TEXT));
	struct store_row row;
	struct store_email m;
	const char all[] = PREFIX TEXT;
	char part[sizeof(all)];
	size_t n = sizeof(all) - 1;

	OK(store_row_get(b->s, b->alice, mbox_id(b, b->alice, "INBOX"), uid, &row, &e));
	OK(store_email_get(b->s, b->alice, row.email, &b->a, &m, &e));
	struct store_body *body = store_body_new(b->s, &m);

	for (size_t off = 0; off <= n; off += 3) {
		for (size_t len = 0; off + len <= n; len += 7) {
			OK(store_email_read(b->s, &m, off, part, len, &e));
			assert_memory_equal(part, all + off, len);
			OK(store_body_read(body, off, part, len, &e));
			assert_memory_equal(part, all + off, len);
		}
	}
	FAILS(store_email_read(b->s, &m, n, part, 1, &e), ERR_CANNOT);
	FAILS(store_email_read(b->s, &m, UINT64_MAX, part, 2, &e), ERR_CANNOT);
	store_body_ref(body);
	store_body_unref(body);
	store_body_unref(body);
}

static void test_counts_follow_a_delivery(void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX");
	struct store_account acct;

	deliver(b, b->alice, 0, SL(PREFIX), SL(TEXT));
	deliver(b, b->alice, inbox, SL(""), SL(TEXT));
	struct store_mailbox m = mbox_get(b, b->alice, inbox);

	assert_int_equal(m.messages, 2);
	assert_int_equal(m.unseen, 2);
	assert_int_equal(m.deleted, 0);
	assert_int_equal(m.uidnext, 3);
	assert_int_equal(m.bytes, 2 * sizeof(TEXT) + sizeof(PREFIX) - 3);
	OK(store_account_get(b->s, SL("alice@example.org"), &b->a, &acct, &e));
	assert_int_equal(acct.messages, 2);
	assert_int_equal(acct.bytes, m.bytes);
	m = mbox_get(b, b->bob, mbox_id(b, b->bob, "INBOX"));
	assert_int_equal(m.messages, 0);
}

static void test_one_message_to_two_accounts_is_one_transaction_and_one_blob(void **state)
{
	struct bench *b = *state;
	struct intake *in = message(b, SL(TEXT));
	const uint32_t ids[] = { b->alice, b->bob };
	struct store_txn *t;
	struct kv_stat before, after;
	struct store_place place = { .prefix = SL("X: y\r\n"), .internal_date = 5 };

	kv_stat(b->kv, &before);
	OK(store_begin(b->s, ids, 2, NULL, &t, &e));
	for (int i = 0; i < 2; i++) {
		place.account = ids[i];
		OK(store_add(t, in, &place, NULL, &e));
	}
	intake_free(in);
	OK(store_commit_wait(t, &e));
	kv_stat(b->kv, &after);
	assert_int_equal(after.blobs_new - before.blobs_new, 1);
	assert_int_equal(after.txns - before.txns, 1);
	for (int i = 0; i < 2; i++) {
		struct store_row row;
		struct store_email m;

		OK(store_row_get(b->s, ids[i], mbox_id(b, ids[i], "INBOX"), 1, &row, &e));
		OK(store_email_get(b->s, ids[i], row.email, &b->a, &m, &e));
		assert_slice(whole(b, &m), "X: y\r\n" TEXT);
	}
}

static void test_a_delivery_writes_at_most_seven_rows_of_ours(void **state)
{
	struct bench *b = *state;
	struct kv_stat before, after;

	deliver(b, b->alice, 0, SL(PREFIX), SL(TEXT));
	kv_stat(b->kv, &before);
	deliver(b, b->alice, 0, SL(PREFIX), SL("Message-ID: <2@x>\r\n\r\nother\r\n"));
	kv_stat(b->kv, &after);
	/* and two of kv's for a new blob */
	assert_in_range(after.rows_put - before.rows_put, 5, 9);
}

static bool count_row(void *ctx, const struct store_row *row)
{
	uint32_t *sum = ctx;

	*sum = *sum * 10 + row->uid;
	return row->uid != 4;
}

static void test_rows_are_scanned_in_order_and_in_range(void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX"), got = 0;

	for (int i = 0; i < 5; i++)
		deliver(b, b->alice, 0, SL(""), SL(TEXT));
	OK(store_rows(b->s, b->alice, inbox, 1, 3, count_row, &got, &e));
	assert_int_equal(got, 123);
	got = 0;
	OK(store_rows(b->s, b->alice, inbox, 2, UINT32_MAX, count_row, &got, &e));
	assert_int_equal(got, 234); /* the callback stopped it */
	got = 0;
	OK(store_rows(b->s, b->alice, inbox, 5, 4, count_row, &got, &e));
	assert_int_equal(got, 0);
	FAILS(store_row_get(b->s, b->alice, inbox, 6, &(struct store_row){ 0 }, &e),
	      ERR_NO_MESSAGE);
}

static uint64_t thread_of_uid(struct bench *b, uint32_t uid)
{
	struct store_row row;
	struct store_email m;

	OK(store_row_get(b->s, b->alice, mbox_id(b, b->alice, "INBOX"), uid, &row, &e));
	OK(store_email_get(b->s, b->alice, row.email, &b->a, &m, &e));
	return m.thread;
}

static void test_replies_join_the_thread_of_what_they_answer(void **state)
{
	struct bench *b = *state;
	uint32_t first =
		deliver(b, b->alice, 0, SL(""), SL("Message-ID: <a@x>\r\n\r\n1\r\n"));
	uint32_t reply =
		deliver(b, b->alice, 0, SL(""),
			SL("Message-ID: <b@x>\r\nIn-Reply-To: <a@x>\r\n\r\n2\r\n"));
	uint32_t third =
		deliver(b, b->alice, 0, SL(""),
			SL("Message-ID: <c@x>\r\nReferences: <a@x> <b@x>\r\n\r\n3\r\n"));
	uint32_t other =
		deliver(b, b->alice, 0, SL(""), SL("Message-ID: <d@x>\r\n\r\n4\r\n"));

	assert_int_equal(thread_of_uid(b, first), thread_of_uid(b, reply));
	assert_int_equal(thread_of_uid(b, first), thread_of_uid(b, third));
	assert_int_not_equal(thread_of_uid(b, first), thread_of_uid(b, other));
}

static void test_replies_to_a_message_that_never_came_find_each_other(void **state)
{
	struct bench *b = *state;
	uint32_t x =
		deliver(b, b->alice, 0, SL(""),
			SL("Message-ID: <b@x>\r\nReferences: <root@x>\r\n\r\n2\r\n"));
	uint32_t y =
		deliver(b, b->alice, 0, SL(""),
			SL("Message-ID: <c@x>\r\nReferences: <root@x>\r\n\r\n3\r\n"));
	uint32_t root =
		deliver(b, b->alice, 0, SL(""), SL("Message-ID: <root@x>\r\n\r\n1\r\n"));

	assert_int_equal(thread_of_uid(b, x), thread_of_uid(b, y));
	assert_int_equal(thread_of_uid(b, x), thread_of_uid(b, root));
}

static void test_a_digest_too_long_for_a_row_is_kept_beside_it(void **state)
{
	struct bench *b = *state;
	AUTO_BUF text;
	struct store_row row;
	struct store_email m;

	buf_init(&text, 1u << 20);
	buf_adds(&text, "Message-ID: <long@x>\r\nTo: ");
	for (int i = 0; i < 2000; i++)
		buf_addf(&text, "Some Body <somebody%d@example.org>,\r\n ", i);
	buf_adds(&text, "last@example.org\r\n\r\nbody\r\n");
	uint32_t uid = deliver(b, b->alice, 0, SL(""), buf_slice(&text));

	OK(store_row_get(b->s, b->alice, mbox_id(b, b->alice, "INBOX"), uid, &row, &e));
	OK(store_email_get(b->s, b->alice, row.email, &b->a, &m, &e));
	assert_true(m.digest.n > 16384);
	assert_true(mime_digest_is_valid(m.digest));
	assert_slice(mime_digest_message_id(m.digest), "long@x");
	assert_true(slice_eq(whole(b, &m), buf_slice(&text)));
}

static void test_an_account_or_mailbox_that_is_not_there_is_refused(void **state)
{
	struct bench *b = *state;
	struct intake *in = message(b, SL(TEXT));
	struct store_place nobody = { .account = 999 },
			   nowhere = { .account = b->alice, .mbox = 999 };

	FAILS_IN_TXN(b, 999, store_add(t, in, &nobody, NULL, &e), ERR_NO_ACCOUNT);
	intake_free(in);
	in = message(b, SL(TEXT));
	FAILS_IN_TXN(b, b->alice, store_add(t, in, &nowhere, NULL, &e), ERR_NO_MAILBOX);
	intake_free(in);
}

static void test_an_aborted_delivery_leaves_nothing_and_its_uid_is_given_again(
	void **state)
{
	struct bench *b = *state;
	struct intake *in = message(b, SL(TEXT));
	struct store_place place = { .account = b->alice };
	struct store_txn *t = begin(b, b->alice);

	OK(store_add(t, in, &place, NULL, &e));
	store_abort(t);
	intake_free(in);
	assert_int_equal(mbox_get(b, b->alice, mbox_id(b, b->alice, "INBOX")).messages,
			 0);
	assert_int_equal(deliver(b, b->alice, 0, SL(""), SL(TEXT)), 1);
}

static void test_what_was_stored_is_there_after_the_store_opens_again(void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX");

	deliver(b, b->alice, 0, SL(""), SL(TEXT));
	struct store_mailbox before = mbox_get(b, b->alice, inbox);

	bench_reopen(b);
	struct store_mailbox after = mbox_get(b, b->alice, inbox);

	assert_int_equal(after.uidnext, before.uidnext);
	assert_int_equal(after.uidvalidity, before.uidvalidity);
	assert_int_equal(after.modseq, before.modseq);
	assert_int_equal(deliver(b, b->alice, 0, SL(""), SL(TEXT)), 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_delivered_message_reads_back_byte_for_byte),
		TEST(test_every_part_of_a_message_can_be_read_across_prefix_and_blob),
		TEST(test_counts_follow_a_delivery),
		TEST(test_one_message_to_two_accounts_is_one_transaction_and_one_blob),
		TEST(test_a_delivery_writes_at_most_seven_rows_of_ours),
		TEST(test_rows_are_scanned_in_order_and_in_range),
		TEST(test_replies_join_the_thread_of_what_they_answer),
		TEST(test_replies_to_a_message_that_never_came_find_each_other),
		TEST(test_a_digest_too_long_for_a_row_is_kept_beside_it),
		TEST(test_an_account_or_mailbox_that_is_not_there_is_refused),
		TEST(test_an_aborted_delivery_leaves_nothing_and_its_uid_is_given_again),
		TEST(test_what_was_stored_is_there_after_the_store_opens_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
