/* test_store_restore.c — store_after_restore: nothing that was given out after the backup is given out again. */
#include "store/store_restore.h"
#include "store_test.h"

#define TEXT SL("Message-ID: <a@b>\r\nSubject: x\r\n\r\nbody\r\n")

/* Two lives of one store: what the first did after the backup, and what the restored one does, side by side. */
struct lives {
	struct bench first, second;
};

static int setup(void **state)
{
	struct lives *l = mem_new(sizeof(*l));

	bench_open(&l->first, KV_COMMIT_INLINE);
	bench_open(&l->second, KV_COMMIT_INLINE);
	/* The backup holds two messages in each; both stores do the same up to it. */
	for (int i = 0; i < 2; i++) {
		deliver(&l->first, l->first.alice, 0, SL(""), TEXT);
		deliver(&l->second, l->second.alice, 0, SL(""), TEXT);
	}
	*state = l;
	return 0;
}

static int teardown(void **state)
{
	struct lives *l = *state;

	bench_close(&l->first);
	bench_close(&l->second);
	mem_free(l);
	return 0;
}

static struct store_restored restore(struct bench *b, uint32_t epoch,
				     uint32_t uidvalidity)
{
	struct store_restored r = { 0 };

	store_close(b->s);
	OK(store_after_restore(b->kv, &b->clock, epoch, uidvalidity, &r, &e));
	OK(store_open(b->kv, &b->clock, &b->s, &e));
	return r;
}

static uint64_t email_of(struct bench *b, uint32_t account, uint32_t mbox, uint32_t uid)
{
	struct store_row r = { 0 };

	OK(store_row_get(b->s, account, mbox, uid, &r, &e));
	return r.email;
}

static void ids_of_the_two_lives_never_meet(void **state)
{
	struct lives *l = *state;
	struct bench *x = &l->first, *y = &l->second;
	uint32_t box = mbox_id(x, x->alice, "INBOX"), one, two, carol, dave;
	struct store_restored r = restore(y, 0, 0);

	assert_int_equal(r.epoch, 2);
	assert_int_equal(r.accounts, 2);
	assert_int_equal(r.mailboxes, 12);
	assert_int_equal(email_of(x, x->alice, box, 1),
			 email_of(y, y->alice, box, 1)); /* the same message */
	uint32_t uid_x = deliver(x, x->alice, 0, SL(""), TEXT);
	uint32_t uid_y = deliver(y, y->alice, 0, SL(""), TEXT);

	assert_int_equal(uid_x, 3);
	assert_true(uid_y > 100000);
	assert_int_not_equal(email_of(x, x->alice, box, uid_x),
			     email_of(y, y->alice, box, uid_y));
	IN_TXN(x, x->alice,
	       store_mailbox_create(t, x->alice, SL("new"), ROLE_NONE, &one, &e));
	IN_TXN(y, y->alice,
	       store_mailbox_create(t, y->alice, SL("new"), ROLE_NONE, &two, &e));
	assert_int_not_equal(one, two);
	assert_int_not_equal(mbox_get(x, x->alice, one).uidvalidity,
			     mbox_get(y, y->alice, two).uidvalidity);
	OK(store_account_add(x->s, SL("carol@example.org"), SL("{X}c"), &carol, &e));
	OK(store_account_add(y->s, SL("dave@example.org"), SL("{X}d"), &dave, &e));
	assert_int_not_equal(carol, dave);
}

static void every_mailbox_has_a_new_uidvalidity_above_all_others(void **state)
{
	struct lives *l = *state;
	struct bench *x = &l->first, *y = &l->second;
	struct store_mailbox *was, *is;
	size_t n_was, n_is;
	uint32_t highest = 0, made;

	/* The first life makes mailboxes after the backup, faster than the clock goes. */
	for (int i = 0; i < 300; i++) {
		slice name = arena_fmt(&x->a, "later%d", i);

		IN_TXN(x, x->alice,
		       store_mailbox_create(t, x->alice, name, ROLE_NONE, &made, &e));
	}
	OK(store_mailbox_list(x->s, x->alice, &x->a, &was, &n_was, &e));
	for (size_t i = 0; i < n_was; i++)
		highest = was[i].uidvalidity > highest ? was[i].uidvalidity : highest;
	assert_true(highest > NOW_S);
	clock_advance(&y->clock,
		      -60ll * 1000000); /* and the new machine's clock is behind */
	restore(y, 0, 0);
	OK(store_mailbox_list(y->s, y->alice, &y->a, &is, &n_is, &e));
	for (size_t i = 0; i < n_is; i++) {
		assert_true(is[i].uidvalidity > highest);
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(is[i].uidvalidity, is[k].uidvalidity);
	}
	/* One made now is above them too. */
	IN_TXN(y, y->alice,
	       store_mailbox_create(t, y->alice, SL("now"), ROLE_NONE, &made, &e));
	for (size_t i = 0; i < n_is; i++)
		assert_true(mbox_get(y, y->alice, made).uidvalidity > is[i].uidvalidity);
}

