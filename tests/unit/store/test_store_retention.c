/* test_store_retention.c — expiry, undelete, and the time both go by. */
#include "store_test.h"
#include "store/store_int.h"

#define TEXT "From: a@example.org\r\nMessage-ID: <1@x>\r\nSubject: one\r\n\r\nHello\r\n"
#define REPLY                                                                         \
	"From: b@example.org\r\nMessage-ID: <2@x>\r\nIn-Reply-To: <1@x>\r\nSubject: " \
	"Re: one\r\n\r\nYes\r\n"
#define DAY 86400

static void policy(struct bench *b, unsigned keep, unsigned trash)
{
	struct store_policy p = { .keep_days = keep,
				  .expire_trash_days = trash,
				  .language = "en" };

	OK(store_policy_set(b->s, &p, &e));
}

static void days(struct bench *b, double n)
{
	clock_advance(&b->clock, (int64_t)(n * DAY) * 1000000);
}

/* Time goes on as on a server: a run every so often, and the sweep. */
static void live(struct bench *b, unsigned hours)
{
	for (unsigned i = 0; i < hours; i += 6) {
		size_t done;

		clock_advance(&b->clock, 6 * 3600ll * 1000000);
		OK(store_sweep(b->s, 1000, &done, &e));
		OK(store_retention_run(b->s, 1000, &done, &e));
	}
}

static void sweep(struct bench *b)
{
	size_t done;

	OK(store_sweep(b->s, 1000, &done, &e));
	OK(store_retention_run(b->s, 1000, &done, &e));
}

static void drop(struct bench *b, uint32_t mbox, uint32_t uid)
{
	struct store_uids uids = { &uid, 1 };

	IN_TXN(b, b->alice, store_expunge(t, b->alice, mbox, &uids, false, NULL, &e));
}

static uint32_t move(struct bench *b, uint32_t from, uint32_t uid, uint32_t to, bool copy)
{
	struct store_uids uids = { &uid, 1 }, made;
	struct store_txn *t = begin(b, b->alice);

	if (copy)
		OK(store_copy(t, b->alice, from, &uids, to, NULL, &made, &e));
	else
		OK(store_move(t, b->alice, from, &uids, to, NULL, &made, &e));
	uint32_t got = made.uid[0];

	OK(store_commit_wait(t, &e));
	return got;
}

static struct store_account alice(struct bench *b)
{
	struct store_account u;

	OK(store_account_get(b->s, SL("alice@example.org"), &b->a, &u, &e));
	return u;
}

static size_t undelete(struct bench *b, const char *mailbox, const char *id,
		       size_t *out_boxes)
{
	struct store_undelete u = { .mailbox = slice_str(mailbox),
				    .message_id = slice_str(id) };
	size_t n = 0, boxes = 0;

	OK(store_undelete(b->s, b->alice, &u, &n, &boxes, &e));
	if (out_boxes)
		*out_boxes = boxes;
	return n;
}

static size_t listed(struct bench *b)
{
	struct store_undelete u = { 0 };
	struct store_deleted *d;
	size_t n;

	OK(store_undelete_list(b->s, b->alice, &u, &b->a, &d, &n, &e));
	return n;
}

/* --- the trusted time --------------------------------------------------------------- */
static void test_the_trusted_time_follows_a_sane_clock(void **state)
{
	struct row_trusted_time t = { 0 };

	(void)state;
	retention_step(&t, 1000000, 0);
	assert_true(t.trusted == 1000000 && t.saved_since == 1000000);
	retention_step(&t, 1000030, 30);
	assert_int_equal(t.trusted, 1000030);
	retention_step(&t, 1000030 + DAY, 0); /* off for a day, or an hour of drift */
	assert_int_equal(t.trusted, 1000030 + DAY);
	retention_step(&t, 1000000, 30); /* set back: it never goes back */
	assert_int_equal(t.trusted, 1000030 + DAY);
	retention_step(&t, 1000060 + DAY, 30);
	assert_int_equal(t.trusted, 1000060 + DAY);
}

static void test_a_jump_of_a_year_is_believed_after_a_day_of_even_running(void **state)
{
	struct row_trusted_time t = { 0 };
	int64_t wall = 1000000, year = 365 * DAY;

	(void)state;
	retention_step(&t, wall, 0);
	wall += year;
	for (int64_t ran = 0; ran < DAY; ran += 3600) {
		retention_step(&t, wall, ran ? 3600 : 30);
		assert_true(t.trusted <= 1000000 + ran + 30);
		wall += 3600;
	}
	retention_step(&t, wall, 3600);
	assert_int_equal(t.trusted, wall);
}

