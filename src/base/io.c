#include "base/io.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

/* The door: each system call below asks door() first. NULL but in tests; set before threads start. */
static int (*fault_fn)(void *ctx, enum io_op op);
static void *fault_ctx;

void io_set_fault(int (*fn)(void *ctx, enum io_op op), void *ctx)
{
	fault_fn = fn;
	fault_ctx = ctx;
}

/* True when the call may be made; otherwise errno is the error a test asked for. */
static bool door(enum io_op op)
{
	if (__builtin_expect(fault_fn == NULL, 1))
		return true;
	int want = fault_fn(fault_ctx, op);

	if (want > 0)
		errno = want;
	return want <= 0;
}

/* The same for what may be done in part: n, about half of it, or 0 and errno. */
static size_t door_n(enum io_op op, size_t n)
{
	if (__builtin_expect(fault_fn == NULL, 1))
		return n;
	int want = fault_fn(fault_ctx, op);

	if (want > 0)
		errno = want;
	return want == 0 ? n : want < 0 ? (n + 1) / 2 : 0;
}

static enum status fail(struct err *e, int number, const char *what, const char *path)
{
	const char *why = strerrordesc_np(number);

	if (!why)
		why = "unknown error";
	switch (number) {
	case ENOSPC:
	case EDQUOT:
	case EMFILE:
	case ENFILE:
		return err_set(e, ERR_DISK_FULL, "%s %s: %s", what, path, why);
	case EEXIST:
		return err_set(e, ERR_EXISTS, "%s %s: %s", what, path, why);
	case ENOENT:
		err_set(e, ERR_IO, "%s %s: %s", what, path, why);
		return ST_NOT_FOUND;
	default:
		return err_set(e, ERR_IO, "%s %s: %s", what, path, why);
	}
}

/* The same for an open file: its name is asked of the kernel only now, when there is something to tell. */
static enum status fail_fd(struct err *e, int number, const char *what, int fd)
{
	char link[48], path[PATH_MAX];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof(path) - 1);

	if (n < 0)
		snprintf(path, sizeof(path), "descriptor %d", fd);
	else
		path[n] = '\0';
	return fail(e, number, what, path);
}

enum status io_open(const char *path, int flags, mode_t mode, int *out_fd, struct err *e)
{
	int fd;

	do {
		fd = door(IO_OPEN) ? open(path, flags | O_CLOEXEC | O_NOCTTY, mode) : -1;
	} while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return fail(e, errno, "open", path);
	*out_fd = fd;
	return ST_OK;
}

enum status io_pwritev(int fd, struct iovec *iov, int n, uint64_t off, struct err *e)
{
	while (n > 0) {
		if (iov->iov_len == 0) {
			iov++;
			n--;
			continue;
		}
		if (off > INT64_MAX)
			return fail_fd(e, EFBIG, "write", fd);
		size_t first = door_n(IO_WRITE, iov->iov_len);
		ssize_t done = -1;

		if (first == iov->iov_len)
			done = pwritev(fd, iov, n < IOV_MAX ? n : IOV_MAX, (off_t)off);
		else if (first > 0)
			done = pwrite(fd, iov->iov_base, first, (off_t)off);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <=
		    0) /* a write of nothing that is no error would go on for ever */
			return fail_fd(e, done < 0 ? errno : EIO, "write", fd);
		off += (uint64_t)done;
		for (size_t left = (size_t)done; left > 0;) {
			size_t part = left < iov->iov_len ? left : iov->iov_len;

			iov->iov_base = (char *)iov->iov_base + part;
			iov->iov_len -= part;
			left -= part;
			if (iov->iov_len == 0) {
				iov++;
				n--;
			}
		}
	}
	return ST_OK;
}

enum status io_pwrite(int fd, slice data, uint64_t off, struct err *e)
{
	/* pwritev only reads from it: the cast drops const alone. */
	struct iovec iov = { (void *)(uintptr_t)data.p, data.n };

	return io_pwritev(fd, &iov, 1, off, e);
}

enum status io_pread(int fd, void *dst, size_t n, uint64_t off, struct err *e)
{
	char *at = dst;

	while (n > 0) {
		if (off > INT64_MAX)
			return fail_fd(e, EFBIG, "read", fd);
		size_t part = door_n(IO_READ, n);
		ssize_t got = part ? pread(fd, at, part, (off_t)off) : -1;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail_fd(e, errno, "read", fd);
		if (got == 0) {
			fail_fd(e, ENODATA, "read beyond the end of", fd);
			return ST_IO;
		}
		at += got;
		n -= (size_t)got;
		off += (uint64_t)got;
	}
	return ST_OK;
}

