/* The framer: lines, DATA and BDAT, cut at every offset, in buffers of exact size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "smtp/smtp_framer.h"

/* What a caller does: shows the unconsumed bytes each time more have come. The window
 * is copied into a heap block of exact size, so that a read behind the end is seen by
 * the sanitizer (HAZARDS 13). */
struct feed {
	struct smtp_framer f;
	struct buf in;
	struct buf log; /* what was reported */
};

static slice exact(const struct buf *b, char **out)
{
	*out = mem_new(b->n ? b->n : 1);
	if (b->n)
		memcpy(*out, b->p, b->n);
	return slice_make(*out, b->n);
}

static void feed_init(struct feed *t)
{
	*t = (struct feed){ 0 };
	buf_init(&t->in, 1 << 20);
	buf_init(&t->log, 1 << 20);
}

static void feed_done(struct feed *t)
{
	buf_done(&t->in);
	buf_done(&t->log);
}

static void feed_lines(struct feed *t, slice bytes, size_t max)
{
	buf_add(&t->in, bytes);
	for (;;) {
		char *p;
		slice in = exact(&t->in, &p), line = SL("");
		enum smtp_line r = smtp_framer_line(&t->f, in, max, &line);
		if (r == SMTP_LINE_OK)
			buf_addf(&t->log, "[%.*s]", FMT(line));
		else if (r != SMTP_LINE_MORE)
			buf_adds(&t->log, r == SMTP_LINE_BARE ? "{bare}" : "{long}");
		size_t n = t->f.at;
		assert_true(n <= in.n && t->f.scanned <= in.n);
		mem_free(p);
		buf_drop(&t->in, n);
		smtp_framer_consumed(&t->f, n);
		if (r == SMTP_LINE_MORE)
			return;
	}
}

static void lines_are(slice bytes, const char *want)
{
	for (size_t cut = 0; cut <= bytes.n; cut++) {
		struct feed t;
		feed_init(&t);
		feed_lines(&t, slice_sub(bytes, 0, cut), 16);
		feed_lines(&t, slice_from(bytes, cut), 16);
		buf_addc(&t.log, '\0');
		assert_string_equal(t.log.p, want);
		feed_done(&t);
	}
	struct feed t;
	feed_init(&t);
	for (size_t i = 0; i < bytes.n; i++)
		feed_lines(&t, slice_sub(bytes, i, 1), 16);
	buf_addc(&t.log, '\0');
	assert_string_equal(t.log.p, want);
	feed_done(&t);
}

static void only_crlf_ends_a_line(void **state)
{
	(void)state;
	lines_are(SL("NOOP\r\nQUIT\r\n"), "[NOOP][QUIT]");
	lines_are(SL("\r\n\r\n"), "[][]");
	lines_are(SL("NOOP\nRSET\r\nQUIT\r\n"), "{bare}[QUIT]");
	lines_are(SL("NOOP\rRSET\r\nQUIT\r\n"), "{bare}[QUIT]");
	lines_are(SL("NOOP\r\r\nQUIT\r\n"), "{bare}[QUIT]");
	lines_are(SL("\n\n\n\r\nQUIT\r\n"), "{bare}[QUIT]");
	lines_are(SL("NO\0OP\r\nQUIT\r\n"), "{bare}[QUIT]");
	lines_are(SL("a\nb\r\rc\r\r\nQUIT\r\n"), "{bare}[QUIT]");
}

static void long_lines_are_dropped_to_their_crlf(void **state)
{
	(void)state;
	lines_are(SL("12345678901234\r\nQUIT\r\n"), "[12345678901234][QUIT]");
	lines_are(SL("123456789012345\r\nQUIT\r\n"), "{long}[QUIT]");
	lines_are(SL("1234567890123456\r\nQUIT\r\n"), "{long}[QUIT]");
	lines_are(SL("12345678901234567890123456789012345\r\nQUIT\r\n"), "{long}[QUIT]");
	lines_are(SL("12345678901234567890\nQUIT\r\nQUIT\r\n"), "{long}[QUIT]");
	lines_are(SL("123456789012345\r\r\nQUIT\r\n"), "{long}[QUIT]");
}

/* --- DATA --------------------------------------------------------------------------------------------------- */

/* Text behind DATA in steps of `step` octets, asking for chunks of `want`: the message
 * as stored, then "|" and what is left. */
static void data_run(slice bytes, size_t first, size_t step, size_t want, struct buf *out)
{
	struct feed t;
	enum smtp_dots dots = DOTS_LINE_START;
	bool is_over = false;
	size_t fed = 0;
	feed_init(&t);
	smtp_framer_data_begin(&t.f);
	while (!is_over && fed < bytes.n) {
		slice part = slice_sub(bytes, fed, fed == 0 && first ? first : step);
		fed += part.n;
		buf_add(&t.in, part);
		for (;;) {
			char *p;
			slice in = exact(&t.in, &p), chunk = SL(""), piece;
			size_t used;
			enum smtp_body r =
				smtp_framer_data(&t.f, in, want, &chunk, &used);
			if (r != SMTP_BODY_MORE)
				while (smtp_unstuff(&dots, &chunk, &piece))
					buf_add(out, piece);
			mem_free(p);
			buf_drop(&t.in, used);
			is_over = r == SMTP_BODY_LAST;
			if (r != SMTP_BODY_CHUNK)
				break;
		}
	}
	if (is_over) {
		buf_addc(out, '|');
		buf_add(out, buf_slice(&t.in));
		buf_add(out, slice_from(bytes, fed));
	}
	feed_done(&t);
}

