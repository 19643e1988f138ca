/* The grammar, as tables, and parse(write(x)) = x. Inputs stand in heap blocks of
 * exact size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/alloc.h"
#include "base/buf.h"
#include "smtp/smtp_parse.h"
#include "smtp/smtp_write.h"

static const unsigned all = SMTP_PARAM_SIZE | SMTP_PARAM_BODY | SMTP_PARAM_UTF8 |
			    SMTP_PARAM_AUTH;

static char *exact(slice s)
{
	char *p = mem_new(s.n ? s.n : 1);
	if (s.n)
		memcpy(p, s.p, s.n);
	return p;
}

struct path_row {
	const char *rest, *address; /* NULL: refused */
	const char *local, *domain;
};

static void paths_of_mail_follow_the_grammar(void **state)
{
	static const struct path_row rows[] = {
		{ "FROM:<>", "", "", "" },
		{ "from:<a@b>", "a@b", "a", "b" },
		{ "FROM: <a@b>", "a@b", "a", "b" },
		{ "FROM:<a.b.c@d-e.f>", "a.b.c@d-e.f", "a.b.c", "d-e.f" },
		{ "FROM:<a+b=c!#$%&'*/?^_`{|}~-@b>", "a+b=c!#$%&'*/?^_`{|}~-@b",
		  "a+b=c!#$%&'*/?^_`{|}~-", "b" },
		{ "FROM:<@r1.example,@r2:a@b>", "a@b", "a", "b" },
		{ "FROM:<\"a b\"@c>", "\"a b\"@c", "\"a b\"", "c" },
		{ "FROM:<\"a\\\"<>@,b\"@c>", "\"a\\\"<>@,b\"@c", "\"a\\\"<>@,b\"", "c" },
		{ "FROM:<\"\"@c>", "\"\"@c", "\"\"", "c" },
		{ "FROM:<a@[192.0.2.1]>", "a@[192.0.2.1]", "a", "[192.0.2.1]" },
		{ "FROM:<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]", "a",
		  "[IPv6:2001:db8::1]" },
		{ "FROM:<a@[ipv6:::ffff:192.0.2.1]>", "a@[ipv6:::ffff:192.0.2.1]", "a",
		  "[ipv6:::ffff:192.0.2.1]" },
		{ "FROM:<a@[x-tag:anything]>", "a@[x-tag:anything]", "a",
		  "[x-tag:anything]" },
		{ "FROM:<jos\xc3\xa9@\xc3\xa9.example>", "jos\xc3\xa9@\xc3\xa9.example",
		  "jos\xc3\xa9", "\xc3\xa9.example" },
		{ "FROM:<a@under_score.example>", "a@under_score.example", "a",
		  "under_score.example" },
		{ "FROM:", NULL, NULL, NULL },
		{ "FROM", NULL, NULL, NULL },
		{ "", NULL, NULL, NULL },
		{ "TO:<a@b>", NULL, NULL, NULL },
		{ "FROM:a@b", NULL, NULL, NULL },
		{ "FROM:<", NULL, NULL, NULL },
		{ "FROM:<a@b", NULL, NULL, NULL },
		{ "FROM:<a>", NULL, NULL, NULL },
		{ "FROM:<Postmaster>", NULL, NULL, NULL },
		{ "FROM:<a@>", NULL, NULL, NULL },
		{ "FROM:<@b>", NULL, NULL, NULL },
		{ "FROM:<@a:>", NULL, NULL, NULL },
		{ "FROM:<@a,b:c@d>", NULL, NULL, NULL },
		{ "FROM:<a.@b>", NULL, NULL, NULL },
		{ "FROM:<.a@b>", NULL, NULL, NULL },
		{ "FROM:<a..b@c>", NULL, NULL, NULL },
		{ "FROM:<a b@c>", NULL, NULL, NULL },
		{ "FROM:<a@b.>", NULL, NULL, NULL },
		{ "FROM:<a@.b>", NULL, NULL, NULL },
		{ "FROM:<a@b..c>", NULL, NULL, NULL },
		{ "FROM:<a@-b>", NULL, NULL, NULL },
		{ "FROM:<a@b->", NULL, NULL, NULL },
		{ "FROM:<a@b@c>", NULL, NULL, NULL },
		{ "FROM:<a@b c>", NULL, NULL, NULL },
		{ "FROM:<\"a@b>", NULL, NULL, NULL },
		{ "FROM:<\"a\\", NULL, NULL, NULL },
		{ "FROM:<\"a\tb\"@c>", NULL, NULL, NULL },
		{ "FROM:<\"a\"b@c>", NULL, NULL, NULL },
		{ "FROM:<a@[]>", NULL, NULL, NULL },
		{ "FROM:<a@[256.0.2.1]>", NULL, NULL, NULL },
		{ "FROM:<a@[192.0.2]>", NULL, NULL, NULL },
		{ "FROM:<a@[192.0.2.1>", NULL, NULL, NULL },
		{ "FROM:<a@[IPv6:1:2]>", NULL, NULL, NULL },
		{ "FROM:<a@[:x]>", NULL, NULL, NULL },
		{ "FROM:<a@[a-:x]>", NULL, NULL, NULL },
		{ "FROM:<\xc3@b>", NULL, NULL, NULL },
		{ "FROM:<a@\xff>", NULL, NULL, NULL },
		{ "FROM:<\"\xc0\x80\"@b>", NULL, NULL, NULL },
		{ "FROM:<a@b>x", NULL, NULL, NULL },
		{ "FROM:<a@b>SIZE=1", NULL, NULL, NULL },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice rest = slice_str(rows[i].rest);
		char *p = exact(rest);
		struct smtp_path path = { 0 };
		struct smtp_params params;
		enum smtp_syntax r =
			smtp_parse_mail(slice_make(p, rest.n), all, &path, &params);
		if ((r == SMTP_SYNTAX_OK) != (rows[i].address != NULL))
			fail_msg("%s: %d", rows[i].rest, (int)r);
		if (r == SMTP_SYNTAX_OK &&
		    (!slice_eq(path.address, slice_str(rows[i].address)) ||
		     !slice_eq(path.local, slice_str(rows[i].local)) ||
		     !slice_eq(path.domain, slice_str(rows[i].domain))))
			fail_msg("%s: %.*s %.*s %.*s", rows[i].rest, FMT(path.address),
				 FMT(path.local), FMT(path.domain));
		mem_free(p);
	}
}

