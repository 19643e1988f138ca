/* test_store_view.c — views, changes, watchers, and what a sweep leaves alone. */
#include "store_test.h"
#include "store/store_view.h"

#define TEXT "Subject: x\r\n\r\nbody\r\n"

static const struct store_view *open_view(struct bench *b, uint32_t mbox)
{
	const struct store_view *v = NULL;

	OK(store_view_open(b->s, b->alice, mbox, &v, &e));
	return v;
}

static void fill(struct bench *b, uint32_t n)
{
	struct intake *in = message(b, SL(TEXT));
	struct store_place place = { .account = b->alice };
	struct store_txn *t = begin(b, b->alice);

	for (uint32_t i = 0; i < n; i++)
		OK(store_add(t, in, &place, NULL, &e));
	OK(store_commit_wait(t, &e));
	intake_free(in);
}

static void expunge(struct bench *b, uint32_t mbox, uint32_t uid)
{
	struct store_uids u = { &uid, 1 };

	IN_TXN(b, b->alice, store_expunge(t, b->alice, mbox, &u, false, NULL, &e));
}

static void flag(struct bench *b, uint32_t mbox, uint32_t uid)
{
	struct store_uids u = { &uid, 1 };
	struct store_flags f = { FLAG_FLAGGED, 0 };

	IN_TXN(b, b->alice,
	       store_flags_change(t, b->alice, mbox, &u, FLAG_ADD, f, NULL, NULL, &e));
}

static void test_sessions_at_one_modseq_share_one_view(void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX");
	const struct store_view *v[100];

	fill(b, 50);
	for (int i = 0; i < 100; i++) {
		v[i] = open_view(b, inbox);
		assert_ptr_equal(v[i], v[0]);
	}
	for (int i = 0; i < 100; i++)
		store_view_unref(b->s, v[i]);
}

static void test_views_that_follow_by_deliveries_and_flags_share_the_uids(void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX");
	const struct store_view *v[10];
	size_t arrays = 1;

	fill(b, 1000);
	v[0] = open_view(b, inbox);
	for (int i = 1; i < 10; i++) {
		if (i % 2)
			fill(b, 1);
		else
			flag(b, inbox, (uint32_t)i);
		v[i] = open_view(b, inbox);
		assert_ptr_not_equal(v[i], v[i - 1]);
		arrays += v[i]->uid != v[i - 1]->uid;
	}
	assert_int_equal(arrays, 1);
	assert_int_equal(v[0]->n, 1000);
	assert_int_equal(v[9]->n, 1005);
	assert_int_equal(v[9]->uid[1004], 1005);
	for (int i = 0; i < 10; i++)
		store_view_unref(b->s, v[i]);
}

static void test_an_older_view_still_shows_what_was_expunged_and_it_can_be_read(
	void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX");
	struct store_row row;
	struct store_email m;
	struct store_changes c;
	size_t done;

	fill(b, 5);
	const struct store_view *old = open_view(b, inbox);

	expunge(b, inbox, 2);
	flag(b, inbox, 4);
	const struct store_view *mid = open_view(b, inbox);

	expunge(b, inbox, 5);
	fill(b, 1);
	OK(store_sweep(b->s, SIZE_MAX, &done, &e));
	assert_int_equal(done, 0);
	const struct store_view *now = open_view(b, inbox);

	assert_int_equal(old->n, 5);
	assert_int_equal(mid->n, 4);
	assert_int_equal(now->n, 4);
	OK(store_changes_between(b->s, old, now, &b->a, &c, &e));
	assert_int_equal(c.expunged.n, 2);
	assert_int_equal(c.expunged.uid[0], 2);
	assert_int_equal(c.expunged.uid[1], 5);
	assert_int_equal(c.added.n, 1);
	assert_int_equal(c.added.uid[0], 6);
	assert_int_equal(c.changed.n, 1);
	assert_int_equal(c.changed.uid[0], 4);
	FAILS(store_changes_between(b->s, now, old, &b->a, &c, &e), ERR_CANNOT);
	FAILS(store_row_get(b->s, b->alice, inbox, 2, &row, &e), ERR_NO_MESSAGE);
	OK(store_row_shown(b->s, b->alice, inbox, 2, &row, &e));
	assert_int_equal(row.uid, 2);
	OK(store_email_get(b->s, b->alice, row.email, &b->a, &m, &e));
	assert_slice(whole(b, &m), TEXT);
	store_view_unref(b->s, old); /* 2 goes, 5 is still shown by mid */
	OK(store_sweep(b->s, SIZE_MAX, &done, &e));
	assert_int_equal(done, 1);
	FAILS(store_row_shown(b->s, b->alice, inbox, 2, &row, &e), ERR_NO_MESSAGE);
	FAILS(store_email_get(b->s, b->alice, m.id, &b->a, &m, &e), ERR_NO_MESSAGE);
	OK(store_row_shown(b->s, b->alice, inbox, 5, &row, &e));
	store_view_unref(b->s, mid);
	OK(store_sweep(b->s, SIZE_MAX, &done, &e));
	assert_int_equal(done, 1);
	FAILS(store_row_shown(b->s, b->alice, inbox, 5, &row, &e), ERR_NO_MESSAGE);
	store_view_unref(b->s, now);
}

