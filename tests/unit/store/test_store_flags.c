/* test_store_flags.c — flags and keywords, copies and moves, expunging, \Recent, queue,
 * hand-offs. */
#include "store_test.h"
#include "store/schema.h"

#define TEXT "Message-ID: <1@x>\r\nSubject: x\r\n\r\nbody\r\n"

static struct store_row row_of(struct bench *b, uint32_t mbox, uint32_t uid)
{
	struct store_row row = { 0 };

	OK(store_row_get(b->s, b->alice, mbox, uid, &row, &e));
	return row;
}

static void change(struct bench *b, uint32_t mbox, uint32_t uid, enum store_flag_op op,
		   uint32_t sys, uint64_t kw)
{
	struct store_uids u = { &uid, 1 };
	struct store_flags f = { sys, kw };

	IN_TXN(b, b->alice,
	       store_flags_change(t, b->alice, mbox, &u, op, f, NULL, NULL, &e));
}

static uint32_t copy(struct bench *b, uint32_t from, uint32_t uid, uint32_t to)
{
	struct store_uids u = { &uid, 1 }, x, y;
	struct store_txn *t = begin(b, b->alice);

	OK(store_copy(t, b->alice, from, &u, to, &x, &y, &e));
	assert_int_equal(x.n, 1);
	assert_int_equal(y.n, 1);
	uint32_t made = y.uid[0];

	OK(store_commit_wait(t, &e));
	return made;
}

static void test_flags_are_set_added_and_removed(void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX"),
		 uid = deliver(b, b->alice, 0, SL(""), SL(TEXT));

	change(b, inbox, uid, FLAG_ADD, FLAG_SEEN | FLAG_FLAGGED, 5);
	assert_int_equal(row_of(b, inbox, uid).flags.sys, FLAG_SEEN | FLAG_FLAGGED);
	assert_int_equal(row_of(b, inbox, uid).flags.kw, 5);
	change(b, inbox, uid, FLAG_REMOVE, FLAG_SEEN, 4);
	assert_int_equal(row_of(b, inbox, uid).flags.sys, FLAG_FLAGGED);
	assert_int_equal(row_of(b, inbox, uid).flags.kw, 1);
	change(b, inbox, uid, FLAG_SET, FLAG_DRAFT | FLAG_DELETED, 0);
	assert_int_equal(row_of(b, inbox, uid).flags.sys, FLAG_DRAFT | FLAG_DELETED);
	assert_int_equal(mbox_get(b, b->alice, inbox).deleted, 1);
	assert_int_equal(mbox_get(b, b->alice, inbox).unseen, 1);
}

static void test_a_row_that_does_not_change_keeps_its_modseq(void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX"),
		 uid = deliver(b, b->alice, 0, SL(""), SL(TEXT));
	uint64_t modseq;

	change(b, inbox, uid, FLAG_ADD, FLAG_SEEN, 0);
	modseq = row_of(b, inbox, uid).modseq;
	change(b, inbox, uid, FLAG_ADD, FLAG_SEEN, 0);
	assert_int_equal(row_of(b, inbox, uid).modseq, modseq);
	assert_int_equal(mbox_get(b, b->alice, inbox).modseq, modseq);
	change(b, inbox, uid, FLAG_ADD, FLAG_ANSWERED, 0);
	assert_true(row_of(b, inbox, uid).modseq > modseq);
}

static void test_flags_of_a_copied_email_are_the_same_in_both_mailboxes_but_deleted(
	void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX"),
		 arch = mbox_id(b, b->alice, "Archive");
	uint32_t uid = deliver(b, b->alice, 0, SL(""), SL(TEXT)),
		 made = copy(b, inbox, uid, arch);
	uint64_t before = mbox_get(b, b->alice, arch).modseq;

	assert_int_equal(row_of(b, inbox, uid).email, row_of(b, arch, made).email);
	change(b, inbox, uid, FLAG_ADD, FLAG_SEEN | FLAG_DELETED, 2);
	assert_int_equal(row_of(b, arch, made).flags.sys, FLAG_SEEN);
	assert_int_equal(row_of(b, arch, made).flags.kw, 2);
	assert_int_equal(mbox_get(b, b->alice, arch).unseen, 0);
	assert_int_equal(mbox_get(b, b->alice, arch).deleted, 0);
	assert_true(mbox_get(b, b->alice, arch).modseq > before);
}

