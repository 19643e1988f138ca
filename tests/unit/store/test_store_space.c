/* Deleted mail gives its disk space back, by way of the whole store: expunge, sweep, collector; and what others still
 * have stays readable. On the real engine. */
#include "store_test.h"
#include "../../support/dir_test.h"
#include <sys/stat.h>

enum { N = 300, LENGTH = 30000 };

static void open_on_disk(struct bench *b, const char *dir)
{
	struct kv_options o = { .engine = KV_ROCKSDB,
				.mode = KV_COMMIT_INLINE,
				.dir = dir,
				.cache_bytes = 8u << 20 };

	arena_init(&b->a);
	clock_init_virtual(&b->clock, (int64_t)NOW_S * 1000000);
	OK(kv_open(&o, &b->kv, &e));
	OK(store_open(b->kv, &b->clock, &b->s, &e));
	OK(store_domain_add(b->s, SL("example.org"), &e));
	OK(store_account_add(b->s, SL("alice@example.org"), SL("{X}a"), &b->alice, &e));
	OK(store_account_add(b->s, SL("bob@example.org"), SL("{X}b"), &b->bob, &e));
}

/* Message i, which does not compress. */
static slice text_of(char *p, unsigned i)
{
	uint32_t s = i * 2654435761u + 1;
	int n = snprintf(p, 64, "Subject: %u\r\n\r\n", i);

	for (int k = n; k < LENGTH; k++) {
		s = s * 1664525u + 1013904223u;
		p[k] = (char)('!' + (s >> 24) % 90);
	}
	return slice_make(p, LENGTH);
}

static uint64_t octets_in(const char *path)
{
	struct stat s;
	uint64_t sum = 0;
	DIR *d = opendir(path);
	AUTO_ARENA a = { 0 };

	assert_non_null(d);
	for (struct dirent *de; (de = readdir(d));)
		if (slice_ends(slice_str(de->d_name), SL(".seg")) &&
		    stat(arena_fmt(&a, "%s/%s", path, de->d_name).p, &s) == 0)
			sum += (uint64_t)s.st_blocks * 512;
	closedir(d);
	return sum;
}

static void an_account_that_goes_gives_its_disk_back(void **state)
{
	struct bench b = { 0 };
	char dir[] = "/tmp/store-test-XXXXXX", bodies[64], *text = mem_new(LENGTH);
	struct kv_collected c;
	size_t done = SIZE_MAX;
	uint32_t uid = 0;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(bodies, sizeof(bodies), "%s/bodies", dir);
	open_on_disk(&b, dir);
	for (unsigned i = 0; i < N; i++) {
		slice s = text_of(text, i);
		deliver(&b, b.alice, 0, SL(""), s);
		if (i % 10 == 0) /* stored once, needed twice */
			uid = deliver(&b, b.bob, 0, SL(""), s);
	}
	assert_int_equal(uid, N / 10);
	uint64_t before = octets_in(bodies);
	OK(store_account_remove(b.s, SL("alice@example.org"), &e));
	while (done)
		OK(store_sweep(b.s, SIZE_MAX, &done, &e));
	OK(kv_collect(b.kv, &c, &e));
	assert_true(c.blobs_dropped >= N - N / 10);
	uint64_t after = octets_in(bodies);
	if (after > before / 5)
		fail_msg("%llu of %llu octets are left", (unsigned long long)after,
			 (unsigned long long)before);
	for (uint32_t i = 1; i <= N / 10; i++) {
		struct store_row row;
		struct store_email m;
		slice s = text_of(text, (i - 1) * 10);
		OK(store_row_get(b.s, b.bob, mbox_id(&b, b.bob, "INBOX"), i, &row, &e));
		OK(store_email_get(b.s, b.bob, row.email, &b.a, &m, &e));
		assert_true(slice_eq(whole(&b, &m), s));
	}
	mem_free(text);
	bench_close(&b);
	remove_tree(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_account_that_goes_gives_its_disk_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