static void test_a_message_moved_and_expunged_there_is_still_read_from_the_old_view(
	void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX"),
		 trash = mbox_id(b, b->alice, "Trash"), one = 1;
	struct store_uids u = { &one, 1 };
	struct store_row row;
	struct store_email m;
	size_t done;

	fill(b, 1);
	const struct store_view *old = open_view(b, inbox);

	IN_TXN(b, b->alice, store_move(t, b->alice, inbox, &u, trash, NULL, NULL, &e));
	expunge(b, trash, 1);
	OK(store_sweep(b->s, SIZE_MAX, &done, &e));
	OK(store_row_shown(b->s, b->alice, inbox, 1, &row, &e));
	OK(store_email_get(b->s, b->alice, row.email, &b->a, &m, &e));
	store_view_unref(b->s, old);
	OK(store_sweep(b->s, SIZE_MAX, &done, &e));
	FAILS(store_email_get(b->s, b->alice, row.email, &b->a, &m, &e), ERR_NO_MESSAGE);
}

/* More of them than one batch of the sweep. */
static void test_many_moved_and_expunged_there_are_still_read_from_the_old_view(
	void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX"),
		 trash = mbox_id(b, b->alice, "Trash"), uid[1200];
	struct store_uids u = { uid, 1200 };
	struct store_row row;
	struct store_email m;
	size_t done;

	for (uint32_t i = 0; i < 1200; i++)
		uid[i] = i + 1;
	fill(b, 1200);
	const struct store_view *old = open_view(b, inbox);

	IN_TXN(b, b->alice, store_move(t, b->alice, inbox, &u, trash, NULL, NULL, &e));
	IN_TXN(b, b->alice, store_expunge(t, b->alice, trash, &u, false, NULL, &e));
	OK(store_sweep(b->s, SIZE_MAX, &done, &e));
	for (uint32_t i = 0; i < 1200; i++) {
		OK(store_row_shown(b->s, b->alice, inbox, uid[i], &row, &e));
		OK(store_email_get(b->s, b->alice, row.email, &b->a, &m, &e));
	}
	store_view_unref(b->s, old);
	OK(store_sweep(b->s, SIZE_MAX, &done, &e));
	FAILS(store_row_shown(b->s, b->alice, inbox, 1, &row, &e), ERR_NO_MESSAGE);
	FAILS(store_email_get(b->s, b->alice, row.email, &b->a, &m, &e), ERR_NO_MESSAGE);
	OK(store_sweep(b->s, SIZE_MAX, &done, &e));
	assert_int_equal(done, 0);
}

