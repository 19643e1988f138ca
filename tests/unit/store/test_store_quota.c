/* test_store_quota.c — limits of accounts and domains, the grace, and the letters at 80 and
 * 95 %. */
#include "store_test.h"
#include "mime/mime_decode.h"
#include "mime/mime_digest.h"
#include "mime/mime_header.h"
#include "store/store_int.h"

#define HEAD "From: a@example.org\r\nSubject: one\r\n\r\n"

/* A message of exactly n octets. */
static slice text_of(struct bench *b, size_t n)
{
	char *p = arena_alloc(&b->a, n);

	memset(p, 'x', n);
	memcpy(p, HEAD, sizeof(HEAD) - 1);
	memcpy(p + n - 2, "\r\n", 2);
	return slice_make(p, n);
}

static void policy(struct bench *b, uint64_t bytes, uint64_t messages, uint64_t grace)
{
	struct store_policy p = { .quota_bytes = bytes,
				  .quota_messages = messages,
				  .quota_grace = grace,
				  .language = "en" };

	OK(store_policy_set(b->s, &p, &e));
}

static enum err_code try_add(struct bench *b, uint32_t account, size_t n,
			     enum store_quota how)
{
	struct intake *in = message(b, text_of(b, n));
	struct store_place place = { .account = account,
				     .internal_date = NOW_S,
				     .quota = how };
	struct store_txn *t = begin(b, account);
	struct err why = { 0 };

	if (store_add(t, in, &place, NULL, &why) == ST_OK)
		OK(store_commit_wait(t, &e));
	else
		store_abort(t);
	intake_free(in);
	return why.code;
}

static struct store_account account(struct bench *b, const char *address)
{
	struct store_account u;

	OK(store_account_get(b->s, slice_str(address), &b->a, &u, &e));
	return u;
}

static enum store_room room(struct bench *b, uint32_t id, uint64_t size)
{
	enum store_room r;

	OK(store_room(b->s, id, SL("alice@example.org"), size, &r, &e));
	return r;
}

static void test_without_limits_nothing_is_refused(void **state)
{
	struct bench *b = *state;
	enum store_room r;

	assert_int_equal(try_add(b, b->alice, 5000, STORE_QUOTA_STRICT), ERR_NONE);
	assert_true(store_room_cached(b->s, b->alice, SL("alice@example.org"), UINT64_MAX,
				      &r));
	assert_int_equal(r, STORE_ROOM);
}

static void test_a_limit_in_octets_is_exact(void **state)
{
	struct bench *b = *state;

	policy(b, 10000, 0, 0);
	assert_int_equal(room(b, b->alice, 10000), STORE_ROOM);
	assert_int_equal(room(b, b->alice, 10001), STORE_ROOM_NEVER);
	assert_int_equal(try_add(b, b->alice, 10001, STORE_QUOTA_STRICT), ERR_OVERQUOTA);
	assert_int_equal(account(b, "alice@example.org").messages, 0);
	assert_int_equal(try_add(b, b->alice, 6000, STORE_QUOTA_STRICT), ERR_NONE);
	assert_int_equal(room(b, b->alice, 4000), STORE_ROOM);
	assert_int_equal(room(b, b->alice, 4001), STORE_ROOM_NOT_NOW);
	assert_int_equal(room(b, b->alice, 0), STORE_ROOM);
	assert_int_equal(try_add(b, b->alice, 4001, STORE_QUOTA_STRICT), ERR_OVERQUOTA);
	/* bob has the same limit and his own count */
	assert_int_equal(try_add(b, b->bob, 10000, STORE_QUOTA_STRICT), ERR_NONE);
}

static void test_a_limit_in_messages_counts_them(void **state)
{
	struct bench *b = *state;

	OK(store_quota_set(b->s, SL("alice@example.org"), STORE_QUOTA_KEEP, 2, &e));
	assert_int_equal(try_add(b, b->alice, 100, STORE_QUOTA_STRICT), ERR_NONE);
	assert_int_equal(room(b, b->alice, 0), STORE_ROOM);
	/* the second brings it to 100 %, and so a letter */
	assert_int_equal(try_add(b, b->alice, 100, STORE_QUOTA_STRICT), ERR_NONE);
	assert_int_equal(account(b, "alice@example.org").messages, 3);
	assert_int_equal(room(b, b->alice, 0), STORE_ROOM_NOT_NOW);
	assert_int_equal(try_add(b, b->alice, 100, STORE_QUOTA_STRICT), ERR_OVERQUOTA);
	assert_int_equal(try_add(b, b->alice, 100, STORE_QUOTA_NONE), ERR_NONE);
}