enum status io_fdatasync(int fd, struct err *e)
{
	/* Not repeated, not even for EINTR: after a failure the kernel may call dirty pages clean. */
	if (!door(IO_SYNC) || fdatasync(fd) != 0)
		return fail_fd(e, errno, "sync", fd);
	return ST_OK;
}

enum status io_sync_dir(const char *dir, struct err *e)
{
	AUTO_FD fd = -1;
	enum status st = io_open(dir, O_RDONLY | O_DIRECTORY, 0, &fd, e);

	if (st != ST_OK)
		return st;
	if (!door(IO_SYNC_DIR) || fsync(fd) != 0)
		return fail(e, errno, "sync", dir);
	return ST_OK;
}

/* Syncs the directory that holds path. */
static enum status sync_parent(const char *path, struct err *e)
{
	char dir[PATH_MAX];
	slice s = slice_str(path);

	while (s.n > 1 && s.p[s.n - 1] == '/')
		s.n--;
	size_t cut = slice_rchr(s, '/');

	if (cut == s.n)
		return io_sync_dir(".", e);
	if (cut >= sizeof(dir))
		return fail(e, ENAMETOOLONG, "sync", path);
	if (cut == 0)
		cut = 1;
	memcpy(dir, path, cut);
	dir[cut] = '\0';
	return io_sync_dir(dir, e);
}

enum status io_mkdir(const char *path, mode_t mode, struct err *e)
{
	if (door(IO_MKDIR) && mkdir(path, mode) == 0)
		return sync_parent(path, e);
	int number = errno;
	struct stat st;

	if (number == EEXIST && stat(path, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			return ST_OK;
		number = ENOTDIR;
	}
	return fail(e, number, "make directory", path);
}

enum status io_rename(const char *from, const char *to, struct err *e)
{
	if (!door(IO_RENAME) || rename(from, to) != 0)
		return fail(e, errno, "rename to", to);
	return sync_parent(to, e);
}

enum status io_exchange(const char *a, const char *b, struct err *e)
{
	if (!door(IO_RENAME) || renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) != 0)
		return fail(e, errno, "exchange", a);
	return sync_parent(a, e);
}

enum status io_unlink(const char *path, struct err *e)
{
	if (!door(IO_UNLINK) || unlink(path) != 0)
		return fail(e, errno, "remove", path);
	return ST_OK;
}

enum status io_truncate(int fd, uint64_t size, struct err *e)
{
	int rc;

	if (size > INT64_MAX)
		return fail_fd(e, EFBIG, "truncate", fd);
	do {
		rc = door(IO_TRUNCATE) ? ftruncate(fd, (off_t)size) : -1;
	} while (rc != 0 && errno == EINTR);
	return rc == 0 ? ST_OK : fail_fd(e, errno, "truncate", fd);
}

enum status io_size(int fd, uint64_t *out, struct err *e)
{
	struct stat st;

	if (!door(IO_STAT) || fstat(fd, &st) != 0)
		return fail_fd(e, errno, "stat", fd);
	*out = (uint64_t)st.st_size;
	return ST_OK;
}

enum status io_free_bytes(const char *dir, uint64_t *out, struct err *e)
{
	struct statvfs v;

	if (!door(IO_STAT) || statvfs(dir, &v) != 0)
		return fail(e, errno, "statvfs", dir);
	*out = (uint64_t)v.f_bavail * v.f_frsize;
	return ST_OK;
}

enum status io_read_file(const char *path, size_t max, struct buf *out, struct err *e)
{
	AUTO_FD fd = -1;
	size_t before = out->n;
	enum status st = io_open(path, O_RDONLY, 0, &fd, e);

	if (st != ST_OK)
		return st;
	for (;;) {
		/* Into the stack first: a file that grows meanwhile must not pass max. */
		char chunk[16384];
		ssize_t got = door(IO_READ) ? read(fd, chunk, sizeof(chunk)) : -1;

		if (got < 0 && errno == EINTR)
			continue;
		if (got == 0)
			return ST_OK;
		if (got < 0) {
			st = fail(e, errno, "read", path);
			break;
		}
		if ((size_t)got <= max - (out->n - before))
			buf_add(out, slice_make(chunk, (size_t)got));
		else
			out->full = true;
		if (out->full) {
			st = err_set(e, ERR_LIMIT, "%s: larger than %zu bytes", path,
				     max);
			break;
		}
	}
	out->n = before;
	return st;
}

enum status io_write_file(const char *path, slice data, mode_t mode, struct err *e)
{
	char tmp[PATH_MAX];

