/* The ordered map against a sorted array. */
#include "kv_test.h"

static struct kv_node *node(struct arena *a, struct kv_map *m, slice key)
{
	unsigned h = kv_map_draw_height(m);
	struct kv_node *n = arena_alloc(a, kv_node_size(h));
	assert_true(h >= 1 && h <= KV_MAP_HEIGHT);
	n->height = (uint8_t)h;
	n->key = key;
	return n;
}

static void keys_are_ordered_as_bytes_shorter_first(void **state)
{
	(void)state;
	static const slice keys[] = { S(""),
				      S("\0"),
				      S("\0\0"),
				      S("\0\0\0\0\0\0\0\0"),
				      S("\0\0\0\0\0\0\0\0\0"),
				      S("a"),
				      S("a\0"),
				      S("aaaaaaaa"),
				      S("aaaaaaaa\0"),
				      S("aaaaaaaab"),
				      S("ab"),
				      S("\x7f"),
				      S("\x80"),
				      S("\xff"),
				      S("\xff\xff\xff\xff\xff\xff\xff\xff\xff") };
	const size_t n = sizeof(keys) / sizeof(keys[0]);
	for (size_t step = 1; step < n; step++) {
		AUTO_ARENA a = { 0 };
		struct kv_map m = { 0 };
		for (size_t i = 0, at = 0; i < n; i++, at += step) {
			while (kv_map_find(&m, keys[at % n]))
				at++;
			kv_map_insert(&m, node(&a, &m, keys[at % n]));
		}
		size_t i = 0;
		const struct kv_node *before = NULL;
		for (struct kv_node *x = kv_map_first(&m); x; x = x->next[0]) {
			assert_true(slice_eq(x->key, keys[i]));
			assert_ptr_equal(x->prev, before);
			assert_ptr_equal(kv_map_seek(&m, keys[i]), x);
			assert_ptr_equal(kv_map_seek_before(&m, keys[i]), before);
			before = x;
			i++;
		}
		assert_int_equal(i, n);
		assert_ptr_equal(m.last, before);
	}
}

/* 300 possible keys in random order, in and out; after each change a random seek both ways. */
static void random_inserts_and_removals_agree_with_an_array(void **state)
{
	(void)state;
	enum { KEYS = 300 };
	AUTO_ARENA a = { 0 };
	struct kv_map m = { 0 };
	struct kv_node *in[KEYS] = { 0 };
	slice keys[KEYS];
	uint32_t seed = 1;
	size_t n = 0;
	for (int i = 0; i < KEYS; i++)
		keys[i] = arena_fmt(&a, "prefix-%05d", i * 3);
	for (int round = 0; round < 20000; round++) {
		seed = seed * 1664525u + 1013904223u;
		int k = (int)(seed >> 8) % KEYS, q = (int)(seed >> 16) % KEYS, at = q,
		    before;
		if (in[k]) {
			kv_map_remove(&m, in[k]);
			in[k] = NULL;
			n--;
		} else {
			kv_map_insert(&m, in[k] = node(&a, &m, keys[k]));
			n++;
		}
		assert_int_equal(m.n, n);
		for (before = q - 1; before >= 0 && !in[before]; before--)
			;
		while (at < KEYS && !in[at])
			at++;
		assert_ptr_equal(kv_map_seek(&m, keys[q]), at < KEYS ? in[at] : NULL);
		assert_ptr_equal(kv_map_seek_before(&m, keys[q]),
				 before >= 0 ? in[before] : NULL);
		assert_ptr_equal(kv_map_find(&m, keys[q]), in[q]);
	}
	int i = KEYS;
	for (struct kv_node *x = m.last; x; x = x->prev) {
		while (!in[--i])
			;
		assert_ptr_equal(x, in[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_ordered_as_bytes_shorter_first),
		cmocka_unit_test(random_inserts_and_removals_agree_with_an_array),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
