/* test_store_check.c — facteur check over a store with rows of every kind, each of them damaged in
 * turn: what is told, what a repair makes of it, and that everybody else's rows stay as they are. */
#include "check_test.h"

static void a_whole_store_is_clean(void **state)
{
	struct check_bench *c = *state;

	cb_check(c, false);
	if (c->n_said)
		cb_print(c);
	assert_int_equal(c->r.found, 0);
	assert_int_equal(c->r.accounts, 2);
	assert_true(c->r.messages >= 14);
	assert_true(c->r.bodies >= 15);
	cb_check(c, true);
	assert_int_equal(c->r.found, 0);
	assert_int_equal(c->r.aside, 0);
	assert_string_equal(c->r.aside_file, "");
}

/* --- damage ---------------------------------------------------------------------------------- */
enum damage { VERSION, TRUNCATED, DELETED, BIT, DAMAGES };

static slice damaged_value(struct check_bench *c, slice value, enum damage d, size_t at)
{
	slice copy = arena_dup(&c->b.a, value);
	char *p = (char *)(uintptr_t)copy.p;

	switch (d) {
	case VERSION:
		if (copy.n)
			p[0] = (char)(p[0] ^ 0x40);
		return copy;
	case TRUNCATED:
		return slice_sub(copy, 0, copy.n ? copy.n - 1 : 0);
	case BIT:
		p[at % copy.n] = (char)(p[at % copy.n] ^ (1 << (at % 8)));
		return copy;
	case DELETED:
	case DAMAGES:
		break;
	}
	return slice_make(NULL, 0);
}

static bool is_of(slice key, uint32_t account)
{
	struct rd r = rd_init(slice_from(key, 1));

	if (key.p[0] == 'r') {
		r = rd_init(slice_from(key, 33));
		return rd_u32(&r) == account;
	}
	if (key.p[0] == 'U' && key.p[1] == 'i')
		r = rd_init(slice_from(key, 2));
	else if (key.p[0] != 'A' && key.p[0] != 'X')
		return false;
	return rd_u32(&r) == account;
}

struct compare {
	struct check_bench *c;
	uint32_t account;
	size_t same, rows;
};

static bool take_same(void *ctx, slice key, slice value)
{
	struct compare *m = ctx;

	if (!is_of_store(key) || !is_of(key, m->account))
		return true;
	m->rows++;
	for (size_t i = 0; i < m->c->n; i++)
		if (slice_eq(m->c->row[i].key, key) &&
		    slice_eq(m->c->row[i].value, value))
			m->same++;
	return true;
}

/* Not one octet of that account's rows has changed. */
static void account_is_untouched(struct check_bench *c, uint32_t account)
{
	struct compare m = { .c = c, .account = account };
	struct kv_range all = { .from = slice_make("", 0) };
	size_t want = 0;

	for (size_t i = 0; i < c->n; i++)
		want += is_of(c->row[i].key, account);
	OK(kv_scan(c->b.kv, NULL, &all, take_same, &m, &e));
	assert_true(want > 10);
	assert_int_equal(m.rows, want);
	assert_int_equal(m.same, want);
}

/* --- what users see ------------------------------------------------------------------------- */
struct shown {
	struct check_bench *c;
	size_t n, notes;
	uint64_t seen; /* bit i: message i is whole */
	uint32_t mbox;
};

static bool show_row(void *ctx, const struct store_row *row)
{
	struct shown *s = ctx;
	struct bench *b = &s->c->b;
	struct store_email m;
	unsigned n = 0;

	s->n++;
	OK(store_email_get(b->s, b->alice, row->email, &b->a, &m, &e));
	slice text = whole(b, &m);

	assert_int_equal(text.n, row->size);
	slice id = slice_from(text, slice_find(text, SL("Message-ID: <"), 0));

	if (slice_find(text, SL("Auto-Submitted: auto-generated"), 0) < text.n) {
		s->notes++;
		return true;
	}
	for (size_t i = 13; i < id.n && is_digit(id.p[i]); i++)
		n = n * 10 + (unsigned)(id.p[i] - '0');
	if (n == 0) {
		assert_true(slice_ends(text, cb_many_parts(s->c)));
		s->seen |= 1;
	} else {
		assert_true(slice_ends(text, cb_text(s->c, n, n == 3 ? 1 : 0)));
		s->seen |= 1ull << n;
	}
	return true;
}

