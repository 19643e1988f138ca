#pragma once
/* gc_test.h — what the tests of the collector share: numbered bodies, deliveries, expunges, copies. */
#include "kv_test.h"

#define BODY_MAX (700u << 10)

/* Body no i: its length and octets follow from i. Every third does not compress. */
static inline size_t body_make(unsigned i, char *dst)
{
	static const size_t sizes[] = { 900, 4000, 20000, 60000, 90000, 300000, 100, 700000 };
	size_t n = sizes[i % 8] + i;
	uint32_t s = i * 2654435761u + 1;
	for (size_t k = 0; k < n; k++) {
		s = s * 1664525u + 1013904223u;
		dst[k] = i % 3 == 0 ? (char)(s >> 24) : "the quick brown fox "[(k + (s >> 30)) % 20];
	}
	return n;
}

static inline struct kv_upload *body_upload(struct kv *kv, unsigned i, struct blob_id *out)
{
	char *p = mem_new(BODY_MAX + 1024);
	size_t n = body_make(i, p);
	struct kv_upload *u = kv_upload_new(kv);
	struct err e = { 0 };
	uint64_t size;
	if (kv_upload_write(u, slice_make(p, n), &e) != ST_OK || kv_upload_end(u, out, &size, &e) != ST_OK)
		fail_msg("upload: %s", e.text);
	mem_free(p);
	return u;
}

static inline slice ref_key(unsigned char dst[45], const struct blob_id *id, uint32_t account, uint64_t email)
{
	dst[0] = KV_REFERENCE;
	memcpy(dst + 1, id->h, 32);
	for (int k = 0; k < 4; k++)
		dst[33 + k] = (unsigned char)(account >> (24 - 8 * k));
	for (int k = 0; k < 8; k++)
		dst[37 + k] = (unsigned char)(email >> (56 - 8 * k));
	return slice_make(dst, 45);
}

static inline void refer(struct kv_txn *t, const struct blob_id *id, uint32_t account, uint64_t email)
{
	unsigned char key[45];
	kv_put(t, ref_key(key, id, account, email), SL(""));
}

static inline void unrefer(struct kv_txn *t, const struct blob_id *id, uint32_t account, uint64_t email)
{
	unsigned char key[45];
	kv_del(t, ref_key(key, id, account, email));
	kv_blob_unref(t, id);
}

static inline void deliver(struct kv *kv, unsigned i, uint32_t account, uint64_t email, struct blob_id *out)
{
	struct kv_upload *u = body_upload(kv, i, out);
	struct kv_txn *t = begin(kv, account);
	kv_txn_blob(t, u);
	refer(t, out, account, email);
	commit_ok(t);
}

static inline void expunge(struct kv *kv, const struct blob_id *id, uint32_t account, uint64_t email)
{
	struct kv_txn *t = begin(kv, account);
	unrefer(t, id, account, email);
	commit_ok(t);
}

static inline struct kv_collected collect(struct kv *kv)
{
	struct kv_collected c = { 0 };
	struct err e = { 0 };
	if (kv_collect(kv, &c, &e) != ST_OK)
		fail_msg("collect: %s", e.text);
	return c;
}

/* Since the store was opened, the keeper's own work included. */
static inline struct kv_collected collected(struct kv *kv)
{
	struct kv_stat s;
	kv_stat(kv, &s);
	return s.collected;
}

/* The body comes back whole, and in pieces. */
static inline void body_check(struct kv *kv, const struct blob_id *id, unsigned i)
{
	char *want = mem_new(BODY_MAX + 1024), *got = mem_new(BODY_MAX + 1024);
	size_t n = body_make(i, want);
	struct err e = { 0 };
	uint64_t size = 0;
	if (kv_blob_size(kv, id, &size, &e) != ST_OK)
		fail_msg("body %u: %s", i, e.text);
	assert_int_equal(size, n);
	if (kv_blob_read(kv, id, 0, got, n, &e) != ST_OK)
		fail_msg("body %u: %s", i, e.text);
	assert_memory_equal(got, want, n);
	for (size_t off = 0; off < n; off += n / 3 + 1) {
		size_t len = n - off < 5000 ? n - off : 5000;
		if (kv_blob_read(kv, id, off, got, len, &e) != ST_OK)
			fail_msg("body %u at %zu: %s", i, off, e.text);
		assert_memory_equal(got, want + off, len);
	}
	mem_free(want);
	mem_free(got);
}

static inline bool body_is_there(struct kv *kv, const struct blob_id *id)
{
	struct err e;
	uint64_t size;
	enum status st = kv_blob_size(kv, id, &size, &e);
	assert_true(st == ST_OK || st == ST_NOT_FOUND);
	return st == ST_OK;
}

/* Octets on the disk below path. */
static inline uint64_t disk_use(const char *path)
{
	struct stat s;
	if (lstat(path, &s) != 0)
		return 0;
	uint64_t sum = (uint64_t)s.st_blocks * 512;
	DIR *d = S_ISDIR(s.st_mode) ? opendir(path) : NULL;
	if (!d)
		return sum;
	AUTO_ARENA a = { 0 };
	for (struct dirent *de; (de = readdir(d));)
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
			sum += disk_use(arena_fmt(&a, "%s/%s", path, de->d_name).p);
	closedir(d);
	return sum;
}

/* A snapshot as a store of its own in to, as a backup makes one. */
static inline void snapshot_copy(const struct kv_snapshot *s, const char *dir, const char *rows, const char *to)
{
	AUTO_ARENA a = { 0 };
	const struct kv_snapshot_file *f;
	size_t n = kv_snapshot_files(s, &f);
	struct err e = { 0 };
	mkdir(to, 0700);
	mkdir(arena_fmt(&a, "%s/bodies", to).p, 0700);
	copy_tree(arena_fmt(&a, "%s/FORMAT", dir).p, arena_fmt(&a, "%s/FORMAT", to).p);
	copy_tree(rows, arena_fmt(&a, "%s/meta", to).p);
	for (size_t i = 0; i < n; i++) {
		AUTO_BUF b = { 0 };
		buf_init(&b, 1u << 30);
		slice from = arena_fmt(&a, "%s/bodies/%08x.seg", dir, f[i].segment);
		if (io_read_file(from.p, 1u << 30, &b, &e) != ST_OK)
			fail_msg("snapshot: %s", e.text);
		if (b.n < f[i].bytes)
			fail_msg("segment %08x: %zu of %llu octets", f[i].segment, b.n,
				 (unsigned long long)f[i].bytes);
		slice path = arena_fmt(&a, "%s/bodies/%08x.seg", to, f[i].segment);
		assert_int_equal(io_write_file(path.p, slice_sub(buf_slice(&b), 0, (size_t)f[i].bytes), 0600, &e),
				 ST_OK);
	}
}

static inline struct kv *open_read_only(const char *dir)
{
	struct kv_options o = { .engine = KV_ROCKSDB,
				.mode = KV_COMMIT_INLINE,
				.dir = dir,
				.read_only = true,
				.cache_bytes = 8u << 20 };
	struct kv *kv = NULL;
	struct err e = { 0 };
	if (kv_open(&o, &kv, &e) != ST_OK)
		fail_msg("kv_open: %s", e.text);
	return kv;
}
