/* What a person sees: tables that line up, names that cannot command a terminal, JSON as it came. */
#include "cli/cli.h"
#include "base/cleanup.h"
#include "base/io.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>
/* after the system's headers */
#include <cmocka.h>

struct capture {
	char path[64];
	int fd, saved;
};

/* Everything stdout gets from here on goes into a file. */
static void capture_start(struct capture *c)
{
	snprintf(c->path, sizeof(c->path), "/tmp/cli-print-XXXXXX");
	c->fd = mkostemp(c->path, O_CLOEXEC);
	assert_true(c->fd >= 0);
	fflush(stdout);
	c->saved = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	assert_int_equal(dup3(c->fd, STDOUT_FILENO, O_CLOEXEC), STDOUT_FILENO);
}

static void capture_end(struct capture *c, struct buf *out)
{
	struct err e;
	fflush(stdout);
	assert_int_equal(dup3(c->saved, STDOUT_FILENO, O_CLOEXEC), STDOUT_FILENO);
	buf_init(out, 1u << 20);
	assert_int_equal(io_read_file(c->path, 1u << 20, out, &e), ST_OK);
	buf_addc(out, '\0');
	close(c->fd);
	close(c->saved);
	unlink(c->path);
}

/* json has ' for ". */
static void check(bool as_json, const char *json, const char *columns,
		  const char *expected)
{
	struct cli c = { .data = "/nonexistent", .json = as_json };
	struct capture cap;
	AUTO_BUF in, out;
	buf_init(&in, 4096);
	buf_adds(&in, json);
	for (size_t i = 0; i < in.n; i++)
		if (in.p[i] == '\'')
			in.p[i] = '"';
	json_t *v = json_loadb(in.p, in.n, 0, NULL);
	assert_non_null(v);
	capture_start(&cap);
	cli_print(&c, v, columns);
	capture_end(&cap, &out);
	assert_string_equal(out.p, expected);
	json_decref(v);
}

static void a_table_lines_up(void **state)
{
	(void)state;
	check(false,
	      "[{'name': 'ann', 'n': 7, 'on': true},"
	      " {'name': 'b', 'n': 12345, 'on': false}]",
	      "name n on",
	      "name      n  on\n"
	      "ann       7  yes\n"
	      "b     12345  -\n");
}

static void a_table_without_rows_has_its_head(void **state)
{
	(void)state;
	check(false, "[]", "name n", "name  n\n");
}

static void width_is_counted_in_characters(void **state)
{
	(void)state;
	check(false, "[{'a': 'é\\u00fc', 'b': 'x'}, {'a': 'four', 'b': 'y'}]", "a b",
	      "a     b\n"
	      "éü    x\n"
	      "four  y\n");
}

static void what_is_missing_is_a_dash(void **state)
{
	(void)state;
	check(false, "[{'a': '', 'b': null}, {'a': 'x'}]", "a b",
	      "a  b\n"
	      "-  -\n"
	      "x  -\n");
}

static void lists_are_joined(void **state)
{
	(void)state;
	check(false, "[{'to': ['a@x.example', 'b@x.example'], 'from': ''}, {'to': []}]",
	      "from to",
	      "from  to\n"
	      "-     a@x.example, b@x.example\n"
	      "-     -\n");
}

static void control_characters_are_shown_not_obeyed(void **state)
{
	(void)state;
	check(false, "[{'a': 'x\\u001b[2Jy\\r\\n\\u007f\\u009b'}]", "a",
	      "a\n"
	      "x?[2Jy????\n");
	check(false, "{'a': 'x\\u001b'}", NULL, "a: x?\n");
}

static void one_object_is_lines(void **state)
{
	(void)state;
	check(false, "{'address': 'ann@a.example', 'closed': 3}", NULL,
	      "address: ann@a.example\n"
	      "closed: 3\n");
}

static void json_is_what_it_was(void **state)
{
	(void)state;
	check(true, "[{'a': 'x\\u001b', 'n': 1, 'b': false}]", "a",
	      "[{\"a\":\"x\\u001B\",\"n\":1,\"b\":false}]\n");
}

static void every_code_has_its_exit_code(void **state)
{
	static const struct {
		enum err_code code;
		int exit;
	} want[] = {
		{ ERR_SYNTAX, EX_USAGE },     { ERR_NO_ACCOUNT, EX_NOUSER },
		{ ERR_NO_DOMAIN, EX_NOUSER }, { ERR_EXISTS, EX_CANTCREAT },
		{ ERR_CANNOT, EX_DATAERR },   { ERR_LIMIT, EX_DATAERR },
		{ ERR_BUSY, EX_TEMPFAIL },    { ERR_DISK_FULL, EX_TEMPFAIL },
		{ ERR_DENIED, EX_NOPERM },    { ERR_STOPPED, EX_IOERR },
		{ ERR_IO, EX_IOERR },	      { ERR_CORRUPT, EX_DATAERR },
		{ ERR_AUTH, EX_UNAVAILABLE },
	};
	struct cli c = { .data = "/nonexistent" };
	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		struct err e = { .code = want[i].code, .text = "expected in this test" };
		json_t *reply = json_pack("{s:b, s:s, s:s}", "ok", 0, "code",
					  err_name(e.code), "error", e.text);
		assert_int_equal(cli_check_reply(&c, NULL, &e), want[i].exit);
		assert_int_equal(cli_check_reply(&c, reply, &e), want[i].exit);
		json_decref(reply);
	}
	json_t *fine = json_pack("{s:b}", "ok", 1);
	assert_int_equal(cli_check_reply(&c, fine, NULL), EX_OK);
	json_decref(fine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_lines_up),
		cmocka_unit_test(a_table_without_rows_has_its_head),
		cmocka_unit_test(width_is_counted_in_characters),
		cmocka_unit_test(what_is_missing_is_a_dash),
		cmocka_unit_test(lists_are_joined),
		cmocka_unit_test(control_characters_are_shown_not_obeyed),
		cmocka_unit_test(one_object_is_lines),
		cmocka_unit_test(json_is_what_it_was),
		cmocka_unit_test(every_code_has_its_exit_code),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