static void rcpt_takes_postmaster_alone_and_no_null_path(void **state)
{
	struct smtp_path p;
	(void)state;
	assert_int_equal(smtp_parse_rcpt(SL("TO:<Postmaster>"), &p), SMTP_SYNTAX_OK);
	assert_true(p.is_postmaster);
	assert_int_equal(smtp_parse_rcpt(SL("to:<pOSTMASTER>"), &p), SMTP_SYNTAX_OK);
	assert_int_equal(smtp_parse_rcpt(SL("TO:<@x:a@b>"), &p), SMTP_SYNTAX_OK);
	assert_int_equal(smtp_parse_rcpt(SL("TO:<>"), &p), SMTP_SYNTAX_PATH);
	assert_int_equal(smtp_parse_rcpt(SL("TO:<bob>"), &p), SMTP_SYNTAX_PATH);
	assert_int_equal(smtp_parse_rcpt(SL("FROM:<a@b>"), &p), SMTP_SYNTAX_ARGUMENT);
	assert_int_equal(smtp_parse_rcpt(SL("TO:<a@b> NOTIFY=NEVER"), &p),
			 SMTP_SYNTAX_UNKNOWN);
	assert_int_equal(smtp_parse_rcpt(SL("TO:<a@b> SIZE=1"), &p), SMTP_SYNTAX_UNKNOWN);
}