static void test_a_jump_that_is_taken_back_leaves_nothing_behind(void **state)
{
	struct row_trusted_time t = { 0 };
	int64_t year = 365 * DAY;

	(void)state;
	retention_step(&t, 1000000, 0);
	retention_step(&t, 1000030 + year, 30);
	retention_step(&t, 1000030 + year + DAY / 2, DAY / 2);
	retention_step(&t, 1000060 + DAY / 2, 30); /* mended */
	assert_int_equal(t.trusted, 1000060 + DAY / 2);
	assert_int_equal(t.jump_to, 0);
	/* and another jump begins to count anew, also in the midst of one */
	retention_step(&t, 2 * year, 30);
	retention_step(&t, 2 * year + DAY / 2, DAY / 2);
	retention_step(&t, 3 * year, DAY / 2);
	assert_true(t.trusted < year);
	assert_int_equal(t.jump_held, 0);
}

/* --- expiry ------------------------------------------------------------------------- */
static void test_mail_goes_so_many_days_after_it_came_into_the_mailbox(void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX"),
		 trash = mbox_id(b, b->alice, "Trash");

	policy(b, 0, 30);
	sweep(b);
	deliver(b, b->alice, 0, SL(""), SL(TEXT)); /* old when it gets there */
	deliver(b, b->alice, 0, SL(""), SL(REPLY));
	live(b, 40 * 24);
	assert_int_equal(mbox_get(b, b->alice, inbox).messages, 2);
	move(b, inbox, 1, trash, false);
	live(b, 20 * 24);
	move(b, inbox, 2, trash, false);
	live(b, 9 * 24);
	assert_int_equal(mbox_get(b, b->alice, trash).messages, 2);
	live(b, 36);
	assert_int_equal(mbox_get(b, b->alice, trash).messages, 1);
	assert_int_equal(alice(b).messages, 1);
	live(b, 21 * 24);
	assert_int_equal(mbox_get(b, b->alice, trash).messages, 0);
}

static void test_a_mailbox_may_have_its_own_expiry_or_none(void **state)
{
	struct bench *b = *state;
	uint32_t trash = mbox_id(b, b->alice, "Trash"),
		 inbox = mbox_id(b, b->alice, "INBOX");

	policy(b, 0, 30);
	OK(store_mailbox_set_expiry(b->s, b->alice, SL("Trash"), 0, &e));
	OK(store_mailbox_set_expiry(b->s, b->alice, SL("inbox"), 2, &e));
	FAILS(store_mailbox_set_expiry(b->s, b->alice, SL("Nowhere"), 2, &e),
	      ERR_NO_MAILBOX);
	deliver(b, b->alice, trash, SL(""), SL(TEXT));
	deliver(b, b->alice, inbox, SL(""), SL(REPLY));
	deliver(b, b->bob, 0, SL(""), SL(REPLY));
	live(b, 60 * 24);
	assert_int_equal(mbox_get(b, b->alice, trash).messages, 1);
	assert_int_equal(mbox_get(b, b->alice, inbox).messages, 0);
	assert_int_equal(mbox_get(b, b->bob, mbox_id(b, b->bob, "INBOX")).messages, 1);
	OK(store_mailbox_set_expiry(b->s, b->alice, SL("Trash"), -1, &e));
	live(b, 24);
	assert_int_equal(mbox_get(b, b->alice, trash).messages, 0);
}

static void test_many_old_messages_go_in_several_transactions(void **state)
{
	struct bench *b = *state;
	uint32_t trash = mbox_id(b, b->alice, "Trash");

	policy(b, 0, 1);
	sweep(b);
	for (int i = 0; i < 1203; i++)
		deliver(b, b->alice, trash, SL(""), SL(TEXT));
	live(b, 48);
	assert_int_equal(mbox_get(b, b->alice, trash).messages, 0);
	deliver(b, b->alice, trash, SL(""), SL(TEXT));
	live(b, 6);
	assert_int_equal(mbox_get(b, b->alice, trash).messages, 1);
	live(b, 48);
	assert_int_equal(mbox_get(b, b->alice, trash).messages, 0);
}