	if ((size_t)snprintf(tmp, sizeof(tmp), "%s.tmp", path) >= sizeof(tmp))
		return fail(e, ENAMETOOLONG, "write", path);
	/* A leftover of a crash may have another mode, or be a link: a new file always. */
	if (unlink(tmp) != 0 && errno != ENOENT)
		return fail(e, errno, "remove", tmp);
	AUTO_FD fd = -1;
	enum status st =
		io_open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode, &fd, e);

	if (st == ST_OK)
		st = io_pwrite(fd, data, 0, e);
	if (st == ST_OK)
		st = io_fdatasync(fd, e);
	if (st == ST_OK)
		st = io_rename(tmp, path, e);
	if (st != ST_OK && fd >= 0)
		unlink(tmp);
	return st;
}

/* --- directories and whole files ------------------------------------------------------ */
/* A file may claim any year; nanoseconds of 1970 reach to 2262. */
static int64_t mtime_of(const struct stat *st)
{
	int64_t ns;

	if (__builtin_mul_overflow((int64_t)st->st_mtim.tv_sec, 1000000000, &ns) ||
	    __builtin_add_overflow(ns, (int64_t)st->st_mtim.tv_nsec, &ns))
		return st->st_mtim.tv_sec < 0 ? INT64_MIN : INT64_MAX;
	return ns;
}

static struct io_stat facts_of(const struct stat *st)
{
	return (struct io_stat){
		.kind = S_ISREG(st->st_mode)   ? IO_KIND_FILE
			: S_ISDIR(st->st_mode) ? IO_KIND_DIR
					       : IO_KIND_OTHER,
		.size = (uint64_t)st->st_size,
		.inode = st->st_ino,
		.links = st->st_nlink,
		.mtime_ns = mtime_of(st),
		.mode = st->st_mode & 07777,
		.uid = st->st_uid,
		.gid = st->st_gid,
	};
}

enum status io_stat_path(const char *path, struct io_stat *out, struct err *e)
{
	struct stat st;

	if (!door(IO_STAT) || lstat(path, &st) != 0)
		return fail(e, errno, "stat", path);
	*out = facts_of(&st);
	return ST_OK;
}

/* Takes fd over. */
static enum status list_fd(int fd, const char *dir,
			   bool (*fn)(void *ctx, const char *name), void *ctx,
			   struct err *e)
{
	enum status st = ST_OK;
	DIR *d = fdopendir(fd);

	if (!d) {
		st = fail(e, errno, "list", dir);
		close(fd);
		return st;
	}
	for (;;) {
		errno = 0;
		struct dirent *at = door(IO_READ) ? readdir(d) : NULL;

		if (!at) {
			st = errno ? fail(e, errno, "list", dir) : ST_OK;
			break;
		}
		if (strcmp(at->d_name, ".") == 0 || strcmp(at->d_name, "..") == 0)
			continue;
		if (!fn(ctx, at->d_name))
			break;
	}
	closedir(d);
	return st;
}

enum status io_list_dir(const char *dir, bool (*fn)(void *ctx, const char *name),
			void *ctx, struct err *e)
{
	int fd;
	enum status st = io_open(dir, O_RDONLY | O_DIRECTORY, 0, &fd, e);

	return st == ST_OK ? list_fd(fd, dir, fn, ctx, e) : st;
}

enum status io_link(const char *from, const char *to, struct err *e)
{
	if (door(IO_LINK) && link(from, to) == 0)
		return ST_OK;
	switch (errno) {
	case EPERM:
	case EOPNOTSUPP:
	case ENOSYS:
	case EXDEV:
	case EMLINK:
		return err_set(e, ERR_CANNOT, "link %s: %s", to, strerrordesc_np(errno));
	default:
		return fail(e, errno, "link", to);
	}
}

enum status io_remove_dir(const char *path, struct err *e)
{
	if (!door(IO_UNLINK) || rmdir(path) != 0)
		return fail(e, errno, "remove", path);
	return ST_OK;
}

#define TREE_DEPTH 32

struct tree {
	const char *dir;
	int depth;
	enum status st;
	struct err *e;
};

static enum status remove_below(const char *path, int depth, struct err *e);

static bool remove_entry(void *ctx, const char *name)
{
	struct tree *t = ctx;
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", t->dir, name) >= sizeof(path))
		t->st = fail(t->e, ENAMETOOLONG, "remove", t->dir);
	else
		t->st = remove_below(path, t->depth + 1, t->e);
	return t->st == ST_OK;
}

static enum status remove_below(const char *path, int depth, struct err *e)
{
	struct io_stat s;
	struct tree t = { .dir = path, .depth = depth, .e = e };
	enum status st = io_stat_path(path, &s, e);