static void parameters_follow_the_grammar(void **state)
{
	static const struct {
		const char *in;
		enum smtp_syntax want;
	} rows[] = {
		{ "", SMTP_SYNTAX_OK },
		{ " SIZE=0", SMTP_SYNTAX_OK },
		{ " size=12345678901234567890", SMTP_SYNTAX_OK },
		{ " SIZE=99999999999999999999",
		  SMTP_SYNTAX_OK }, /* 20 digits: too much, not malformed */
		{ "  SIZE=1   BODY=8bitmime SMTPUTF8 AUTH=<>", SMTP_SYNTAX_OK },
		{ " BODY=7BIT", SMTP_SYNTAX_OK },
		{ " AUTH=e+3Dmc2@example.com", SMTP_SYNTAX_OK },
		{ " SIZE", SMTP_SYNTAX_PARAM },
		{ " SIZE=", SMTP_SYNTAX_PARAM },
		{ " SIZE=-1", SMTP_SYNTAX_PARAM },
		{ " SIZE=1x", SMTP_SYNTAX_PARAM },
		{ " SIZE=123456789012345678901", SMTP_SYNTAX_PARAM },
		{ " SIZE=1 SIZE=1", SMTP_SYNTAX_PARAM },
		{ " BODY=BINARYMIME", SMTP_SYNTAX_PARAM },
		{ " BODY", SMTP_SYNTAX_PARAM },
		{ " SMTPUTF8=1", SMTP_SYNTAX_PARAM },
		{ " SMTPUTF8 SMTPUTF8", SMTP_SYNTAX_PARAM },
		{ " AUTH=", SMTP_SYNTAX_PARAM },
		{ " AUTH=a+3d", SMTP_SYNTAX_PARAM },
		{ " AUTH=a+3", SMTP_SYNTAX_PARAM },
		{ " AUTH=a+", SMTP_SYNTAX_PARAM },
		{ " =1", SMTP_SYNTAX_PARAM },
		{ " -A=1", SMTP_SYNTAX_PARAM },
		{ " A_B=1", SMTP_SYNTAX_PARAM },
		{ " X=\x01", SMTP_SYNTAX_PARAM },
		{ " X=a=b", SMTP_SYNTAX_PARAM },
		{ "SIZE=1", SMTP_SYNTAX_PARAM },
		{ " RET=FULL", SMTP_SYNTAX_UNKNOWN },
		{ " X", SMTP_SYNTAX_UNKNOWN },
	};
	struct smtp_params p;
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = slice_str(rows[i].in);
		char *copy = exact(in);
		enum smtp_syntax r = smtp_parse_params(slice_make(copy, in.n), all, &p);
		if (r != rows[i].want)
			fail_msg("\"%s\": %d", rows[i].in, (int)r);
		mem_free(copy);
	}
	assert_int_equal(smtp_parse_params(SL(" SIZE=99999999999999999999"), all, &p),
			 SMTP_SYNTAX_OK);
	assert_true(p.size == UINT64_MAX);
	assert_int_equal(smtp_parse_params(SL(" AUTH=<>"),
					   all & ~(unsigned)SMTP_PARAM_AUTH, &p),
			 SMTP_SYNTAX_UNKNOWN);
}

