#include "net/out.h"
#include "base/alloc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sys/uio.h>

struct source {
	struct out_source src;
	int refs, reads;
	bool fails;
};
static enum status src_read(struct out_source *s, uint64_t off, void *dst, size_t n,
			    struct err *e)
{
	struct source *x = (struct source *)s;
	size_t i;

	x->reads++;
	if (x->fails)
		return err_set(e, ERR_IO, "no");
	for (i = 0; i < n; i++)
		((char *)dst)[i] = (char)('a' + (off + i) % 26);
	return ST_OK;
}
static void src_ref(struct out_source *s)
{
	((struct source *)s)->refs++;
}
static void src_unref(struct out_source *s)
{
	((struct source *)s)->refs--;
}
static const struct out_source_ops ops = { src_read, src_ref, src_unref };

/* Takes everything that is ready, `step` bytes at a time. */
static void drain(struct out *o, struct buf *b, size_t step)
{
	struct iovec iov[4];
	int i, n;

	while ((n = out_iov(o, iov, 4)) > 0) {
		size_t left = step;

		for (i = 0; i < n && left; i++) {
			size_t m = iov[i].iov_len < left ? iov[i].iov_len : left;

			buf_add(b, slice_make(iov[i].iov_base, m));
			left -= m;
		}
		out_consume(o, step - left);
	}
}

static void what_goes_in_comes_out(void **state)
{
	static const char lit[] =
		"a literal that lives for ever, longer than what is cheaper copied: "
		"0123456789012345678901234567890123456789012345678901234567890123456789";
	size_t step;

	(void)state;
	for (step = 1; step < 200; step += 13) {
		struct buf want, got, moved;
		struct out o, other;
		int i;

		out_init(&o);
		out_init(&other);
		buf_init(&want, 1 << 20);
		buf_init(&got, 1 << 20);
		buf_init(&moved, 1 << 20);
		for (i = 0; i < 3000; i++) {
			out_addf(&o, "* %d FETCH ", i);
			buf_addf(&want, "* %d FETCH ", i);
			out_addu(&o, (uint64_t)i * 7);
			buf_addu(&want, (uint64_t)i * 7);
			out_addc(&o, '\n');
			buf_addc(&want, '\n');
			if (i % 500 == 0) {
				out_static(&o, SL("short"));
				out_static(&o, slice_str(lit));
				buf_adds(&want, "short");
				buf_adds(&want, lit);
				while (moved.n < 5000)
					buf_adds(&moved, "moved ");
				buf_add(&want, buf_slice(&moved));
				out_buf(&o, &moved);
				assert_int_equal(moved.n, 0);
			}
		}
		out_adds(&other, "tail");
		out_move(&o, &other);
		buf_adds(&want, "tail");
		assert_true(out_is_empty(&other));
		assert_int_equal(o.bytes, want.n);
		drain(&o, &got, step);
		assert_int_equal(o.bytes, 0);
		assert_null(o.head);
		assert_int_equal(got.n, want.n);
		assert_memory_equal(got.p, want.p, want.n);
		out_add(&o, SL("usable again"));
		out_done(&o);
		buf_done(&want);
		buf_done(&got);
	}
}

static void long_formats_are_not_cut(void **state)
{
	char text[3000];
	struct buf got;
	struct out o;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	out_init(&o);
	buf_init(&got, 1 << 20);
	out_addf(&o, "<%s>", text);
	drain(&o, &got, 100);
	assert_int_equal(got.n, sizeof(text) + 1);
	assert_int_equal(got.p[got.n - 1], '>');
	buf_done(&got);
	out_done(&o);
}

static void blobs_are_filled_ahead_and_no_further(void **state)
{
	struct source s = { .src = { &ops } };
	struct buf got;
	struct out o, ready;
	struct err e;
	size_t i;

	(void)state;
	out_init(&o);
	out_init(&ready);
	buf_init(&got, 1 << 20);
	out_adds(&o, "{1000}");
	out_blob(&o, &s.src, 3, 1000);
	out_blob(&o, &s.src, 0, 10);
	out_adds(&o, "end");
	assert_int_equal(s.refs, 2);
	assert_int_equal(o.bytes, 6 + 1000 + 10 + 3);
	assert_false(out_needs_fill(&o));
	out_take_ready(&o, &ready);
	assert_true(out_needs_fill(&o));
	assert_int_equal(ready.bytes, 6);
	drain(&ready, &got, 100);
	assert_int_equal(out_fill(&o, 300, &e), ST_OK);
	assert_int_equal(s.refs, 2);
	assert_int_equal(o.bytes, 1013);
	drain(&o, &got, 7);
	assert_int_equal(got.n, 306);
	assert_true(out_needs_fill(&o));
	assert_int_equal(out_fill(&o, 100000, &e), ST_OK);
	assert_int_equal(s.refs, 0);
	assert_int_equal(s.reads, 3);
	drain(&o, &got, 50);
	assert_int_equal(got.n, 6 + 1000 + 10 + 3);
	for (i = 0; i < 1000; i++)
		assert_int_equal(got.p[6 + i], 'a' + (3 + i) % 26);
	assert_memory_equal(got.p + 1006, "abcdefghijend", 13);
	buf_done(&got);
}

static void a_failed_read_leaves_the_chain_whole(void **state)
{
	struct source s = { .src = { &ops }, .fails = true };
	struct out o;
	struct err e;

	(void)state;
	out_init(&o);
	out_blob(&o, &s.src, 0, 100);
	assert_int_equal(out_fill(&o, 1000, &e), ST_IO);
	assert_int_equal(o.bytes, 100);
	s.fails = false;
	assert_int_equal(out_fill(&o, 1000, &e), ST_OK);
	assert_int_equal(o.bytes, 100);
	assert_false(out_needs_fill(&o));
	out_adds(&o, "behind");
	assert_int_equal(o.bytes, 106);
	out_done(&o);
	assert_int_equal(s.refs, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_goes_in_comes_out),
		cmocka_unit_test(long_formats_are_not_cut),
		cmocka_unit_test(blobs_are_filled_ahead_and_no_further),
		cmocka_unit_test(a_failed_read_leaves_the_chain_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