static void test_a_clock_that_jumps_a_year_ahead_expires_nothing_at_once(void **state)
{
	struct bench *b = *state;
	uint32_t trash = mbox_id(b, b->alice, "Trash");

	policy(b, 7, 30);
	sweep(b);
	deliver(b, b->alice, trash, SL(""), SL(TEXT));
	deliver(b, b->alice, 0, SL(""), SL(REPLY));
	drop(b, mbox_id(b, b->alice, "INBOX"), 1);
	sweep(b);
	days(b, 365);
	bench_reopen(b); /* the monotonic clock did not see it */
	sweep(b);
	assert_int_equal(mbox_get(b, b->alice, trash).messages, 1);
	assert_int_equal(listed(b), 1);
	live(b, 18);
	assert_int_equal(mbox_get(b, b->alice, trash).messages, 1);
	live(b, 12); /* a day later it must be true */
	assert_int_equal(mbox_get(b, b->alice, trash).messages, 0);
}

/* --- undelete: messages ------------------------------------------------------------- */
static void test_an_expunged_message_comes_back_as_it_was(void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX");
	struct store_row row, was;
	struct store_email m;
	uint32_t one = 1;
	struct store_uids uids = { &one, 1 };
	unsigned bit = 0;

	policy(b, 7, 0);
	deliver(b, b->alice, 0, SL("X: y\r\n"), SL(TEXT));
	IN_TXN(b, b->alice, store_keyword_bit(t, b->alice, SL("$Work"), &bit, &e));
	IN_TXN(b, b->alice,
	       store_flags_change(t, b->alice, inbox, &uids, FLAG_SET,
				  (struct store_flags){ FLAG_SEEN | FLAG_DELETED,
							1ull << bit },
				  NULL, NULL, &e));
	OK(store_row_get(b->s, b->alice, inbox, 1, &was, &e));
	days(b, 0.01);
	drop(b, inbox, 1);
	assert_int_equal(alice(b).bytes, 0);
	for (int swept = 0; swept < 2; swept++) { /* before the sweep saw it, and after */
		if (swept) {
			drop(b, inbox, 2);
			sweep(b);
			assert_int_equal(alice(b).held_bytes, was.size);
			assert_int_equal(alice(b).held_messages, 1);
		}
		assert_int_equal(listed(b), 1);
		assert_int_equal(undelete(b, "", "", NULL), 1);
		assert_int_equal(undelete(b, "", "", NULL), 0); /* once */
		uint32_t uid = swept ? 3 : 2;

		OK(store_row_get(b->s, b->alice, inbox, uid, &row, &e));
		assert_int_equal(row.email, was.email);
		assert_int_equal(row.internal_date, was.internal_date);
		assert_int_equal(row.flags.sys, FLAG_SEEN);
		assert_int_equal(row.flags.kw, was.flags.kw);
		OK(store_email_get(b->s, b->alice, row.email, &b->a, &m, &e));
		assert_slice(whole(b, &m), "X: y\r\n" TEXT);
		assert_int_equal(alice(b).bytes, was.size);
		assert_int_equal(alice(b).held_messages, 0);
		sweep(b);
		live(b, 9 * 24); /* nothing of before takes it away */
		OK(store_email_get(b->s, b->alice, row.email, &b->a, &m, &e));
	}
}

static void test_what_is_kept_goes_after_its_days_and_not_before(void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX");
	struct store_email m;

	policy(b, 7, 0);
	sweep(b);
	deliver(b, b->alice, 0, SL(""), SL(TEXT));
	deliver(b, b->alice, 0, SL(""), SL(REPLY));
	struct store_row row;

	OK(store_row_get(b->s, b->alice, inbox, 1, &row, &e));
	drop(b, inbox, 1);
	live(b, 3 * 24);
	drop(b, inbox, 2);
	live(b, 3 * 24 + 18);
	assert_int_equal(listed(b), 2);
	live(b, 24);
	assert_int_equal(listed(b), 1);
	assert_int_equal(alice(b).held_messages, 1);
	assert_int_equal(store_email_get(b->s, b->alice, row.email, &b->a, &m, NULL),
			 err_status(ERR_NO_MESSAGE));
	live(b, 4 * 24);
	assert_int_equal(listed(b), 0);
	assert_true(alice(b).held_messages == 0 && alice(b).held_bytes == 0);
}