static void ipv6_literals(void **state)
{
	static const char *const good[] = { "::",
					    "::1",
					    "1::",
					    "2001:db8::1",
					    "1:2:3:4:5:6:7:8",
					    "1:2:3:4:5:6:192.0.2.1",
					    "::ffff:192.0.2.1",
					    "1::8",
					    "1:2:3:4:5:6:7::",
					    "::2:3:4:5:6:7:8",
					    "ABCD::ef01" };
	static const char *const bad[] = { "",
					   ":",
					   ":::",
					   "1",
					   "1:2:3:4:5:6:7",
					   "1:2:3:4:5:6:7:8:9",
					   "1::2::3",
					   "12345::",
					   "g::",
					   "1:2:3:4:5:6:7:192.0.2.1",
					   "::1:",
					   ":1::",
					   "192.0.2.1",
					   "1:2:3:4:5:6:7:8::",
					   "::1.2.3" };
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		if (!smtp_is_ipv6(slice_str(good[i])))
			fail_msg("refused: %s", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (smtp_is_ipv6(slice_str(bad[i])))
			fail_msg("taken: %s", bad[i]);
}

static void bdat_tells_its_size_even_when_the_rest_is_wrong(void **state)
{
	uint64_t size = 7;
	bool has, last;
	(void)state;
	assert_int_equal(smtp_parse_bdat(SL("0 LAST"), &size, &has, &last),
			 SMTP_SYNTAX_OK);
	assert_true(size == 0 && has && last);
	assert_int_equal(smtp_parse_bdat(SL("86"), &size, &has, &last), SMTP_SYNTAX_OK);
	assert_true(size == 86 && has && !last);
	assert_int_equal(smtp_parse_bdat(SL("86 last"), &size, &has, &last),
			 SMTP_SYNTAX_OK);
	assert_true(last);
	assert_int_equal(smtp_parse_bdat(SL("86 LATS"), &size, &has, &last),
			 SMTP_SYNTAX_ARGUMENT);
	assert_true(size == 86 && has && !last);
	assert_int_equal(smtp_parse_bdat(SL(""), &size, &has, &last),
			 SMTP_SYNTAX_ARGUMENT);
	assert_false(has);
	assert_int_equal(smtp_parse_bdat(SL("-1"), &size, &has, &last),
			 SMTP_SYNTAX_ARGUMENT);
	assert_false(has);
	assert_int_equal(smtp_parse_bdat(SL("0000000000000000000000005"), &size, &has,
					 &last),
			 SMTP_SYNTAX_OK);
	assert_true(size == 5 && has);
	assert_int_equal(smtp_parse_bdat(SL("9999999999999999999999999"), &size, &has,
					 &last),
			 SMTP_SYNTAX_OK);
	assert_true(size == UINT64_MAX && has);
	assert_int_equal(smtp_parse_bdat(SL("99999999999999999999"), &size, &has, &last),
			 SMTP_SYNTAX_OK);
	assert_true(size == UINT64_MAX);
}

static void auth_and_hello_arguments(void **state)
{
	slice a, b;
	bool x;
	(void)state;
	assert_int_equal(smtp_parse_auth(SL("PLAIN AGEAYg=="), &a, &b, &x),
			 SMTP_SYNTAX_OK);
	assert_true(slice_eq(a, SL("PLAIN")) && slice_eq(b, SL("AGEAYg==")) && x);
	assert_int_equal(smtp_parse_auth(SL("LOGIN"), &a, &b, &x), SMTP_SYNTAX_OK);
	assert_false(x);
	assert_int_equal(smtp_parse_auth(SL("PLAIN ="), &a, &b, &x), SMTP_SYNTAX_OK);
	assert_true(x);
	assert_int_equal(smtp_parse_auth(SL(""), &a, &b, &x), SMTP_SYNTAX_ARGUMENT);
	assert_int_equal(smtp_parse_auth(SL("PLAIN a b"), &a, &b, &x),
			 SMTP_SYNTAX_ARGUMENT);
	assert_int_equal(smtp_parse_auth(SL("PL\x80IN"), &a, &b, &x),
			 SMTP_SYNTAX_ARGUMENT);
	assert_int_equal(smtp_parse_auth(SL("ABCDEFGHIJKLMNOPQRSTU"), &a, &b, &x),
			 SMTP_SYNTAX_ARGUMENT);
	assert_int_equal(smtp_parse_hello(SL("mx.example.org"), &a, &x), SMTP_SYNTAX_OK);
	assert_true(x);
	assert_int_equal(smtp_parse_hello(SL("[192.0.2.1]"), &a, &x), SMTP_SYNTAX_OK);
	assert_true(x);
	assert_int_equal(smtp_parse_hello(SL("my computer (home)"), &a, &x),
			 SMTP_SYNTAX_OK);
	assert_false(x);
	assert_int_equal(smtp_parse_hello(SL(""), &a, &x), SMTP_SYNTAX_ARGUMENT);
	assert_int_equal(smtp_parse_hello(SL("a\x01"), &a, &x), SMTP_SYNTAX_ARGUMENT);
	assert_int_equal(smtp_parse_hello(SL("\xff"), &a, &x), SMTP_SYNTAX_ARGUMENT);
	smtp_parse_verb(SL("MAIL  FROM:<a@b> \t"), &a, &b);
	assert_true(slice_eq(a, SL("MAIL")) && slice_eq(b, SL("FROM:<a@b>")));
	smtp_parse_verb(SL(""), &a, &b);
	assert_true(a.n == 0 && b.n == 0);
}

/* --- parse(write(x)) = x -------------------------------------------------------------------------------------- */

static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	return *seed ^= *seed << 17;
}

static void add_word(struct buf *b, uint64_t *seed, const char *chars, size_t max)
{
	size_t n = 1 + next(seed) % max;
	while (n--)
		buf_addc(b, chars[next(seed) % strlen(chars)]);
}

static void add_address(struct buf *b, uint64_t *seed)
{
	if (next(seed) % 4 == 0) {
		buf_addc(b, '"');
		for (size_t n = next(seed) % 20; n > 0; n--) {
			char c = (char)(32 + next(seed) % 95);
			if (c == '"' || c == '\\')
				buf_addc(b, '\\');
			buf_addc(b, c);
		}
		buf_addc(b, '"');
	} else {
		for (size_t n = next(seed) % 3; n > 0; n--) {
			add_word(b, seed, "abcXYZ019!#$%&'*+-/=?^_`{|}~", 8);
			buf_addc(b, '.');
		}
		add_word(b, seed, "abcXYZ019!#$%&'*+-/=?^_`{|}~", 8);
	}
	buf_addc(b, '@');
	if (next(seed) % 4 == 0) {
		buf_addf(b, next(seed) % 2 ? "[192.0.2.%u]" : "[IPv6:2001:db8::%u]",
			 (unsigned)(next(seed) % 256));
		return;
	}
	add_word(b, seed, "abcXYZ019", 10);
	buf_addc(b, '.');
	add_word(b, seed, "abcXYZ019", 10);
}