static void test_a_message_moved_and_deleted_with_its_mailbox_is_read_from_the_old_view(
	void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX"),
		 sent = mbox_id(b, b->alice, "Sent"), one = 1;
	struct store_uids u = { &one, 1 };
	struct store_row row;
	struct store_email m;
	size_t done;

	fill(b, 1);
	const struct store_view *old = open_view(b, inbox);

	IN_TXN(b, b->alice, store_move(t, b->alice, inbox, &u, sent, NULL, NULL, &e));
	IN_TXN(b, b->alice, store_mailbox_delete(t, b->alice, SL("Sent"), &e));
	OK(store_sweep(b->s, SIZE_MAX, &done, &e));
	OK(store_row_shown(b->s, b->alice, inbox, 1, &row, &e));
	OK(store_email_get(b->s, b->alice, row.email, &b->a, &m, &e));
	store_view_unref(b->s, old);
	OK(store_sweep(b->s, SIZE_MAX, &done, &e));
	FAILS(store_email_get(b->s, b->alice, row.email, &b->a, &m, &e), ERR_NO_MESSAGE);
	OK(store_sweep(b->s, SIZE_MAX, &done, &e));
	assert_int_equal(done, 0);
}

static void test_damage_in_one_account_does_not_keep_the_sweep_from_others(void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->bob, "INBOX"), one = 1;
	struct store_uids u = { &one, 1 };
	struct skey k = key_gone(b->alice, 1, 1);
	struct store_row row;
	struct kv_txn *kt;
	size_t done;

	OK(kv_begin(b->kv, &b->alice, 1, NULL, &kt, &e));
	kv_put(kt, skey_slice(&k), SL("not a row"));
	OK(kv_commit_wait(kt, &e));
	deliver(b, b->bob, inbox, SL(""), SL(TEXT));
	OK(store_row_get(b->s, b->bob, inbox, 1, &row, &e));
	IN_TXN(b, b->bob, store_expunge(t, b->bob, inbox, &u, false, NULL, &e));
	FAILS(store_sweep(b->s, SIZE_MAX, &done, &e), ERR_CORRUPT);
	assert_int_equal(done, 1);
	FAILS(store_row_shown(b->s, b->bob, inbox, 1, &row, &e), ERR_NO_MESSAGE);
}

static void test_the_mail_of_a_deleted_mailbox_stays_while_a_view_shows_it(void **state)
{
	struct bench *b = *state;
	uint32_t sent = mbox_id(b, b->alice, "Sent");
	struct store_row row;
	const struct store_view *none;
	size_t done;

	deliver(b, b->alice, sent, SL(""), SL(TEXT));
	const struct store_view *v = open_view(b, sent);

	IN_TXN(b, b->alice, store_mailbox_delete(t, b->alice, SL("Sent"), &e));
	OK(store_sweep(b->s, SIZE_MAX, &done, &e));
	OK(store_row_get(b->s, b->alice, sent, 1, &row, &e));
	FAILS(store_view_open(b->s, b->alice, sent, &none, &e), ERR_NO_MAILBOX);
	store_view_unref(b->s, v);
	OK(store_sweep(b->s, SIZE_MAX, &done, &e));
	FAILS(store_row_get(b->s, b->alice, sent, 1, &row, &e), ERR_NO_MESSAGE);
}

static void test_a_history_longer_than_the_mailbox_is_found_by_its_rows(void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX"),
		 sent = mbox_id(b, b->alice, "Sent"), one = 1;
	struct store_uids u = { &one, 1 };
	struct store_changes c;

	fill(b, 4);
	deliver(b, b->alice, sent, SL(""), SL(TEXT));
	const struct store_view *old = open_view(b, inbox);

	expunge(b, inbox, 3);
	flag(b, inbox, 2);
	for (int i = 0; i < 20100; i++) {
		struct store_flags f = { i % 2 ? FLAG_SEEN : 0, 0 };

		IN_TXN(b, b->alice,
		       store_flags_change(t, b->alice, sent, &u, FLAG_SET, f, NULL, NULL,
					  &e));
		arena_reset(&b->a);
	}
	fill(b, 1);
	const struct store_view *now = open_view(b, inbox);

	assert_int_equal(now->n, 4);
	OK(store_changes_between(b->s, old, now, &b->a, &c, &e));
	assert_int_equal(c.added.n, 1);
	assert_int_equal(c.added.uid[0], 5);
	assert_int_equal(c.expunged.n, 1);
	assert_int_equal(c.expunged.uid[0], 3);
	assert_int_equal(c.changed.n, 1);
	assert_int_equal(c.changed.uid[0], 2);
	store_view_unref(b->s, old);
	store_view_unref(b->s, now);
}