static void
test_copying_twice_into_a_mailbox_makes_an_email_of_its_own_that_tells_the_same_ids(
	void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX");
	uint32_t uid = deliver(b, b->alice, 0, SL("P: q\r\n"), SL(TEXT)),
		 made = copy(b, inbox, uid, inbox);
	struct store_email one, two;

	change(b, inbox, uid, FLAG_ADD, FLAG_SEEN, 0);
	assert_int_equal(row_of(b, inbox, made).flags.sys, 0); /* flags of its own */
	assert_int_not_equal(row_of(b, inbox, uid).email, row_of(b, inbox, made).email);
	OK(store_email_get(b->s, b->alice, row_of(b, inbox, uid).email, &b->a, &one, &e));
	OK(store_email_get(b->s, b->alice, row_of(b, inbox, made).email, &b->a, &two,
			   &e));
	assert_int_equal(one.id, two.id); /* RFC 8474 5.1 */
	assert_int_equal(one.thread, two.thread);
	assert_slice(whole(b, &two), "P: q\r\n" TEXT);
}

static void test_a_copy_keeps_flags_and_date_and_stores_no_body(void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX"),
		 arch = mbox_id(b, b->alice, "Archive");
	uint32_t uid = deliver(b, b->alice, 0, SL(""), SL(TEXT));
	struct kv_stat before, after;

	change(b, inbox, uid, FLAG_SET, FLAG_FLAGGED | FLAG_DELETED, 3);
	clock_advance(&b->clock, 5000000);
	kv_stat(b->kv, &before);
	struct store_row made = row_of(b, arch, copy(b, inbox, uid, arch));

	kv_stat(b->kv, &after);
	assert_int_equal(after.blobs_new, before.blobs_new);
	assert_int_equal(made.flags.sys, FLAG_FLAGGED | FLAG_DELETED);
	assert_int_equal(made.flags.kw, 3);
	assert_int_equal(made.internal_date, NOW_S);
}

static void test_a_moved_email_keeps_its_id_and_leaves_the_source(void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX"),
		 trash = mbox_id(b, b->alice, "Trash");
	uint32_t list[] = { 1, 3, 9 };
	struct store_uids u = { list, 3 }, from, to;
	struct store_row row;

	for (int i = 0; i < 3; i++)
		deliver(b, b->alice, 0, SL(""), SL(TEXT));
	uint64_t id = row_of(b, inbox, 3).email;
	struct store_txn *t = begin(b, b->alice);

	OK(store_move(t, b->alice, inbox, &u, trash, &from, &to, &e));
	assert_int_equal(from.n, 2);
	assert_int_equal(from.uid[1], 3);
	assert_int_equal(to.uid[0], 1);
	assert_int_equal(to.uid[1], 2);
	OK(store_commit_wait(t, &e));
	assert_int_equal(row_of(b, trash, 2).email, id);
	FAILS(store_row_get(b->s, b->alice, inbox, 3, &row, &e), ERR_NO_MESSAGE);
	assert_int_equal(mbox_get(b, b->alice, inbox).messages, 1);
	assert_int_equal(mbox_get(b, b->alice, trash).messages, 2);
	assert_int_equal(deliver(b, b->alice, 0, SL(""), SL(TEXT)),
			 4); /* a uid is not given again */
}

static void test_expunge_takes_only_what_is_marked_when_asked(void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX"), list[] = { 1, 2, 3, 4 };
	struct store_uids u = { list, 4 }, gone;

	for (int i = 0; i < 3; i++)
		deliver(b, b->alice, 0, SL(""), SL(TEXT));
	change(b, inbox, 2, FLAG_ADD, FLAG_DELETED, 0);
	struct store_txn *t = begin(b, b->alice);

	OK(store_expunge(t, b->alice, inbox, &u, true, &gone, &e));
	assert_int_equal(gone.n, 1);
	assert_int_equal(gone.uid[0], 2);
	OK(store_commit_wait(t, &e));
	assert_int_equal(mbox_get(b, b->alice, inbox).messages, 2);
	assert_int_equal(mbox_get(b, b->alice, inbox).deleted, 0);
}