static void data_is(slice bytes, slice want)
{
	static const size_t wants[] = { 1, 2, 3, 4, 5, 7, 1000 };
	struct buf b;
	buf_init(&b, 1 << 20);
	for (size_t w = 0; w < sizeof wants / sizeof *wants; w++)
		for (size_t cut = 0; cut <= bytes.n; cut++)
			for (size_t step = 1; step < 1000; step = step * 7 + 1) {
				buf_reset(&b);
				data_run(bytes, cut, step, wants[w], &b);
				if (b.n != want.n ||
				    memcmp(b.p ? b.p : "", want.p, want.n))
					fail_msg("cut %zu step %zu want %zu: \"%.*s\"",
						 cut, step, wants[w], (int)b.n, b.p);
			}
	buf_done(&b);
}

static void text_ends_at_crlf_dot_crlf_and_is_unstuffed(void **state)
{
	(void)state;
	data_is(SL(".\r\nQUIT\r\n"), SL("|QUIT\r\n"));
	data_is(SL("a\r\n.\r\n"), SL("a\r\n|"));
	data_is(SL("a\r\n..\r\nb\r\n.\r\nQ"), SL("a\r\n.\r\nb\r\n|Q"));
	data_is(SL("...\r\n.a\r\n.\r\n"), SL("..\r\na\r\n|"));
	data_is(SL("a\r\n.\r\r\n.\r\nQ"), SL("a\r\n\r\r\n|Q"));
	data_is(SL("a\r\r\n.\r\nQ"), SL("a\r\r\n|Q"));
	data_is(SL("a\r\n.b\r\n.\r\n.\r\n"), SL("a\r\nb\r\n|.\r\n"));
	data_is(SL("a.\r\n.\r\n"), SL("a.\r\n|"));
	data_is(SL("\r\n.\r\n"), SL("\r\n|"));
	data_is(SL("\0\r\n.\0\r\n.\r\n"), SL("\0\r\n\0\r\n|"));
}

/* HAZARDS 1: of the sixteen ways to write a lonely dot only one ends the message, at
 * every cut. */
static void of_sixteen_end_marks_only_one_ends(void **state)
{
	static const char *const ends[4] = { "\r\n", "\n", "\r", "" };
	(void)state;
	for (int i = 0; i < 4; i++)
		for (int j = 0; j < 4; j++) {
			struct buf in, want;
			buf_init(&in, 1000);
			buf_init(&want, 1000);
			bool is_end = i == 0 && j == 0;
			buf_addf(&in, "text%s.%sMAIL FROM:<evil@x>\r\n.\r\nQUIT\r\n",
				 ends[i], ends[j]);
			if (is_end)
				buf_addf(&want,
					 "text\r\n|MAIL FROM:<evil@x>\r\n.\r\nQUIT\r\n");
			else /* a dot behind CRLF with text behind it is stuffing (RFC 5321 4.5.2) */
				buf_addf(&want,
					 "text%s%s%sMAIL FROM:<evil@x>\r\n|QUIT\r\n",
					 ends[i], i == 0 ? "" : ".", ends[j]);
			data_is(buf_slice(&in), buf_slice(&want));
			buf_done(&in);
			buf_done(&want);
		}
}

static void chunks_are_bounded_and_small_messages_come_whole(void **state)
{
	struct smtp_framer f = { 0 };
	slice out;
	size_t used;
	(void)state;
	smtp_framer_data_begin(&f);
	assert_int_equal(smtp_framer_data(&f, SL("Subject: x\r\n\r\nabc\r\n"), 100, &out,
					  &used),
			 SMTP_BODY_MORE);
	assert_int_equal(used, 0);
	assert_int_equal(smtp_framer_data(&f,
					  SL("Subject: x\r\n\r\nabc\r\n.\r\nQUIT\r\n"),
					  100, &out, &used),
			 SMTP_BODY_LAST);
	assert_true(slice_eq(out, SL("Subject: x\r\n\r\nabc\r\n")));
	smtp_framer_data_begin(&f);
	assert_int_equal(smtp_framer_data(&f, SL("0123456\r\n.\r"), 10, &out, &used),
			 SMTP_BODY_CHUNK);
	assert_true(
		slice_eq(out, SL("0123456\r\n"))); /* the two that may be the end stay */
	assert_int_equal(smtp_framer_data(&f, SL(".\r\n"), 10, &out, &used),
			 SMTP_BODY_LAST);
	assert_int_equal(out.n, 0);
	assert_int_equal(used, 3);
}

static void bdat_counts_and_looks_at_nothing(void **state)
{
	struct smtp_framer f = { .bdat_left = 10 };
	slice out;
	size_t used;
	(void)state;
	assert_int_equal(smtp_framer_bdat(&f, SL("\r\n.\r\n"), 8, &out, &used),
			 SMTP_BODY_MORE);
	assert_int_equal(smtp_framer_bdat(&f, SL("\r\n.\r\nQUI"), 8, &out, &used),
			 SMTP_BODY_CHUNK);
	assert_int_equal(used, 8);
	assert_int_equal(smtp_framer_bdat(&f, SL("T\r\nNOOP\r\n"), 8, &out, &used),
			 SMTP_BODY_LAST);
	assert_int_equal(used, 2);
	assert_true(slice_eq(out, SL("T\r")));
	assert_int_equal(smtp_framer_bdat(&f, SL("NOOP"), 8, &out, &used),
			 SMTP_BODY_LAST); /* BDAT 0 */
	assert_int_equal(used, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_crlf_ends_a_line),
		cmocka_unit_test(long_lines_are_dropped_to_their_crlf),
		cmocka_unit_test(text_ends_at_crlf_dot_crlf_and_is_unstuffed),
		cmocka_unit_test(of_sixteen_end_marks_only_one_ends),
		cmocka_unit_test(chunks_are_bounded_and_small_messages_come_whole),
		cmocka_unit_test(bdat_counts_and_looks_at_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
