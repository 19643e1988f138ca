/* test_store_directory.c — domains, accounts, aliases, and whom an address reaches. */
#include "store_test.h"

static struct store_recipient resolve(struct bench *b, const char *address)
{
	struct store_recipient r;

	OK(store_resolve(b->s, slice_str(address), &b->a, &r, &e));
	return r;
}

static void reaches(struct bench *b, const char *address, uint32_t account)
{
	struct store_recipient r = resolve(b, address);

	if (r.what != STORE_LOCAL || r.account != account)
		fail_msg("%s: %d, account %u", address, r.what, r.account);
}

static void is_unknown(struct bench *b, const char *address, enum store_resolution what)
{
	struct store_recipient r = resolve(b, address);

	if (r.what != what)
		fail_msg("%s: %d instead of %d", address, r.what, what);
}

static void test_an_address_finds_its_account_in_any_case(void **state)
{
	struct bench *b = *state;

	for (int again = 0; again < 2; again++) { /* the second time from memory */
		reaches(b, "alice@example.org", b->alice);
		reaches(b, "Alice@EXAMPLE.Org", b->alice);
		reaches(b, "\"alice\"@example.org", b->alice);
		reaches(b, "\"al\\ice\"@example.org", b->alice);
		assert_slice(resolve(b, "ALICE@example.org").address,
			     "alice@example.org");
	}
}

static void test_what_is_remembered_needs_no_read(void **state)
{
	struct bench *b = *state;
	struct store_recipient r;
	slice alice = SL("Alice@example.org");
	bool may;

	assert_false(store_resolve_cached(b->s, alice, &b->a, &r));
	assert_false(store_may_send_as_cached(b->s, b->alice, alice, &may));
	reaches(b, "alice@example.org", b->alice);
	assert_true(store_resolve_cached(b->s, alice, &b->a, &r));
	assert_int_equal(r.what, STORE_LOCAL);
	assert_int_equal(r.account, b->alice);
	assert_true(store_may_send_as_cached(b->s, b->alice, alice, &may));
	assert_true(may);
	assert_true(store_may_send_as_cached(b->s, b->alice + 1, alice, &may));
	assert_false(may);
	OK(store_domain_add(b->s, SL("another.example"), &e)); /* voids it all */
	assert_false(store_resolve_cached(b->s, alice, &b->a, &r));
	assert_false(store_resolve_cached(b->s, SL("@"), &b->a, &r));
}

static void test_unknown_users_and_domains_are_told_apart(void **state)
{
	struct bench *b = *state;

	is_unknown(b, "nobody@example.org", STORE_UNKNOWN_USER);
	is_unknown(b, "alice@example.com", STORE_UNKNOWN_DOMAIN);
	is_unknown(b, "alice", STORE_UNKNOWN_DOMAIN);
	is_unknown(b, "", STORE_UNKNOWN_DOMAIN);
	is_unknown(b, "@example.org", STORE_UNKNOWN_USER);
	is_unknown(b, "alice@[127.0.0.1]", STORE_UNKNOWN_DOMAIN);
	is_unknown(b, "alice@example.org@example.com", STORE_UNKNOWN_DOMAIN);
	is_unknown(b, "\"alice@example.org", STORE_UNKNOWN_USER);
	is_unknown(b, "alice@example..org", STORE_UNKNOWN_DOMAIN);
	is_unknown(b, "alice@-example.org", STORE_UNKNOWN_DOMAIN);
	is_unknown(b, "alice@.example.org", STORE_UNKNOWN_DOMAIN);
	is_unknown(b, "alice@example.org.", STORE_UNKNOWN_DOMAIN);
}

static void test_postmaster_and_abuse_reach_the_admin_until_somebody_has_the_name(
	void **state)
{
	struct bench *b = *state;
	uint32_t abuse;

	reaches(b, "Postmaster",
		b->alice); /* RFC 5321 4.5.1; the first account is admin */
	reaches(b, "postmaster@example.org", b->alice);
	reaches(b, "ABUSE@example.org", b->alice);
	is_unknown(b, "postmaster@example.com", STORE_UNKNOWN_DOMAIN);
	OK(store_account_add(b->s, SL("abuse@example.org"), SL("x"), &abuse, &e));
	reaches(b, "abuse@example.org", abuse);
	OK(store_alias_add(b->s, SL("postmaster@example.org"), SL("bob@example.org"),
			   &e));
	reaches(b, "postmaster@example.org", b->bob);
	reaches(b, "postmaster", b->alice);
}