static void test_recent_messages_are_given_to_one_session_once(void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX"), first;

	deliver(b, b->alice, 0, SL(""), SL(TEXT));
	deliver(b, b->alice, 0, SL(""), SL(TEXT));
	IN_TXN(b, b->alice, store_take_recent(t, b->alice, inbox, &first, &e));
	assert_int_equal(first, 1);
	IN_TXN(b, b->alice, store_take_recent(t, b->alice, inbox, &first, &e));
	assert_int_equal(first, 3);
	deliver(b, b->alice, 0, SL(""), SL(TEXT));
	bench_reopen(b);
	assert_int_equal(mbox_get(b, b->alice, inbox).first_recent, 3);
}

static void test_too_many_messages_at_once_are_refused(void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX");
	struct store_uids u = { mem_array(LIMIT_COPY_MESSAGES + 1, sizeof(uint32_t)),
				LIMIT_STORE_CHUNK + 1 };
	struct store_flags f = { 0 };

	FAILS_IN_TXN(b, b->alice, store_expunge(t, b->alice, inbox, &u, false, NULL, &e),
		     ERR_LIMIT);
	FAILS_IN_TXN(b, b->alice,
		     store_flags_change(t, b->alice, inbox, &u, FLAG_ADD, f, NULL, NULL,
					&e),
		     ERR_LIMIT);
	FAILS_IN_TXN(b, b->alice,
		     store_move(t, b->alice, inbox, &u, inbox, NULL, NULL, &e),
		     ERR_LIMIT);
	u.n = LIMIT_COPY_MESSAGES + 1;
	FAILS_IN_TXN(b, b->alice,
		     store_copy(t, b->alice, inbox, &u, inbox, NULL, NULL, &e),
		     ERR_LIMIT);
	mem_free(u.uid);
}

static void test_keywords_get_a_bit_each_in_any_case_up_to_the_limit(void **state)
{
	struct bench *b = *state;
	unsigned bit;
	slice *list;
	size_t n;

	IN_TXN(b, b->alice, store_keyword_bit(t, b->alice, SL("$Junk"), &bit, &e));
	assert_int_equal(bit, 0);
	IN_TXN(b, b->alice, store_keyword_bit(t, b->alice, SL("work"), &bit, &e));
	assert_int_equal(bit, 1);
	bench_reopen(b);
	IN_TXN(b, b->alice, store_keyword_bit(t, b->alice, SL("$JUNK"), &bit, &e));
	assert_int_equal(bit, 0);
	FAILS_IN_TXN(b, b->alice,
		     store_keyword_bit(t, b->alice, SL("two words"), &bit, &e),
		     ERR_CANNOT);
	FAILS_IN_TXN(b, b->alice, store_keyword_bit(t, b->alice, SL(""), &bit, &e),
		     ERR_CANNOT);
	for (unsigned i = 2; i < LIMIT_KEYWORDS; i++) {
		slice name = arena_fmt(&b->a, "k%u", i);

		IN_TXN(b, b->alice, store_keyword_bit(t, b->alice, name, &bit, &e));
		assert_int_equal(bit, i);
	}
	FAILS_IN_TXN(b, b->alice,
		     store_keyword_bit(t, b->alice, SL("one-more"), &bit, &e), ERR_LIMIT);
	IN_TXN(b, b->alice, store_keyword_bit(t, b->alice, SL("K63"), &bit, &e));
	assert_int_equal(bit, 63);
	OK(store_keywords(b->s, b->alice, &b->a, &list, &n, &e));
	assert_int_equal(n, LIMIT_KEYWORDS);
	assert_slice(list[0], "$Junk");
	assert_slice(list[63], "k63");
	OK(store_keywords(b->s, b->bob, &b->a, &list, &n, &e));
	assert_int_equal(n, 0);
}

