/* test_store_mailbox.c — names, roles, deleting, renaming, subscribing. */
#include "store_test.h"
#include "store/schema.h"

#define TEXT "Subject: x\r\n\r\nbody\r\n"

static char *names(struct bench *b)
{
	struct store_mailbox *list;
	size_t n;
	AUTO_BUF out;

	buf_init(&out, 1u << 16);
	OK(store_mailbox_list(b->s, b->alice, &b->a, &list, &n, &e));
	for (size_t i = 0; i < n; i++)
		buf_addf(&out, "%s%.*s%s%s", i ? " " : "", FMT(list[i].name),
			 list[i].exists ? "" : "?", list[i].has_children ? "+" : "");
	return arena_cstr(&b->a, buf_slice(&out));
}

static uint32_t create(struct bench *b, const char *name)
{
	uint32_t id;

	IN_TXN(b, b->alice,
	       store_mailbox_create(t, b->alice, slice_str(name), ROLE_NONE, &id, &e));
	return id;
}

static void remove_mbox(struct bench *b, const char *name)
{
	IN_TXN(b, b->alice, store_mailbox_delete(t, b->alice, slice_str(name), &e));
}

static void rename_mbox(struct bench *b, const char *from, const char *to)
{
	IN_TXN(b, b->alice,
	       store_mailbox_rename(t, b->alice, slice_str(from), slice_str(to), &e));
}

static void cannot_create(struct bench *b, slice name, enum err_code why)
{
	uint32_t id;

	FAILS_IN_TXN(b, b->alice,
		     store_mailbox_create(t, b->alice, name, ROLE_NONE, &id, &e), why);
}

static void test_an_account_begins_with_six_mailboxes_inbox_first(void **state)
{
	struct bench *b = *state;
	struct store_mailbox *list;
	size_t n;

	assert_string_equal(names(b), "INBOX Archive Drafts Junk Sent Trash");
	OK(store_mailbox_list(b->s, b->alice, &b->a, &list, &n, &e));
	for (size_t i = 0; i < n; i++) {
		assert_true(list[i].subscribed);
		assert_int_not_equal(list[i].role, ROLE_NONE);
		assert_int_equal(list[i].uidnext, 1);
	}
}

static void test_uidvalidity_is_given_once_in_the_whole_store_and_never_goes_back(
	void **state)
{
	struct bench *b = *state;
	uint32_t last = 0;

	for (int i = 0; i < 20; i++) {
		uint32_t v = mbox_get(b, b->alice, create(b, "box")).uidvalidity;

		assert_true(v > last);
		assert_true(v >= NOW_S);
		last = v;
		remove_mbox(b, "box");
		if (i == 10) {
			bench_reopen(b);
			clock_advance(&b->clock,
				      -(int64_t)1000 *
					      1000000); /* a clock that was set back */
		}
	}
}

static void test_missing_parents_are_made_and_names_sort_below_them(void **state)
{
	struct bench *b = *state;

	create(b, "a/b/c/");
	create(b, "a-x");
	create(b, "inbox/sub");
	assert_string_equal(
		names(b),
		"INBOX+ INBOX/sub Archive Drafts Junk Sent Trash a+ a/b+ a/b/c a-x");
	assert_int_equal(mbox_id(b, b->alice, "InBoX"), mbox_id(b, b->alice, "INBOX"));
	assert_int_equal(mbox_id(b, b->alice, "Inbox/sub"),
			 mbox_id(b, b->alice, "INBOX/sub"));
	assert_slice(mbox_get(b, b->alice, mbox_id(b, b->alice, "a/b/c")).name, "a/b/c");
}