static bool count_any(void *ctx, slice key, slice value)
{
	(void)key;
	(void)value;
	++*(size_t *)ctx;
	return true;
}

static size_t log_rows(struct bench *b)
{
	struct skey from = key_account_type(b->alice, 'l'), to = from;
	size_t n = 0;

	skey_next_prefix(&to);
	struct kv_range r = { .from = skey_slice(&from), .to = skey_slice(&to) };

	OK(kv_scan(b->kv, NULL, &r, count_any, &n, &e));
	return n;
}

/* As if the account had seen that many changes. */
static void age(struct bench *b, uint64_t modseq)
{
	struct kv_txn *t;
	struct row_account acct;
	slice row;
	AUTO_BUF out;
	struct skey k = key_account(b->alice);

	buf_init(&out, 4096);
	OK(kv_begin(b->kv, &b->alice, 1, NULL, &t, &e));
	OK(kv_get(b->kv, t, skey_slice(&k), &b->a, &row, &e));
	assert_true(row_account_read(row, &acct));
	acct.modseq = modseq;
	row_account_write(&out, &acct);
	kv_put(t, skey_slice(&k), buf_slice(&out));
	OK(kv_commit_wait(t, &e));
	bench_reopen(b);
}

static void test_an_old_change_log_is_pruned_and_changes_are_still_found(void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX");
	struct store_changes c;
	size_t done, kept;

	for (int i = 0; i < 700; i++)
		fill(b, 1);
	age(b, LIMIT_CHANGE_LOG + 10997);
	const struct store_view *old = open_view(b, inbox);

	for (int i = 0; i < 2; i++) {
		expunge(b, inbox, 5 + (uint32_t)i);
		kept = log_rows(b);
		OK(store_sweep(b->s, SIZE_MAX, &done, &e));
		assert_int_equal(log_rows(b), kept); /* not worth it yet */
	}
	flag(b, inbox, 9); /* the mark */
	OK(store_sweep(b->s, SIZE_MAX, &done, &e));
	assert_int_equal(log_rows(b), 3);
	fill(b, 1);
	const struct store_view *now = open_view(b, inbox);

	assert_int_equal(now->n, 699);
	OK(store_changes_between(b->s, old, now, &b->a, &c, &e));
	assert_int_equal(c.expunged.n, 2);
	assert_int_equal(c.added.n, 1);
	assert_int_equal(c.changed.n, 1);
	store_view_unref(b->s, old);
	store_view_unref(b->s, now);
	OK(store_sweep(b->s, SIZE_MAX, &done, &e));
	assert_int_equal(done, 2);
}

static void test_a_publication_is_read_once_for_all_sessions(void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX");
	struct store_changes c;

	fill(b, 3);
	const struct store_view *old = open_view(b, inbox);

	fill(b, 2);
	const struct store_view *now = open_view(b, inbox);
	const struct view *v = (const struct view *)now;

	assert_true(v->has_step);
	assert_int_equal(v->step_from, old->modseq);
	OK(store_changes_between(b->s, old, now, &b->a, &c, &e));
	assert_int_equal(c.added.n, 2);
	store_view_unref(b->s, old);
	store_view_unref(b->s, now);
}

/* --- watchers ------------------------------------------------------------------------------------ */
struct counter {
	struct store_watch w;
	unsigned n;
};

static void count(struct store_watch *w)
{
	((struct counter *)w)->n++;
}

static unsigned taken(struct counter *c)
{
	unsigned n = c->n;

	c->n = 0;
	return n;
}

