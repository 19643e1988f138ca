#pragma once
/* backup.h — backups of a whole mail system, and the way back (docs/adr/0011-backup.md).
 *
 *	DIR/2026-11-22T23-30-00Z/             a finished backup
 *	DIR/2026-11-22T23-30-00Z.unfinished/  one under way, or what a crash left of it
 *	DIR/HIGHEST                           ids given out by restores from here
 *
 * A backup is by itself a store (FORMAT, meta/, bodies/: kv_open reads it) with a MANIFEST
 * of every file's size and SHA-256, and secrets.enc, what lies beside the store, encrypted.
 * Files that cannot have changed are hard links into the backup before; never into the live
 * store. The directory gets its name when all is on the disk and has been read back: what
 * has no finished name is never restored from, and is removed by the next backup that
 * succeeds (until then it serves that one as a source of links).
 *
 * Blocking; one thread. Text of errors names the file. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "kv/kv.h"
#include <sys/types.h>

#define BACKUP_MANIFEST	  "MANIFEST"
#define BACKUP_SECRETS	  "secrets.enc"
#define BACKUP_UNFINISHED ".unfinished"
#define BACKUP_NAME_ROOM  48
#define BACKUP_LIFE_ROOM  33

/* --- MANIFEST: backup_manifest.c ------------------------------------------------------ */
/* Lines of text, "facteur backup 1" first, "end" last; docs/adr/0011-backup.md. */
struct backup_file {
	slice path; /* "meta/000012.sst": no other shape is taken, see backup_path_is_ok */
	uint64_t size;
	int64_t mtime_ns; /* of what it was copied from; with life, name and size: the same file */
	unsigned char sha[32];
};
struct backup_manifest {
	struct arena a;
	int64_t made; /* when the snapshot was taken; seconds */
	slice program, user;
	char life[BACKUP_LIFE_ROOM]; /* of the store; empty: unknown, nothing may be linked */
	uint32_t epoch, uidvalidity; /* of the store: the last ones given out */
	uint64_t accounts, messages;
	struct backup_file *file;
	size_t n, cap;
	size_t *order; /* by path, once it was sorted */
	uint64_t bytes;
	bool finished; /* the end line is there and agrees with all above it */
};
void backup_manifest_init(struct backup_manifest *m);
void backup_manifest_done(struct backup_manifest *m);
/* "FORMAT", "secrets.enc", "meta/NAME", "bodies/NAME": letters, digits, dot, dash, underscore; no dot first. */
bool backup_path_is_ok(slice path);
void backup_manifest_head(const struct backup_manifest *m, struct buf *out);
void backup_manifest_line(const struct backup_file *f, struct buf *out);
/* text: everything above it */
void backup_manifest_end(const struct backup_manifest *m, slice text, struct buf *out);
void backup_manifest_add(struct backup_manifest *m, const struct backup_file *f);
/* Every line is checked. partial: a torn last line is left out, and the end line may be missing (finished says).
 * Otherwise: ST_INVALID + ERR_CORRUPT, or ERR_CANNOT for a newer version. */
enum status backup_manifest_parse(struct backup_manifest *m, slice text, bool partial, struct err *e) MUST_USE;
enum status backup_manifest_read(struct backup_manifest *m, const char *dir, bool partial, struct err *e) MUST_USE;
const struct backup_file *backup_manifest_find(struct backup_manifest *m, slice path);

/* --- copies: backup_copy.c ------------------------------------------------------------ */
struct backup_progress {
	void (*fn)(void *ctx, uint64_t done, uint64_t all); /* octets; NULL: nobody looks */
	void *ctx;
	uint64_t done, all;
};
void backup_progress_add(struct backup_progress *p, uint64_t n);
/* The first n octets of from become to (new), synced, and read back from the device. */
enum status backup_copy_file(const char *from, uint64_t n, const char *to, mode_t mode, struct backup_progress *p,
			     unsigned char out_sha[32], struct err *e) MUST_USE;
/* The SHA-256 of exactly n octets, from the device. ST_IO + ERR_CORRUPT when it is longer or shorter. */
enum status backup_hash_file(const char *path, uint64_t n, struct backup_progress *p, unsigned char out_sha[32],
			     struct err *e) MUST_USE;

/* --- secrets: backup_secrets.c -------------------------------------------------------- */
/* Argon2id and AES-256-GCM over a list of files. */
enum backup_secret_kind {
	SECRET_END,
	SECRET_DATA,   /* path below the data directory */
	SECRET_OUTSIDE /* path from the root: configuration, certificates, keys */
};
struct backup_secret {
	enum backup_secret_kind kind;
	unsigned mode;
	slice path, content;
};
void backup_secret_write(struct buf *b, const struct backup_secret *s);
/* Borrows from the list; false at its end and on damage (*bad). A path that could lead out is damage. */
bool backup_secret_read(struct rd *r, struct backup_secret *out, bool *bad);
/* All files of data but store, and those named; sockets and links are left out. ERR_LIMIT beyond
 * LIMIT_BACKUP_SECRETS. A file outside that is not there is told by its name in *missing (in a). */
enum status backup_secrets_collect(const char *data, const slice *outside, size_t n, struct buf *out, struct arena *a,
				   slice *missing, struct err *e) MUST_USE;