static void test_names_that_cannot_be_are_refused(void **state)
{
	struct bench *b = *state;
	char longer[LIMIT_MAILBOX_NAME + 1];
	AUTO_BUF deep;

	memset(longer, 'x', sizeof(longer));
	buf_init(&deep, 4096);
	for (int i = 0; i <= LIMIT_MAILBOX_DEPTH; i++)
		buf_adds(&deep, "d/");
	buf_adds(&deep, "d");
	cannot_create(b, SL(""), ERR_CANNOT);
	cannot_create(b, SL("/"), ERR_CANNOT);
	cannot_create(b, SL("a//b"), ERR_CANNOT);
	cannot_create(b, SL("/a"), ERR_CANNOT);
	cannot_create(b, SL("a\nb"), ERR_CANNOT);
	cannot_create(b, SL("a\0b"), ERR_CANNOT);
	cannot_create(b, SL("a\xff"), ERR_CANNOT);
	cannot_create(b, SL("INBOX"), ERR_MAILBOX_EXISTS);
	cannot_create(b, SL("inbox"), ERR_MAILBOX_EXISTS);
	cannot_create(b, SL("Sent"), ERR_MAILBOX_EXISTS);
	cannot_create(b, slice_make(longer, sizeof(longer)), ERR_LIMIT);
	cannot_create(b, buf_slice(&deep), ERR_LIMIT);
}

static void test_a_role_is_given_once_and_again_when_its_mailbox_is_gone(void **state)
{
	struct bench *b = *state;
	uint32_t id;

	FAILS_IN_TXN(b, b->alice,
		     store_mailbox_create(t, b->alice, SL("S2"), ROLE_SENT, &id, &e),
		     ERR_CANNOT);
	remove_mbox(b, "Sent");
	IN_TXN(b, b->alice,
	       store_mailbox_create(t, b->alice, SL("S2"), ROLE_SENT, &id, &e));
	assert_int_equal(mbox_get(b, b->alice, id).role, ROLE_SENT);
}

static void test_deleting_takes_the_messages_and_the_counts_along(void **state)
{
	struct bench *b = *state;
	uint32_t id = create(b, "box");
	struct store_account acct;
	struct store_mailbox m;
	struct store_row row;
	size_t done;

	for (int i = 0; i < 3; i++)
		deliver(b, b->alice, id, SL(""), SL(TEXT));
	deliver(b, b->alice, 0, SL(""), SL(TEXT));
	OK(store_row_get(b->s, b->alice, id, 1, &row, &e));
	remove_mbox(b, "box");
	FAILS(store_mailbox_get(b->s, b->alice, id, &b->a, &m, &e), ERR_NO_MAILBOX);
	FAILS(store_mailbox_find(b->s, b->alice, SL("box"), &b->a, &m, &e),
	      ERR_NO_MAILBOX);
	OK(store_account_by_id(b->s, b->alice, &b->a, &acct, &e));
	assert_int_equal(acct.messages, 1);
	assert_int_equal(acct.bytes, sizeof(TEXT) - 1);
	OK(store_sweep(b->s, SIZE_MAX, &done, &e));
	assert_true(done >= 3);
	FAILS(store_row_get(b->s, b->alice, id, 1, &row, &e), ERR_NO_MESSAGE);
	FAILS(store_email_get(b->s, b->alice, row.email, &b->a,
			      &(struct store_email){ 0 }, &e),
	      ERR_NO_MESSAGE);
	FAILS_IN_TXN(b, b->alice, store_mailbox_delete(t, b->alice, SL("box"), &e),
		     ERR_NO_MAILBOX);
	FAILS_IN_TXN(b, b->alice, store_mailbox_delete(t, b->alice, SL("inbox"), &e),
		     ERR_CANNOT);
}

static void test_a_mailbox_with_children_leaves_its_name(void **state)
{
	struct bench *b = *state;
	uint32_t a = create(b, "a"), child = create(b, "a/b"), again;

	deliver(b, b->alice, a, SL(""), SL(TEXT));
	deliver(b, b->alice, child, SL(""), SL(TEXT));
	remove_mbox(b, "a");
	assert_string_equal(names(b), "INBOX Archive Drafts Junk Sent Trash a?+ a/b");
	assert_int_equal(mbox_id(b, b->alice, "a/b"), child);
	assert_int_equal(mbox_get(b, b->alice, child).messages, 1);
	FAILS_IN_TXN(b, b->alice, store_mailbox_delete(t, b->alice, SL("a"), &e),
		     ERR_HAS_CHILDREN);
	again = create(b, "a");
	assert_int_equal(mbox_get(b, b->alice, again).messages, 0);
	assert_int_equal(mbox_get(b, b->alice, again).uidnext, 1);
	assert_int_equal(deliver(b, b->alice, again, SL(""), SL(TEXT)), 1);
	remove_mbox(b, "a/b");
	remove_mbox(b, "a");
	assert_string_equal(names(b), "INBOX Archive Drafts Junk Sent Trash");
	OK(store_sweep(b->s, SIZE_MAX, &(size_t){ 0 }, &e));
}

