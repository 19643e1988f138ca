/* test_io.c — base/io.h, in a directory of its own under $TMPDIR. */
#include "base/cleanup.h"
#include "base/io.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <sys/stat.h>
#include <cmocka.h>

static char dir[512];

/* The fault under test: the call number `at` of kind `op` (or of any kind, -1) fails with `error`. */
static struct {
	int op, at, error, seen;
} fault;

static int fault_hook(void *ctx, enum io_op op)
{
	(void)ctx;
	if (fault.op >= 0 && fault.op != (int)op)
		return 0;
	return ++fault.seen == fault.at ? fault.error : 0;
}

static void inject(int op, int at, int error)
{
	fault.op = op;
	fault.at = at;
	fault.error = error;
	fault.seen = 0;
	io_set_fault(fault_hook, NULL);
}

static char *in_dir(const char *name)
{
	static char path[600];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static int make_dir(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(dir, sizeof(dir), "%s/facteur-io-XXXXXX", tmp ? tmp : "/tmp");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	static const char *const names[] = { "f", "f.tmp", "g", "target" };

	(void)state;
	io_set_fault(NULL, NULL);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(in_dir(names[i]));
	rmdir(in_dir("d"));
	return rmdir(dir);
}

static void assert_file(const char *name, slice want)
{
	struct buf b;

	buf_init(&b, 1000);
	assert_int_equal(io_read_file(in_dir(name), 1000, &b, NULL), ST_OK);
	assert_true(slice_eq(buf_slice(&b), want));
	buf_done(&b);
}

/* However often a write or a read does half, all of it is done; a failure behind it is a failure. */
static int halves_hook(void *ctx, enum io_op op)
{
	int *left = ctx;

	if (op != IO_WRITE && op != IO_READ)
		return 0;
	return (*left)-- > 0 ? IO_FAULT_SHORT : *left == -1 ? ENOSPC : 0;
}

static void half_a_write_goes_on(void **state)
{
	(void)state;
	char a[] = "hello ", b[] = "world", back[12] = "";
	struct err e;
	int fd = -1;

	assert_int_equal(io_open(in_dir("f"), O_RDWR | O_CREAT, 0600, &fd, &e), ST_OK);
	for (int halves = 0; halves < 3; halves++) {
		struct iovec iov[] = { { a, 6 }, { b, 5 } };
		int left = halves;

		io_set_fault(halves_hook, &left);
		assert_int_equal(io_pwritev(fd, iov, 2, 0, &e), ST_FULL);
		assert_int_equal(e.code, ERR_DISK_FULL);
		iov[0] = (struct iovec){ a, 6 };
		iov[1] = (struct iovec){ b, 5 };
		left = 100;
		assert_int_equal(io_pwritev(fd, iov, 2, 0, &e), ST_OK);
		left = 100;
		assert_int_equal(io_pread(fd, back, 11, 0, &e), ST_OK);
		assert_string_equal(back, "hello world");
	}
	io_set_fault(NULL, NULL);
	close(fd);
}

static void what_is_written_is_read(void **state)
{
	(void)state;
	int fd = -1;
	uint64_t size = 99;
	char back[8] = "";
	struct err e;
	char a[] = "abc", b[] = "", c[] = "defg";
	struct iovec iov[] = { { a, 3 }, { b, 0 }, { c, 4 } };

	assert_int_equal(io_open(in_dir("f"), O_RDWR | O_CREAT | O_EXCL, 0600, &fd, &e),
			 ST_OK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(io_pwritev(fd, iov, 3, 5, &e), ST_OK);
	assert_int_equal(io_pwrite(fd, SL("12345"), 0, &e), ST_OK);
	assert_int_equal(io_fdatasync(fd, &e), ST_OK);
	assert_int_equal(io_size(fd, &size, &e), ST_OK);
	assert_int_equal(size, 12);
	assert_int_equal(io_pread(fd, back, 7, 5, &e), ST_OK);
	assert_string_equal(back, "abcdefg");
	assert_int_equal(io_pread(fd, back, 7, 6, &e), ST_IO); /* one too many */
	assert_non_null(strstr(e.text, "/f: "));
	assert_int_equal(io_truncate(fd, 3, &e), ST_OK);
	assert_file("f", SL("123"));
	close(fd);
}

static void interrupted_calls_are_made_again(void **state)
{
	(void)state;
	int fd = -1;
	char back[4] = "";

	inject(IO_OPEN, 1, EINTR);
	assert_int_equal(io_open(in_dir("f"), O_RDWR | O_CREAT, 0600, &fd, NULL), ST_OK);
	inject(IO_WRITE, 1, EINTR);
	assert_int_equal(io_pwrite(fd, SL("abc"), 0, NULL), ST_OK);
	inject(IO_READ, 1, EINTR);
	assert_int_equal(io_pread(fd, back, 3, 0, NULL), ST_OK);
	assert_string_equal(back, "abc");
	close(fd);
}

static void a_failed_sync_is_not_tried_again(void **state)
{
	(void)state;
	int fd = -1;
	struct err e;

	assert_int_equal(io_open(in_dir("f"), O_RDWR | O_CREAT, 0600, &fd, NULL), ST_OK);
	inject(IO_SYNC, 1, EINTR);
	assert_int_equal(io_fdatasync(fd, &e), ST_IO);
	assert_int_equal(fault.seen, 1);
	inject(IO_SYNC, 1, EIO);
	assert_int_equal(io_fdatasync(fd, &e), ST_IO);
	assert_int_equal(e.code, ERR_IO);
	close(fd);
}

static void errors_say_what_the_caller_branches_on(void **state)
{
	(void)state;
	static const struct {
		int number;
		enum status want;
		enum err_code code;
	} cases[] = {
		{ ENOSPC, ST_FULL, ERR_DISK_FULL },
		{ EDQUOT, ST_FULL, ERR_DISK_FULL },
		{ EMFILE, ST_FULL, ERR_DISK_FULL },
		{ ENFILE, ST_FULL, ERR_DISK_FULL },
		{ EIO, ST_IO, ERR_IO },
		{ EACCES, ST_IO, ERR_IO },
		{ ENOENT, ST_NOT_FOUND, ERR_IO },
		{ EEXIST, ST_EXISTS, ERR_EXISTS },
	};
	struct err e;
	int fd = -7;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		inject(IO_OPEN, 1, cases[i].number);
		assert_int_equal(io_open(in_dir("f"), O_RDONLY, 0, &fd, &e),
				 cases[i].want);
		assert_int_equal(e.code, cases[i].code);
		assert_non_null(strstr(e.text, "/f: "));
		assert_int_equal(fd, -7);
	}
	io_set_fault(NULL, NULL);
	assert_int_equal(io_open(in_dir("f"), O_RDONLY, 0, &fd, &e), ST_NOT_FOUND);
	assert_non_null(strstr(e.text, "No such file"));
	assert_int_equal(io_unlink(in_dir("f"), &e), ST_NOT_FOUND);
}

static void directories_are_made_once(void **state)
{
	(void)state;
	struct err e;
	uint64_t bytes = 0;

	assert_int_equal(io_mkdir(in_dir("d"), 0700, &e), ST_OK);
	assert_int_equal(io_mkdir(in_dir("d"), 0700, &e), ST_OK);
	assert_int_equal(io_mkdir(in_dir("x/y"), 0700, &e), ST_NOT_FOUND);
	assert_int_equal(io_write_file(in_dir("f"), SL("x"), 0600, &e), ST_OK);
	assert_int_equal(io_mkdir(in_dir("f"), 0700, &e), ST_IO);
	inject(IO_SYNC_DIR, 1, EIO);
	assert_int_equal(io_sync_dir(dir, &e), ST_IO);
	io_set_fault(NULL, NULL);
	assert_int_equal(io_sync_dir(dir, &e), ST_OK);
	assert_int_equal(io_sync_dir(in_dir("f"), &e), ST_IO);
	assert_int_equal(io_free_bytes(dir, &bytes, &e), ST_OK);
	assert_true(bytes > 0);
}

static void reading_a_file_stops_at_max(void **state)
{
	(void)state;
	struct buf b;
	struct err e;

	assert_int_equal(io_write_file(in_dir("f"), SL("0123456789"), 0600, &e), ST_OK);
	buf_init(&b, 100);
	buf_add(&b, SL("x"));
	assert_int_equal(io_read_file(in_dir("f"), 9, &b, &e), ST_LIMIT);
	assert_true(slice_eq(slice_make(b.p, b.n), SL("x")));
	buf_reset(&b);
	buf_add(&b, SL("x"));
	assert_int_equal(io_read_file(in_dir("f"), 10, &b, &e), ST_OK);
	assert_true(slice_eq(buf_slice(&b), SL("x0123456789")));
	buf_done(&b);
	buf_init(&b, 9);
	assert_int_equal(io_read_file(in_dir("f"), 1000, &b, &e), ST_LIMIT);
	buf_done(&b);
	buf_init(&b, 9);
	assert_int_equal(io_read_file(in_dir("none"), 9, &b, &e), ST_NOT_FOUND);
	buf_done(&b);
}

static void a_file_is_replaced_whole(void **state)
{
	(void)state;
	struct err e;
	struct stat st;

	assert_int_equal(io_write_file(in_dir("f"), SL("old"), 0600, &e), ST_OK);
	/* A leftover that is a link must not lead anywhere. */
	char target[600];

	snprintf(target, sizeof(target), "%s", in_dir("target"));
	assert_int_equal(io_write_file(target, SL("precious"), 0600, &e), ST_OK);
	assert_int_equal(symlink(target, in_dir("f.tmp")), 0);
	assert_int_equal(io_write_file(in_dir("f"), SL("new"), 0600, &e), ST_OK);
	assert_file("f", SL("new"));
	assert_file("target", SL("precious"));
	assert_int_equal(lstat(in_dir("f"), &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(lstat(in_dir("f.tmp"), &st), -1);
}

/* Every call in turn fails: the file is the old one or the new one, and success means new. */
static void a_write_that_fails_anywhere_leaves_old_or_new(void **state)
{
	(void)state;
	bool succeeded = false;

	for (int at = 1; !succeeded; at++) {
		struct buf b;
		struct err e;

		assert_true(at < 20);
		io_set_fault(NULL, NULL);
		assert_int_equal(io_write_file(in_dir("f"), SL("old"), 0600, &e), ST_OK);
		inject(-1, at, EIO);
		succeeded = io_write_file(in_dir("f"), SL("newer"), 0600, &e) == ST_OK;
		io_set_fault(NULL, NULL);
		buf_init(&b, 100);
		assert_int_equal(io_read_file(in_dir("f"), 100, &b, &e), ST_OK);
		if (succeeded)
			assert_true(slice_eq(buf_slice(&b), SL("newer")));
		else
			assert_true(slice_eq(buf_slice(&b), SL("old")) ||
				    slice_eq(buf_slice(&b), SL("newer")));
		assert_int_equal(access(in_dir("f.tmp"), F_OK), -1);
		buf_done(&b);
		/* open, write, sync, rename, open and sync of the directory */
		assert_true(!succeeded || at == 7);
	}
}

static void renaming_syncs_the_directory(void **state)
{
	(void)state;
	struct err e;
	char from[600];

	assert_int_equal(io_write_file(in_dir("f"), SL("x"), 0600, &e), ST_OK);
	snprintf(from, sizeof(from), "%s", in_dir("f"));
	inject(IO_SYNC_DIR, 1, EIO);
	assert_int_equal(io_rename(from, in_dir("g"), &e), ST_IO);
	io_set_fault(NULL, NULL);
	assert_file("g", SL("x"));
	assert_int_equal(io_rename(from, in_dir("g"), &e), ST_NOT_FOUND);
	assert_int_equal(io_unlink(in_dir("g"), &e), ST_OK);
}

static void exchanging_changes_both_names_at_once(void **state)
{
	(void)state;
	struct err e;
	char one[600];

	snprintf(one, sizeof(one), "%s", in_dir("one"));
	assert_int_equal(io_write_file(in_dir("one"), SL("1"), 0600, &e), ST_OK);
	assert_int_equal(io_exchange(one, in_dir("two"), &e), ST_NOT_FOUND);
	assert_file("one", SL("1"));
	assert_int_equal(io_write_file(in_dir("two"), SL("2"), 0600, &e), ST_OK);
	assert_int_equal(io_exchange(one, in_dir("two"), &e), ST_OK);
	assert_file("one", SL("2"));
	assert_file("two", SL("1"));
	inject(IO_SYNC_DIR, 1, EIO);
	assert_int_equal(io_exchange(one, in_dir("two"), &e), ST_IO);
	io_set_fault(NULL, NULL);
	assert_int_equal(io_unlink(in_dir("one"), &e), ST_OK);
	assert_int_equal(io_unlink(in_dir("two"), &e), ST_OK);
}

/* More vectors than one call takes, and a pipe's short writes do not matter: pwritev on a file, counted. */
static void long_vectors_are_completed(void **state)
{
	(void)state;
	enum { N = IOV_MAX * 2 + 3 };
	static char bytes[N];
	struct iovec *iov = mem_array(N, sizeof(*iov));
	char *back = mem_new(N);
	int fd = -1;

	for (int i = 0; i < N; i++) {
		bytes[i] = (char)('a' + i % 23);
		iov[i].iov_base = bytes + i;
		iov[i].iov_len = 1;
	}
	assert_int_equal(io_open(in_dir("f"), O_RDWR | O_CREAT, 0600, &fd, NULL), ST_OK);
	assert_int_equal(io_pwritev(fd, iov, N, 0, NULL), ST_OK);
	assert_int_equal(io_pread(fd, back, N, 0, NULL), ST_OK);
	assert_memory_equal(back, bytes, N);
	close(fd);
	mem_free(iov);
	mem_free(back);
}

static bool count_names(void *ctx, const char *name)
{
	assert_true(name[0] != '.');
	++*(int *)ctx;
	return true;
}

static void a_tree_is_listed_linked_and_removed(void **state)
{
	(void)state;
	struct err e;
	struct io_stat one, two;
	char f[600], g[600];
	int n = 0;

	assert_int_equal(io_mkdir(in_dir("d"), 0700, &e), ST_OK);
	assert_int_equal(io_mkdir(in_dir("d/below"), 0700, &e), ST_OK);
	assert_int_equal(io_write_file(in_dir("d/f"), SL("x"), 0600, &e), ST_OK);
	snprintf(f, sizeof(f), "%s", in_dir("d/f"));
	snprintf(g, sizeof(g), "%s", in_dir("d/below/g"));
	assert_int_equal(io_link(f, g, &e), ST_OK);
	assert_int_equal(io_link(f, g, &e), ST_EXISTS);
	assert_int_equal(io_stat_path(f, &one, &e), ST_OK);
	assert_int_equal(io_stat_path(g, &two, &e), ST_OK);
	assert_true(one.inode == two.inode && one.links == 2 && one.kind == IO_KIND_FILE);
	assert_int_equal(symlink(dir, in_dir("d/out")), 0);
	assert_int_equal(io_stat_path(in_dir("d/out"), &one, &e), ST_OK);
	assert_int_equal(one.kind, IO_KIND_OTHER);
	assert_int_equal(io_list_dir(in_dir("d"), count_names, &n, &e), ST_OK);
	assert_int_equal(n, 3);
	inject(IO_LINK, 1, EXDEV);
	assert_int_equal(io_link(f, g, &e), err_status(ERR_CANNOT));
	inject(IO_UNLINK, 2, EIO);
	assert_int_equal(io_remove_tree(in_dir("d"), &e), ST_IO);
	io_set_fault(NULL, NULL);
	assert_int_equal(io_remove_tree(in_dir("d"), &e), ST_OK);
	assert_int_equal(io_remove_tree(in_dir("d"), &e), ST_OK);
	assert_int_equal(io_stat_path(in_dir("d"), &one, &e), ST_NOT_FOUND);
	assert_int_equal(access(dir, F_OK), 0); /* the link was not followed */
}

#define IN_DIR(fn) cmocka_unit_test_setup_teardown(fn, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIR(what_is_written_is_read),
		IN_DIR(half_a_write_goes_on),
		IN_DIR(interrupted_calls_are_made_again),
		IN_DIR(a_failed_sync_is_not_tried_again),
		IN_DIR(errors_say_what_the_caller_branches_on),
		IN_DIR(directories_are_made_once),
		IN_DIR(reading_a_file_stops_at_max),
		IN_DIR(a_file_is_replaced_whole),
		IN_DIR(a_write_that_fails_anywhere_leaves_old_or_new),
		IN_DIR(renaming_syncs_the_directory),
		IN_DIR(exchanging_changes_both_names_at_once),
		IN_DIR(long_vectors_are_completed),
		IN_DIR(a_tree_is_listed_linked_and_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