static void test_a_domain_is_found_by_both_its_spellings(void **state)
{
	struct bench *b = *state;
	uint32_t id;
	slice *list;
	size_t n;

	OK(store_domain_add(b->s, SL("Bücher.example"), &e));
	FAILS(store_domain_add(b->s, SL("xn--bcher-kva.example"), &e), ERR_EXISTS);
	OK(store_account_add(b->s, SL("jürgen@bücher.example"), SL("x"), &id, &e));
	reaches(b, "jürgen@xn--bcher-kva.example", id);
	reaches(b, "jürgen@BÜCHER.example", id);
	reaches(b, "jürgen@XN--BCHER-KVA.example", id);
	OK(store_domain_list(b->s, &b->a, &list, &n, &e));
	assert_int_equal(n, 2);
	assert_slice(list[0], "example.org");
	assert_slice(list[1], "xn--bcher-kva.example");
}

static void test_bad_domains_and_addresses_are_refused(void **state)
{
	struct bench *b = *state;
	uint32_t id;

	FAILS(store_domain_add(b->s, SL(""), &e), ERR_SYNTAX);
	FAILS(store_domain_add(b->s, SL("a b"), &e), ERR_SYNTAX);
	FAILS(store_domain_add(b->s, SL("a@b"), &e), ERR_SYNTAX);
	FAILS(store_domain_add(b->s, SL("a..b"), &e), ERR_SYNTAX);
	FAILS(store_domain_add(b->s, SL("a\0b"), &e), ERR_SYNTAX);
	FAILS(store_account_add(b->s, SL("carol"), SL("x"), &id, &e), ERR_SYNTAX);
	FAILS(store_account_add(b->s, SL("@example.org"), SL("x"), &id, &e), ERR_SYNTAX);
	FAILS(store_account_add(b->s, SL("a\nb@example.org"), SL("x"), &id, &e),
	      ERR_SYNTAX);
	FAILS(store_account_add(b->s, SL("a\0b@example.org"), SL("x"), &id, &e),
	      ERR_SYNTAX);
	FAILS(store_account_add(b->s, SL("carol@example.com"), SL("x"), &id, &e),
	      ERR_NO_DOMAIN);
	FAILS(store_account_add(b->s, SL("ALICE@example.org"), SL("x"), &id, &e),
	      ERR_EXISTS);
}

static void test_a_domain_with_accounts_or_aliases_stays(void **state)
{
	struct bench *b = *state;

	FAILS(store_domain_remove(b->s, SL("example.org"), &e), ERR_CANNOT);
	FAILS(store_domain_remove(b->s, SL("example.net"), &e), ERR_NO_DOMAIN);
	OK(store_domain_add(b->s, SL("example.net"), &e));
	is_unknown(b, "x@example.net", STORE_UNKNOWN_USER);
	OK(store_alias_add(b->s, SL("x@example.net"), SL("bob@example.org"), &e));
	FAILS(store_domain_remove(b->s, SL("example.net"), &e), ERR_CANNOT);
	OK(store_alias_remove(b->s, SL("x@example.net"), &e));
	OK(store_domain_remove(b->s, SL("example.net"), &e));
	is_unknown(b, "x@example.net", STORE_UNKNOWN_DOMAIN);
}

static void test_aliases_follow_their_account_when_it_is_renamed(void **state)
{
	struct bench *b = *state;
	struct store_alias *list;
	size_t n;

	OK(store_alias_add(b->s, SL("Info@example.org"), SL("bob@example.org"), &e));
	reaches(b, "info@example.org", b->bob);
	OK(store_account_rename(b->s, SL("bob@example.org"), SL("robert@example.org"),
				&e));
	reaches(b, "info@example.org", b->bob);
	reaches(b, "robert@example.org", b->bob);
	is_unknown(b, "bob@example.org", STORE_UNKNOWN_USER);
	assert_slice(resolve(b, "info@example.org").address, "robert@example.org");
	OK(store_alias_list(b->s, &b->a, &list, &n, &e));
	assert_int_equal(n, 1);
	assert_slice(list[0].address, "info@example.org");
	assert_slice(list[0].target, "robert@example.org");
	FAILS(store_alias_add(b->s, SL("info@example.org"), SL("alice@example.org"), &e),
	      ERR_EXISTS);
	FAILS(store_alias_add(b->s, SL("y@example.org"), SL("info@example.org"), &e),
	      ERR_NO_ACCOUNT);
	FAILS(store_alias_add(b->s, SL("y@example.org"), SL("z@example.org"), &e),
	      ERR_NO_ACCOUNT);
	FAILS(store_alias_remove(b->s, SL("alice@example.org"), &e), ERR_NO_ACCOUNT);
}