static void test_renaming_moves_the_children_and_keeps_ids(void **state)
{
	struct bench *b = *state;
	uint32_t a = create(b, "a"), c = create(b, "a/b/c");

	deliver(b, b->alice, c, SL(""), SL(TEXT));
	rename_mbox(b, "a", "x/y");
	assert_string_equal(
		names(b), "INBOX Archive Drafts Junk Sent Trash x+ x/y+ x/y/b+ x/y/b/c");
	assert_int_equal(mbox_id(b, b->alice, "x/y"), a);
	assert_int_equal(mbox_id(b, b->alice, "x/y/b/c"), c);
	assert_int_equal(mbox_get(b, b->alice, c).messages, 1);
	rename_mbox(b, "x/y/b/c", "top");
	assert_slice(mbox_get(b, b->alice, c).name, "top");
	FAILS_IN_TXN(b, b->alice,
		     store_mailbox_rename(t, b->alice, SL("x"), SL("x/y/z"), &e),
		     ERR_CANNOT);
	FAILS_IN_TXN(b, b->alice,
		     store_mailbox_rename(t, b->alice, SL("x"), SL("Sent"), &e),
		     ERR_MAILBOX_EXISTS);
	FAILS_IN_TXN(b, b->alice,
		     store_mailbox_rename(t, b->alice, SL("no"), SL("yes"), &e),
		     ERR_NO_MAILBOX);
	FAILS_IN_TXN(b, b->alice,
		     store_mailbox_rename(t, b->alice, SL("x"), SL("y//z"), &e),
		     ERR_CANNOT);
	bench_reopen(b);
	assert_string_equal(names(b),
			    "INBOX Archive Drafts Junk Sent Trash top x+ x/y+ x/y/b");
}

static void test_renaming_inbox_moves_its_messages_and_leaves_it_empty(void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX"), sub = create(b, "INBOX/sub");
	struct store_row row, moved;

	for (int i = 0; i < 3; i++)
		deliver(b, b->alice, 0, SL(""), SL(TEXT));
	OK(store_row_get(b->s, b->alice, inbox, 2, &row, &e));
	rename_mbox(b, "inbox", "old/mail");
	assert_int_equal(mbox_id(b, b->alice, "INBOX"), inbox);
	assert_int_equal(mbox_id(b, b->alice, "INBOX/sub"), sub);
	assert_int_equal(mbox_get(b, b->alice, inbox).messages, 0);
	assert_int_equal(mbox_get(b, b->alice, inbox).uidnext, 4);
	uint32_t old = mbox_id(b, b->alice, "old/mail");

	assert_int_equal(mbox_get(b, b->alice, old).messages, 3);
	OK(store_row_get(b->s, b->alice, old, 2, &moved, &e));
	assert_int_equal(moved.email, row.email);
}

static void test_a_subscription_outlives_its_mailbox(void **state)
{
	struct bench *b = *state;
	struct store_mailbox *list;
	size_t n;

	create(b, "box");
	IN_TXN(b, b->alice, store_mailbox_subscribe(t, b->alice, SL("box"), true, &e));
	IN_TXN(b, b->alice, store_mailbox_subscribe(t, b->alice, SL("box"), true, &e));
	remove_mbox(b, "box");
	OK(store_mailbox_list(b->s, b->alice, &b->a, &list, &n, &e));
	assert_int_equal(n, 7);
	assert_slice(list[6].name, "box");
	assert_false(list[6].exists);
	assert_true(list[6].subscribed);
	IN_TXN(b, b->alice, store_mailbox_subscribe(t, b->alice, SL("box"), false, &e));
	IN_TXN(b, b->alice, store_mailbox_subscribe(t, b->alice, SL("Sent"), false, &e));
	OK(store_mailbox_list(b->s, b->alice, &b->a, &list, &n, &e));
	assert_int_equal(n, 6);
	assert_slice(list[4].name, "Sent");
	assert_false(list[4].subscribed);
}

