/* test_auth_verifier.c — verifiers of ours and of others: Dovecot's schemes with vectors
 * made by other programs (openssl passwd, the Argon2 reference's own tests,
 * crypt_blowfish's). */
#include "auth/auth_internal.h"
#include "base/alloc.h"
#include "base/limits.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct clock clk;

/* Hashing and importing need no store. */
static struct auth *make(void)
{
	struct auth *a = mem_new(sizeof(*a));

	clock_init_virtual(&clk, 0);
	a->clock = &clk;
	a->kib = 64;
	a->passes = 1;
	return a;
}

static const struct {
	const char *scheme_hash, *password;
} vectors[] = {
	{ "{MD5-CRYPT}$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1", "secret" },
	{ "{CRYPT}$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1", "secret" },
	{ "{SHA256-CRYPT}$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
	  "Hello world!" },
	{ "{SHA512-CRYPT}$6$0123456789abcdef$b/Mh6.VrUkHl3RIazLHRUw0vP7otLTWHbSJ4IQRoKFOkEKzkV8dbJvZe1z1p5xmVL2wORLiuvqOgbdTH2qSwf/",
	  "pass word" },
	{ "{sha512-crypt}$6$0123456789abcdef$b/Mh6.VrUkHl3RIazLHRUw0vP7otLTWHbSJ4IQRoKFOkEKzkV8dbJvZe1z1p5xmVL2wORLiuvqOgbdTH2qSwf/",
	  "pass word" },
	{ "$6$0123456789abcdef$b/Mh6.VrUkHl3RIazLHRUw0vP7otLTWHbSJ4IQRoKFOkEKzkV8dbJvZe1z1p5xmVL2wORLiuvqOgbdTH2qSwf/",
	  "pass word" },
	{ "{BLF-CRYPT}$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
	  "U*U" },
	{ "{BLF-CRYPT}$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
	  "secret" },
	{ "{CRYPT}$y$j9T$abcdefghijklmnopqrstu/$GOBj9MnQX2XXRYb4Fyz9668D5epsKc/lpFQOxVhyXjA",
	  "secret" },
	{ "abNANd1rDfiNc", "secret" },
	{ "{ARGON2ID}$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
	  "password" },
	{ "{ARGON2ID}$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
	  "password" },
	{ "{ARGON2I}$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8",
	  "password" },
	{ "{ARGON2I}$argon2i$m=256,t=2,p=1$c29tZXNhbHQ$/U3YPXYsSb3q9XxHvc0MLxur+GP960kN9j7emXX8zwY",
	  "password" },
	{ "{PLAIN}open sesame", "open sesame" },
};

static void hashes_of_others_open_with_their_password_alone(void **state)
{
	struct auth *a = make();
	struct arena mem;

	(void)state;
	arena_init(&mem);
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		slice password = slice_str(vectors[i].password), wrong, out = SL("");
		struct err e;

		if (auth_import_verifier(a, slice_str(vectors[i].scheme_hash), true, &mem,
					 &out, &e) != ST_OK)
			fail_msg("%s: %s", vectors[i].scheme_hash, e.text);
		if (!auth_verifier_matches(out, password))
			fail_msg("%s does not open", vectors[i].scheme_hash);
		wrong = arena_dup(&mem, password);
		((char *)(uintptr_t)wrong.p)[0] ^= 1;
		assert_false(auth_verifier_matches(out, wrong));
		assert_false(auth_verifier_matches(out, slice_sub(password, 0,
								  password.n - 1)));
		assert_false(auth_verifier_matches(out, SL("")));
		assert_false(auth_verifier_matches(out, arena_join(&mem, password,
								   SL("\0x"))));
	}
	arena_release(&mem);
	mem_free(a);
}