static void two_restores_of_one_backup_differ(void **state)
{
	struct lives *l = *state;
	struct store_restored one = restore(&l->first, 0, 0);
	struct store_restored two = restore(&l->second, one.epoch, one.uidvalidity);
	uint32_t box = mbox_id(&l->first, l->first.alice, "INBOX");

	assert_true(two.epoch > one.epoch);
	assert_true(mbox_get(&l->second, l->second.alice, box).uidvalidity >
		    one.uidvalidity + 100000);
	uint32_t uid_1 = deliver(&l->first, l->first.alice, 0, SL(""), TEXT);
	uint32_t uid_2 = deliver(&l->second, l->second.alice, 0, SL(""), TEXT);

	assert_int_not_equal(email_of(&l->first, l->first.alice, box, uid_1),
			     email_of(&l->second, l->second.alice, box, uid_2));
}

static void modseqs_go_on_above_all_that_was_seen(void **state)
{
	struct lives *l = *state;
	struct bench *x = &l->first, *y = &l->second;
	uint32_t box = mbox_id(x, x->alice, "INBOX");
	const struct store_view *before, *after;
	struct store_changes c;

	for (int i = 0; i < 50; i++)
		deliver(x, x->alice, 0, SL(""), TEXT);
	restore(y, 0, 0);
	assert_true(mbox_get(y, y->alice, box).modseq >
		    mbox_get(x, x->alice, box).modseq);
	OK(store_view_open(y->s, y->alice, box, &before, &e));
	assert_int_equal(before->n, 2);
	deliver(y, y->alice, 0, SL(""), TEXT);
	OK(store_view_open(y->s, y->alice, box, &after, &e));
	OK(store_changes_between(y->s, before, after, &y->a, &c, &e));
	assert_int_equal(c.added.n, 1);
	assert_int_equal(c.expunged.n, 0);
	store_view_unref(y->s, before);
	store_view_unref(y->s, after);
}

static bool count_row(void *ctx, slice key, slice value)
{
	(void)value;
	if (key.n > 5 && key.p[5] == 'l')
		++*(int *)ctx;
	return true;
}

static void the_history_that_did_not_happen_is_gone(void **state)
{
	struct lives *l = *state;
	struct bench *y = &l->second;
	struct kv_range all = { .from = SL("A"), .to = SL("B") };
	int rows = 0;

	OK(kv_scan(y->kv, NULL, &all, count_row, &rows, &e));
	assert_true(rows > 0);
	restore(y, 0, 0);
	rows = 0;
	OK(kv_scan(y->kv, NULL, &all, count_row, &rows, &e));
	assert_int_equal(rows, 0);
}

static void when_epochs_or_values_run_out_nothing_is_changed(void **state)
{
	struct lives *l = *state;
	struct bench *y = &l->second;
	struct store_restored r;
	struct store_facts f = { 0 };
	uint32_t box = mbox_id(y, y->alice, "INBOX"),
		 was = mbox_get(y, y->alice, box).uidvalidity;

	store_close(y->s);
	FAILS(store_after_restore(y->kv, &y->clock, STORE_EPOCH_MAX, 0, &r, &e),
	      ERR_LIMIT);
	FAILS(store_after_restore(y->kv, &y->clock, 0, UINT32_MAX - 5, &r, &e),
	      ERR_LIMIT);
	OK(store_open(y->kv, &y->clock, &y->s, &e));
	assert_int_equal(mbox_get(y, y->alice, box).uidvalidity, was);
	OK(store_facts(y->s, &f, &e));
	assert_int_equal(f.epoch, 1);
	assert_int_equal(f.accounts, 2);
	assert_int_equal(f.messages, 2);
	assert_true(f.uidvalidity >= was);
}

/* More than one transaction takes. */
static void every_account_of_many_has_its_turn(void **state)
{
	enum { PARTS = 9, PART = 500 };
	static struct store_new_account list[PART];
	struct lives *l = *state;
	struct bench *y = &l->second;
	struct store_account *acct;
	struct store_restored r;
	uint32_t below = 0;
	size_t n;

	for (int p = 0; p < PARTS; p++) {
		for (int i = 0; i < PART; i++)
			list[i] = (struct store_new_account){
				arena_fmt(&y->a, "u%d-%d@example.org", p, i), SL("{X}x"),
				ERR_NONE
			};
		OK(store_account_add_many(y->s, list, PART, &e));
	}
	r = restore(y, 0, 0);
	assert_int_equal(r.accounts, PARTS * PART + 2);
	assert_int_equal(r.mailboxes, 6 * (PARTS * PART + 2));
	OK(store_account_list(y->s, &y->a, &acct, &n, &e));
	for (size_t i = 0; i < n; i++) {
		struct store_mailbox m;

		OK(store_mailbox_find(y->s, acct[i].id, SL("Trash"), &y->a, &m, &e));
		assert_true(m.uidvalidity > NOW_S + 1000000);
		below += m.uidvalidity <= r.uidvalidity;
	}
	assert_int_equal(below, n);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ids_of_the_two_lives_never_meet),
		TEST(every_mailbox_has_a_new_uidvalidity_above_all_others),
		TEST(two_restores_of_one_backup_differ),
		TEST(modseqs_go_on_above_all_that_was_seen),
		TEST(the_history_that_did_not_happen_is_gone),
		TEST(every_account_of_many_has_its_turn),
		TEST(when_epochs_or_values_run_out_nothing_is_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