static void test_an_account_sends_as_itself_and_its_aliases_only(void **state)
{
	struct bench *b = *state;

	OK(store_alias_add(b->s, SL("info@example.org"), SL("bob@example.org"), &e));
	assert_true(store_may_send_as(b->s, b->bob, SL("BOB@example.org")));
	assert_true(store_may_send_as(b->s, b->bob, SL("info@example.org")));
	assert_false(store_may_send_as(b->s, b->alice, SL("info@example.org")));
	assert_false(store_may_send_as(b->s, b->alice, SL("bob@example.org")));
	assert_false(store_may_send_as(b->s, b->alice, SL("x@example.com")));
	assert_false(store_may_send_as(b->s, 0, SL("x@example.com")));
	assert_false(store_may_send_as(b->s, b->alice, SL("")));
}

static void test_what_an_account_is_can_be_read_and_changed(void **state)
{
	struct bench *b = *state;
	struct store_account a;

	OK(store_account_get(b->s, SL("Bob@example.org"), &b->a, &a, &e));
	assert_int_equal(a.id, b->bob);
	assert_slice(a.verifier, "{X}b");
	assert_false(a.is_admin);
	assert_int_equal(a.created, NOW_S);
	OK(store_account_set_verifier(b->s, SL("bob@example.org"), SL("{X}new"), &e));
	OK(store_account_set_disabled(b->s, SL("bob@example.org"), true, &e));
	assert_true(resolve(b, "bob@example.org").disabled);
	OK(store_account_by_id(b->s, b->bob, &b->a, &a, &e));
	assert_slice(a.verifier, "{X}new");
	assert_true(a.disabled);
	OK(store_account_set_disabled(b->s, SL("bob@example.org"), false, &e));
	assert_false(resolve(b, "bob@example.org").disabled);
	FAILS(store_account_set_disabled(b->s, SL("x@example.org"), false, &e),
	      ERR_NO_ACCOUNT);
	FAILS(store_account_get(b->s, SL("x@example.org"), &b->a, &a, &e),
	      ERR_NO_ACCOUNT);
	FAILS(store_account_get(b->s, SL("bob"), &b->a, &a, &e), ERR_NO_ACCOUNT);
	FAILS(store_account_by_id(b->s, 77, &b->a, &a, &e), ERR_NO_ACCOUNT);
}

static void test_a_removed_account_takes_its_mail_along_and_its_id_is_not_given_again(
	void **state)
{
	struct bench *b = *state;
	struct store_account *list;
	size_t n, done;
	uint32_t again;
	struct store_txn *t;
	struct store_place place = { .account = b->alice };

	for (int i = 0; i < 5; i++)
		deliver(b, b->alice, 0, SL(""), SL("Subject: x\r\n\r\nbody\r\n"));
	OK(store_alias_add(b->s, SL("info@example.org"), SL("alice@example.org"), &e));
	OK(store_account_remove(b->s, SL("alice@example.org"), &e));
	is_unknown(b, "alice@example.org", STORE_UNKNOWN_USER);
	is_unknown(b, "info@example.org", STORE_UNKNOWN_USER);
	reaches(b, "postmaster@example.org", b->bob); /* the next one is admin */
	struct intake *in = message(b, SL("x\r\n"));

	t = begin(b, b->alice);
	FAILS(store_add(t, in, &place, NULL, &e), ERR_NO_ACCOUNT);
	store_abort(t);
	intake_free(in);
	OK(store_account_add(b->s, SL("alice@example.org"), SL("x"), &again, &e));
	assert_int_not_equal(again, b->alice);
	OK(store_sweep(b->s, SIZE_MAX, &done, &e));
	assert_true(done > 5);
	OK(store_account_list(b->s, &b->a, &list, &n, &e));
	assert_int_equal(n, 2);
	assert_int_equal(list[0].messages, 0);
	assert_slice(list[1].address, "bob@example.org");
	assert_true(list[1].is_admin);
	FAILS(store_account_remove(b->s, SL("nobody@example.org"), &e), ERR_NO_ACCOUNT);
}

