/* test_auth.c — logins against a store in memory: who gets in, what a refusal costs
 * (counted in hashes, not in seconds, HAZARDS 25), what is remembered and what voids it,
 * and how long answers wait. */
#include "auth/auth_internal.h"
#include "kv/kv.h"
#include "store/store.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const unsigned char net_a[16] = { [10] = 0xff, [11] = 0xff, 192, 0, 2, 1 };
static const unsigned char net_b[16] = { [10] = 0xff, [11] = 0xff, 198, 51, 100, 1 };

struct fix {
	struct clock clock;
	struct kv *kv;
	struct store *store;
	struct auth *auth;
	struct arena mem;
};

#define OK(x) assert_int_equal((x), ST_OK)

static void add(struct fix *f, slice address, slice verifier)
{
	struct err e;
	uint32_t id;

	OK(store_account_add(f->store, address, verifier, &id, &e));
}

static int setup(void **state)
{
	struct fix *f = test_calloc(1, sizeof(*f));
	const struct kv_options kvo = { .engine = KV_MEMORY, .mode = KV_COMMIT_INLINE };
	const struct auth_options opt = { .clock = &f->clock,
					  .argon2_kib = 64,
					  .argon2_passes = 1 };
	struct err e;
	slice v = SL("");

	clock_init_virtual(&f->clock, 1700000000000000);
	arena_init(&f->mem);
	OK(kv_open(&kvo, &f->kv, &e));
	OK(store_open(f->kv, &f->clock, &f->store, &e));
	f->auth = auth_new(f->store, &opt);
	OK(store_domain_add(f->store, SL("example.org"), &e));
	OK(auth_hash(f->auth, SL("ann-secret"), &f->mem, &v, &e));
	add(f, SL("ann@example.org"), v);
	OK(auth_import_verifier(f->auth, SL("{PLAIN}bob-secret"), true, &f->mem, &v, &e));
	add(f, SL("bob@example.org"), v);
	OK(auth_import_verifier(f->auth,
				SL("{MD5-CRYPT}$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1"), true,
				&f->mem, &v, &e));
	add(f, SL("old@example.org"), v);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fix *f = *state;

	auth_free(f->auth);
	store_close(f->store);
	kv_close(f->kv);
	arena_release(&f->mem);
	test_free(f);
	return 0;
}

struct result {
	enum status st;
	enum err_code code;
	int64_t delay_ms;
	const char *reason;
	struct auth_user user;
	uint64_t argon2, crypt; /* hashes it took */
};

static struct result try(struct fix *f, const char *user, const char *password,
			 const unsigned char *net)
{
	struct result r = { 0 };
	struct err e = { 0 };
	uint64_t argon2 = f->auth->work.argon2, crypt = f->auth->work.crypt;

	r.st = auth_password(f->auth, slice_str(user), slice_str(password),
			     net ? net : net_a, !net, &f->mem, &r.user, &r.delay_ms,
			     &r.reason, &e);
	r.code = e.code;
	r.argon2 = f->auth->work.argon2 - argon2;
	r.crypt = f->auth->work.crypt - crypt;
	return r;
}

static void the_right_password_gets_in(void **state)
{
	struct result r = try(*state, "ann@example.org", "ann-secret", NULL);

	OK(r.st);
	assert_true(r.user.is_admin);
	assert_true(slice_eq(r.user.address, SL("ann@example.org")));
	assert_int_equal(r.delay_ms, 0);
	r = try(*state, "bob@example.org", "bob-secret", net_a);
	OK(r.st);
	assert_false(r.user.is_admin);
	OK(try(*state, "old@example.org", "secret", net_a).st);
}

