/* The disk's reserve: what gives space back may use it, and is not taken along by what may not. */
#include "kv_test.h"

#define MB (1u << 20)

/* As if the system had just been asked: the memory engine has no disk. */
static void disk(struct kv *kv, uint64_t free)
{
	kv->reserve = 64 * MB;
	kv->reserve_last = 8 * MB;
	kv->disk_free = free;
	kv->disk_low = free < kv->reserve;
}

static enum status commit(struct kv *kv, uint32_t lock, const char *key, bool frees,
			  struct err *e)
{
	struct kv_txn *t = begin(kv, lock);

	if (frees)
		kv_txn_frees(t);
	put(t, key, "x");
	return kv_commit_wait(t, e);
}

static void below_the_reserve_only_what_frees_is_taken(void **state)
{
	(void)state;
	struct kv *kv = open_kv(KV_MEMORY, KV_COMMIT_INLINE, NULL);
	struct err e = { 0 };

	disk(kv, 100 * MB);
	assert_true(kv_room_cached(kv));
	assert_int_equal(kv_room(kv, &e), ST_OK);
	assert_int_equal(commit(kv, 1, "a", false, &e), ST_OK);
	disk(kv, 63 * MB);
	assert_false(kv_room_cached(kv));
	assert_int_equal(kv_room(kv, &e), ST_FULL);
	assert_int_equal(e.code, ERR_DISK_FULL);
	assert_non_null(strstr(e.text, "63 MB of disk left, 64 MB are reserved"));
	assert_int_equal(commit(kv, 1, "b", false, &e), ST_FULL);
	assert_int_equal(commit(kv, 1, "c", true, &e), ST_OK);
	disk(kv, 7 * MB); /* the last of it is for the engine itself */
	assert_int_equal(commit(kv, 1, "d", true, &e), ST_FULL);
	disk(kv, 64 * MB);
	assert_int_equal(commit(kv, 1, "b", false, &e), ST_OK);
	kv_close(kv);
}

static void who_frees_is_not_taken_along_by_its_batch(void **state)
{
	(void)state;
	struct kv *kv = open_kv(KV_MEMORY, KV_COMMIT_MANUAL, NULL);
	struct result r[3] = { RESULT, RESULT, RESULT };
	AUTO_ARENA a = { 0 };

	disk(kv, 63 * MB);
	for (uint32_t i = 0; i < 3; i++) {
		struct kv_txn *t = begin(kv, i + 1);

		if (i != 1)
			kv_txn_frees(t);
		put(t, i == 0 ? "one" : i == 1 ? "two" : "three", "x");
		kv_commit(t, &r[i].d);
	}
	kv_pump(kv);
	assert_int_equal(r[0].st, ST_OK);
	assert_int_equal(r[1].st, ST_FULL);
	assert_int_equal(r[2].st, ST_OK);
	assert_string_equal(get(kv, NULL, &a, "one"), "x");
	assert_string_equal(get(kv, NULL, &a, "three"), "x");
	kv_close(kv);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(below_the_reserve_only_what_frees_is_taken),
		cmocka_unit_test(who_frees_is_not_taken_along_by_its_batch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
