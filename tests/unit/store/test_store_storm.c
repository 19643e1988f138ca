/* test_store_storm.c — many threads change few accounts while one write of the log in six fails, on the real engine.
 *
 * Each writer knows what of its own was acknowledged; a reader looks at the durable state all the time. At the end, and
 * again after opening anew: what was acknowledged is there, once, with its UID and flags; what was refused is not, and
 * the reader has never seen it. A UID that was seen names one message for ever. */
#include "store_test.h"
#include "../../support/dir_test.h"
#include <errno.h>
#include <pthread.h>

enum { ACCOUNTS = 3, WRITERS = 4, STEPS = 900, MAX = WRITERS * STEPS, UIDS = MAX + 64 };

struct msg {		/* by its number, which is its date as well */
	unsigned accts; /* bits */
	uint32_t uid[ACCOUNTS];
	bool acked, flagged, gone; /* acknowledged */
};
struct storm {
	struct kv *kv;
	struct store *s;
	struct clock clock;
	uint32_t acct[ACCOUNTS], inbox[ACCOUNTS];
	struct msg msg[MAX];
	_Atomic uint32_t rng;
	_Atomic bool calm, over;
	/* the reader's */
	unsigned seen[MAX]; /* bits of accounts */
	bool seen_flagged[MAX], seen_twice;
	uint32_t owner[ACCOUNTS][UIDS]; /* of a UID: number + 1 */
	unsigned reads;
};
struct writer {
	struct storm *w;
	int no, made;
	uint32_t seed;
	unsigned acked, refused;
	const char *wrong;
};

static int one_in_six(void *ctx, enum io_op op)
{
	struct storm *w = ctx;

	if (op != IO_WRITE || w->calm)
		return 0;
	uint32_t r = (w->rng += 0x9e3779b9u);

	r = (r ^ (r >> 15)) * 2246822519u;
	return (r ^ (r >> 13)) % 6 == 0 ? ENOSPC : 0;
}

static uint32_t pick(struct writer *x, uint32_t n)
{
	x->seed = x->seed * 1664525u + 1013904223u;
	return (x->seed >> 10) % n;
}

/* True when it was acknowledged. */
static bool end(struct writer *x, struct store_txn *t, enum status st)
{
	struct err e = { 0 };

	if (st == ST_OK)
		st = store_commit_wait(t, &e);
	else if (t)
		store_abort(t);
	if (st != ST_OK && e.code != ERR_DISK_FULL && e.code != ERR_BUSY &&
	    e.code != ERR_NONE)
		x->wrong = "refused for another reason than the disk";
	*(st == ST_OK ? &x->acked : &x->refused) += 1;
	return st == ST_OK;
}

static void deliver_one(struct writer *x, int number)
{
	struct storm *w = x->w;
	struct msg *m = &w->msg[number];
	char text[120];
	uint32_t ids[ACCOUNTS];
	size_t n = 0;
	struct store_txn *t = NULL;
	struct err e = { 0 };
	int len = snprintf(text, sizeof(text), "Message-ID: <%d@storm>\r\n\r\n%d\r\n",
			   number, number);
	struct intake *in = intake_new(w->s, 0, LIMIT_MESSAGE);
	enum status st = intake_write(in, slice_make(text, (size_t)len), &e);

	m->accts = 1 + pick(x, (1u << ACCOUNTS) - 1);
	for (unsigned a = 0; a < ACCOUNTS; a++)
		if (m->accts & 1u << a)
			ids[n++] = w->acct[a];
	if (st == ST_OK)
		st = intake_end(in, &e);
	if (st == ST_OK)
		st = store_begin(w->s, ids, n, NULL, &t, &e);
	for (unsigned a = 0; a < ACCOUNTS && st == ST_OK; a++) {
		struct store_place p = { .account = w->acct[a],
					 .mbox = w->inbox[a],
					 .internal_date = number };

		if (m->accts & 1u << a)
			st = store_add(t, in, &p, &m->uid[a], &e);
	}
	m->acked = end(x, t, st);
	intake_free(in);
}

/* A message of this writer that is there, in one of its accounts. */
static struct msg *some(struct writer *x, unsigned *out_acct)
{
	for (int tries = 0; tries < 8 && x->made > 0; tries++) {
		struct msg *m =
			&x->w->msg[x->no * STEPS + (int)pick(x, (uint32_t)x->made)];

		*out_acct = pick(x, ACCOUNTS);
		if (m->acked && !m->gone && m->accts == 1u << *out_acct)
			return m;
	}
	return NULL;
}

static void change_one(struct writer *x, bool expunge)
{
	struct storm *w = x->w;
	unsigned a;
	struct msg *m = some(x, &a);
	struct store_txn *t = NULL;
	struct store_uids out;
	struct store_row *rows;
	size_t n;
	struct err e = { 0 };

	if (!m)
		return;
	struct store_uids u = { &m->uid[a], 1 };
	enum status st = store_begin(w->s, &w->acct[a], 1, NULL, &t, &e);

	if (st == ST_OK)
		st = expunge ? store_expunge(t, w->acct[a], w->inbox[a], &u, false, &out,
					     &e)
			     : store_flags_change(t, w->acct[a], w->inbox[a], &u,
						  FLAG_ADD,
						  (struct store_flags){ FLAG_FLAGGED, 0 },
						  &rows, &n, &e);
	if (st == ST_OK && (expunge ? out.n : n) != 1)
		x->wrong = "an acknowledged message is not found";
	if (end(x, t, st))
		*(expunge ? &m->gone : &m->flagged) = true;
}