static void test_two_changes_of_names_in_one_transaction_see_each_other(void **state)
{
	struct bench *b = *state;
	struct store_txn *t = begin(b, b->alice);
	uint32_t id;

	OK(store_mailbox_create(t, b->alice, SL("a/b"), ROLE_NONE, &id, &e));
	OK(store_mailbox_rename(t, b->alice, SL("a"), SL("c"), &e));
	FAILS(store_mailbox_create(t, b->alice, SL("c/b"), ROLE_NONE, &id, &e),
	      ERR_MAILBOX_EXISTS);
	OK(store_mailbox_delete(t, b->alice, SL("c/b"), &e));
	OK(store_commit_wait(t, &e));
	assert_string_equal(names(b), "INBOX Archive Drafts Junk Sent Trash c");
}

static void test_subscriptions_have_a_limit(void **state)
{
	struct bench *b = *state;
	struct kv_txn *kt;
	slice one = SL("\1");

	OK(kv_begin(b->kv, &b->alice, 1, NULL, &kt, &e));
	for (unsigned i = 6; i + 1 < LIMIT_MAILBOXES; i++) /* six came with the account */
		kv_put(kt, key_subscription(&b->a, b->alice, arena_fmt(&b->a, "n%u", i)),
		       one);
	OK(kv_commit_wait(kt, &e));
	IN_TXN(b, b->alice, store_mailbox_subscribe(t, b->alice, SL("last"), true, &e));
	FAILS_IN_TXN(b, b->alice,
		     store_mailbox_subscribe(t, b->alice, SL("more"), true, &e),
		     ERR_LIMIT);
	IN_TXN(b, b->alice, store_mailbox_subscribe(t, b->alice, SL("last"), true, &e));
	IN_TXN(b, b->alice, store_mailbox_subscribe(t, b->alice, SL("last"), false, &e));
	IN_TXN(b, b->alice, store_mailbox_subscribe(t, b->alice, SL("more"), true, &e));
}

/* The ids of mailboxes have 24 bits below the epoch. */
static void test_mailbox_ids_are_not_given_twice_when_they_run_out(void **state)
{
	struct bench *b = *state;
	struct kv_txn *kt;
	struct row_account acct;
	slice row;
	AUTO_BUF out = { 0 };
	struct skey k = key_account(b->alice);

	create(b, "up/down");
	create(b, "left/right");
	buf_init(&out, 4096);
	OK(kv_begin(b->kv, &b->alice, 1, NULL, &kt, &e));
	OK(kv_get(b->kv, kt, skey_slice(&k), &b->a, &row, &e));
	assert_true(row_account_read(row, &acct));
	acct.next_mbox = (1u << 24) - 2;
	row_account_write(&out, &acct);
	kv_put(kt, skey_slice(&k), buf_slice(&out));
	OK(kv_commit_wait(kt, &e));
	bench_reopen(b);
	remove_mbox(b, "up");
	FAILS_IN_TXN(b, b->alice, store_mailbox_delete(t, b->alice, SL("left"), &e),
		     ERR_LIMIT);
	remove_mbox(b, "left/right");
	remove_mbox(b, "left");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_an_account_begins_with_six_mailboxes_inbox_first),
		TEST(test_uidvalidity_is_given_once_in_the_whole_store_and_never_goes_back),
		TEST(test_missing_parents_are_made_and_names_sort_below_them),
		TEST(test_names_that_cannot_be_are_refused),
		TEST(test_a_role_is_given_once_and_again_when_its_mailbox_is_gone),
		TEST(test_deleting_takes_the_messages_and_the_counts_along),
		TEST(test_a_mailbox_with_children_leaves_its_name),
		TEST(test_renaming_moves_the_children_and_keeps_ids),
		TEST(test_renaming_inbox_moves_its_messages_and_leaves_it_empty),
		TEST(test_a_subscription_outlives_its_mailbox),
		TEST(test_two_changes_of_names_in_one_transaction_see_each_other),
		TEST(test_subscriptions_have_a_limit),
		TEST(test_mailbox_ids_are_not_given_twice_when_they_run_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
