/* What only a real disk does: a sync that takes its time and then fails, and a file system without room. */
#include "kv_test.h"
#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>

/* The program's own fdatasync stands before libc's, for us and for RocksDB alike. */
static _Atomic int holding, entered, failing;

int fdatasync(int fd)
{
	if (holding) {
		entered = 1;
		while (holding)
			usleep(1000);
	}
	if (failing) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

struct shared_result {
	struct done d;
	_Atomic int calls, code;
};
static void shared_done(struct done *d, enum status st, const struct err *why)
{
	struct shared_result *r = (struct shared_result *)d;
	r->code = st == ST_OK ? ERR_NONE : why->code;
	r->calls++;
}

static void nothing_is_told_before_the_sync_returns(void **state)
{
	(void)state;
	AUTO_ARENA a = { 0 };
	for (int fails = 0; fails < 2; fails++) {
		char dir[64];
		struct err e;
		temp_dir(dir);
		struct kv *kv = open_kv(KV_ROCKSDB, KV_COMMIT_THREAD, dir);
		struct shared_result r = { .d = { shared_done } };
		struct kv_txn *t = begin(kv, 1);
		put(t, "before", "1");
		commit_ok(t);
		t = begin(kv, 1);
		put(t, "a", "1");
		entered = 0;
		holding = 1;
		kv_commit(t, &r.d);
		for (int i = 0; !entered; i++) {
			assert_true(i < 20000);
			usleep(1000);
		}
		usleep(20000);
		assert_int_equal(r.calls, 0);
		failing = fails;
		holding = 0;
		for (int i = 0; !r.calls; i++) {
			assert_true(i < 20000);
			usleep(1000);
		}
		assert_int_equal(r.code, fails ? ERR_STOPPED : ERR_NONE);
		uint32_t id = 1;
		enum status st = kv_begin(kv, &id, 1, NULL, &t, &e);
		assert_int_equal(st, fails ? ST_IO : ST_OK);
		if (st == ST_OK)
			kv_abort(t);
		failing = 0;
		if (fails)
			assert_null(get(kv, NULL, &a, "a"));
		assert_string_equal(get(kv, NULL, &a, "before"), "1");
		kv_close(kv);
		kv = open_kv(KV_ROCKSDB, KV_COMMIT_THREAD, dir);
		assert_string_equal(get(kv, NULL, &a, "before"), "1");
		kv_close(kv);
		remove_tree(dir);
	}
}

/* 48 MB of file system, filled with rows until nothing goes, then relieved. */
static void a_full_file_system_refuses_then_recovers_in_place(void **state)
{
	const char *mnt = *state;
	AUTO_ARENA a = { 0 };
	if (!mnt)
		skip();
	slice dir = arena_fmt(&a, "%s/store", mnt),
	      balloon = arena_fmt(&a, "%s/balloon", mnt);
	enum { N = 700, SIZE = 40000 };
	char *v = mem_new(SIZE);
	bool acked[N] = { false };
	unsigned refused = 0, after = 0;
	int fd;
	struct err e;
	assert_int_equal(io_open(balloon.p, 0102 /* O_RDWR | O_CREAT */, 0600, &fd, &e),
			 ST_OK);
	for (uint64_t at = 0; at < (30u << 20); at += SIZE)
		assert_int_equal(io_pwrite(fd, slice_make(v, SIZE), at, &e), ST_OK);
	close(fd);
	struct kv *kv = open_kv(KV_ROCKSDB, KV_COMMIT_THREAD, dir.p);
	for (int i = 0; i < N; i++) {
		AUTO_ARENA row = { 0 };
		struct kv_txn *t = begin(kv, 1);
		random_bytes(v, SIZE);
		kv_put(t, arena_fmt(&row, "%03d", i), slice_make(v, SIZE));
		enum status st = kv_commit_wait(t, &e);
		acked[i] = st == ST_OK;
		after += acked[i] && refused;
		if (acked[i])
			continue;
		assert_int_equal(st, ST_FULL);
		assert_int_equal(e.code, ERR_DISK_FULL);
		slice got;
		assert_int_equal(kv_get(kv, NULL, SL("000"), &row, &got, &e),
				 ST_OK); /* reads go on */
		if (++refused == 10)
			unlink(balloon.p);
		assert_true(refused <= 11);
	}
	assert_true(refused >= 10);
	assert_true(after > 50);
	for (int again = 0; again < 2; again++) {
		for (int i = 0; i < N; i++) {
			AUTO_ARENA row = { 0 };
			slice got;
			enum status st = kv_get(kv, NULL, arena_fmt(&row, "%03d", i),
						&row, &got, &e);
			assert_int_equal(st, acked[i] ? ST_OK : ST_NOT_FOUND);
		}
		kv_close(kv);
		kv = open_kv(KV_ROCKSDB, KV_COMMIT_THREAD, dir.p);
	}
	kv_close(kv);
	mem_free(v);
}

/* A file system of our own, seen by nobody else and gone with the process; needs the kernel's leave. */
static int mount_small(void **state)
{
	/* "sync" in a path is no failed sync. */
	static char mnt[64] = "/tmp/kv-resync-XXXXXX";

	if (!mkdtemp(mnt))
		return -1;
	*state = NULL;
	if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
		return 0;
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	    mount("tmpfs", mnt, "tmpfs", 0, "size=48m") == 0)
		*state = mnt;
	return 0;
}

static int unmount_small(void **state)
{
	if (*state) {
		umount2(*state, MNT_DETACH);
		rmdir(*state);
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* first: a process with threads may not leave its user namespace */
		cmocka_unit_test_setup_teardown(
			a_full_file_system_refuses_then_recovers_in_place, mount_small,
			unmount_small),
		cmocka_unit_test(nothing_is_told_before_the_sync_returns),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