/* --- queue and hand-offs ------------------------------------------------------------------- */
static void test_a_queued_message_is_listed_with_its_envelope(void **state)
{
	struct bench *b = *state;
	struct intake *in = message(b, SL(TEXT));
	const uint32_t ids[] = { 0, b->alice };
	slice rcpt[] = { S("x@example.com"), S("y\r\n@\0z") };
	struct store_queue_entry entry = {
		.queued = 5,
		.due = 7,
		.account = b->alice,
		.sender = S("alice@example.org"),
		.rcpt = rcpt,
		.n_rcpt = 2,
		.prefix = S("Received: here\r\n"),
		.state = S("waiting"),
		.body_8bit = true,
	};
	struct store_queue_entry *list;
	struct store_place place = { .account = b->alice };
	struct store_txn *q;
	uint64_t id[2];
	size_t n;

	OK(store_begin(b->s, ids, 2, NULL, &q, &e));
	OK(store_queue_add(q, in, &entry, &id[0], &e));
	OK(store_add(q, in, &place, NULL, &e));
	entry.sender = SL("");
	entry.smtputf8 = true;
	OK(store_queue_add(q, in, &entry, &id[1], &e));
	OK(store_commit_wait(q, &e));
	intake_free(in);
	assert_true(id[1] > id[0]);
	bench_reopen(b);
	OK(store_queue_list(b->s, 10, &b->a, &list, &n, &e));
	assert_int_equal(n, 2);
	assert_int_equal(list[0].id, id[0]);
	assert_slice(list[0].sender, "alice@example.org");
	assert_slice(list[0].state, "waiting");
	assert_int_equal(list[0].n_rcpt, 2);
	assert_true(slice_eq(list[0].rcpt[1], rcpt[1]));
	assert_int_equal(list[0].size, sizeof(TEXT "Received: here\r\n") - 1);
	assert_true(list[0].body_8bit && !list[0].smtputf8);
	assert_int_equal(list[1].sender.n, 0);
	assert_true(list[1].smtputf8);
	OK(store_queue_list(b->s, 1, &b->a, &list, &n, &e));
	assert_int_equal(n, 1);
	in = message(b, SL(TEXT));
	FAILS_IN_TXN(b, b->alice, store_queue_add(t, in, &entry, &id[0], &e), ERR_CANNOT);
	intake_free(in);
}

static void hand_off(struct bench *b, uint32_t account, uint32_t mbox)
{
	struct intake *in = message(b, SL(TEXT));
	struct store_place place = {
		account,	  mbox, S("To: you\r\n"), { FLAG_FLAGGED, 1 }, 77,
		STORE_QUOTA_NONE, false
	};

	IN_TXN(b, b->alice, store_handoff_add(t, in, &place, &e));
	intake_free(in);
}

static void test_hand_offs_are_filed_once_and_survive_a_restart(void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->bob, "INBOX"), sent = mbox_id(b, b->bob, "Sent");
	struct store_row row;
	struct store_email m;
	size_t done;

	hand_off(b, b->bob, 0);
	hand_off(b, b->bob, sent);
	hand_off(b, 4711, 0); /* an account that has gone meanwhile */
	bench_reopen(b);
	assert_int_equal(mbox_get(b, b->bob, inbox).messages, 0);
	IN_TXN(b, b->bob, store_mailbox_delete(t, b->bob, SL("Sent"), &e));
	OK(store_handoff_run(b->s, 100, &done, &e));
	assert_int_equal(done, 3);
	OK(store_handoff_run(b->s, 100, &done, &e));
	assert_int_equal(done, 0);
	assert_int_equal(mbox_get(b, b->bob, inbox).messages,
			 2); /* one for the mailbox that went */
	OK(store_row_get(b->s, b->bob, inbox, 1, &row, &e));
	assert_int_equal(row.flags.sys, FLAG_FLAGGED);
	assert_int_equal(row.internal_date, 77);
	OK(store_email_get(b->s, b->bob, row.email, &b->a, &m, &e));
	assert_slice(whole(b, &m), "To: you\r\n" TEXT);
}

static void test_a_hand_off_that_cannot_be_filed_does_not_keep_the_others(void **state)
{
	struct bench *b = *state;
	struct skey k = key_handoff(b->alice, 1);
	struct kv_txn *kt;
	size_t done;

	OK(kv_begin(b->kv, &b->alice, 1, NULL, &kt, &e));
	kv_put(kt, skey_slice(&k), SL("not a row"));
	OK(kv_commit_wait(kt, &e));
	for (int i = 0; i < 2; i++) {
		hand_off(b, b->alice, 0);
		hand_off(b, b->bob, 0);
		FAILS(store_handoff_run(b->s, SIZE_MAX, &done, &e), ERR_CORRUPT);
		assert_int_equal(done, 2);
	}
	assert_int_equal(mbox_get(b, b->alice, mbox_id(b, b->alice, "INBOX")).messages,
			 2);
	assert_int_equal(mbox_get(b, b->bob, mbox_id(b, b->bob, "INBOX")).messages, 2);
}

