/* Help: every option that can be typed is explained, and lines fit a terminal. */
#include "cli/cli_help.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* after the system's headers */
#include <cmocka.h>

static void every_option_is_explained(void **state)
{
	(void)state;
	for (size_t i = 0; admin_verbs[i] != NULL; i++) {
		const struct admin_verb *v = admin_verbs[i];
		slice rest = slice_str(v->options);
		struct admin_option o;
		while (admin_option_next(&rest, &o))
			if (!o.is_internal && cli_help_option(v, o.name) == NULL)
				fail_msg("%s %s: --%.*s is not explained", v->noun,
					 v->verb, FMT(o.name));
	}
}

static void lines_fit_a_terminal(void **state)
{
	char *text = NULL;
	size_t n = 0;
	(void)state;
	for (size_t i = 0; admin_verbs[i] != NULL; i++) {
		FILE *f = open_memstream(&text, &n);
		assert_non_null(f);
		cli_help_verb(f, admin_verbs[i]);
		assert_int_equal(fclose(f), 0);
		for (slice rest = slice_make(text, n); rest.n > 0;) {
			slice line = slice_cut(&rest, '\n');
			if (line.n > 96)
				fail_msg("%zu columns: %.*s", line.n, FMT(line));
		}
		free(text);
	}
}

static void what_must_be_given_has_no_brackets(void **state)
{
	static const struct admin_verb v = {
		.noun = "store",
		.verb = "",
		.args = "[ADDRESS]",
		.options = "!:to=DIR as=ADDRESS @lines now",
		.help = "words",
	};
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	(void)state;
	assert_non_null(f);
	cli_help_usage(f, &v);
	assert_int_equal(fclose(f), 0);
	assert_string_equal(
		text, "usage: facteur store [ADDRESS] --to DIR [--as ADDRESS] [--now]\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_option_is_explained),
		cmocka_unit_test(lines_fit_a_terminal),
		cmocka_unit_test(what_must_be_given_has_no_brackets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
