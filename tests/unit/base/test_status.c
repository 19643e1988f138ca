/* test_status.c — base/status.h */
#include "base/status.h"
#include "base/utf8.h"
#include <setjmp.h>
#include <cmocka.h>

static void every_code_has_a_status_and_a_name_of_its_own(void **state)
{
	(void)state;
	for (int a = ERR_NONE; a <= ERR_IO; a++) {
		assert_non_null(err_name((enum err_code)a));
		assert_string_not_equal(err_name((enum err_code)a), "unknown");
		assert_int_equal(err_status((enum err_code)a) == ST_OK, a == ERR_NONE);
		for (int b = ERR_NONE; b < a; b++)
			assert_string_not_equal(err_name((enum err_code)a),
						err_name((enum err_code)b));
	}
	assert_string_equal(err_name(ERR_NO_MAILBOX), "no-mailbox");
	assert_string_equal(err_name((enum err_code)999), "unknown");
	assert_int_equal(err_status((enum err_code)999), ST_IO);
}

static void codes_map_to_what_callers_branch_on(void **state)
{
	(void)state;
	assert_int_equal(err_status(ERR_NO_MAILBOX), ST_NOT_FOUND);
	assert_int_equal(err_status(ERR_MAILBOX_EXISTS), ST_EXISTS);
	assert_int_equal(err_status(ERR_OVERQUOTA), ST_LIMIT);
	assert_int_equal(err_status(ERR_AUTH), ST_DENIED);
	assert_int_equal(err_status(ERR_DISK_FULL), ST_FULL);
	assert_int_equal(err_status(ERR_STOPPED), ST_IO);
	assert_int_equal(err_status(ERR_SYNTAX), ST_INVALID);
}

static void the_text_is_filled_and_the_status_returned(void **state)
{
	(void)state;
	struct err e;

	assert_int_equal(err_set(&e, ERR_EXISTS, "domain %s is there", "example.org"),
			 ST_EXISTS);
	assert_int_equal(e.code, ERR_EXISTS);
	assert_string_equal(e.text, "domain example.org is there");
	assert_int_equal(err_set(NULL, ERR_IO, "%d", 1), ST_IO);
}

static void a_peer_cannot_break_the_line(void **state)
{
	(void)state;
	struct err e;

	err_set(&e, ERR_SYNTAX, "bad \"%s\"", "x\r\n250 ok\t\x7f\x80\xff\xc3\xa4");
	assert_string_equal(e.text, "bad \"x??250 ok????\xc3\xa4\"");
}

static void a_long_text_is_cut_between_characters(void **state)
{
	(void)state;
	char text[400];

	for (size_t shift = 0; shift < 4; shift++) {
		struct err e;

		memset(text, 'a', shift);
		for (size_t i = shift; i + 4 < sizeof(text); i += 3)
			memcpy(text + i, "\xe2\x80\xa6", 4);
		err_set(&e, ERR_SYNTAX, "%s", text);
		slice s = slice_str(e.text);

		assert_true(utf8_is_valid(s));
		assert_true(s.n > sizeof(e.text) - 5);
		assert_int_equal(slice_chr(s, '?', 0), s.n);
	}
	memset(text, 'b', 399);
	text[399] = '\0';
	struct err e;

	err_set(&e, ERR_SYNTAX, "%s", text);
	assert_true(strlen(e.text) >= sizeof(e.text) - 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_has_a_status_and_a_name_of_its_own),
		cmocka_unit_test(codes_map_to_what_callers_branch_on),
		cmocka_unit_test(the_text_is_filled_and_the_status_returned),
		cmocka_unit_test(a_peer_cannot_break_the_line),
		cmocka_unit_test(a_long_text_is_cut_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
