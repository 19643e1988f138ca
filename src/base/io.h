#pragma once
/* io.h — the one door to files: everything we write ourselves goes through here, so
 * that tests can make any call fail (tests/crash). EINTR is retried, short reads and
 * writes are completed, descriptors are close-on-exec. Blocking: worker and committer
 * threads only. Errors: ST_FULL for ENOSPC/EDQUOT/EMFILE/ENFILE, ST_IO otherwise,
 * ST_NOT_FOUND for ENOENT, ST_EXISTS for EEXIST; the text names the file and the
 * errno. A failed sync is final: the caller must never retry it (nor does io_fdatasync,
 * not even for EINTR). */
#include "base/buf.h"
#include "base/status.h"
#include <sys/types.h>
#include <sys/uio.h>
/* For tests: fn is asked before every system call and returns 0 to let it through,
 * the errno it fails with, or IO_FAULT_SHORT: io_pwrite, io_pwritev and io_pread then do
 * about half of what they could, and ask again for the rest; others go through. Set
 * before threads start; NULL in production. */
#define IO_FAULT_SHORT (-1)
enum io_op {
	IO_OPEN,
	IO_READ,
	IO_WRITE,
	IO_SYNC,
	IO_SYNC_DIR,
	IO_MKDIR,
	IO_RENAME,
	IO_UNLINK,
	IO_TRUNCATE,
	IO_STAT,
	IO_LINK
};
void io_set_fault(int (*fn)(void *ctx, enum io_op op), void *ctx);

enum status io_open(const char *path, int flags, mode_t mode, int *out_fd,
		    struct err *e) MUST_USE;
enum status io_pwrite(int fd, slice data, uint64_t off, struct err *e) MUST_USE;
/* iov is used up. */
enum status io_pwritev(int fd, struct iovec *iov, int n, uint64_t off,
		       struct err *e) MUST_USE;
/* All n bytes, or ST_IO. */
enum status io_pread(int fd, void *dst, size_t n, uint64_t off, struct err *e) MUST_USE;
enum status io_fdatasync(int fd, struct err *e) MUST_USE;
enum status io_sync_dir(const char *dir, struct err *e) MUST_USE;
/* Syncs the parent; ST_OK when it is there already. */
enum status io_mkdir(const char *path, mode_t mode, struct err *e) MUST_USE;
/* Syncs the directory of to. ST_IO from that sync leaves the new name in place. */
enum status io_rename(const char *from, const char *to, struct err *e) MUST_USE;
/* The two change names at once, in one directory; it is synced. ST_IO where the file system cannot. */
enum status io_exchange(const char *a, const char *b, struct err *e) MUST_USE;
enum status io_unlink(const char *path, struct err *e) MUST_USE; /* no sync */
enum status io_truncate(int fd, uint64_t size, struct err *e) MUST_USE;
enum status io_size(int fd, uint64_t *out, struct err *e) MUST_USE;
/* statvfs: what others than root may use. */
enum status io_free_bytes(const char *dir, uint64_t *out, struct err *e) MUST_USE;
/* Appends to out; ST_LIMIT when the file is above max or out is full; out keeps its
 * old n on failure. */
enum status io_read_file(const char *path, size_t max, struct buf *out,
			 struct err *e) MUST_USE;
/* Writes path.tmp, syncs, renames, syncs the directory: old or new, never half. */
enum status io_write_file(const char *path, slice data, mode_t mode,
			  struct err *e) MUST_USE;

/* --- directories and whole files: backups, snapshots ---------------------------------- */
enum io_kind { IO_KIND_FILE, IO_KIND_DIR, IO_KIND_OTHER };
struct io_stat {
	enum io_kind kind;
	uint64_t size, inode, links;
	int64_t mtime_ns;
	mode_t mode; /* permissions alone */
	uid_t uid;
	gid_t gid;
};
/* Of the name itself: a symbolic link is IO_KIND_OTHER. */
enum status io_stat_path(const char *path, struct io_stat *out, struct err *e) MUST_USE;
/* Names but . and .., in no order; fn answers false to stop, which is no error. */
enum status io_list_dir(const char *dir, bool (*fn)(void *ctx, const char *name), void *ctx,
			struct err *e) MUST_USE;
/* A second name for a file; no sync. ST_INVALID + ERR_CANNOT where the file system has
 * no such thing, or to has no more room for links: copy instead. */
enum status io_link(const char *from, const char *to, struct err *e) MUST_USE;
enum status io_remove_dir(const char *path, struct err *e) MUST_USE; /* empty; no sync */
/* A directory and all below it; ST_OK when there is none. Links are removed, never
 * followed. */
enum status io_remove_tree(const char *path, struct err *e) MUST_USE;
/* --- below a directory that others may write: exports and imports ----------------------- */
/* rel is a path below the directory dir; symbolic links in it are not followed, nor is
 * anything outside reached: ST_INVALID + ERR_CANNOT. */
enum status io_at_open(int dir, const char *rel, int flags, mode_t mode, int *out_fd,
		       struct err *e) MUST_USE;
/* A name in dir, no path. ST_OK when the directory is there already. No sync. */
enum status io_at_mkdir(int dir, const char *name, mode_t mode, struct err *e) MUST_USE;
enum status io_at_rename(int from_dir, const char *from, int to_dir, const char *to,
			 struct err *e) MUST_USE; /* no sync */
enum status io_at_unlink(int dir, const char *name, struct err *e) MUST_USE; /* no sync */
enum status io_at_stat(int dir, const char *name, struct io_stat *out,
		       struct err *e) MUST_USE;
enum status io_at_list(int dir, bool (*fn)(void *ctx, const char *name), void *ctx,
		       struct err *e) MUST_USE;
enum status io_set_mtime(int fd, int64_t seconds, struct err *e) MUST_USE;
/* Everything written to the file system fd lies on: one wait for thousands of files. */
enum status io_sync_fs(int fd, struct err *e) MUST_USE;

/* Clean pages of the file leave the cache, so that the next read asks the device. Sync
 * first. A hint: nothing fails. */
void io_forget(int fd);
