/* The framer: the same units wherever the stream is cut, with nothing kept when idle. */
#include "imap/imap_framer.h"
#include "imap/imap_parse.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* Runs a stream through the framer and writes what it gives as text: "C:…|" for commands,
 * "M:…" for message octets. */
static void run(slice stream, size_t cut, bool logged_in, bool raw, struct buf *log)
{
	struct imap_framer f;
	size_t have = cut < stream.n ? cut : stream.n, at = 0;
	bool in_message = false;

	imap_framer_init(&f);
	f.is_logged_in = logged_in;
	f.is_raw = raw;
	for (;;) {
		slice part = slice_sub(stream, at, have - at), out = SL("");
		char *exact = malloc(part.n ? part.n : 1);
		size_t used = 0;
		enum imap_unit u;
		uint32_t n;
		size_t lit;

		if (part.n)
			memcpy(exact, part.p, part.n);
		u = imap_framer_feed(&f, slice_make(exact, part.n), &used, &out);
		assert_true(used <= part.n);
		at += used;
		if (in_message && u != IMAP_UNIT_CHUNK && u != IMAP_UNIT_LAST &&
		    u != IMAP_UNIT_MORE) {
			buf_adds(log, "|");
			in_message = false;
		}
		switch (u) {
		case IMAP_UNIT_COMMAND:
			buf_adds(log, "C:");
			buf_add(log, out);
			buf_adds(log, "|");
			imap_framer_reset(&f);
			assert_null(f.gather.p);
			break;
		case IMAP_UNIT_LINE:
			buf_adds(log, "L:");
			buf_add(log, out);
			buf_adds(log, "|");
			break;
		case IMAP_UNIT_CONTINUE:
			buf_adds(log, "+|");
			break;
		case IMAP_UNIT_APPEND:
			buf_adds(log, "A:");
			buf_add(log, out);
			buf_adds(log, "|M:");
			imap_literal_at_end(out, &lit, &n);
			imap_framer_reset(&f);
			imap_framer_message(&f, n, false);
			in_message = true;
			break;
		case IMAP_UNIT_CHUNK:
			buf_add(log, out);
			break;
		case IMAP_UNIT_LAST:
			buf_add(log, out);
			buf_adds(log, "|E|");
			in_message = false;
			imap_framer_reset(&f);
			break;
		case IMAP_UNIT_REFUSED:
			buf_addf(log, "R%d:", (int)f.why);
			buf_add(log, imap_framer_tag(&f));
			buf_adds(log, "|");
			imap_framer_reset(&f);
			break;
		case IMAP_UNIT_ABSURD:
			buf_adds(log, "!|");
			free(exact);
			imap_framer_done(&f);
			return;
		case IMAP_UNIT_MORE:
			break;
		}
		free(exact);
		if (u != IMAP_UNIT_MORE)
			continue;
		if (have == stream.n)
			break;
		have = have + 1 + (cut > 4 ? cut % 7 * (have % 3) : 0);
		if (have > stream.n || cut > stream.n)
			have = stream.n;
	}
	imap_framer_done(&f);
}

static void expect(slice stream, bool logged_in, bool raw, slice want)
{
	for (size_t cut = 0; cut <= stream.n + 1; cut++) {
		struct buf log;

		buf_init(&log, 1 << 20);
		run(stream, cut, logged_in, raw, &log);
		if (!slice_eq(buf_slice(&log), want))
			fail_msg("cut %zu:\n got  %.*s\n want %.*s", cut,
				 FMT(buf_slice(&log)), FMT(want));
		buf_done(&log);
	}
}