static void what_is_written_is_parsed_again(void **state)
{
	uint64_t seed = 0x5eed;
	(void)state;
	for (int round = 0; round < 5000; round++) {
		struct buf address, line;
		buf_init(&address, 1000);
		buf_init(&line, 4000);
		if (next(&seed) % 10)
			add_address(&address, &seed);
		struct smtp_path x = { .address = buf_slice(&address),
				       .is_null = address.n == 0 },
				 y;
		struct smtp_params p = { .has_size = next(&seed) % 2,
					 .has_body = next(&seed) % 2,
					 .has_smtputf8 = next(&seed) % 2,
					 .has_auth = next(&seed) % 2 },
				   q;
		if (p.has_size)
			p.size = next(&seed) >> next(&seed) % 64;
		if (p.has_body)
			p.body = next(&seed) % 2 ? SMTP_BODY_8BITMIME : SMTP_BODY_7BIT;
		p.auth = next(&seed) % 2 ? SL("<>") : SL("a+40b");
		smtp_write_mail(&line, &x, &p);
		slice verb, rest;
		smtp_parse_verb(slice_sub(buf_slice(&line), 0, line.n - 2), &verb, &rest);
		if (smtp_parse_mail(rest, all, &y, &q) != SMTP_SYNTAX_OK)
			fail_msg("%.*s", (int)line.n, line.p);
		assert_true(slice_eq(x.address, y.address) && x.is_null == y.is_null);
		assert_true(p.has_size == q.has_size && p.size == q.size &&
			    p.has_body == q.has_body && p.body == q.body);
		assert_true(p.has_smtputf8 == q.has_smtputf8 && p.has_auth == q.has_auth);
		assert_true(!p.has_auth || slice_eq(p.auth, q.auth));
		if (!x.is_null) {
			buf_reset(&line);
			smtp_write_rcpt(&line, &x);
			smtp_parse_verb(slice_sub(buf_slice(&line), 0, line.n - 2), &verb,
					&rest);
			assert_int_equal(smtp_parse_rcpt(rest, &y), SMTP_SYNTAX_OK);
			assert_true(slice_eq(x.address, y.address));
		}
		buf_done(&address);
		buf_done(&line);
	}
}

/* Any prefix and any one changed octet of a good line: an answer, no read outside. */
static void damaged_lines_are_answered(void **state)
{
	static const char good[] =
		"FROM:<@r,@s:\"q\\\"x\"@[IPv6:2001:db8::192.0.2.1]> SIZE=10 BODY=8BITMIME SMTPUTF8 AUTH=a+3Db";
	struct smtp_path p;
	struct smtp_params q;
	slice a, b;
	uint64_t size;
	bool x, y;
	(void)state;
	const size_t path_end = slice_rchr(slice_make(good, sizeof good - 1), '>') + 1;
	for (size_t n = 0; n < sizeof good; n++) {
		char *copy = exact(slice_make(good, n));
		enum smtp_syntax r = smtp_parse_mail(slice_make(copy, n), all, &p, &q);
		if (n < path_end && r == SMTP_SYNTAX_OK)
			fail_msg("taken: %.*s", (int)n, good);
		mem_free(copy);
	}
	for (size_t i = 0; i + 1 < sizeof good; i++)
		for (int c = 0; c < 256; c++) {
			slice line = slice_make(good, sizeof good - 1);
			char *copy = exact(line);
			copy[i] = (char)c;
			line.p = copy;
			(void)!smtp_parse_mail(line, all, &p, &q);
			(void)!smtp_parse_rcpt(slice_from(line, i), &p);
			(void)!smtp_parse_bdat(slice_from(line, i), &size, &x, &y);
			(void)!smtp_parse_auth(slice_from(line, i), &a, &b, &x);
			(void)!smtp_parse_hello(slice_from(line, i), &a, &x);
			mem_free(copy);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_of_mail_follow_the_grammar),
		cmocka_unit_test(rcpt_takes_postmaster_alone_and_no_null_path),
		cmocka_unit_test(parameters_follow_the_grammar),
		cmocka_unit_test(ipv6_literals),
		cmocka_unit_test(bdat_tells_its_size_even_when_the_rest_is_wrong),
		cmocka_unit_test(auth_and_hello_arguments),
		cmocka_unit_test(what_is_written_is_parsed_again),
		cmocka_unit_test(damaged_lines_are_answered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