	if (st != ST_OK)
		return st;
	if (s.kind != IO_KIND_DIR)
		return io_unlink(path, e);
	if (depth > TREE_DEPTH)
		return fail(e, ELOOP, "remove", path);
	st = io_list_dir(path, remove_entry, &t, e);
	if (st == ST_OK)
		st = t.st;
	return st == ST_OK ? io_remove_dir(path, e) : st;
}

enum status io_remove_tree(const char *path, struct err *e)
{
	enum status st = remove_below(path, 0, e);

	return st == ST_NOT_FOUND ? ST_OK : st;
}

void io_forget(int fd)
{
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

/* --- below a directory -------------------------------------------------------------- */

/* ELOOP and EXDEV are the kernel's words for a link and for a way out. */
static enum status fail_at(struct err *e, int number, const char *what, const char *name)
{
	if (number == ELOOP || number == EXDEV)
		return err_set(e, ERR_CANNOT, "%s %s: a symbolic link, or outside", what,
			       name);
	return fail(e, number, what, name);
}

/* Without openat2 (Linux before 5.6, a seccomp filter) every step is taken alone. */
static int open_steps(int dir, const char *rel, int flags, mode_t mode)
{
	char name[NAME_MAX + 1];
	int at = fcntl(dir, F_DUPFD_CLOEXEC, 0);

	for (;;) {
		size_t n = strcspn(rel, "/");
		bool last = rel[n] == '\0';

		if (at < 0)
			return -1;
		if (n == 0 || n > NAME_MAX || (n == 2 && memcmp(rel, "..", 2) == 0)) {
			close(at);
			errno = n > NAME_MAX ? ENAMETOOLONG : EXDEV;
			return -1;
		}
		memcpy(name, rel, n);
		name[n] = '\0';
		int next = openat(at, name,
				  (last ? flags : O_PATH | O_DIRECTORY) | O_NOFOLLOW |
					  O_CLOEXEC,
				  mode);
		int why = errno;

		close(at);
		errno = why;
		if (last)
			return next;
		at = next;
		rel += n + 1;
	}
}

static int open_beneath(int dir, const char *rel, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | O_NOCTTY),
		.mode = flags & (O_CREAT | __O_TMPFILE) ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	int fd = (int)syscall(SYS_openat2, dir, rel, &how, sizeof(how));

	return fd < 0 && (errno == ENOSYS || errno == EPERM)
		       ? open_steps(dir, rel, flags | O_NOCTTY, mode)
		       : fd;
}

enum status io_at_open(int dir, const char *rel, int flags, mode_t mode, int *out_fd,
		       struct err *e)
{
	int fd;

	do {
		fd = door(IO_OPEN) ? open_beneath(dir, rel, flags, mode) : -1;
	} while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	if (fd < 0)
		return fail_at(e, errno, "open", rel);
	*out_fd = fd;
	return ST_OK;
}

enum status io_at_mkdir(int dir, const char *name, mode_t mode, struct err *e)
{
	struct stat st;

	if (door(IO_MKDIR) && mkdirat(dir, name, mode) == 0)
		return ST_OK;
	int why = errno;

	if (why == EEXIST && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISDIR(st.st_mode))
		return ST_OK;
	return fail_at(e, why, "make", name);
}

enum status io_at_rename(int from_dir, const char *from, int to_dir, const char *to,
			 struct err *e)
{
	if (door(IO_RENAME) && renameat(from_dir, from, to_dir, to) == 0)
		return ST_OK;
	return fail(e, errno, "rename", to);
}

enum status io_at_unlink(int dir, const char *name, struct err *e)
{
	if (door(IO_UNLINK) && unlinkat(dir, name, 0) == 0)
		return ST_OK;
	return fail(e, errno, "remove", name);
}

enum status io_at_stat(int dir, const char *name, struct io_stat *out, struct err *e)
{
	struct stat st;

	if (!door(IO_STAT) || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return fail(e, errno, "look at", name);
	*out = facts_of(&st);
	return ST_OK;
}

enum status io_at_list(int dir, bool (*fn)(void *ctx, const char *name), void *ctx,
		       struct err *e)
{
	int fd;
	enum status st = io_at_open(dir, ".", O_RDONLY | O_DIRECTORY, 0, &fd, e);

	return st == ST_OK ? list_fd(fd, "the directory", fn, ctx, e) : st;
}

enum status io_set_mtime(int fd, int64_t seconds, struct err *e)
{
	const struct timespec t[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = seconds } };

	if (door(IO_WRITE) && futimens(fd, t) == 0)
		return ST_OK;
	return fail_fd(e, errno, "set the time of", fd);
}

enum status io_sync_fs(int fd, struct err *e)
{
	if (door(IO_SYNC) && syncfs(fd) == 0)
		return ST_OK;
	return fail_fd(e, errno, "sync", fd);
}
