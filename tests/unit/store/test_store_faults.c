/* test_store_faults.c — the Nth call of base/io.h fails, for every N until a run is clean.
 *
 * A small life of a store on the real engine in a directory: two accounts, deliveries (small ones, and one that goes to
 * a bulk segment), flags, a copy, a move, an expunge, closing, opening, more of the same. What was acknowledged is there
 * at the end, what was refused is not, what met ERR_STOPPED is there whole or not at all; the store opens again each time,
 * and takes mail. */
#include "store_test.h"
#include "../../support/dir_test.h"
#include <errno.h>

enum { ACCOUNTS = 2, BOXES = 3, MESSAGES = 6, BULK = 2 };
/* Under a sanitizer, which is after memory and threads, every third call will do. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STRIDE = 3 };
#else
enum { STRIDE = 1 };
#endif
static const char *const box_names[BOXES] = { "INBOX", "Archive", "Trash" };

/* --- the fault ------------------------------------------------------------------------------ */
enum plan { ONCE, FROM_THEN_ON, HALF_THEN_ENOSPC };
static struct {
	_Atomic long left; /* calls until it fails */
	enum plan plan;
	int number;
	_Atomic bool fired, over;
} fault;

static int fault_fn(void *ctx, enum io_op op)
{
	(void)ctx;
	long left = --fault.left;

	if (left > 0 || fault.over)
		return 0;
	if (fault.plan == ONCE && left < 0)
		return 0;
	if (fault.plan == HALF_THEN_ENOSPC) {
		if (left < -1 || op != IO_WRITE)
			return 0;
		fault.fired = true;
		return left == 0 ? IO_FAULT_SHORT : ENOSPC;
	}
	/* A full disk refuses what makes files longer, and nothing else. */
	if (fault.plan == FROM_THEN_ON && fault.number == ENOSPC && op != IO_WRITE &&
	    op != IO_SYNC && op != IO_MKDIR && op != IO_RENAME)
		return 0;
	fault.fired = true;
	return fault.number;
}

/* --- the model ------------------------------------------------------------------------------- */
struct row {
	bool there;
	uint32_t uid, sys;
};
struct world {
	struct row at[ACCOUNTS][BOXES][MESSAGES];
};
struct life {
	const char *dir;
	struct kv *kv;
	struct store *s;
	struct clock clock;
	struct arena a;
	uint32_t acct[ACCOUNTS], box[ACCOUNTS][BOXES];
	struct world sure, maybe; /* maybe: with the change of which nothing is known */
	bool unknown;
	unsigned refused;
	enum kv_commit_mode mode;
};

static slice text_of(struct life *l, int m)
{
	slice head =
		arena_fmt(&l->a, "Message-ID: <%d@faults>\r\nSubject: %d\r\n\r\n", m, m);
	size_t n = m == BULK ? 150000 : 900;
	char *p = arena_alloc(&l->a, head.n + n + 3);
	uint32_t seed = (uint32_t)m + 1;

	memcpy(p, head.p, head.n);
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525u + 1013904223u;
		p[head.n + i] = i % 70 == 68   ? '\r'
				: i % 70 == 69 ? '\n'
					       : (char)('a' + (seed >> 24) % 26);
	}
	memcpy(p + head.n + n, "\r\n", 2);
	return slice_make(p, head.n + n + 2);
}

/* --- opening ---------------------------------------------------------------------------------- */
static enum status open_life(struct life *l, struct err *e)
{
	struct kv_options o = { .engine = KV_ROCKSDB,
				.mode = l->mode,
				.dir = l->dir,
				.cache_bytes = 4u << 20 };
	enum status st = kv_open(&o, &l->kv, e);

	if (st != ST_OK)
		return st;
	st = store_open(l->kv, &l->clock, &l->s, e);
	if (st != ST_OK) {
		kv_close(l->kv);
		l->kv = NULL;
	}
	return st;
}

static void close_life(struct life *l)
{
	if (!l->kv)
		return;
	store_close(l->s);
	kv_close(l->kv);
	l->kv = NULL;
}