static void test_numbers_at_the_end_of_their_range_do_not_wrap(void **state)
{
	struct bench *b = *state;

	OK(store_quota_set(b->s, SL("alice@example.org"), UINT64_MAX - 2, UINT64_MAX - 2,
			   &e));
	assert_int_equal(room(b, b->alice, UINT64_MAX - 1), STORE_ROOM_NEVER);
	assert_int_equal(room(b, b->alice, UINT64_MAX - 2), STORE_ROOM);
	assert_int_equal(try_add(b, b->alice, 100, STORE_QUOTA_STRICT), ERR_NONE);
	assert_int_equal(room(b, b->alice, UINT64_MAX - 2), STORE_ROOM_NOT_NOW);
	assert_int_equal(quota_sum(UINT64_MAX, 1), UINT64_MAX);
	policy(b, 1, 1, UINT64_MAX);
	assert_int_equal(try_add(b, b->bob, 100, STORE_QUOTA_DELIVER), ERR_NONE);
	assert_int_equal(try_add(b, b->bob, 100, STORE_QUOTA_STRICT), ERR_OVERQUOTA);
}

static void test_a_message_whose_recipient_was_accepted_has_a_grace(void **state)
{
	struct bench *b = *state;

	policy(b, 10000, 0, 5000);
	assert_int_equal(try_add(b, b->alice, 7000, STORE_QUOTA_DELIVER), ERR_NONE);
	assert_int_equal(try_add(b, b->alice, 9000, STORE_QUOTA_DELIVER), ERR_OVERQUOTA);
	assert_int_equal(try_add(b, b->alice, 5000, STORE_QUOTA_STRICT), ERR_OVERQUOTA);
	/* with other recipients it comes, as the limit was not reached yet */
	assert_int_equal(try_add(b, b->alice, 9000, STORE_QUOTA_SHARED), ERR_NONE);
	assert_int_equal(try_add(b, b->alice, 100, STORE_QUOTA_SHARED), ERR_OVERQUOTA);
}

static void test_own_limits_win_and_can_be_given_up(void **state)
{
	struct bench *b = *state;

	policy(b, 1000, 0, 0);
	OK(store_quota_set(b->s, SL("alice@example.org"), 0, STORE_QUOTA_KEEP, &e));
	assert_int_equal(try_add(b, b->alice, 5000, STORE_QUOTA_STRICT), ERR_NONE);
	assert_int_equal(account(b, "alice@example.org").quota_bytes, 0);
	bench_reopen(b); /* both are in the store */
	assert_int_equal(room(b, b->alice, 5000), STORE_ROOM);
	assert_int_equal(account(b, "bob@example.org").quota_bytes, 1000);
	OK(store_quota_set(b->s, SL("alice@example.org"), STORE_QUOTA_DEFAULT,
			   STORE_QUOTA_KEEP, &e));
	assert_int_equal(room(b, b->alice, 10), STORE_ROOM_NOT_NOW);
	FAILS(store_quota_set(b->s, SL("nobody@example.org"), 1, 1, &e), ERR_NO_ACCOUNT);
}

static void test_a_copy_counts_and_a_move_does_not(void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX"),
		 trash = mbox_id(b, b->alice, "Trash");
	uint32_t one[] = { 1, 2 };
	struct store_uids uids = { one, 2 };

	OK(store_quota_set(b->s, SL("alice@example.org"), 10000, 0, &e));
	assert_int_equal(try_add(b, b->alice, 2000, STORE_QUOTA_STRICT), ERR_NONE);
	assert_int_equal(try_add(b, b->alice, 3500, STORE_QUOTA_STRICT), ERR_NONE);
	FAILS_IN_TXN(b, b->alice,
		     store_copy(t, b->alice, inbox, &uids, trash, NULL, NULL, &e),
		     ERR_OVERQUOTA);
	assert_int_equal(mbox_get(b, b->alice, trash).messages, 0); /* not even one */
	IN_TXN(b, b->alice, store_move(t, b->alice, inbox, &uids, trash, NULL, NULL, &e));
	assert_int_equal(mbox_get(b, b->alice, trash).messages, 2);
	uids.n = 1;
	IN_TXN(b, b->alice, store_copy(t, b->alice, trash, &uids, inbox, NULL, NULL, &e));
	assert_int_equal(account(b, "alice@example.org").bytes, 7500);
}