/* Every message of alice, in whichever mailbox it is now. */
static struct shown show_all(struct check_bench *c)
{
	struct store_mailbox *m;
	struct shown s = { .c = c };
	size_t n;

	OK(store_mailbox_list(c->b.s, c->b.alice, &c->b.a, &m, &n, &e));
	for (size_t i = 0; i < n; i++) {
		const struct store_view *v;

		if (!m[i].exists)
			continue;
		size_t before = s.n;

		OK(store_rows(c->b.s, c->b.alice, m[i].id, 1, UINT32_MAX, show_row, &s,
			      &e));
		assert_int_equal(s.n - before, m[i].messages);
		OK(store_view_open(c->b.s, c->b.alice, m[i].id, &v, &e));
		assert_int_equal(v->n, m[i].messages);
		assert_true(v->n == 0 || v->uid[v->n - 1] < v->uidnext);
		store_view_unref(c->b.s, v);
	}
	return s;
}

/* 1 2 3 4 5 7 8 and the one of many parts; 2 is there three times. */
enum { WANTED_SEEN = 0x1bf, WANTED_N = 10 };

/* Does somebody who lost this row have to notice? What only says a name or a date does not. */
static bool must_be_found(const struct saved_row *r, enum damage d)
{
	if (d == BIT)
		return false;
	if (d == DELETED)
		switch (r->key.p[0]) {
		case 'D': /* a domain without users is as good as none */
			return slice_find(r->key, SL("example.org"), 0) < r->key.n;
		case 'A':
			if (r->key.p[5] == 'b')
				return false;
			/* The last keyword: only those who had it can tell; bit 1 is in use. */
			return true;
		case 'U':
			return slice_find(r->key, SL("al"), 0) == r->key.n ||
			       slice_find(r->key, SL("alice"), 0) < r->key.n;
		case 'V': /* only the highest counts */
		case 'Z':
			return false;
		case 'S':
			return r->key.p[1] == 'd';
		case 'X': { /* of a message that lives on elsewhere: nothing is left behind */
			struct row_gone g;

			return row_gone_read(r->value, 1, &g) && g.last;
		}
		}
	if (d == TRUNCATED && r->key.p[0] == 'A' && r->key.p[5] == 'k')
		return false; /* a shorter name */
	if (r->key.p[0] == 'V' || r->key.p[0] == 'Q' || r->key.p[0] == 'Z' ||
	    (r->key.p[0] == 'S' && r->key.p[1] != 'd'))
		return false; /* the key says all, or the server writes it anew */
	return true;
}

/* One row damaged: told, mended, clean again, and nobody else's rows touched. */
static void try_damage(struct check_bench *c, size_t i, enum damage d, size_t at)
{
	const struct saved_row *r = &c->row[i];
	slice v = damaged_value(c, r->value, d, at);
	bool shared = r->key.p[0] != 'A' && r->key.p[0] != 'X' && r->key.p[0] != 'r';
	bool bobs = is_of(r->key, c->b.bob);

	cb_put(c, r->key, v);
	cb_check(c, false);
	size_t found = c->r.found;

	if (found == 0 && must_be_found(r, d))
		fail_msg("damage %d of row %.*s (%c%c) is not found", d, (int)r->key.n,
			 r->key.p, r->key.p[0], r->key.n > 5 ? r->key.p[5] : ' ');
	assert_int_equal(c->r.repaired + c->r.lost, 0);
	for (size_t k = 0; k < c->n_said; k++) {
		if (!shared && c->said[k].account && !bobs)
			assert_int_not_equal(c->said[k].account, c->b.bob);
		assert_true(c->said[k].text.n > 10);
	}
	cb_check(c, true);
	size_t repaired = c->n_said;

	bench_reopen(&c->b);
	struct shown s = show_all(c);
	bool whole = (s.seen & WANTED_SEEN) == WANTED_SEEN && s.n >= WANTED_N;

	size_t left = c->r.left;

	cb_check(c, false);
	if (c->r.found || left || !whole) {
		cb_print(c);
		fail_msg(
			"damage %d at %zu of row %zu, kind %c%c: %zu found, %zu told when mended, "
			"%zu left, %zu found again; messages %llx %zu, notes %zu",
			d, at, i, r->key.p[0], r->key.n > 5 ? r->key.p[5] : r->key.p[1],
			found, repaired, left, (size_t)c->r.found,
			(unsigned long long)s.seen, s.n, s.notes);
	}
	if (!shared && !bobs)
		account_is_untouched(c, c->b.bob);
	cb_restore(c);
	arena_reset(&c->b.a);
}