/* An opening that meets the fault may fail; the next one, without it, must not. */
static void reopen(struct life *l)
{
	struct err e = { 0 };

	close_life(l);
	if (open_life(l, &e) == ST_OK)
		return;
	if (!fault.fired)
		fail_msg("open failed without a fault: %s", e.text);
	fault.over = true;
	if (open_life(l, &e) != ST_OK)
		fail_msg("open failed for good: %s", e.text);
}

/* --- changes: on the store, and on what must be there ------------------------------------------- */
/* After the transaction of a change: next is the world with it. */
static void judge(struct life *l, enum status st, const struct err *e,
		  const struct world *next)
{
	if (st == ST_OK) {
		assert_false(l->unknown); /* a stopped store says yes to nothing */
		l->sure = *next;
		return;
	}
	if (!fault.fired)
		fail_msg("refused without a fault: %s", e->text);
	l->refused++;
	if (e->code == ERR_STOPPED && !l->unknown) {
		l->maybe = *next;
		l->unknown = true;
	}
}

static struct row *find(struct world *w, int a, int b, int m)
{
	struct row *r = &w->at[a][b][m];

	return r->there ? r : NULL;
}

static void deliver_to(struct life *l, int m, int n_accounts)
{
	struct err e = { 0 };
	struct intake *in = intake_new(l->s, 0, LIMIT_MESSAGE);
	struct world next = l->sure;
	struct store_txn *t = NULL;
	enum status st = intake_write(in, text_of(l, m), &e);

	if (st == ST_OK)
		st = intake_end(in, &e);
	if (st == ST_OK)
		st = store_begin(l->s, l->acct, (size_t)n_accounts, NULL, &t, &e);
	for (int a = 0; a < n_accounts && st == ST_OK; a++) {
		struct store_place p = { l->acct[a], l->box[a][0],     SL(""), { 0, 0 },
					 NOW_S,	     STORE_QUOTA_NONE, false };
		struct row *r = &next.at[a][0][m];

		r->there = true;
		st = store_add(t, in, &p, &r->uid, &e);
	}
	if (st == ST_OK)
		st = store_commit_wait(t, &e);
	else if (t)
		store_abort(t);
	judge(l, st, &e, &next);
	intake_free(in);
}

enum what { FLAG, COPY, MOVE, EXPUNGE };

static enum status one_change(struct life *l, struct store_txn *t, enum what what,
			      struct store_uids *u, struct row *made, struct err *e)
{
	struct store_uids from = { 0 }, to = { 0 };
	struct store_row *rows;
	size_t n;
	enum status st;

	switch (what) {
	case FLAG:
		return store_flags_change(t, l->acct[0], l->box[0][0], u, FLAG_ADD,
					  (struct store_flags){ FLAG_SEEN, 0 }, &rows, &n,
					  e);
	case EXPUNGE:
		return store_expunge(t, l->acct[0], l->box[0][0], u, false, &to, e);
	case COPY:
		st = store_copy(t, l->acct[0], l->box[0][0], u, l->box[0][1], &from, &to,
				e);
		break;
	case MOVE:
	default:
		st = store_move(t, l->acct[0], l->box[0][0], u, l->box[0][2], &from, &to,
				e);
	}
	if (st == ST_OK) {
		assert_int_equal(to.n, 1);
		made->uid = to.uid[0];
	}
	return st;
}

