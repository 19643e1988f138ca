/* test_auth_sasl.c — PLAIN and LOGIN, with everything a client can get wrong. */
#include "auth/auth.h"
#include "base/base64.h"
#include "base/cleanup.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static slice b64(struct arena *a, slice text)
{
	AUTO_BUF b;

	buf_init(&b, 65536);
	base64_encode(&b, text);
	return arena_dup(a, buf_slice(&b));
}

static void plain_messages(void **state)
{
	static const struct {
		slice message;
		enum err_code code;
	} cases[] = {
		{ S("\0ann\0secret"), ERR_NONE },
		{ S("ann\0ann\0secret"), ERR_NONE },
		{ S("Ann\0ann\0secret"), ERR_NONE },
		{ S("bob\0ann\0secret"), ERR_AUTH }, /* RFC 4616 2: acting as another */
		{ S(""), ERR_SYNTAX },
		{ S("ann"), ERR_SYNTAX },
		{ S("\0"), ERR_SYNTAX },
		{ S("\0\0"), ERR_SYNTAX },
		{ S("\0ann"), ERR_SYNTAX },
		{ S("\0ann\0"), ERR_SYNTAX },
		{ S("\0\0secret"), ERR_SYNTAX },
		{ S("ann\0secret"), ERR_SYNTAX },
		{ S("\0ann\0secret\0"), ERR_SYNTAX },
		{ S("\0ann\0sec\0ret"), ERR_SYNTAX },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		slice user = SL("untouched"), password = SL("untouched");
		struct err e = { 0 };
		AUTO_MEM char *exact = mem_new(cases[i].message.n + 1);
		enum status st;

		memcpy(exact, cases[i].message.p, cases[i].message.n);
		st = sasl_plain_parse(slice_make(exact, cases[i].message.n), &user,
				      &password, &e);
		assert_int_equal(st == ST_OK ? ERR_NONE : e.code, cases[i].code);
		if (st == ST_OK) {
			assert_true(slice_eq(user, SL("ann")));
			assert_true(slice_eq(password, SL("secret")));
		} else {
			assert_true(slice_eq(user, SL("untouched")) &&
				    slice_eq(password, SL("untouched")));
		}
	}
}

static void plain_with_and_without_an_initial_response(void **state)
{
	struct sasl s = { 0 };
	AUTO_ARENA a;
	slice challenge = SL("?"), user = SL(""), password = SL(""), first;

	(void)state;
	arena_init(&a);
	first = b64(&a, SL("\0ann@example.org\0secret"));
	assert_int_equal(sasl_start(&s, SL("plain"), &first, &a, &challenge, &user,
				    &password),
			 SASL_CREDENTIALS);
	assert_true(slice_eq(user, SL("ann@example.org")) &&
		    slice_eq(password, SL("secret")));
	assert_int_equal(s.state, SASL_NONE);

	assert_int_equal(sasl_start(&s, SL("PLAIN"), NULL, &a, &challenge, &user,
				    &password),
			 SASL_CHALLENGE);
	assert_int_equal(challenge.n, 0);
	assert_int_equal(sasl_step(&s, first, &a, &challenge, &user, &password),
			 SASL_CREDENTIALS);
	assert_int_equal(sasl_step(&s, first, &a, &challenge, &user, &password),
			 SASL_BAD); /* it is over */
}

static void login_asks_twice(void **state)
{
	struct sasl s = { 0 };
	AUTO_ARENA a;
	slice challenge = SL("?"), user = SL(""), password = SL(""), name, secret;

	(void)state;
	arena_init(&a);
	name = b64(&a, SL("bob@example.org"));
	secret = b64(&a, SL("pass \xc3\xa4"));
	for (int initial = 0; initial < 2; initial++) {
		enum sasl_result r = sasl_start(&s, SL("Login"), initial ? &name : NULL,
						&a, &challenge, &user, &password);

		if (!initial) {
			assert_int_equal(r, SASL_CHALLENGE);
			assert_true(slice_eq(challenge, SL("VXNlcm5hbWU6")));
			r = sasl_step(&s, name, &a, &challenge, &user, &password);
		}
		assert_int_equal(r, SASL_CHALLENGE);
		assert_true(slice_eq(challenge, SL("UGFzc3dvcmQ6")));
		assert_int_equal(sasl_step(&s, secret, &a, &challenge, &user, &password),
				 SASL_CREDENTIALS);
		assert_true(slice_eq(user, SL("bob@example.org")) &&
			    slice_eq(password, SL("pass \xc3\xa4")));
	}
}

static void everything_else_is_bad_and_leaves_no_state(void **state)
{
	static const slice lines[] = { S(""),
				       S("="),
				       S("=="),
				       S("a"),
				       S("AGFubg"),
				       S("AGFubgBzZWNyZXQ"),
				       S("!!!!"),
				       S("AGFu bgBz"),
				       S("AGFubgBzZWNyZXQ=\n"),
				       S("\0"),
				       S("\xff\xff\xff\xff") };
	struct sasl s = { 0 };
	AUTO_ARENA a;
	slice challenge = SL(""), user = SL("untouched"), password = SL("");
	AUTO_MEM char *huge = mem_new(1 << 20);

	(void)state;
	arena_init(&a);
	memset(huge, 'A', 1 << 20);
	assert_int_equal(sasl_start(&s, SL("CRAM-MD5"), NULL, &a, &challenge, &user,
				    &password),
			 SASL_BAD);
	assert_int_equal(sasl_start(&s, SL(""), NULL, &a, &challenge, &user, &password),
			 SASL_BAD);
	for (size_t m = 0; m < 3; m++) {
		for (size_t i = 0; i <= sizeof(lines) / sizeof(lines[0]); i++) {
			slice line = i < sizeof(lines) / sizeof(lines[0])
					     ? lines[i]
					     : slice_make(huge, 1 << 20);

			if (m == 2) {
				slice name = SL("YW5u");

				(void)sasl_start(&s, SL("LOGIN"), &name, &a, &challenge,
						 &user, &password);
			} else {
				(void)sasl_start(&s, m ? SL("LOGIN") : SL("PLAIN"), NULL,
						 &a, &challenge, &user, &password);
			}
			assert_int_equal(sasl_step(&s, line, &a, &challenge, &user,
						   &password),
					 SASL_BAD);
			assert_int_equal(s.state, SASL_NONE);
		}
		(void)sasl_start(&s, m ? SL("LOGIN") : SL("PLAIN"), NULL, &a, &challenge,
				 &user, &password);
		assert_int_equal(sasl_step(&s, SL("*"), &a, &challenge, &user, &password),
				 SASL_CANCELLED);
		assert_int_equal(s.state, SASL_NONE);
	}
	assert_true(slice_eq(user, SL("untouched")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_messages),
		cmocka_unit_test(plain_with_and_without_an_initial_response),
		cmocka_unit_test(login_asks_twice),
		cmocka_unit_test(everything_else_is_bad_and_leaves_no_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