static void test_a_message_that_lives_elsewhere_is_not_held(void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX"),
		 trash = mbox_id(b, b->alice, "Trash");

	policy(b, 7, 0);
	deliver(b, b->alice, 0, SL(""), SL(TEXT));
	deliver(b, b->alice, 0, SL(""), SL(REPLY));
	move(b, inbox, 1, trash, false);
	uint32_t copied = move(b, inbox, 2, trash, true);

	drop(b, inbox, 2);
	sweep(b);
	assert_int_equal(listed(b), 0);
	assert_int_equal(undelete(b, "", "", NULL), 0);
	drop(b, trash, copied); /* its last place */
	sweep(b);
	assert_int_equal(listed(b), 1);
	assert_int_equal(undelete(b, "INBOX", "", NULL), 0);
	assert_int_equal(undelete(b, "trash", "", NULL), 0); /* names but INBOX: exact */
	assert_int_equal(undelete(b, "Trash", "", NULL), 1);
	assert_int_equal(mbox_get(b, b->alice, trash).messages, 2);
	move(b, trash, copied + 1, inbox, true); /* and can be copied and dropped again */
	drop(b, trash, copied + 1);
	live(b, 9 * 24);
	assert_int_equal(mbox_get(b, b->alice, inbox).messages, 1);
}

static void test_a_message_id_finds_one_and_its_thread_is_the_same(void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX");
	struct store_row row;
	struct store_email first, reply;

	policy(b, 7, 0);
	deliver(b, b->alice, 0, SL(""), SL(TEXT));
	deliver(b, b->alice, 0, SL(""), SL(REPLY));
	OK(store_row_get(b->s, b->alice, inbox, 1, &row, &e));
	OK(store_email_get(b->s, b->alice, row.email, &b->a, &first, &e));
	drop(b, inbox, 1);
	drop(b, inbox, 2);
	sweep(b);
	assert_int_equal(undelete(b, "", "3@x", NULL), 0);
	assert_int_equal(undelete(b, "", "2@x", NULL), 1);
	OK(store_row_get(b->s, b->alice, inbox, 3, &row, &e));
	OK(store_email_get(b->s, b->alice, row.email, &b->a, &reply, &e));
	assert_int_equal(reply.thread, first.thread);
	/* what answers it finds the thread, although its first message is held */
	deliver(b, b->alice, 0, SL(""),
		SL("Message-ID: <4@x>\r\nReferences: <1@x>\r\n\r\nx\r\n"));
	OK(store_row_get(b->s, b->alice, inbox, 4, &row, &e));
	OK(store_email_get(b->s, b->alice, row.email, &b->a, &reply, &e));
	assert_int_equal(reply.thread, first.thread);
}

static void test_a_view_that_shows_it_is_not_disturbed(void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX");
	const struct store_view *v;
	struct store_row row;
	struct store_email m;

	policy(b, 1, 0);
	deliver(b, b->alice, 0, SL(""), SL(TEXT));
	OK(store_view_open(b->s, b->alice, inbox, &v, &e));
	drop(b, inbox, 1);
	live(b, 3 * 24);
	OK(store_row_shown(b->s, b->alice, inbox, 1, &row, &e));
	OK(store_email_get(b->s, b->alice, row.email, &b->a, &m, &e));
	assert_int_equal(undelete(b, "", "", NULL), 1);
	OK(store_row_shown(b->s, b->alice, inbox, 1, &row, &e));
	store_view_unref(b->s, v);
	live(b, 3 * 24);
	assert_int_equal(store_row_shown(b->s, b->alice, inbox, 1, &row, NULL),
			 err_status(ERR_NO_MESSAGE));
	OK(store_row_get(b->s, b->alice, inbox, 2, &row, &e));
	OK(store_email_get(b->s, b->alice, row.email, &b->a, &m, &e));
}

/* --- undelete: mailboxes and accounts ----------------------------------------------- */
static uint32_t make(struct bench *b, const char *name)
{
	uint32_t id;

	IN_TXN(b, b->alice,
	       store_mailbox_create(t, b->alice, slice_str(name), ROLE_NONE, &id, &e));
	return id;
}

static void unmake(struct bench *b, const char *name)
{
	IN_TXN(b, b->alice, store_mailbox_delete(t, b->alice, slice_str(name), &e));
}