/* --- domains ------------------------------------------------------------------------ */
static void test_a_domain_limits_its_accounts_together(void **state)
{
	struct bench *b = *state;
	struct store_domain_quota q;

	assert_int_equal(try_add(b, b->alice, 3000, STORE_QUOTA_STRICT), ERR_NONE);
	OK(store_quota_set_domain(b->s, SL("Example.org"), 10000, STORE_QUOTA_KEEP, &e));
	assert_int_equal(try_add(b, b->bob, 5000, STORE_QUOTA_STRICT), ERR_NONE);
	assert_int_equal(room(b, b->alice, 2000), STORE_ROOM);
	assert_int_equal(room(b, b->alice, 2001), STORE_ROOM_NOT_NOW);
	assert_int_equal(try_add(b, b->alice, 2001, STORE_QUOTA_STRICT), ERR_OVERQUOTA);
	assert_int_equal(try_add(b, b->alice, 2000, STORE_QUOTA_STRICT), ERR_NONE);
	assert_int_equal(room(b, b->bob, 0), STORE_ROOM_NOT_NOW);
	OK(store_quota_domain(b->s, SL("example.org"), &q, &e));
	assert_true(q.bytes == 10000 && q.messages == 3 && q.quota_bytes == 10000);
	/* what one deletes, another may use */
	uint32_t all[] = { 1 };
	struct store_uids uids = { all, 1 };

	IN_TXN(b, b->bob,
	       store_expunge(t, b->bob, mbox_id(b, b->bob, "INBOX"), &uids, false, NULL,
			     &e));
	assert_int_equal(room(b, b->alice, 5000), STORE_ROOM);
	FAILS(store_quota_set_domain(b->s, SL("example.com"), 1, 1, &e), ERR_NO_DOMAIN);
}

static void test_a_domain_is_counted_again_when_accounts_leave_it(void **state)
{
	struct bench *b = *state;

	OK(store_domain_add(b->s, SL("example.net"), &e));
	OK(store_quota_set_domain(b->s, SL("example.org"), 10000, 0, &e));
	assert_int_equal(try_add(b, b->bob, 9000, STORE_QUOTA_STRICT), ERR_NONE);
	assert_int_equal(room(b, b->alice, 5000), STORE_ROOM_NOT_NOW);
	OK(store_account_rename(b->s, SL("bob@example.org"), SL("bob@example.net"), &e));
	OK(store_quota_refresh(b->s, false, &e));
	assert_int_equal(room(b, b->alice, 5000), STORE_ROOM);
	/* bob's mail is no longer the domain's */
	assert_int_equal(try_add(b, b->bob, 9000, STORE_QUOTA_STRICT), ERR_NONE);
	assert_int_equal(room(b, b->alice, 5000), STORE_ROOM);
	bench_reopen(b);
	OK(store_quota_refresh(b->s, false, &e));
	assert_int_equal(try_add(b, b->alice, 9900, STORE_QUOTA_STRICT), ERR_NONE);
	assert_int_equal(try_add(b, b->alice, 200, STORE_QUOTA_STRICT), ERR_OVERQUOTA);
}

/* --- letters ------------------------------------------------------------------------ */
static size_t count(struct bench *b)
{
	return mbox_get(b, b->alice, mbox_id(b, b->alice, "INBOX")).messages;
}

static slice newest(struct bench *b)
{
	uint32_t inbox = mbox_id(b, b->alice, "INBOX");
	struct store_row row;
	struct store_email m;

	OK(store_row_get(b->s, b->alice, inbox, mbox_get(b, b->alice, inbox).uidnext - 1,
			 &row, &e));
	OK(store_email_get(b->s, b->alice, row.email, &b->a, &m, &e));
	return whole(b, &m);
}

static slice field(struct bench *b, slice text, const char *name)
{
	slice v = mime_header_get(&b->a, slice_sub(text, 0, mime_header_length(text)),
				  slice_str(name));

	return mime_words_decode(&b->a, v);
}

static void drop(struct bench *b, uint32_t uid)
{
	struct store_uids uids = { &uid, 1 };

	IN_TXN(b, b->alice,
	       store_expunge(t, b->alice, mbox_id(b, b->alice, "INBOX"), &uids, false,
			     NULL, &e));
}