static void units_do_not_depend_on_cuts(void **st)
{
	(void)st;
	expect(SL("a NOOP\r\nb NOOP\nc"), false, false, SL("C:a NOOP|C:b NOOP|"));
	expect(SL("\r\n\n"), false, false, SL("C:|C:|"));
	expect(SL("a LOGIN {3}\r\nann {2+}\r\npw\r\nb X\r\n"), false, false,
	       SL("+|C:a LOGIN {3}\r\nann {2+}\r\npw|C:b X|"));
	expect(SL("a LOGIN {3+}\r\n\r\n\r x\r\n"), false, false,
	       SL("C:a LOGIN {3+}\r\n\r\n\r x|"));
	expect(SL("a X {0}\r\n\r\n"), false, false, SL("+|C:a X {0}\r\n|"));
	expect(SL("DONE\r\na {3}\r\n"), true, true, SL("L:DONE|L:a {3}|"));
	expect(SL("a X {99999999999}\r\n"), false, false, SL("!|"));
}

static void messages_are_streamed(void **st)
{
	(void)st;
	expect(SL("a APPEND x {5}\r\nhello\r\nb Y\r\n"), true, false,
	       SL("A:a APPEND x {5}|M:hello|E|C:b Y|"));
	expect(SL("a append {1}\r\nx (\\Seen) {5+}\r\nhe\r\no\r\n"), true, false,
	       SL("+|A:a append {1}\r\nx (\\Seen) {5+}|M:he\r\no|E|"));
	expect(SL("a APPEND x {2+}\r\nhe {3+}\r\nfoo\r\nb Y\r\n"), true, false,
	       SL("A:a APPEND x {2+}|M:he|R3:|C:b Y|"));
	/* Before login no literal is a message. */
	expect(SL("a APPEND x {5+}\r\nhello\r\n"), false, false,
	       SL("C:a APPEND x {5+}\r\nhello|"));
}

static void what_is_too_long_is_skipped(void **st)
{
	struct buf in;

	(void)st;
	buf_init(&in, 1 << 20);
	buf_adds(&in, "a X {4097+}\r\n");
	for (int i = 0; i < 4097; i++)
		buf_addc(&in, i % 50 ? 'x' : '\n');
	buf_adds(&in, " {3+}\r\nfoo tail\r\nb Y\r\n");
	{
		size_t cuts[] = { 0, 1, 13, 14, 4000, 4110, 4111, 4118, 4122, in.n };

		for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
			struct buf log;

			buf_init(&log, 1 << 20);
			run(buf_slice(&in), cuts[i], false, false, &log);
			assert_true(slice_eq(buf_slice(&log), SL("R2:a|C:b Y|")));
			buf_done(&log);
		}
	}
	buf_reset(&in);
	buf_adds(&in, "tag ");
	for (int i = 0; i < 9000; i++)
		buf_addc(&in, 'x');
	buf_adds(&in, " {4+}\r\nab\r\n more\r\nb Y\r\n");
	for (size_t cut = 0; cut < in.n; cut += 97) {
		struct buf log;

		buf_init(&log, 1 << 20);
		run(buf_slice(&in), cut, false, false, &log);
		assert_true(slice_eq(buf_slice(&log), SL("R1:tag|C:b Y|")));
		buf_done(&log);
	}
	buf_done(&in);
	/* A literal that waits for the go-ahead is refused at once: what follows is the
	 * next command. */
	expect(SL("a X {5000}\r\nb Y\r\n"), false, false, SL("R2:a|C:b Y|"));
}

static void memory_before_login_is_bounded(void **st)
{
	struct imap_framer f;
	size_t used;
	slice out;

	(void)st;
	imap_framer_init(&f);
	for (int i = 0; i < 100000; i++) { /* HAZARDS 20: pieces without an end */
		slice in = SL("a X {10+}\r\n((((((((((");
		enum imap_unit u = imap_framer_feed(&f, in, &used, &out);

		assert_true(f.gather.cap <=
			    2 * (LIMIT_IMAP_LINE_PREAUTH + LIMIT_IMAP_LITERAL_PREAUTH));
		if (u == IMAP_UNIT_REFUSED)
			imap_framer_reset(&f);
	}
	imap_framer_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(units_do_not_depend_on_cuts),
		cmocka_unit_test(messages_are_streamed),
		cmocka_unit_test(what_is_too_long_is_skipped),
		cmocka_unit_test(memory_before_login_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
