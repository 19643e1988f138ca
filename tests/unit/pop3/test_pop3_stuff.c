/* test_pop3_stuff.c — byte-stuffing and TOP, the same wherever the message is cut. */
#include "pop3/pop3_stuff.h"
#include "base/cleanup.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const struct {
	slice in, want;
	int top; /* lines; -1: RETR */
} cases[] = {
	{ S(""), S(".\r\n"), -1 },
	{ S("a\r\n"), S("a\r\n.\r\n"), -1 },
	{ S("a"), S("a\r\n.\r\n"), -1 },
	{ S(".\r\n"), S("..\r\n.\r\n"), -1 },
	{ S("..\r\n.a\r\nb.\r\n"), S("...\r\n..a\r\nb.\r\n.\r\n"), -1 },
	{ S("H: 1\r\n\r\n.\r\n\r\n.\r\n"), S("H: 1\r\n\r\n..\r\n\r\n..\r\n.\r\n"), -1 },
	{ S("H: 1\r\n\r\none\r\ntwo\r\n"), S("H: 1\r\n\r\n.\r\n"), 0 },
	{ S("H: 1\r\n\r\none\r\ntwo\r\n"), S("H: 1\r\n\r\none\r\n.\r\n"), 1 },
	{ S("H: 1\r\n\r\none\r\ntwo\r\n"), S("H: 1\r\n\r\none\r\ntwo\r\n.\r\n"), 2 },
	{ S("H: 1\r\n\r\none\r\ntwo\r\n"), S("H: 1\r\n\r\none\r\ntwo\r\n.\r\n"), 3 },
	{ S("H: 1\r\n\r\none\r\ntwo"), S("H: 1\r\n\r\none\r\ntwo\r\n.\r\n"), 9 },
	{ S("H: 1\r\n\r\n\r\n\r\nx\r\n"), S("H: 1\r\n\r\n\r\n.\r\n"), 1 },
	{ S("H: 1\r\n .\r\n.: x\r\n\r\n.x\r\ny\r\n"),
	  S("H: 1\r\n .\r\n..: x\r\n\r\n..x\r\n.\r\n"), 1 },
	{ S("H: no body\r\n"), S("H: no body\r\n.\r\n"), 0 },
	{ S("\r\nno header\r\n"), S("\r\n.\r\n"), 0 },
	{ S(""), S(".\r\n"), 0 },
};

static void run(size_t i, size_t cut1, size_t cut2)
{
	struct pop3_stuff s = { .is_top = cases[i].top >= 0,
				.lines =
					(uint32_t)(cases[i].top < 0 ? 0 : cases[i].top) };
	slice in = cases[i].in;
	AUTO_BUF out;

	buf_init(&out, 4096);
	pop3_stuff_add(&s, slice_sub(in, 0, cut1), &out);
	pop3_stuff_add(&s, slice_sub(in, cut1, cut2 - cut1), &out);
	pop3_stuff_add(&s, slice_from(in, cut2), &out);
	pop3_stuff_end(&s, &out);
	if (!slice_eq(buf_slice(&out), cases[i].want))
		fail_msg("case %zu cut at %zu and %zu: %.*s", i, cut1, cut2,
			 FMT(buf_slice(&out)));
}

static void the_same_wherever_it_is_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t a = 0; a <= cases[i].in.n; a++)
			for (size_t b = a; b <= cases[i].in.n; b++)
				run(i, a, b);
}

/* What a client does (RFC 1939 3) gives the message back. */
static void a_client_gets_the_message_back(void **state)
{
	unsigned seed = 12345;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		static const char *const parts[] = {
			".", "a", "\r\n", "..", " ", "\r\n.\r\n", "xyz", "\r\n\r\n"
		};
		AUTO_BUF in, out, back;
		struct pop3_stuff s = { 0 };
		slice rest;

		buf_init(&in, 4096);
		buf_init(&out, 8192);
		buf_init(&back, 4096);
		for (unsigned n = (seed >> 8) % 20; n > 0; n--) {
			seed = seed * 1103515245 + 12345;
			buf_adds(&in, parts[(seed >> 16) % 8]);
		}
		buf_adds(&in, "\r\n");
		pop3_stuff_add(&s, buf_slice(&in), &out);
		pop3_stuff_end(&s, &out);
		rest = buf_slice(&out);
		while (rest.n > 0) {
			size_t end = slice_find(rest, SL("\r\n"), 0);
			slice line = slice_sub(rest, 0, end);

			assert_true(end < rest.n);
			rest = slice_from(rest, end + 2);
			if (slice_eq(line, SL("."))) {
				assert_int_equal(rest.n, 0);
				break;
			}
			buf_add(&back, slice_from(line, line.n > 0 && line.p[0] == '.'));
			buf_adds(&back, "\r\n");
		}
		assert_true(slice_eq(buf_slice(&back), buf_slice(&in)));
		seed = seed * 1103515245 + 12345;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_wherever_it_is_cut),
		cmocka_unit_test(a_client_gets_the_message_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