/* Unknown or not, Argon2 or crypt: one of each. */
static void every_refusal_costs_the_same(void **state)
{
	static const struct {
		const char *user, *password, *reason;
	} cases[] = {
		{ "ann@example.org", "wrong", "wrong password" },
		{ "bob@example.org", "wrong", "wrong password" },
		{ "nobody@example.org", "wrong", "unknown user" },
		{ "ann@example.net", "ann-secret", "unknown user" },
		{ "ann", "ann-secret", "unknown user" },
		{ "", "ann-secret", "unknown user" },
		{ "postmaster@example.org", "ann-secret",
		  "unknown user" }, /* an alias is not a login */
		{ "ann@example.org", "", "wrong password" },
		{ "@", "", "unknown user" },
		{ "\xff\xfe@\x80", "x", "unknown user" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct result r = try(*state, cases[i].user, cases[i].password, NULL);

		assert_int_equal(r.st, ST_DENIED);
		assert_int_equal(r.code, ERR_AUTH);
		assert_string_equal(r.reason, cases[i].reason);
		assert_int_equal(r.argon2, 1);
		/* bob's bulk hash has 1,000 rounds, and another 4,000 follow */
		assert_int_equal(r.crypt, strncmp(cases[i].user, "bob", 3) == 0 ? 2 : 1);
	}
}

static void overlong_names_and_passwords_are_just_wrong(void **state)
{
	struct fix *f = *state;
	char text[5000];
	struct auth_user u;
	int64_t ms;
	const char *why;
	struct err e;

	memset(text, 'a', sizeof(text));
	assert_int_equal(auth_password(f->auth, slice_make(text, sizeof(text)), SL("x"),
				       net_a, true, &f->mem, &u, &ms, &why, &e),
			 ST_DENIED);
	assert_int_equal(auth_password(f->auth, SL("ann@example.org"),
				       slice_make(text, sizeof(text)), net_a, true,
				       &f->mem, &u, &ms, &why, &e),
			 ST_DENIED);
	assert_int_equal(auth_password(f->auth, SL("ann@example.org\0"), SL("ann-secret"),
				       net_a, true, &f->mem, &u, &ms, &why, &e),
			 ST_DENIED);
	assert_int_equal(auth_password(f->auth, SL("old@example.org"), SL("secret\0"),
				       net_a, true, &f->mem, &u, &ms, &why, &e),
			 ST_DENIED);
}

static void a_proven_password_is_not_hashed_again_for_an_hour(void **state)
{
	struct fix *f = *state;
	struct result r = try(f, "ann@example.org", "ann-secret", net_a);

	assert_int_equal(r.argon2, 1);
	assert_int_equal(r.crypt, 0);
	r = try(f, "ann@example.org", "ann-secret", net_b);
	OK(r.st);
	assert_int_equal(r.argon2, 0);
	clock_advance(&f->clock, 3600ll * 1000000);
	r = try(f, "ann@example.org", "ann-secret", net_a);
	OK(r.st);
	assert_int_equal(r.argon2, 1);
}

static void changes_void_what_was_proven(void **state)
{
	struct fix *f = *state;
	struct err e;
	slice v = SL("");
	struct result r;

	OK(try(f, "ann@example.org", "ann-secret", net_a).st);
	OK(auth_hash(f->auth, SL("new-secret"), &f->mem, &v, &e));
	OK(store_account_set_verifier(f->store, SL("ann@example.org"), v, &e));
	assert_int_equal(try(f, "ann@example.org", "ann-secret", NULL).code, ERR_AUTH);
	OK(try(f, "ann@example.org", "new-secret", net_a).st);

	OK(store_account_set_disabled(f->store, SL("ann@example.org"), true, &e));
	r = try(f, "ann@example.org", "new-secret", net_a);
	assert_int_equal(r.code, ERR_DISABLED);
	assert_string_equal(r.reason, "account disabled");
	assert_int_equal(try(f, "ann@example.org", "wrong", NULL).code,
			 ERR_AUTH); /* does not say so to strangers */
	OK(store_account_set_disabled(f->store, SL("ann@example.org"), false, &e));
	OK(try(f, "ann@example.org", "new-secret", net_a).st);

	OK(try(f, "bob@example.org", "bob-secret", net_a).st);
	OK(store_account_remove(f->store, SL("bob@example.org"), &e));
	assert_string_equal(try(f, "bob@example.org", "bob-secret", NULL).reason,
			    "unknown user");
}

static void answers_wait_longer_with_each_new_guess(void **state)
{
	static const int64_t want[] = { 0, 1000, 2000, 4000, 8000, 15000, 15000 };
	struct fix *f = *state;

	for (int i = 0; i < 7; i++) {
		char text[24];

		snprintf(text, sizeof(text), "guess%d", i);
		assert_int_equal(try(f, "ann@example.org", text, net_a).delay_ms,
				 want[i]);
		assert_int_equal(try(f, "ann@example.org", text, net_a).delay_ms,
				 want[i]); /* again: no higher */
	}
	assert_int_equal(try(f, "ann@example.org", "yet another", NULL).delay_ms,
			 0); /* loopback */
	assert_int_equal(try(f, "bob@example.org", "x", net_b).delay_ms,
			 0); /* another net, another account */
}

static void a_right_guess_waits_too_but_an_old_friend_does_not(void **state)
{
	struct fix *f = *state;

	OK(try(f, "bob@example.org", "bob-secret", net_a).st); /* bob works here */
	for (int i = 0; i < 6; i++) {
		char text[24];

		snprintf(text, sizeof(text), "guess%d", i);
		(void)try(f, "ann@example.org", text, net_a);
	}
	clock_advance(&f->clock, 1000000);
	assert_int_equal(try(f, "old@example.org", "secret", net_a).delay_ms, 15000);
	assert_int_equal(try(f, "old@example.org", "secret", net_a).delay_ms,
			 0); /* proven now */
	assert_int_equal(try(f, "bob@example.org", "bob-secret", net_a).delay_ms, 0);
	assert_int_equal(try(f, "ann@example.org", "ann-secret", net_b).delay_ms,
			 0); /* ann elsewhere is not held up */
}

static void a_wiped_secret_is_gone_and_what_stands_around_it_is_not(void **state)
{
	char text[] = "PASS ann-secret\r\n";

	(void)state;
	auth_wipe(slice_make(text + 5, 10));
	auth_wipe(SL(""));
	assert_memory_equal(text, "PASS \0\0\0\0\0\0\0\0\0\0\r\n", 17);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_right_password_gets_in),
		T(every_refusal_costs_the_same),
		T(overlong_names_and_passwords_are_just_wrong),
		T(a_proven_password_is_not_hashed_again_for_an_hour),
		T(changes_void_what_was_proven),
		T(answers_wait_longer_with_each_new_guess),
		T(a_right_guess_waits_too_but_an_old_friend_does_not),
		cmocka_unit_test(a_wiped_secret_is_gone_and_what_stands_around_it_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