static bool is_format(slice key)
{
	return key.n == 2 && key.p[0] == 'S' && key.p[1] == 'f';
}

static void every_row_that_cannot_be_read_is_told_and_mended(void **state)
{
	struct check_bench *c = *state;

	for (size_t i = 0; i < c->n; i++)
		for (enum damage d = VERSION; d < BIT; d++)
			if (!is_format(c->row[i].key) &&
			    (c->row[i].value.n || d == DELETED))
				try_damage(c, i, d, 0);
}

static uint32_t pick(uint32_t *seed, uint32_t n)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (*seed >> 10) % n;
}

/* What a flipped bit says may be as good as what was there: then nothing is found. Whatever is
 * found is mended, and the second check is clean. */
static void a_flipped_bit_anywhere_leaves_a_store_that_can_be_mended(void **state)
{
	struct check_bench *c = *state;
	uint32_t seed = 7;

	for (size_t i = 0; i < c->n; i++)
		for (int k = 0; k < 3 && c->row[i].value.n && !is_format(c->row[i].key);
		     k++)
			try_damage(c, i, BIT, pick(&seed, 4096));
}

/* Several rows at once: nothing that was not hit is lost, and the second check is clean. */
static void damage_of_many_rows_is_mended_in_one_run(void **state)
{
	struct check_bench *c = *state;
	uint32_t seed = 11;

	for (int round = 0; round < 60; round++) {
		size_t hits = 1 + pick(&seed, 5), left;
		AUTO_BUF what = { 0 };

		buf_init(&what, 4096);
		for (size_t k = 0; k < hits; k++) {
			size_t i = pick(&seed, (uint32_t)c->n);
			enum damage d = (enum damage)pick(&seed, DAMAGES);

			if (is_format(c->row[i].key) || c->row[i].value.n == 0)
				continue;
			buf_addf(&what, " %c%c/%zu by %d", c->row[i].key.p[0],
				 c->row[i].key.n > 5 ? c->row[i].key.p[5] : ' ', i, d);
			cb_put(c, c->row[i].key,
			       damaged_value(c, c->row[i].value, d, pick(&seed, 4096)));
		}
		cb_check(c, true);
		bench_reopen(&c->b);
		struct shown s = show_all(c);

		left = c->r.left;
		cb_check(c, false);
		if (c->r.found || left || s.n + hits < WANTED_N)
			cb_print(c);
		if (c->r.found || left || s.n + hits < WANTED_N)
			fail_msg("round %d,%.*s: %zu left, %zu found again, %zu messages",
				 round, (int)what.n, what.p, left, (size_t)c->r.found,
				 s.n);
		cb_restore(c);
		arena_reset(&c->b.a);
	}
}

/* --- the file of what was put aside -------------------------------------------------------- */
static bool take_emails(void *ctx, const struct store_row *row)
{
	*(uint64_t *)ctx = row->email;
	return true;
}

static bool take_whole(void *ctx, slice key, slice value)
{
	(void)value;
	kv_del(ctx, key);
	return true;
}