enum status backup_secrets_seal(slice list, slice passphrase, struct buf *out, struct err *e) MUST_USE;
/* ERR_DENIED: the passphrase is wrong; ERR_CORRUPT: not such a file, or cut short. */
enum status backup_secrets_open(slice sealed, slice passphrase, struct buf *out, struct err *e) MUST_USE;
/* data: data directory. Files outside are put below data/restored, with their whole path; told by name. */
enum status backup_secrets_restore(slice list, const char *data, struct arena *a, slice **out_outside, size_t *out_n,
				   struct err *e) MUST_USE;

/* --- the set of backups in a directory: backup_set.c ----------------------------------- */
struct backup_entry {
	char name[BACKUP_NAME_ROOM]; /* of the directory */
	int64_t time;
	bool finished; /* by its name; MANIFEST has the last word */
};
void backup_name(int64_t time, char out[BACKUP_NAME_ROOM]);
/* Ascending by name; strangers are left out. */
enum status backup_list(const char *dir, struct arena *a, struct backup_entry **out, size_t *out_n,
			struct err *e) MUST_USE;
/* The last finished one, or the last one at or before `at` ("2026-11-22", "2026-11-22T23:30:00Z", or its name;
 * ERR_SYNTAX when it is none of these). */
enum status backup_find(const char *dir, slice at, struct arena *a, struct backup_entry *out, struct err *e) MUST_USE;
/* Removes unfinished ones but except, and of the finished all but the last keep (0: keep all). */
enum status backup_prune(const char *dir, const char *except, size_t keep, size_t *out_removed,
			 struct err *e) MUST_USE;
/* One backup or restore at a time; shared for reading. ERR_BUSY. Close the descriptor. */
enum status backup_lock(const char *dir, bool shared, int *out_fd, struct err *e) MUST_USE;
/* Ids that restores from this directory have given out: none of them again. */
struct backup_highest {
	uint32_t epoch, uidvalidity;
};
enum status backup_highest_read(const char *dir, struct backup_highest *out, struct err *e) MUST_USE;
enum status backup_highest_write(const char *dir, const struct backup_highest *h, struct err *e) MUST_USE;

/* --- the live store's side: backup_snapshot.c ------------------------------------------ */
#define BACKUP_SNAPSHOT_ROWS "store/snapshots/rows" /* below the data directory */
#define BACKUP_RESTORING     "restoring" /* likewise: a whole restore under way, or interrupted: no store */
/* Room for a snapshot's rows, with what a crash has left there removed; ERR_BUSY while another backup has it. Close the
 * descriptor behind the copy. */
enum status backup_snapshot_room(const char *data, int *out_lock, struct err *e) MUST_USE;
/* At the server's start: rows of a snapshot that nobody holds any more keep old files on the disk. */
enum status backup_snapshot_clear(const char *data, struct err *e) MUST_USE;

/* --- making one: backup_make.c ---------------------------------------------------------- */
struct backup_source {
	const char *store; /* the live store's directory: FORMAT, bodies/ */
	const char *rows;  /* the snapshot's rows: becomes meta/ */
	const struct kv_snapshot_file *segment;
	size_t n_segments;
	uint32_t epoch, uidvalidity;
	uint64_t accounts, messages;
};
struct backup_options {
	const char *dir;
	int64_t now;
	slice secrets; /* sealed; empty: none */
	slice user;    /* who owns the data directory */
	size_t keep;   /* 0: all */
	bool full;     /* nothing is linked */
	struct backup_progress progress;
	/* Asked when all is copied: did the snapshot stand until now? NULL: nobody else is at work on the store. */
	enum status (*confirm)(void *ctx, struct err *e);
	void *ctx;
};
struct backup_result {
	char name[BACKUP_NAME_ROOM];
	size_t files, linked, removed;
	uint64_t bytes, bytes_copied;
};
enum status backup_make(const struct backup_source *s, struct backup_options *opt, struct backup_result *out,
			struct err *e) MUST_USE;
/* Where the life id stands in the text of a FORMAT file: the first word of 32 hex digits behind the first line. Empty
 * when it has none. */
slice backup_life(slice format);

/* --- using one: backup_restore.c -------------------------------------------------------- */
/* Reads all of one backup again. found is told each fault; ST_OK also when there were some (*out_faults). */
struct backup_verify {
	void (*found)(void *ctx, slice path, const char *what);
	void *ctx;
	struct backup_progress progress;
	size_t faults, files;
	uint64_t bytes;
};
enum status backup_verify(const char *backup, struct backup_verify *v, struct err *e) MUST_USE;
/* Copies the store of a backup into the new directory to; checksums are compared on the way and what was written is
 * read back. FORMAT gets a new life id. */
enum status backup_copy_store(const char *backup, struct backup_manifest *m, const char *to,
			      struct backup_progress *p, struct err *e) MUST_USE;
/* The same, and then what makes it another store than the one that went on (store_after_restore). highest: ids not to be
 * given out again; becomes what this one has given out. */
struct clock;
enum status backup_restore_store(const char *backup, struct backup_manifest *m, const char *to,
				 const struct clock *clock, struct backup_highest *highest,
				 struct backup_progress *p, struct err *e) MUST_USE;
/* The highest ids that a set of backups knows of: HIGHEST, and every finished MANIFEST. */
enum status backup_highest_known(const char *dir, struct backup_highest *out, struct err *e) MUST_USE;