static void bad_hashes_are_refused_with_a_reason(void **state)
{
	static const char *const bad[] = {
		"",
		"{",
		"{CRYPT",
		"{CRYPT}",
		"{PLAIN}",
		"{MD4}abc",
		"{PLAIN-MD5}0123",
		"{CRYPT}*",
		"{CRYPT}!",
		"{CRYPT}$6$salt$short",
		"{CRYPT}$6$saltb/Mh6",
		"{CRYPT}abNANd1rDfiN",
		"{CRYPT}ab:ANd1rDfiNc",
		"{SHA512-CRYPT}$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
		"{CRYPT}$5$rounds=999999999$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
		"{BLF-CRYPT}$2y$31$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
		"{BLF-CRYPT}$2y$5$",
		"{BLF-CRYPT}$2",
		"{CRYPT}$y$jZT$abc$GOBj9MnQX2XXRYb4Fyz9668D5epsKc/lpFQOxVhyXjA",
		"{CRYPT}$",
		"{CRYPT}$2a$",
		"{CRYPT}$y$",
		"{CRYPT}$6$",
		"{CRYPT}$6$rounds=",
		"{ARGON2ID}$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ",
		"{ARGON2ID}$argon2id$",
		"{ARGON2ID}",
		"{ARGON2ID}$argon2id$v=19$m=4294967295,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		"{ARGON2ID}$argon2id$v=19$m=256,t=4000000,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		"{ARGON2ID}$argon2id$v=19$m=256,t=2,p=0$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		"{ARGON2ID}$argon2id$v=18$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		"{ARGON2ID}$argon2id$v=19$m=256,t=2,p=1$c2!tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		"{ARGON2ID}$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65",
		"{ARGON2ID}$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8",
	};
	struct auth *a = make();
	struct arena mem;

	(void)state;
	arena_init(&mem);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		/* exact size on the heap: a read beyond the end is seen */
		slice text = arena_dup(&mem, slice_str(bad[i])), out = SL("untouched");
		struct err e = { 0 };

		if (auth_import_verifier(a, text, true, &mem, &out, &e) == ST_OK)
			fail_msg("taken: %s", bad[i]);
		assert_int_equal(e.code, ERR_SYNTAX);
		assert_true(e.text[0] != 0);
		assert_true(slice_eq(out, SL("untouched")));
	}
	arena_release(&mem);
	mem_free(a);
}

static void new_passwords_get_a_salted_argon2id(void **state)
{
	struct auth *a = make();
	struct arena mem;
	slice one = SL(""), two = SL(""), out = SL("untouched");
	struct err e;
	char long_password[LIMIT_PASSWORD + 1];

	(void)state;
	arena_init(&mem);
	assert_int_equal(auth_hash(a, SL("tr\xc3\xa4umt"), &mem, &one, &e), ST_OK);
	assert_int_equal(auth_hash(a, SL("tr\xc3\xa4umt"), &mem, &two, &e), ST_OK);
	assert_true(slice_starts(one, SL("{ARGON2ID}$argon2id$v=19$m=64,t=1,p=1$")));
	assert_false(slice_eq(one, two));
	assert_true(auth_verifier_matches(one, SL("tr\xc3\xa4umt")));
	assert_false(auth_verifier_matches(one, SL("tr\xc3\xa4umT")));

	memset(long_password, 'x', sizeof(long_password));
	assert_int_equal(auth_hash(a, slice_make(long_password, LIMIT_PASSWORD), &mem,
				   &one, &e),
			 ST_OK);
	assert_true(
		auth_verifier_matches(one, slice_make(long_password, LIMIT_PASSWORD)));
	assert_false(auth_verifier_matches(one, slice_make(long_password,
							   LIMIT_PASSWORD + 1)));
	assert_int_equal(auth_hash(a, slice_make(long_password, LIMIT_PASSWORD + 1), &mem,
				   &out, &e),
			 ST_INVALID);
	assert_int_equal(auth_hash(a, SL(""), &mem, &out, &e), ST_INVALID);
	assert_int_equal(auth_hash(a, SL("a\0b"), &mem, &out, &e), ST_INVALID);
	assert_int_equal(auth_hash(a, SL("a\nb"), &mem, &out, &e), ST_INVALID);
	assert_int_equal(e.code, ERR_SYNTAX);
	assert_true(slice_eq(out, SL("untouched")));
	arena_release(&mem);
	mem_free(a);
}

static void crypt_hashes_are_kept_and_plain_ones_are_hashed(void **state)
{
	struct auth *a = make();
	struct arena mem;
	slice out = SL("");
	struct err e;

	(void)state;
	arena_init(&mem);
	assert_int_equal(auth_import_verifier(
				 a, SL("{MD5-CRYPT}$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1"),
				 false, &mem, &out, &e),
			 ST_OK);
	assert_true(slice_eq(out, SL("{CRYPT}$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1")));
	assert_int_equal(auth_import_verifier(a, SL("{PLAIN}x"), true, &mem, &out, &e),
			 ST_OK);
	assert_true(slice_starts(out, SL("{CRYPT}$6$")));
	assert_int_equal(auth_import_verifier(a, SL("{PLAIN}x"), false, &mem, &out, &e),
			 ST_OK);
	assert_true(slice_starts(out, SL("{ARGON2ID}$argon2id$")));
	arena_release(&mem);
	mem_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes_of_others_open_with_their_password_alone),
		cmocka_unit_test(bad_hashes_are_refused_with_a_reason),
		cmocka_unit_test(new_passwords_get_a_salted_argon2id),
		cmocka_unit_test(crypt_hashes_are_kept_and_plain_ones_are_hashed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