static void test_a_deleted_mailbox_comes_back_with_its_messages(void **state)
{
	struct bench *b = *state;
	uint32_t box = make(b, "Work/2026"), inbox = mbox_id(b, b->alice, "INBOX");
	struct store_mailbox was, now;
	struct store_row row;
	struct store_email m;
	size_t boxes;

	policy(b, 7, 0);
	deliver(b, b->alice, box, SL(""), SL(TEXT));
	deliver(b, b->alice, box, SL(""), SL(REPLY));
	deliver(b, b->alice, inbox, SL(""), SL(TEXT));
	drop(b, box, 1);
	was = mbox_get(b, b->alice, box);
	unmake(b, "Work/2026");
	sweep(b);
	assert_int_equal(alice(b).messages, 1);
	assert_int_equal(alice(b).held_messages, 2);
	unmake(b, "Work");
	assert_int_equal(listed(b), 2); /* the mailbox, and what was expunged of it */
	assert_int_equal(undelete(b, "Work/2026", "", &boxes), 2);
	assert_int_equal(boxes, 1);
	OK(store_mailbox_find(b->s, b->alice, SL("Work/2026"), &b->a, &now, &e));
	assert_true(now.uidvalidity > was.uidvalidity);
	assert_int_equal(now.messages, 2);
	assert_int_equal(now.bytes, sizeof(TEXT REPLY) - 1);
	assert_true(now.modseq > was.modseq);
	OK(store_row_get(b->s, b->alice, now.id, 2, &row, &e));
	OK(store_row_get(b->s, b->alice, now.id, 3, &row, &e));
	OK(store_email_get(b->s, b->alice, row.email, &b->a, &m, &e));
	assert_slice(whole(b, &m), TEXT);
	assert_int_equal(alice(b).messages, 3);
	assert_int_equal(alice(b).held_messages, 0);
	live(b, 9 * 24);
	OK(store_row_get(b->s, b->alice, now.id, 2, &row, &e));
	OK(store_email_get(b->s, b->alice, row.email, &b->a, &m, &e));
}

static void test_a_name_that_was_taken_meanwhile_gets_a_number(void **state)
{
	struct bench *b = *state;
	struct store_mailbox now;
	size_t boxes;

	policy(b, 7, 0);
	deliver(b, b->alice, make(b, "Box"), SL(""), SL(TEXT));
	unmake(b, "Box");
	deliver(b, b->alice, make(b, "Box"), SL(""), SL(REPLY));
	assert_int_equal(undelete(b, "Box", "", &boxes), 1);
	assert_int_equal(boxes, 1);
	OK(store_mailbox_find(b->s, b->alice, SL("Box (2)"), &b->a, &now, &e));
	assert_int_equal(now.messages, 1);
}

static void test_a_deleted_parent_comes_back_above_its_children(void **state)
{
	struct bench *b = *state;
	struct store_mailbox parent, child;

	policy(b, 7, 0);
	deliver(b, b->alice, make(b, "Top"), SL(""), SL(TEXT));
	make(b, "Top/child");
	unmake(b, "Top");
	OK(store_mailbox_find(b->s, b->alice, SL("Top"), &b->a, &parent, &e));
	assert_false(parent.exists);
	assert_int_equal(undelete(b, "", "", NULL), 1);
	OK(store_mailbox_find(b->s, b->alice, SL("Top"), &b->a, &parent, &e));
	assert_true(parent.exists && parent.has_children && parent.messages == 1);
	OK(store_mailbox_find(b->s, b->alice, SL("Top/child"), &b->a, &child, &e));
	assert_int_equal(child.parent, parent.id);
}

static void test_a_deleted_mailbox_is_cleared_after_its_days(void **state)
{
	struct bench *b = *state;
	struct store_row row;
	struct store_email m;
	uint32_t box = make(b, "Box");

	policy(b, 7, 0);
	sweep(b);
	deliver(b, b->alice, box, SL(""), SL(TEXT));
	OK(store_row_get(b->s, b->alice, box, 1, &row, &e));
	unmake(b, "Box");
	live(b, 6 * 24 + 18);
	OK(store_email_get(b->s, b->alice, row.email, &b->a, &m, &e));
	live(b, 36);
	assert_int_equal(store_email_get(b->s, b->alice, row.email, &b->a, &m, NULL),
			 err_status(ERR_NO_MESSAGE));
	assert_int_equal(listed(b), 0);
	assert_true(alice(b).held_messages == 0 && alice(b).held_bytes == 0);
}