/* Of message m in the first account's INBOX, when it is there. */
static void change(struct life *l, enum what what, int m)
{
	struct err e = { 0 };
	struct world next = l->sure;
	struct row *r = find(&next, 0, 0, m), *made = r;
	struct store_txn *t = NULL;

	if (!r)
		return;
	struct store_uids u = { &(uint32_t){ r->uid }, 1 };

	if (what == COPY || what == MOVE) {
		made = &next.at[0][what == COPY ? 1 : 2][m];
		*made = *r;
	}
	if (what == MOVE || what == EXPUNGE)
		r->there = false;
	if (what == FLAG) /* an email's flags are the same in all its mailboxes */
		for (int b = 0; b < BOXES; b++)
			next.at[0][b][m].sys |= FLAG_SEEN;
	enum status st = store_begin(l->s, l->acct, 1, NULL, &t, &e);

	if (st == ST_OK)
		st = one_change(l, t, what, &u, made, &e);
	if (st == ST_OK)
		st = store_commit_wait(t, &e);
	else if (t)
		store_abort(t);
	judge(l, st, &e, &next);
}

/* --- comparing ------------------------------------------------------------------------------------ */
struct comparison {
	const struct row *want; /* of one mailbox */
	size_t n;
	bool equal;
};

static bool compare_row(void *ctx, const struct store_row *row)
{
	struct comparison *c = ctx;

	for (int m = 0; m < MESSAGES; m++)
		if (c->want[m].there && c->want[m].uid == row->uid &&
		    c->want[m].sys == row->flags.sys) {
			c->n++;
			return true;
		}
	c->equal = false;
	return false;
}

static bool is_equal(struct life *l, const struct world *w)
{
	for (int a = 0; a < ACCOUNTS; a++) {
		for (int b = 0; b < BOXES; b++) {
			struct comparison c = { w->at[a][b], 0, true };
			size_t n = 0;

			OK(store_rows(l->s, l->acct[a], l->box[a][b], 1, UINT32_MAX,
				      compare_row, &c, &e));
			for (int m = 0; m < MESSAGES; m++)
				n += w->at[a][b][m].there;
			if (!c.equal || c.n != n)
				return false;
		}
	}
	return true;
}

/* Each row's email is the text it had. */
static void check_texts(struct life *l, const struct world *w)
{
	for (int a = 0; a < ACCOUNTS; a++)
		for (int b = 0; b < BOXES; b++)
			for (int m = 0; m < MESSAGES; m++) {
				struct store_row row;
				struct store_email em;

				if (!w->at[a][b][m].there)
					continue;
				OK(store_row_get(l->s, l->acct[a], l->box[a][b],
						 w->at[a][b][m].uid, &row, &e));
				OK(store_email_get(l->s, l->acct[a], row.email, &l->a,
						   &em, &e));
				slice want = text_of(l, m);
				char *p = arena_alloc(&l->a, want.n + 1);

				assert_int_equal(em.blob_size, want.n);
				OK(store_email_read(l->s, &em, 0, p, want.n, &e));
				assert_memory_equal(p, want.p, want.n);
			}
}

static void check(struct life *l)
{
	if (!is_equal(l, &l->sure)) {
		if (!l->unknown || !is_equal(l, &l->maybe))
			fail_msg("not what was acknowledged (unknown: %d)", l->unknown);
		l->sure = l->maybe;
	}
	l->unknown = false;
	check_texts(l, &l->sure);
}

/* --- a life ------------------------------------------------------------------------------------------ */
static void make_store(struct life *l)
{
	static const char *const who[ACCOUNTS] = { "alice@example.org",
						   "bob@example.org" };

	OK(open_life(l, &e));
	OK(store_domain_add(l->s, SL("example.org"), &e));
	for (int a = 0; a < ACCOUNTS; a++)
		OK(store_account_add(l->s, slice_str(who[a]), SL("{X}a"), &l->acct[a],
				     &e));
	for (int a = 0; a < ACCOUNTS; a++)
		for (int b = 0; b < BOXES; b++) {
			struct store_mailbox m;

			OK(store_mailbox_find(l->s, l->acct[a], slice_str(box_names[b]),
					      &l->a, &m, &e));
			l->box[a][b] = m.id;
		}
	close_life(l);
}