static bool count_any(void *ctx, slice key, slice value)
{
	(void)value;
	if (key.p[0] != 's') /* counts of segments, whichever there are */
		++*(size_t *)ctx;
	return true;
}

static size_t all_rows(struct bench *b)
{
	struct kv_range r = { SL(""), SL(""), false };
	struct kv_collected c;
	size_t n = 0;

	OK(kv_collect(b->kv, &c, &e));
	OK(kv_scan(b->kv, NULL, &r, count_any, &n, &e));
	return n;
}

static void test_a_removed_account_leaves_no_row_behind(void **state)
{
	struct bench *b = *state;
	uint32_t carol;
	size_t before, done;

	OK(store_sweep(b->s, SIZE_MAX, &done, &e));
	before = all_rows(b);
	OK(store_account_add(b->s, SL("carol@example.org"), SL("x"), &carol, &e));
	for (int i = 0; i < 1200; i++)
		deliver(b, carol, 0, SL(""), SL("Message-ID: <a@b>\r\n\r\nbody\r\n"));
	IN_TXN(b, carol, store_mailbox_delete(t, carol, SL("Sent"), &e));
	OK(store_account_remove(b->s, SL("carol@example.org"), &e));
	OK(store_sweep(b->s, SIZE_MAX, &done, &e));
	assert_int_equal(all_rows(b),
			 before + 1); /* the value of UIDVALIDITY given out */
}

static void test_many_accounts_are_made_in_one_go_and_each_line_has_its_answer(
	void **state)
{
	struct bench *b = *state;
	struct store_new_account list[] = {
		{ .address = S("n1@example.org"), .verifier = S("1") },
		{ .address = S("bob@example.org"), .verifier = S("2") },
		{ .address = S("n1@example.org"), .verifier = S("3") },
		{ .address = S("n2@example.com"), .verifier = S("4") },
		{ .address = S("rubbish"), .verifier = S("5") },
		{ .address = S("n3@example.org"), .verifier = S("6") },
	};
	struct store_recipient r;

	OK(store_account_add_many(b->s, list, 6, &e));
	assert_int_equal(list[0].result, ERR_NONE);
	assert_int_equal(list[1].result, ERR_EXISTS);
	assert_int_equal(list[2].result, ERR_EXISTS);
	assert_int_equal(list[3].result, ERR_NO_DOMAIN);
	assert_int_equal(list[4].result, ERR_SYNTAX);
	assert_int_equal(list[5].result, ERR_NONE);
	r = resolve(b, "n3@example.org");
	assert_int_equal(r.what, STORE_LOCAL);
	assert_int_equal(deliver(b, r.account, 0, SL(""), SL("x\r\n")), 1);
	assert_int_equal(mbox_get(b, r.account, mbox_id(b, r.account, "Junk")).role,
			 ROLE_JUNK);
}

static void test_a_newer_format_is_left_alone_with_a_sentence(void **state)
{
	struct bench *b = *state;
	struct kv_txn *t;
	const uint32_t ids[] = { 0 };
	struct store *s;
	struct err why = { 0 };
	char row[33] = { 1, 0, 0, 0, 9 };

	OK(kv_begin(b->kv, ids, 1, NULL, &t, &e));
	kv_put(t, SL("Sf"), slice_make(row, sizeof(row)));
	OK(kv_commit_wait(t, &e));
	assert_int_not_equal(store_open(b->kv, &b->clock, &s, &why), ST_OK);
	assert_non_null(strstr(why.text, "newer Facteur (format 9)"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_an_address_finds_its_account_in_any_case),
		TEST(test_what_is_remembered_needs_no_read),
		TEST(test_unknown_users_and_domains_are_told_apart),
		TEST(test_postmaster_and_abuse_reach_the_admin_until_somebody_has_the_name),
		TEST(test_a_domain_is_found_by_both_its_spellings),
		TEST(test_bad_domains_and_addresses_are_refused),
		TEST(test_a_domain_with_accounts_or_aliases_stays),
		TEST(test_aliases_follow_their_account_when_it_is_renamed),
		TEST(test_an_account_sends_as_itself_and_its_aliases_only),
		TEST(test_what_an_account_is_can_be_read_and_changed),
		TEST(test_a_removed_account_takes_its_mail_along_and_its_id_is_not_given_again),
		TEST(test_a_removed_account_leaves_no_row_behind),
		TEST(test_many_accounts_are_made_in_one_go_and_each_line_has_its_answer),
		TEST(test_a_newer_format_is_left_alone_with_a_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