static void test_a_letter_comes_once_for_each_crossing_upward(void **state)
{
	struct bench *b = *state;

	OK(store_quota_set(b->s, SL("alice@example.org"), 1000000, 0, &e));
	try_add(b, b->alice, 790000, STORE_QUOTA_STRICT);
	assert_int_equal(count(b), 1);
	try_add(b, b->alice, 20000, STORE_QUOTA_STRICT); /* 81 % */
	assert_int_equal(count(b), 3);
	try_add(b, b->alice, 20000, STORE_QUOTA_STRICT); /* 83 % */
	assert_int_equal(count(b), 4);
	bench_reopen(b);				  /* it is remembered */
	try_add(b, b->alice, 130000, STORE_QUOTA_STRICT); /* 96 % */
	assert_int_equal(count(b), 6);
	assert_true(slice_find(field(b, newest(b), "Subject"), SL("95"), 0) < 60);
	try_add(b, b->alice, 10000, STORE_QUOTA_STRICT);
	assert_int_equal(count(b), 7);
	drop(b, 1); /* far below */
	assert_int_equal(count(b), 6);
	try_add(b, b->alice, 700000, STORE_QUOTA_STRICT); /* 89 %, again */
	assert_int_equal(count(b), 8);
	assert_true(slice_find(field(b, newest(b), "Subject"), SL("80"), 0) < 60);
}

static void test_a_jump_over_both_marks_brings_one_letter(void **state)
{
	struct bench *b = *state;

	OK(store_quota_set(b->s, SL("alice@example.org"), 1000000, 0, &e));
	try_add(b, b->alice, 999900, STORE_QUOTA_STRICT);
	assert_int_equal(count(b), 2); /* also when there is no room for it */
	assert_true(account(b, "alice@example.org").bytes > 1000000);
	assert_true(slice_find(field(b, newest(b), "Subject"), SL("95"), 0) < 60);
}

static void test_who_gives_uids_gets_no_letter_in_between(void **state)
{
	struct bench *b = *state;
	struct intake *in = message(b, text_of(b, 900000));
	struct store_place place = { .account = b->alice,
				     .internal_date = NOW_S,
				     .no_letter = true };

	OK(store_quota_set(b->s, SL("alice@example.org"), 1000000, 0, &e));
	IN_TXN(b, b->alice, store_add(t, in, &place, NULL, &e));
	intake_free(in);
	assert_int_equal(count(b), 1);
	try_add(b, b->alice, 1000, STORE_QUOTA_STRICT); /* it comes with the next one */
	assert_int_equal(count(b), 3);
}

static void test_a_letter_is_a_well_formed_message_in_the_language_of_the_account(
	void **state)
{
	struct bench *b = *state;
	AUTO_BUF body;
	struct mime_decoder d;

	OK(store_quota_set(b->s, SL("alice@example.org"), 100u << 20, 3, &e));
	OK(store_account_set_language(b->s, SL("alice@example.org"), SL("fr"), &e));
	FAILS(store_account_set_language(b->s, SL("alice@example.org"), SL("xx"), &e),
	      ERR_SYNTAX);
	try_add(b, b->alice, 3u << 20, STORE_QUOTA_STRICT);
	try_add(b, b->alice, 1000, STORE_QUOTA_STRICT);
	try_add(b, b->alice, 1000, STORE_QUOTA_STRICT);
	slice text = newest(b);

	assert_slice(field(b, text, "Subject"),
		     "Votre boîte aux lettres est presque pleine (95 %)");
	assert_slice(field(b, text, "Auto-Submitted"), "auto-generated");
	assert_slice(field(b, text, "MIME-Version"), "1.0");
	assert_slice(field(b, text, "To"), "alice@example.org");
	assert_true(slice_ends(field(b, text, "From"), SL("<postmaster@example.org>")));
	assert_true(field(b, text, "Message-ID").n > 20);
	assert_true(field(b, text, "Date").n > 20);
	for (size_t at = 0; at < text.n;) { /* RFC 5322 2.1.1, 2045 6.7: lines, ASCII */
		size_t end = slice_find(text, SL("\r\n"), at);

		assert_true(end < text.n && end - at <= 78);
		for (; at < end; at++)
			assert_true(text.p[at] > 0 && text.p[at] != '\n');
		at = end + 2;
	}
	buf_init(&body, 100000);
	mime_decoder_init(&d, MIME_ENC_QP);
	mime_decoder_feed(&d, slice_from(text, mime_header_length(text)), &body);
	mime_decoder_finish(&d, &body);
	slice words = buf_slice(&body);

	assert_true(slice_find(words, SL("3,0 Mo sur 100,0 Mo sont utilisés"), 0) <
		    words.n);
	assert_true(slice_find(words, SL("3 messages sur 3"), 0) < words.n);
	assert_true(slice_find(words, SL("alice@example.org"), 0) < words.n);
}