static void test_a_removed_account_comes_back_with_all_it_had(void **state)
{
	struct bench *b = *state;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX"), box = make(b, "Box");
	struct store_account was, now;
	struct store_removed *r;
	struct store_alias *alias;
	size_t n;

	policy(b, 7, 0);
	OK(store_alias_add(b->s, SL("al@example.org"), SL("alice@example.org"), &e));
	deliver(b, b->alice, 0, SL(""), SL(TEXT));
	deliver(b, b->alice, 0, SL(""), SL(REPLY));
	deliver(b, b->alice, box, SL(""), SL(REPLY));
	drop(b, inbox, 1);
	unmake(b, "Box");
	was = alice(b);
	uint32_t uidvalidity = mbox_get(b, b->alice, inbox).uidvalidity;

	OK(store_account_remove(b->s, SL("alice@example.org"), &e));
	live(b, 24);
	OK(store_account_removed(b->s, &b->a, &r, &n, &e));
	assert_int_equal(n, 1);
	assert_slice(r[0].address, "alice@example.org");
	FAILS(store_account_get(b->s, SL("alice@example.org"), &b->a, &now, &e),
	      ERR_NO_ACCOUNT);
	FAILS(store_account_undelete(b->s, SL("al@example.org"), &e), ERR_NO_ACCOUNT);
	OK(store_account_undelete(b->s, SL("Alice@Example.org"), &e));
	now = alice(b);
	assert_int_equal(now.id, was.id);
	assert_slice(now.verifier, "{X}a");
	assert_int_equal(now.bytes, was.bytes);
	assert_int_equal(now.held_messages, 2);
	assert_true(mbox_get(b, b->alice, inbox).uidvalidity > uidvalidity);
	OK(store_alias_list(b->s, &b->a, &alias, &n, &e));
	assert_int_equal(n, 1);
	assert_int_equal(listed(b), 2);
	deliver(b, b->alice, 0, SL(""), SL(TEXT));
	live(b, 9 * 24);
	assert_int_equal(alice(b).messages, 2);
	assert_int_equal(alice(b).held_messages, 0);
}

static void test_a_removed_account_waits_for_its_address_and_goes_in_the_end(void **state)
{
	struct bench *b = *state;
	struct store_removed *r;
	uint32_t id;
	size_t n;

	policy(b, 7, 0);
	sweep(b);
	OK(store_account_remove(b->s, SL("alice@example.org"), &e));
	OK(store_account_add(b->s, SL("alice@example.org"), SL("{X}n"), &id, &e));
	FAILS(store_account_undelete(b->s, SL("alice@example.org"), &e), ERR_EXISTS);
	live(b, 9 * 24);
	OK(store_account_removed(b->s, &b->a, &r, &n, &e));
	assert_int_equal(n, 0);
	FAILS(store_account_undelete(b->s, SL("alice@example.org"), &e), ERR_NO_ACCOUNT);
	OK(store_account_purge(b->s, SL("bob@example.org"), &e));
	OK(store_account_removed(b->s, &b->a, &r, &n, &e));
	assert_int_equal(n, 0);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, bench_setup, bench_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_trusted_time_follows_a_sane_clock),
		cmocka_unit_test(
			test_a_jump_of_a_year_is_believed_after_a_day_of_even_running),
		cmocka_unit_test(test_a_jump_that_is_taken_back_leaves_nothing_behind),
		TEST(test_mail_goes_so_many_days_after_it_came_into_the_mailbox),
		TEST(test_a_mailbox_may_have_its_own_expiry_or_none),
		TEST(test_many_old_messages_go_in_several_transactions),
		TEST(test_a_clock_that_jumps_a_year_ahead_expires_nothing_at_once),
		TEST(test_an_expunged_message_comes_back_as_it_was),
		TEST(test_what_is_kept_goes_after_its_days_and_not_before),
		TEST(test_a_message_that_lives_elsewhere_is_not_held),
		TEST(test_a_message_id_finds_one_and_its_thread_is_the_same),
		TEST(test_a_view_that_shows_it_is_not_disturbed),
		TEST(test_a_deleted_mailbox_comes_back_with_its_messages),
		TEST(test_a_name_that_was_taken_meanwhile_gets_a_number),
		TEST(test_a_deleted_parent_comes_back_above_its_children),
		TEST(test_a_deleted_mailbox_is_cleared_after_its_days),
		TEST(test_a_removed_account_comes_back_with_all_it_had),
		TEST(test_a_removed_account_waits_for_its_address_and_goes_in_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
