/* Options of a command line: what the table knows is taken, everything else is told with the nearest name. */
#include "cli/cli.h"
#include "base/cleanup.h"
#include "base/io.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* after the system's headers */
#include <cmocka.h>

static const struct admin_verb verb = {
	.noun = "store",
	.verb = "mend",
	.args = "DIR [ADDRESS...]",
	.n_args = 1,
	.options = "repair as=ADDRESS @lines :to=DIR :fast",
};

struct told {
	char path[64];
	int fd, saved;
};

static void told_start(struct told *c)
{
	snprintf(c->path, sizeof(c->path), "/tmp/cli-options-XXXXXX");
	c->fd = mkostemp(c->path, O_CLOEXEC);
	assert_true(c->fd >= 0);
	fflush(stderr);
	c->saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	assert_int_equal(dup3(c->fd, STDERR_FILENO, O_CLOEXEC), STDERR_FILENO);
}

static void told_end(struct told *c, struct buf *out)
{
	struct err e;
	fflush(stderr);
	assert_int_equal(dup3(c->saved, STDERR_FILENO, O_CLOEXEC), STDERR_FILENO);
	buf_init(out, 1u << 20);
	assert_int_equal(io_read_file(c->path, 1u << 20, out, &e), ST_OK);
	buf_addc(out, '\0');
	close(c->fd);
	close(c->saved);
	unlink(c->path);
}

/* The words are split at blanks. */
static bool take(struct cli_call *call, const struct admin_verb *v, char *words)
{
	char *argv[16];
	int n = 0;
	for (char *at = words; at != NULL && n < 16; n++) {
		argv[n] = at;
		at = strchr(at, ' ');
		if (at != NULL)
			*at++ = '\0';
	}
	*call = (struct cli_call){ .verb = v };
	for (int i = 0; i < n; i++)
		if (!cli_option_take(call, v, n, argv, &i))
			return false;
	return true;
}

static void options_of_the_table_are_taken(void **state)
{
	char words[] = "--repair --as=bob@b.example --to /tmp/x --fast";
	static const char *const args[] = { "here" };
	struct cli_call call;
	(void)state;
	assert_true(take(&call, &verb, words));
	call.args = args;
	call.n_args = 1;
	assert_string_equal(cli_option(&call, "repair"), "");
	assert_string_equal(cli_option(&call, "as"), "bob@b.example");
	assert_string_equal(cli_option(&call, "to"), "/tmp/x");
	assert_string_equal(cli_option(&call, "fast"), "");
	assert_null(cli_option(&call, "lines"));
	json_t *r = cli_request(&call);
	char *text = json_dumps(r, JSON_COMPACT | JSON_SORT_KEYS);
	assert_string_equal(
		text, "{\"args\":[\"here\"],\"noun\":\"store\",\"options\":"
		      "{\"as\":\"bob@b.example\",\"repair\":true},\"verb\":\"mend\"}");
	free(text);
	json_decref(r);
}

static void others_are_told(void **state)
{
	static const struct {
		const char *words, *says;
	} cases[] = {
		{ "--repiar", "did you mean --repair?" },
		{ "--lines", "has no option --lines" },
		{ "--zzzzzz", "store mend --help" },
		{ "--as", "--as needs a value" },
		{ "--repair=1", "--repair takes no value" },
		{ "--as=a --as=b", "--as is given twice" },
		{ "-r", "unknown option -r" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct told c;
		struct cli_call call;
		AUTO_BUF text;
		char words[64];
		snprintf(words, sizeof(words), "%s", cases[i].words);
		told_start(&c);
		bool ok = take(&call, &verb, words);
		told_end(&c, &text);
		assert_false(ok);
		if (strstr(text.p, cases[i].says) == NULL)
			fail_msg("%s: %s", cases[i].words, text.p);
	}
}

static void arguments_may_be_left_out_or_many(void **state)
{
	static const struct {
		const char *args;
		size_t max;
	} cases[] = { { "", 0 },
		      { "ADDRESS", 1 },
		      { "ADDRESS TARGET", 2 },
		      { "[ADDRESS]", 1 },
		      { "DIR [ADDRESS...]", SIZE_MAX },
		      { "ADDRESS...", SIZE_MAX } };
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct admin_verb v = { .args = cases[i].args };
		assert_int_equal(admin_args_max(&v), cases[i].max);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_of_the_table_are_taken),
		cmocka_unit_test(others_are_told),
		cmocka_unit_test(arguments_may_be_left_out_or_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