/* All that an account has but its own row and its mailboxes is lost, as when the engine had to be put
 * together again; the references, which lie elsewhere, still know its bodies. */
static void a_text_that_only_its_reference_knows_is_filed_again(void **state)
{
	struct check_bench *c = *state;
	static const char kinds[] = "emtTgl";
	const uint32_t ids[] = { 0, c->b.alice, c->b.bob };
	uint64_t email = 0;
	uint32_t inbox = mbox_id(&c->b, c->b.alice, "INBOX");
	struct kv_txn *t = cb_raw(c, ids);
	struct store_email x;
	size_t found = 0;

	for (size_t i = 0; kinds[i]; i++) {
		struct skey from = key_account_type(c->b.alice, kinds[i]), to = from;

		to.b[to.n - 1]++;
		struct kv_range r = { slice_make(from.b, from.n), slice_make(to.b, to.n),
				      false };

		OK(kv_scan(c->b.kv, t, &r, take_whole, t, &e));
	}
	OK(kv_commit_wait(t, &e));
	bench_reopen(&c->b);
	cb_check(c, true);
	cb_check(c, true);
	assert_int_equal(c->r.found, 0);
	for (uint32_t uid = 1; uid < mbox_get(&c->b, c->b.alice, inbox).uidnext; uid++) {
		OK(store_rows(c->b.s, c->b.alice, inbox, uid, uid, take_emails, &email,
			      &e));
		if (!email)
			continue;
		OK(store_email_get(c->b.s, c->b.alice, email, &c->b.a, &x, &e));
		slice text = whole(&c->b, &x);

		found += slice_find(text, SL("text of 5\r\n"), 0) < text.n;
		email = 0;
	}
	assert_int_equal(found, 1);
}

static void what_is_taken_out_is_put_aside_as_it_was(void **state)
{
	struct check_bench *c = *state;
	AUTO_BUF file = { 0 }, line = { 0 };
	struct skey k = key_email(c->b.alice, 1ull << 48 | 1);
	slice row;

	buf_init(&file, 1u << 20);
	buf_init(&line, 1u << 20);
	OK(kv_get(c->b.kv, NULL, skey_slice(&k), &c->b.a, &row, &e));
	slice bad = damaged_value(c, row, VERSION, 0);

	cb_put(c, skey_slice(&k), bad);
	cb_check(c, false);
	assert_string_equal(c->r.aside_file, "");
	cb_check(c, true);
	assert_true(c->r.aside > 0);
	OK(io_read_file(c->r.aside_file, 1u << 20, &file, &e));
	for (size_t i = 0; i < k.n; i++)
		buf_addf(&line, "%02x", k.b[i]);
	buf_addc(&line, ' ');
	for (size_t i = 0; i < bad.n; i++)
		buf_addf(&line, "%02x", (unsigned char)bad.p[i]);
	buf_addc(&line, '\n');
	assert_true(slice_find(buf_slice(&file), buf_slice(&line), 0) < file.n);
	assert_true(slice_find(buf_slice(&file), SL("# alice@example.org INBOX 1: "), 0) <
		    file.n);
}

/* --- served all the same -------------------------------------------------------------------- */
static void a_damaged_message_row_is_missing_alone_and_keeps_its_uid(void **state)
{
	struct check_bench *c = *state;
	struct bench *b = &c->b;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX");
	struct skey k = key_message(b->alice, inbox, 3);
	struct shown s = { .c = c };
	struct store_row row;
	const struct store_view *v;
	struct store_uids u = cb_uid(c, 3), out;
	slice value;

	OK(kv_get(b->kv, NULL, skey_slice(&k), &b->a, &value, &e));
	cb_put(c, skey_slice(&k), damaged_value(c, value, TRUNCATED, 0));
	OK(store_rows(b->s, b->alice, inbox, 1, UINT32_MAX, show_row, &s, &e));
	assert_int_equal(s.n, 6); /* of 1 2 3 5 7 8 9 */
	FAILS(store_row_get(b->s, b->alice, inbox, 3, &row, &e), ERR_CORRUPT);
	OK(store_view_open(b->s, b->alice, inbox, &v, &e));
	assert_int_equal(v->n, 7);
	assert_int_equal(v->uid[2], 3);
	store_view_unref(b->s, v);
	IN_TXN(b, b->alice, store_expunge(t, b->alice, inbox, &u, false, &out, &e));
	cb_check(c, true);
	OK(store_row_get(b->s, b->alice, inbox, 3, &row, &e));
}

