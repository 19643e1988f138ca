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
		if (slice_eq(m->c->row[i].key, key) && slice_eq(m->c->row[i].value, value))
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

		OK(store_rows(c->b.s, c->b.alice, m[i].id, 1, UINT32_MAX, show_row, &s, &e));
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
		fail_msg("damage %d at %zu of row %zu, kind %c%c: %zu found, %zu told when mended, "
			 "%zu left, %zu found again; messages %llx %zu, notes %zu",
			 d, at, i, r->key.p[0], r->key.n > 5 ? r->key.p[5] : r->key.p[1], found,
			 repaired, left, (size_t)c->r.found, (unsigned long long)s.seen, s.n,
			 s.notes);
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
			if (!is_format(c->row[i].key) && (c->row[i].value.n || d == DELETED))
				try_damage(c, i, d, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_whole_store_is_clean, cb_setup, cb_teardown),
		cmocka_unit_test_setup_teardown(
			every_row_that_cannot_be_read_is_told_and_mended, cb_setup,
			cb_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