static void *write_much(void *arg)
{
	struct writer *x = arg;

	while (x->made < STEPS && !x->wrong) {
		uint32_t roll = pick(x, 10);

		if (roll < 6)
			deliver_one(x, x->no * STEPS + x->made++);
		else
			change_one(x, roll == 9);
	}
	return NULL;
}

/* --- reading ------------------------------------------------------------------------------ */
struct look {
	struct storm *w;
	unsigned acct;
};

static bool see(void *ctx, const struct store_row *row)
{
	struct look *l = ctx;
	struct storm *w = l->w;
	int64_t number = row->internal_date;
	uint32_t *owner = &w->owner[l->acct][row->uid % UIDS];

	if (number < 0 || number >= MAX || (*owner && *owner != number + 1))
		w->seen_twice = true;
	else
		*owner = (uint32_t)number + 1;
	if (number >= 0 && number < MAX) {
		w->seen[number] |= 1u << l->acct;
		w->seen_flagged[number] |= (row->flags.sys & FLAG_FLAGGED) != 0;
	}
	w->reads++;
	return true;
}

static void *read_much(void *arg)
{
	struct storm *w = arg;
	struct err e;

	while (!w->over)
		for (unsigned a = 0; a < ACCOUNTS; a++) {
			struct look l = { w, a };

			if (store_rows(w->s, w->acct[a], w->inbox[a], 1, UINT32_MAX, see,
				       &l, &e) != ST_OK)
				w->seen_twice = true;
		}
	return NULL;
}

static void check_end(struct storm *w)
{
	for (int i = 0; i < MAX; i++) {
		struct msg *m = &w->msg[i];

		for (unsigned a = 0; a < ACCOUNTS; a++) {
			struct store_row row = { 0 };
			struct err e;
			bool mine = m->acked && m->accts & 1u << a;

			if (!mine) {
				assert_false(w->seen[i] & 1u << a);
				continue;
			}
			enum status st = store_row_get(w->s, w->acct[a], w->inbox[a],
						       m->uid[a], &row, &e);
			if (m->gone) {
				assert_int_not_equal(st, ST_OK);
				continue;
			}
			assert_int_equal(st, ST_OK);
			assert_int_equal(row.internal_date, i);
			assert_int_equal((row.flags.sys & FLAG_FLAGGED) != 0, m->flagged);
		}
		if (w->seen_flagged[i])
			assert_true(m->flagged);
	}
	/* Nothing but what the writers know. */
	for (unsigned a = 0; a < ACCOUNTS; a++) {
		AUTO_ARENA mem = { 0 };
		struct store_mailbox box;
		size_t n = 0;

		for (int i = 0; i < MAX; i++)
			n += w->msg[i].acked && !w->msg[i].gone &&
			     (w->msg[i].accts & 1u << a);
		OK(store_mailbox_get(w->s, w->acct[a], w->inbox[a], &mem, &box, &e));
		assert_int_equal(box.messages, n);
	}
}

static void open_storm(struct storm *w, const char *dir)
{
	struct kv_options o = { .engine = KV_ROCKSDB,
				.mode = KV_COMMIT_THREAD,
				.dir = dir,
				.cache_bytes = 8u << 20 };

	OK(kv_open(&o, &w->kv, &e));
	OK(store_open(w->kv, &w->clock, &w->s, &e));
}

static void close_storm(struct storm *w)
{
	store_close(w->s);
	kv_close(w->kv);
}

static void make_accounts(struct storm *w)
{
	AUTO_ARENA a = { 0 };
	struct store_mailbox m;

	OK(store_domain_add(w->s, SL("example.org"), &e));
	for (unsigned i = 0; i < ACCOUNTS; i++) {
		OK(store_account_add(w->s, arena_fmt(&a, "a%u@example.org", i),
				     SL("{X}a"), &w->acct[i], &e));
		OK(store_mailbox_find(w->s, w->acct[i], SL("INBOX"), &a, &m, &e));
		w->inbox[i] = m.id;
	}
}

static void what_is_acknowledged_is_there_and_nothing_else_was_ever_seen(void **state)
{
	(void)state;
	struct storm *w = mem_new(sizeof(*w));
	struct writer x[WRITERS];
	pthread_t t[WRITERS], reader;
	unsigned acked = 0, refused = 0;
	char dir[64];

	snprintf(dir, sizeof(dir), "%s/storm-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(dir));
	clock_init_virtual(&w->clock, (int64_t)NOW_S * 1000000);
	w->calm = true;
	io_set_fault(one_in_six, w);
	open_storm(w, dir);
	make_accounts(w);
	w->calm = false;
	assert_int_equal(pthread_create(&reader, NULL, read_much, w), 0);
	for (int i = 0; i < WRITERS; i++) {
		x[i] = (struct writer){ .w = w, .no = i, .seed = (uint32_t)i + 77 };
		assert_int_equal(pthread_create(&t[i], NULL, write_much, &x[i]), 0);
	}
	for (int i = 0; i < WRITERS; i++)
		pthread_join(t[i], NULL);
	w->over = w->calm = true;
	pthread_join(reader, NULL);
	for (int i = 0; i < WRITERS; i++) {
		if (x[i].wrong)
			fail_msg("%s", x[i].wrong);
		acked += x[i].acked;
		refused += x[i].refused;
	}
	print_message("%u changes acknowledged, %u refused, %u rows read meanwhile\n",
		      acked, refused, w->reads);
	assert_false(w->seen_twice);
	assert_true(acked > STEPS && refused > STEPS / 10);
	check_end(w);
	close_storm(w);
	open_storm(w, dir);
	check_end(w);
	close_storm(w);
	io_set_fault(NULL, NULL);
	remove_tree(dir);
	mem_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			what_is_acknowledged_is_there_and_nothing_else_was_ever_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
