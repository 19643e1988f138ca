/* test_auth_threads.c — one struct auth and many workers: every answer is its own user's (HAZARDS 23), and the thread
 * sanitizer finds nothing. */
#include "auth/auth_internal.h"
#include "kv/kv.h"
#include "store/store.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define THREADS 4
#define ROUNDS	300

struct world {
	struct clock clock;
	struct kv *kv;
	struct store *store;
	struct auth *auth;
};
struct client {
	struct world *w;
	pthread_t thread;
	unsigned seed, wrong, right, mistaken;
};

static void try(struct client *c, unsigned user, unsigned password, struct arena *mem)
{
	unsigned char net[16] = { 0x20, 0x01, (unsigned char)(c->seed >> 8) };
	struct auth_user u = { 0 };
	slice name = arena_fmt(mem, "user%u@example.org", user);
	const char *why;
	int64_t ms;
	struct err e;
	bool ok = auth_password(c->w->auth, name, arena_fmt(mem, "password %u", password),
				net, user % 2 == 0, mem, &u, &ms, &why, &e) == ST_OK;

	c->mistaken += ok != (user < 3 && user == password) ||
		       (ok && !slice_eq(u.address, name));
	c->right += ok;
	c->wrong += !ok;
}

static void *work(void *ctx)
{
	struct client *c = ctx;
	struct arena mem;

	arena_init(&mem);
	for (int i = 0; i < ROUNDS; i++) {
		c->seed = c->seed * 1103515245 + 12345;
		/* mostly right, so that what was proven is found and renewed */
		if (c->seed >> 16 & 15)
			try(c, (c->seed >> 24) % 3, (c->seed >> 24) % 3, &mem);
		else
			try(c, (c->seed >> 24) % 4, (c->seed >> 20) % 4, &mem);
		if (i % 64 == 0)
			clock_advance(&c->w->clock, 1000000000);
		arena_reset(&mem);
	}
	arena_release(&mem);
	return NULL;
}

static void every_answer_is_its_own_users(void **state)
{
	const struct kv_options kvo = { .engine = KV_MEMORY, .mode = KV_COMMIT_THREAD };
	struct world w = { 0 };
	struct client c[THREADS] = { 0 };
	struct arena mem;
	struct err e;
	unsigned right = 0, wrong = 0;

	(void)state;
	arena_init(&mem);
	clock_init_virtual(&w.clock, 1700000000000000);
	assert_int_equal(kv_open(&kvo, &w.kv, &e), ST_OK);
	assert_int_equal(store_open(w.kv, &w.clock, &w.store, &e), ST_OK);
	w.auth = auth_new(w.store, &(struct auth_options){ .clock = &w.clock,
							   .argon2_kib = 8,
							   .argon2_passes = 1 });
	assert_int_equal(store_domain_add(w.store, SL("example.org"), &e), ST_OK);
	for (unsigned i = 0; i < 3; i++) {
		slice v = SL("");
		uint32_t id;

		assert_int_equal(auth_hash(w.auth, arena_fmt(&mem, "password %u", i),
					   &mem, &v, &e),
				 ST_OK);
		assert_int_equal(
			store_account_add(w.store,
					  arena_fmt(&mem, "user%u@example.org", i), v,
					  &id, &e),
			ST_OK);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		c[i].w = &w;
		c[i].seed = i + 1;
		assert_int_equal(pthread_create(&c[i].thread, NULL, work, &c[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(c[i].thread, NULL);
		assert_int_equal(c[i].mistaken, 0);
		right += c[i].right;
		wrong += c[i].wrong;
	}
	assert_int_equal(right + wrong, THREADS * ROUNDS);
	assert_true(wrong > 10 && right > wrong);
	auth_free(w.auth);
	store_close(w.store);
	kv_close(w.kv);
	arena_release(&mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_answer_is_its_own_users),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