/* --- everybody at once -------------------------------------------------------------- */
enum { THREADS = 6, EACH = 60, SIZE = 1000 };

struct adder {
	struct bench *b;
	slice text;
	uint32_t account;
	unsigned taken, refused;
	pthread_t thread;
};

/* No assertions in here: cmocka's belong to the thread of the test. */
static void *add_many(void *arg)
{
	struct adder *x = arg;
	struct store_place place = { .account = x->account,
				     .internal_date = NOW_S,
				     .quota = STORE_QUOTA_STRICT };

	for (int i = 0; i < EACH; i++) {
		struct intake *in = intake_new(x->b->s, 0, LIMIT_MESSAGE);
		struct store_txn *t;
		struct err e = { 0 };
		enum status st = intake_write(in, x->text, &e);

		if (st == ST_OK)
			st = intake_end(in, &e);
		if (st == ST_OK)
			st = store_begin(x->b->s, &x->account, 1, NULL, &t, &e);
		if (st == ST_OK && store_add(t, in, &place, NULL, &e) == ST_OK)
			x->taken += store_commit_wait(t, &e) == ST_OK;
		else if (st == ST_OK)
			store_abort(t);
		x->refused += e.code == ERR_OVERQUOTA;
		intake_free(in);
	}
	return NULL;
}

static void test_many_at_once_never_pass_a_limit(void **state)
{
	struct bench *b = mem_new(sizeof(*b));
	struct adder x[THREADS] = { 0 };
	struct store_domain_quota q;
	unsigned taken = 0, refused = 0;

	(void)state;
	bench_open(b, KV_COMMIT_THREAD);
	/* alice may have 100 messages of that size and the letters, the domain 180 */
	OK(store_quota_set(b->s, SL("alice@example.org"), 100 * SIZE + 500, 0, &e));
	OK(store_quota_set_domain(b->s, SL("example.org"), 180 * SIZE, 0, &e));
	slice text = text_of(b, SIZE);

	for (int i = 0; i < THREADS; i++) {
		x[i].b = b;
		x[i].text = text;
		x[i].account = i % 2 ? b->alice : b->bob;
		assert_int_equal(pthread_create(&x[i].thread, NULL, add_many, &x[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(x[i].thread, NULL);
		taken += x[i].taken;
		refused += x[i].refused;
	}
	assert_int_equal(taken + refused, THREADS * EACH);
	assert_true(account(b, "alice@example.org").bytes <= 100 * SIZE + 500 + 3 * SIZE);
	OK(store_quota_domain(b->s, SL("example.org"), &q, &e));
	assert_int_equal(q.bytes, account(b, "alice@example.org").bytes +
					  account(b, "bob@example.org").bytes);
	/* at most one message of each transaction that looked before the last was counted */
	assert_true(q.bytes <= (180 + 2 + 3) * SIZE);
	assert_true(taken >= 170);
	bench_close(b);
	mem_free(b);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, bench_setup, bench_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_without_limits_nothing_is_refused),
		TEST(test_a_limit_in_octets_is_exact),
		TEST(test_a_limit_in_messages_counts_them),
		TEST(test_numbers_at_the_end_of_their_range_do_not_wrap),
		TEST(test_a_message_whose_recipient_was_accepted_has_a_grace),
		TEST(test_own_limits_win_and_can_be_given_up),
		TEST(test_a_copy_counts_and_a_move_does_not),
		TEST(test_a_domain_limits_its_accounts_together),
		TEST(test_a_domain_is_counted_again_when_accounts_leave_it),
		cmocka_unit_test(test_many_at_once_never_pass_a_limit),
		TEST(test_a_letter_comes_once_for_each_crossing_upward),
		TEST(test_a_jump_over_both_marks_brings_one_letter),
		TEST(test_who_gives_uids_gets_no_letter_in_between),
		TEST(test_a_letter_is_a_well_formed_message_in_the_language_of_the_account),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