static void test_watchers_hear_of_their_mailbox_and_account_after_the_commit(void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX"),
		 sent = mbox_id(b, b->alice, "Sent"), one = 1;
	struct store_uids u = { &one, 1 };
	struct counter box = { { count, b->alice, inbox, NULL, NULL }, 0 };
	struct counter all = { { count, b->alice, 0, NULL, NULL }, 0 };
	struct counter bob = { { count, b->bob, 0, NULL, NULL }, 0 };
	struct store_txn *first;
	struct store_place place = { .account = b->alice };
	struct intake *in = message(b, SL(TEXT));

	store_watch_add(b->s, &box.w);
	store_watch_add(b->s, &all.w);
	store_watch_add(b->s, &bob.w);
	first = begin(b, b->alice);
	OK(store_add(first, in, &place, NULL, &e));
	assert_int_equal(taken(&box), 0);
	OK(store_commit_wait(first, &e));
	intake_free(in);
	assert_int_equal(taken(&box), 1);
	assert_int_equal(taken(&all), 1);
	deliver(b, b->alice, sent, SL(""), SL(TEXT));
	assert_int_equal(taken(&box), 0);
	assert_int_equal(taken(&all), 1);
	IN_TXN(b, b->alice, store_move(t, b->alice, inbox, &u, sent, NULL, NULL, &e));
	assert_int_equal(taken(&box), 1);
	assert_int_equal(taken(&all), 2);
	flag(b, inbox, 1); /* not there: nothing happens */
	assert_int_equal(taken(&all), 0);
	store_watch_remove(b->s, &box.w);
	deliver(b, b->alice, 0, SL(""), SL(TEXT));
	assert_int_equal(taken(&box), 0);
	assert_int_equal(taken(&all), 1);
	assert_int_equal(taken(&bob), 0);
	store_watch_remove(b->s, &all.w);
	store_watch_remove(b->s, &bob.w);
}

static void told(struct done *d, enum status st, const struct err *why)
{
	(void)d;
	(void)st;
	(void)why;
}

static void test_what_is_not_durable_is_not_seen_and_not_published(void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX");
	struct counter all = { { count, b->alice, 0, NULL, NULL }, 0 };
	struct store_place place = { .account = b->alice };
	struct done done[2] = { { told }, { told } };
	uint32_t uid;

	store_watch_add(b->s, &all.w);
	for (int i = 0; i < 2; i++) {
		struct intake *in = message(b, SL(TEXT));
		struct store_txn *t = begin(b, b->alice);

		OK(store_add(t, in, &place, &uid, &e));
		assert_int_equal(uid, i + 1); /* the second sees the first's numbers */
		store_commit(t, &done[i]);
		intake_free(in);
	}
	assert_int_equal(mbox_get(b, b->alice, inbox).messages, 0);
	assert_int_equal(all.n, 0);
	kv_pump(b->kv);
	assert_int_equal(mbox_get(b, b->alice, inbox).messages, 2);
	assert_int_equal(all.n, 2);
	store_watch_remove(b->s, &all.w);
}

static int manual_setup(void **state)
{
	struct bench *b = mem_new(sizeof(*b));

	bench_open(b, KV_COMMIT_MANUAL);
	*state = b;
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_sessions_at_one_modseq_share_one_view),
		TEST(test_views_that_follow_by_deliveries_and_flags_share_the_uids),
		TEST(test_an_older_view_still_shows_what_was_expunged_and_it_can_be_read),
		TEST(test_a_message_moved_and_expunged_there_is_still_read_from_the_old_view),
		TEST(test_many_moved_and_expunged_there_are_still_read_from_the_old_view),
		TEST(test_a_message_moved_and_deleted_with_its_mailbox_is_read_from_the_old_view),
		TEST(test_damage_in_one_account_does_not_keep_the_sweep_from_others),
		TEST(test_the_mail_of_a_deleted_mailbox_stays_while_a_view_shows_it),
		TEST(test_a_history_longer_than_the_mailbox_is_found_by_its_rows),
		TEST(test_an_old_change_log_is_pruned_and_changes_are_still_found),
		TEST(test_a_publication_is_read_once_for_all_sessions),
		TEST(test_watchers_hear_of_their_mailbox_and_account_after_the_commit),
		cmocka_unit_test_setup_teardown(
			test_what_is_not_durable_is_not_seen_and_not_published,
			manual_setup, bench_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