static void live(struct life *l)
{
	reopen(l);
	deliver_to(l, 0, 2);
	deliver_to(l, 1, 1);
	deliver_to(l, BULK, 2);
	change(l, FLAG, 0);
	change(l, COPY, 0);
	change(l, MOVE, BULK);
	reopen(l); /* what was stopped goes on */
	if (l->unknown)
		check(l);
	change(l, EXPUNGE, 1);
	deliver_to(l, 3, 2);
	change(l, MOVE, 3);
	change(l, FLAG, 0);
	deliver_to(l, 4, 1);
}

/* One run with a fault at call n. False when it never came so far. */
static bool run(const char *base, const char *dir, const struct life *like, long n,
		enum plan plan, int number, unsigned *refused)
{
	struct life l = *like;
	bool fired;

	remove_tree(dir);
	copy_tree(base, dir);
	l.dir = dir;
	arena_init(&l.a);
	fault.left = n;
	fault.plan = plan;
	fault.number = number;
	fault.fired = fault.over = false;
	io_set_fault(fault_fn, NULL);
	live(&l);
	fired = fault.fired;
	fault.over = true;
	if (!fired)
		assert_int_equal(l.refused, 0);
	*refused += l.refused;
	reopen(&l);
	check(&l);
	deliver_to(&l, 5, 2); /* it goes on */
	reopen(&l);
	check(&l);
	assert_true(find(&l.sure, 0, 0, 5) && find(&l.sure, 1, 0, 5));
	close_life(&l);
	io_set_fault(NULL, NULL);
	arena_release(&l.a);
	return fired || fault.left < 0;
}

static void every_call(enum plan plan, int number, enum kv_commit_mode mode)
{
	char base[64], dir[80];
	struct life l = { .mode = mode };
	unsigned refused = 0;
	long n = 1;

	/* In memory where that is possible: what is asked here is not the disk. */
	snprintf(base, sizeof(base), "%s/faults-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(base));
	snprintf(dir, sizeof(dir), "%s-run", base);
	arena_init(&l.a);
	clock_init_virtual(&l.clock, (int64_t)NOW_S * 1000000);
	l.dir = base;
	make_store(&l);
	while (run(base, dir, &l, n, plan, number, &refused))
		assert_true((n += STRIDE) < 3000);
	assert_true(n > 20); /* the door was asked */
	print_message("%ld calls, %u changes refused\n", n - 1, refused);
	assert_true(number == IO_FAULT_SHORT ? refused == 0 : refused > 0);
	arena_release(&l.a);
	remove_tree(base);
	remove_tree(dir);
}

static void an_io_error_at_any_call(void **state)
{
	(void)state;
	every_call(ONCE, EIO, KV_COMMIT_INLINE);
}

static void a_full_disk_at_any_call(void **state)
{
	(void)state;
	every_call(ONCE, ENOSPC, KV_COMMIT_INLINE);
}

static void no_descriptor_at_any_call(void **state)
{
	(void)state;
	every_call(ONCE, EMFILE, KV_COMMIT_INLINE);
}

static void half_a_write_at_any_call(void **state)
{
	(void)state;
	every_call(ONCE, IO_FAULT_SHORT, KV_COMMIT_INLINE);
}

static void half_a_write_and_a_full_disk_at_any_call(void **state)
{
	(void)state;
	every_call(HALF_THEN_ENOSPC, 0, KV_COMMIT_INLINE);
}

static void a_disk_that_stays_full_from_any_call_on(void **state)
{
	(void)state;
	every_call(FROM_THEN_ON, ENOSPC, KV_COMMIT_INLINE);
}

static void an_io_error_at_any_call_of_a_store_with_threads(void **state)
{
	(void)state;
	every_call(ONCE, EIO, KV_COMMIT_THREAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_io_error_at_any_call),
		cmocka_unit_test(a_full_disk_at_any_call),
		cmocka_unit_test(no_descriptor_at_any_call),
		cmocka_unit_test(half_a_write_at_any_call),
		cmocka_unit_test(half_a_write_and_a_full_disk_at_any_call),
		cmocka_unit_test(a_disk_that_stays_full_from_any_call_on),
		cmocka_unit_test(an_io_error_at_any_call_of_a_store_with_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
