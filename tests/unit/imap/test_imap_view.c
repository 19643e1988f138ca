/* Numbers and UIDs of a session's view against a naive model: an array of what the client
 * knows. */
#include "imap/imap_view.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { MAX = 60 };
static uint32_t seed = 3;
static uint32_t rnd(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

struct model {
	uint32_t known[MAX * 4],
		n_known; /* the client's: base and what it was not told is gone */
	uint32_t base[2][MAX * 4], n_base;
	int which;
	uint32_t next;
};

static void check(const struct imap_view *v, const struct model *m)
{
	size_t hint = 0;

	assert_int_equal(imap_view_count(v), m->n_known);
	assert_int_equal(imap_view_last(v), m->n_known ? m->known[m->n_known - 1] : 0);
	assert_int_equal(imap_view_uid(v, 0), 0);
	assert_int_equal(imap_view_uid(v, m->n_known + 1), 0);
	for (uint32_t i = 0; i < m->n_known; i++) {
		assert_int_equal(imap_view_uid(v, i + 1), m->known[i]);
		assert_int_equal(imap_view_seq(v, m->known[i]), i + 1);
		assert_int_equal(imap_view_seq_from(v, m->known[i], &hint), i + 1);
	}
	for (uint32_t uid = 1, below = 0; uid < m->next + 3; uid++) {
		bool is = below < m->n_known && m->known[below] == uid;

		assert_int_equal(imap_view_below(v, uid), below);
		assert_int_equal(imap_view_seq(v, uid) != 0, is);
		below += is;
	}
}

/* The mailbox changes: some go, some come; the client is told of those that came. */
static void change(struct imap_view *v, struct model *m)
{
	uint32_t gone[MAX * 4], *from = m->base[m->which], *to = m->base[!m->which];
	size_t n_gone = 0, n = 0;

	for (uint32_t i = 0; i < m->n_base; i++) {
		if (rnd(5) == 0)
			gone[n_gone++] = from[i];
		else
			to[n++] = from[i];
	}
	while (n < MAX && rnd(2)) {
		m->next += 1 + rnd(3);
		to[n++] = m->next;
		m->known[m->n_known++] = m->next;
	}
	m->n_base = (uint32_t)n;
	m->which = !m->which;
	imap_view_move(v, to, n, gone, n_gone);
}

static void tell(struct imap_view *v, struct model *m)
{
	imap_view_forget(v);
	memcpy(m->known, m->base[m->which], m->n_base * sizeof(uint32_t));
	m->n_known = m->n_base;
}

static void numbers_follow_the_model(void **st)
{
	(void)st;
	for (int round = 0; round < 2000; round++) {
		struct model m = { 0 };
		struct imap_view v = { 0 };

		for (int step = 0; step < 20; step++) {
			change(&v, &m);
			check(&v, &m);
			if (m.n_known > MAX * 2 || rnd(4) == 0)
				tell(&v, &m);
			check(&v, &m);
		}
		imap_view_done(&v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_follow_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
