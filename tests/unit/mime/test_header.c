/* Fields, unfolding, message ids, dates. */
#include "mime_test.h"
#include "base/clock.h"

static void fields_are_given_with_their_place(void **state)
{
	slice h = SL(
		"Subject: a\r\n b\r\nX-Y :z\r\nno colon here\r\nbad name: x\r\nTo:\r\n\r\nBody: x\r\n");
	struct mime_header_iter it = mime_header_iter(h);
	struct mime_header_field f;

	(void)state;
	assert_true(mime_header_next(&it, &f));
	assert_slice(f.name, "Subject");
	assert_slice(f.value, " a\r\n b");
	assert_int_equal(f.off, 0);
	assert_int_equal(f.len, 16);
	assert_true(mime_header_next(&it, &f));
	assert_slice(f.name, "X-Y");
	assert_slice(f.value, "z");
	assert_int_equal(f.off, 16);
	assert_true(mime_header_next(&it, &f));
	assert_slice(f.name, "");
	assert_slice(f.value, "no colon here");
	assert_true(mime_header_next(&it, &f));
	assert_slice(f.name, "");
	assert_true(mime_header_next(&it, &f));
	assert_slice(f.name, "To");
	assert_slice(f.value, "");
	assert_false(mime_header_next(&it, &f));
	assert_int_equal(mime_header_length(h), h.n - 9);
}

static void a_field_is_found_and_unfolded(void **state)
{
	AUTO_ARENA a = { 0 };
	slice h = SL("A: 1\r\nSUBJECT: x\r\n\ty \r\nsubject: 2\r\n\r\n");

	(void)state;
	assert_slice(mime_header_get(&a, h, SL("Subject")), "x\ty");
	assert_false(mime_has(mime_header_get(&a, h, SL("To"))));
	assert_slice(mime_unfold(&a, SL(" a\r\n b\n c\rd ")), "a b c d");
	assert_slice(mime_unfold(&a, (slice){ "a\0b", 3 }), "a b");
}