/* Long fields of the message must not make its row too long. */
static void test_a_message_with_a_long_id_and_many_addresses_is_handed_off(void **state)
{
	struct bench *b = *state;
	struct store_place place = { .account = b->bob };
	struct store_row row;
	struct store_email m;
	size_t done;
	AUTO_BUF text = { 0 };

	buf_init(&text, 1 << 20);
	buf_adds(&text, "Message-ID: <");
	for (int i = 0; i < 200000; i++)
		buf_addc(&text, 'x');
	buf_adds(&text, "@x>\r\nTo: a@example.org");
	for (int i = 0; i < 4999; i++)
		buf_addf(&text, ",\r\n \"User number %d\" <user%d@example.org>", i, i);
	buf_adds(&text, "\r\n\r\nbody\r\n");
	struct intake *in = message(b, buf_slice(&text));

	IN_TXN(b, b->alice, store_handoff_add(t, in, &place, &e));
	intake_free(in);
	OK(store_handoff_run(b->s, SIZE_MAX, &done, &e));
	assert_int_equal(done, 1);
	OK(store_row_get(b->s, b->bob, mbox_id(b, b->bob, "INBOX"), 1, &row, &e));
	OK(store_email_get(b->s, b->bob, row.email, &b->a, &m, &e));
	assert_true(m.digest.n > LIMIT_VALUE);
	assert_true(slice_eq(whole(b, &m), buf_slice(&text)));
}

static void test_many_hand_offs_to_many_accounts_are_filed_in_batches(void **state)
{
	struct bench *b = *state;
	struct store_new_account list[100];
	struct intake *in = message(b, SL(TEXT));
	struct store_txn *t;
	size_t done;

	for (unsigned i = 0; i < 100; i++)
		list[i] = (struct store_new_account){
			arena_fmt(&b->a, "u%u@example.org", i), S("x"), ERR_IO
		};
	OK(store_account_add_many(b->s, list, 100, &e));
	t = begin(b, b->alice);
	for (uint32_t i = 0; i < 100; i++) {
		struct store_place place = { .account = b->bob + 1 + i };

		OK(store_handoff_add(t, in, &place, &e));
	}
	OK(store_commit_wait(t, &e));
	intake_free(in);
	OK(store_handoff_run(b->s, 30, &done, &e));
	assert_int_equal(done, 30);
	OK(store_handoff_run(b->s, SIZE_MAX, &done, &e));
	assert_int_equal(done, 70);
	for (uint32_t i = 0; i < 100; i++) {
		struct store_account a;

		OK(store_account_by_id(b->s, b->bob + 1 + i, &b->a, &a, &e));
		assert_int_equal(a.messages, 1);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_flags_are_set_added_and_removed),
		TEST(test_a_row_that_does_not_change_keeps_its_modseq),
		TEST(test_flags_of_a_copied_email_are_the_same_in_both_mailboxes_but_deleted),
		TEST(test_copying_twice_into_a_mailbox_makes_an_email_of_its_own_that_tells_the_same_ids),
		TEST(test_a_copy_keeps_flags_and_date_and_stores_no_body),
		TEST(test_a_moved_email_keeps_its_id_and_leaves_the_source),
		TEST(test_expunge_takes_only_what_is_marked_when_asked),
		TEST(test_recent_messages_are_given_to_one_session_once),
		TEST(test_too_many_messages_at_once_are_refused),
		TEST(test_keywords_get_a_bit_each_in_any_case_up_to_the_limit),
		TEST(test_a_queued_message_is_listed_with_its_envelope),
		TEST(test_hand_offs_are_filed_once_and_survive_a_restart),
		TEST(test_a_hand_off_that_cannot_be_filed_does_not_keep_the_others),
		TEST(test_a_message_with_a_long_id_and_many_addresses_is_handed_off),
		TEST(test_many_hand_offs_to_many_accounts_are_filed_in_batches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