static void damaged_rows_of_names_and_logins_hide_nobody_else(void **state)
{
	struct check_bench *c = *state;
	struct bench *b = &c->b;
	struct store_mailbox *m;
	struct store_account *acct;
	struct skey kf = key_mbox(b->alice, mbox_id(b, b->alice, "A/B"));
	struct skey ka = key_account(b->alice);
	size_t n;

	cb_put(c, skey_slice(&kf), SL("damaged"));
	OK(store_mailbox_list(b->s, b->alice, &b->a, &m, &n, &e));
	assert_int_equal(n, 9);
	bool child = false, itself = false;

	for (size_t i = 0; i < n; i++) {
		child |= slice_eq(m[i].name, SL("A/B/C"));
		itself |= slice_eq(m[i].name, SL("A/B"));
	}
	assert_true(child && itself);
	FAILS(store_mailbox_find(b->s, b->alice, SL("A/B"), &b->a, &m[0], &e),
	      ERR_CORRUPT);
	cb_put(c, key_login(&b->a, SL("example.org"), SL("al")), SL("damaged"));
	cb_put(c, skey_slice(&ka), SL("damaged"));
	OK(store_account_list(b->s, &b->a, &acct, &n, &e));
	assert_int_equal(n, 2);
	cb_check(c, true);
	assert_true(c->r.found >= 3 && c->r.left == 0);
	OK(store_mailbox_find(b->s, b->alice, SL("A/B"), &b->a, &m[0], &e));
	cb_check(c, false);
	assert_int_equal(c->r.found, 0);
}

/* --- the row that says what the store is ----------------------------------------------------- */
static void a_store_without_its_format_is_refused_and_can_be_given_one(void **state)
{
	struct check_bench *c = *state;
	struct bench *b = &c->b;
	struct skey k = key_format();
	const uint32_t ids[] = { 0 };
	struct kv_txn *t = NULL;
	struct row_format f;
	uint32_t epoch;
	slice row;

	OK(kv_begin(b->kv, ids, 1, NULL, &t, &e));
	kv_del(t, skey_slice(&k));
	OK(kv_commit_wait(t, &e));
	store_close(b->s);
	b->s = NULL;
	FAILS(store_open(b->kv, &b->clock, &b->s, &e), ERR_CORRUPT);
	OK(store_repair_format(b->kv, &b->clock, &epoch, &e));
	assert_int_equal(epoch, 2);
	OK(store_open(b->kv, &b->clock, &b->s, &e));
	OK(kv_get(b->kv, NULL, skey_slice(&k), &b->a, &row, &e));
	assert_true(row_format_read(row, &f) && f.epoch == 2);
	cb_check(c, false);
	assert_int_equal(c->r.found, 0);
	struct shown s = show_all(c);

	assert_true((s.seen & WANTED_SEEN) == WANTED_SEEN);
	deliver(b, b->alice, 0, slice_make("", 0), cb_text(c, 60, 0));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, cb_setup, cb_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_whole_store_is_clean),
		TEST(every_row_that_cannot_be_read_is_told_and_mended),
		TEST(a_flipped_bit_anywhere_leaves_a_store_that_can_be_mended),
		TEST(damage_of_many_rows_is_mended_in_one_run),
		TEST(a_text_that_only_its_reference_knows_is_filed_again),
		TEST(what_is_taken_out_is_put_aside_as_it_was),
		TEST(a_damaged_message_row_is_missing_alone_and_keeps_its_uid),
		TEST(damaged_rows_of_names_and_logins_hide_nobody_else),
		TEST(a_store_without_its_format_is_refused_and_can_be_given_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