static void message_ids_are_listed(void **state)
{
	static const struct {
		const char *value, *want;
	} cases[] = {
		{ "<a@b>", "a@b|" },
		{ " <a@b> (x)\t<c@d><e@f>", "a@b|c@d|e@f|" },
		{ "Your message of Monday <a@b>", "a@b|" },
		{ "joe@example.org wrote", "" },
		{ "a@b", "a@b|" },
		{ "< a @ b >", "a@b|" },
		{ "<\"a\"@b>", "a@b|" },
		{ "<> <a@b", "a@b|" },
		{ "<a@b <c@d>", "a@b|c@d|" },
		{ "", "" },
		{ "<", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO_ARENA a = { 0 };
		AUTO_BUF b;
		slice v = exact(slice_str(cases[i].value)), id;
		size_t at = 0;

		buf_init(&b, 1000);
		while (mime_msgid_next(v, &at, &a, &id))
			buf_addf(&b, "%.*s|", FMT(id));
		exact_free(v);
		assert_slice(buf_slice(&b), cases[i].want);
	}
}

static void dates_are_read_in_every_form(void **state)
{
	static const struct {
		const char *value, *want; /* NULL: cannot be read */
	} cases[] = {
		{ "Sun, 22 Nov 2026 19:54:30 +0000", "Sun, 22 Nov 2026 19:54:30 +0000" },
		{ "22 Nov 2026 19:54 -0330", "Sun, 22 Nov 2026 19:54:00 -0330" },
		{ "Thu,\t13 Feb 1969 23:32 -0330 (Newfoundland (x) Time)",
		  "Thu, 13 Feb 1969 23:32:00 -0330" },
		{ "(c) Fri (c) , (c) 21 (c) Nov (c) 1997 (c) 09 (c) : (c) 55 : 06 (c) -0600",
		  "Fri, 21 Nov 1997 09:55:06 -0600" },
		{ "21 Nov 97 09:55:06 GMT", "Fri, 21 Nov 1997 09:55:06 +0000" },
		{ "21 Nov 49 00:00 EST", "Sun, 21 Nov 2049 00:00:00 -0500" },
		{ "21 Nov 101 00:00 PDT", "Wed, 21 Nov 2001 00:00:00 -0700" },
		{ "1 Jan 2026 00:00:00 Z", "Thu, 1 Jan 2026 00:00:00 +0000" },
		{ "1 Jan 2026 00:00:00 XYZ", "Thu, 1 Jan 2026 00:00:00 +0000" },
		{ "1 January 2026 0:0:0 +0100", "Thu, 1 Jan 2026 00:00:00 +0100" },
		{ "1 Jan 2026", "Thu, 1 Jan 2026 00:00:00 +0000" },
		{ "Sun Nov 22 19:54:30 2026", "Sun, 22 Nov 2026 19:54:30 +0000" },
		{ "Sun Nov 22 19:54:30 +0100 2026", "Sun, 22 Nov 2026 19:54:30 +0100" },
		{ "29 Feb 2024 23:59:60 +0000", "Fri, 1 Mar 2024 00:00:00 +0000" },
		{ "1 Jan 2026 00:00:00 +9999", "Thu, 1 Jan 2026 00:00:00 +0000" },
		{ "", NULL },
		{ "yesterday", NULL },
		{ "32 Jan 2026 00:00 GMT", NULL },
		{ "1 Foo 2026 00:00 GMT", NULL },
		{ "1 Jan 20261 00:00 GMT", NULL },
		{ "1 Jan 2026 24:00 GMT", NULL },
		{ "1 Jan 2026 00:60 GMT", NULL },
		{ "0 Jan 2026 00:00 GMT", NULL },
		{ "1 Jan 0 00:00 GMT", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO_BUF b;
		struct mime_date d;
		slice v = exact(slice_str(cases[i].value));
		bool ok = mime_date_parse(v, &d);

		exact_free(v);
		if (ok != (cases[i].want != NULL))
			fail_msg("%s: %s", cases[i].value,
				 ok ? "was read" : "cannot be read");
		if (!ok)
			continue;
		buf_init(&b, 100);
		mime_date_write(&b, &d);
		assert_slice(buf_slice(&b), cases[i].want);
	}
}

static void internaldates_are_exact(void **state)
{
	static const char *const bad[] = { "",
					   "17-Jul-1996",
					   "7-Jul-1996 02:44:25 -0700",
					   " 17-Jul-1996 02:44:25 -0700",
					   "17-Jul-1996 02:44:25 -0700 ",
					   "17-July-1996 02:44:25 -0700",
					   "17-Jul-96 02:44:25 -0700",
					   "17-Jul-1996 02:44:25 PDT",
					   "31-Feb-1996 02:44:25 -0700",
					   "17-Jul-1996 25:44:25 -0700",
					   "17-Jul-1996 02:44:25 -0760" };
	static const char *const good[] = { "17-Jul-1996 02:44:25 -0700",
					    " 7-Jul-1996 02:44:25 +0000",
					    "30-Dec-9999 23:59:59 +1400",
					    "29-Feb-2024 00:00:00 +0530" };
	struct mime_date d = { 42, 7 };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		slice v = exact(slice_str(bad[i]));

		if (mime_internaldate_parse(v, &d))
			fail_msg("read: %s", bad[i]);
		exact_free(v);
	}
	assert_int_equal(d.unix_s, 42); /* untouched on failure */
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		AUTO_BUF b;

		buf_init(&b, 100);
		assert_true(mime_internaldate_parse(slice_str(good[i]), &d));
		mime_internaldate_write(&b, &d);
		assert_slice(buf_slice(&b), good[i]);
	}
	assert_true(mime_internaldate_parse(SL("07-Jul-1996 02:44:25 +0000"), &d));
	assert_int_equal(d.unix_s, 836707465);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_given_with_their_place),
		cmocka_unit_test(a_field_is_found_and_unfolded),
		cmocka_unit_test(message_ids_are_listed),
		cmocka_unit_test(dates_are_read_in_every_form),
		cmocka_unit_test(internaldates_are_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
