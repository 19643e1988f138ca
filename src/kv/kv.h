#pragma once
/* kv.h — the ordered key-value store and blob log under everything (docs/adr/0002-store.md).
 *
 * One committer thread takes every waiting transaction, writes their bodies and rows to the log as one record
 * (kv_log.h) with one sync, gives the rows to the engine, and only then tells each of them. When several shared the last
 * batch it lets the next gather for a moment (kv_commit.c, PACE_US): a sync costs more than a message. Reads:
 *   - with a transaction: sees its own writes, then the *overlay* (transactions queued before it on the same lock
 *     ids and not yet durable), then the engine;
 *   - with t == NULL: the engine alone, durable state only, so that nobody sees what could still vanish.
 *
 * Locks. A transaction names the lock ids it works under (account ids; 0 = the directory of domains, logins and
 * the queue's numbers). kv_begin never blocks: when one is taken it parks the caller in a FIFO (ST_WAIT, see base/done.h)
 * and wakes it when all have been granted. kv_commit queues the transaction and releases the locks before the sync.
 * A transaction is owned by one thread at a time, and held ≤ 5 ms: never across a body read, DNS or a return.
 *
 * Failure. A batch is durable whole or fails whole; every transaction queued behind a failed one on one of its
 * locks fails too, and the overlay of these locks is dropped (kv_lock_epoch moves, so that counters kept outside are
 * read again). A failed sync stops the store for good: every later kv_begin answers ERR_STOPPED.
 *
 * Limits: key ≤ LIMIT_KEY, value ≤ LIMIT_VALUE, transaction ≤ LIMIT_TXN. */
#include "base/arena.h"
#include "base/done.h"

#define KV_FORMAT 2u /* of DIR/FORMAT; older ones are brought to it */
struct kv;
struct kv_txn;
struct kv_upload;
struct kv_snapshot;

enum kv_engine_kind { KV_ROCKSDB, KV_MEMORY };
enum kv_commit_mode {
	KV_COMMIT_THREAD, /* the committer has its thread */
	KV_COMMIT_INLINE, /* kv_commit writes and calls back before it returns: sim, offline tools */
	KV_COMMIT_MANUAL  /* tests: kv_pump() commits what is queued */
};
struct kv_options {
	enum kv_engine_kind engine;
	enum kv_commit_mode mode;
	const char *dir;        /* made when absent (0700); ignored by the memory engine */
	bool read_only_probe;   /* fail with ST_NOT_FOUND instead of making a new store */
	bool read_only;         /* nothing is written: a backup. kv_begin answers ERR_DENIED */
	bool salvage;           /* facteur check --repair: goes on behind damage of the log, and says so */
	uint64_t reserve_bytes; /* free disk below which commits are refused with ERR_DISK_FULL */
	/* and below which even those are that give space back (kv_txn_frees); 0: an eighth of it */
	uint64_t reserve_last_bytes;
	size_t cache_bytes;     /* block cache; 0: 64 MiB */
};

/* Runs recovery: what the log has and the engine not; a torn last batch is left out. An older format is brought to
 * today's (kv_stat tells). ERR_CORRUPT when the store is not complete or its log damaged before its end. ST_DENIED + ERR_BUSY when another
 * process has the store open, ST_INVALID + ERR_CANNOT when dir is somebody else's or of another version. */
enum status kv_open(const struct kv_options *opt, struct kv **out, struct err *e) MUST_USE;
/* facteur check --repair, when kv_open fails with ERR_CORRUPT: the engine puts together what it can read of the
 * rows. dir is the store's; nobody has it open. What is missing then is found by the check. */
enum status kv_repair(const char *dir, struct err *e) MUST_USE;
/* The same, when it can be opened: reads all rows, and where a block of them cannot be read, writes the others anew;
 * left alone, it would end all writing as soon as the engine merges its table. What was there is kept as meta.damaged.
 * out_gaps 0: nothing was wrong, nothing changed. */
enum status kv_rewrite(const char *dir, uint64_t *out_gaps, struct err *e) MUST_USE;
void kv_close(struct kv *kv); /* finishes what is queued first */

/* --- transactions ------------------------------------------------------------------------------------- */
/* ids ascending, distinct, n ≤ 64; they and *park must live until granted. park == NULL: block until granted
 * (tools, tests and the background pool: never on a thread that whoever holds a lock may need to go on). ST_OK, ST_WAIT (woken later, then call again with the same park), or ERR_STOPPED. */
enum status kv_begin(struct kv *kv, const uint32_t *ids, size_t n, struct parked *park, struct kv_txn **out,
		     struct err *e) MUST_USE;
/* Gives back locks granted to a waiter that no longer wants them (or leaves the FIFO). When it has returned, wake
 * is not called any more. *park is zeroed before its first use, and not touched while it waits. */
void kv_unpark(struct kv *kv, struct parked *park);
struct arena *kv_txn_arena(struct kv_txn *t); /* lives until commit or abort returns */
void kv_put(struct kv_txn *t, slice key, slice value); /* copies; sticky error, seen at commit */
void kv_del(struct kv_txn *t, slice key);
/* t gives disk back in the end: it is taken as long as the last reserve is there. For deletions only. */
void kv_txn_frees(struct kv_txn *t);
void kv_abort(struct kv_txn *t);
/* ERR_DISK_FULL when commits would be refused for want of disk. Asks the system, at most once in 100 ms. cached:
 * what the last answer was, for a thread that must not ask. */
enum status kv_room(struct kv *kv, struct err *e) MUST_USE;
bool kv_room_cached(struct kv *kv);
/* Queues t, releases its locks, returns at once. d->fn is called on the committer thread (INLINE: before the
 * return): ST_OK after the sync that covers t. t is gone in every case. */
void kv_commit(struct kv_txn *t, struct done *d);
enum status kv_commit_wait(struct kv_txn *t, struct err *e) MUST_USE; /* blocking wrapper */
void kv_pump(struct kv *kv);                       /* MANUAL mode: one batch */
uint64_t kv_lock_epoch(struct kv *kv, uint32_t id); /* moves when queued transactions of id were dropped */

/* --- reads ------------------------------------------------------------------------------------------------ */
/* Value copied into a. ST_OK, ST_NOT_FOUND, ST_IO. t may be NULL (durable state). */
enum status kv_get(struct kv *kv, struct kv_txn *t, slice key, struct arena *a, slice *out, struct err *e) MUST_USE;
struct kv_range {
	slice from, to; /* [from, to); to empty: up to the end */
	bool reverse;   /* from the end of the range downwards */
};
/* fn gets each row, borrowed for the call; false ends the scan (still ST_OK). No kv call from inside fn but
 * kv_put/kv_del on the same t (not seen by this scan). */
typedef bool (*kv_row_fn)(void *ctx, slice key, slice value);
enum status kv_scan(struct kv *kv, struct kv_txn *t, const struct kv_range *r, kv_row_fn fn, void *ctx,
		    struct err *e) MUST_USE;

/* --- blobs ------------------------------------------------------------------------------------------------
 * Content-addressed bodies. Bytes are cut into chunks of 256 KiB, each lz4-compressed when that gains, kept in
 * memory up to 64 KiB in all and written to a segment beyond that (one write in flight; the caller waits).
 * Rows written by the committer: 'B' hash → extents, and for bodies beyond the log 'b' segment offset → hash. References are the caller's rows. */
struct blob_id {
	unsigned char h[32]; /* SHA-256 of the whole */
};
struct kv_upload *kv_upload_new(struct kv *kv);
enum status kv_upload_write(struct kv_upload *u, slice chunk, struct err *e) MUST_USE; /* worker thread */
enum status kv_upload_end(struct kv_upload *u, struct blob_id *out_id, uint64_t *out_size, struct err *e) MUST_USE;
void kv_upload_free(struct kv_upload *u); /* abandons; NULL is fine */
/* After kv_upload_end: the blob becomes durable with t, unless the store has it already (decided by the committer).
 * t takes u over. */
void kv_txn_blob(struct kv_txn *t, struct kv_upload *u);
/* Reads [off, off + n) of the blob, checksums verified. Only whole n; ST_NOT_FOUND, ST_IO + ERR_CORRUPT. */
enum status kv_blob_read(struct kv *kv, const struct blob_id *id, uint64_t off, void *dst, size_t n,
			 struct err *e) MUST_USE;
enum status kv_blob_size(struct kv *kv, const struct blob_id *id, uint64_t *out, struct err *e) MUST_USE;

/* Reference rows are the caller's, and their keys are KV_REFERENCE, the hash, and what tells the users apart. Whoever
 * deletes one says so in the same transaction: the collector then looks whether another is left. */
#define KV_REFERENCE 'r'
void kv_blob_unref(struct kv_txn *t, const struct blob_id *id);
/* Reads every chunk: checksums, and the hash of the whole. ST_OK, ST_NOT_FOUND, ST_IO + ERR_CORRUPT. */
enum status kv_blob_verify(struct kv *kv, const struct blob_id *id, struct err *e) MUST_USE;
/* The next body whose transaction brings this hash is stored anew: what the row names is damaged. */
void kv_blob_mark_damaged(struct kv_txn *t, const struct blob_id *id);

/* --- collector ------------------------------------------------------------------------------------------------
 * Bodies without a reference are dropped, segments that are mostly dead are emptied (live bodies move through the
 * committer, zstd) and their files used again. In KV_COMMIT_THREAD mode the store's keeper thread does it by itself
 * with bounded I/O; kv_collect is one whole pass now (tests, offline tools). */
struct kv_collected {
	uint64_t blobs_dropped, bytes_dropped, blobs_moved, bytes_moved, segments_freed;
};
enum status kv_collect(struct kv *kv, struct kv_collected *out, struct err *e) MUST_USE;

/* --- snapshots ------------------------------------------------------------------------------------------------
 * The state between two batches: rows as an engine checkpoint in rows_dir (same file system as the store, must not
 * exist, its parent must; the caller removes it), bodies as segments, of which the first .bytes octets belong to it.
 * They stay as they are until kv_snapshot_free. A copy of FORMAT, of rows_dir as meta/ and of the segments as
 * bodies/%08x.seg is a store. Blocking; not on a loop. */
struct kv_snapshot_file {
	uint32_t segment;
	uint64_t bytes;
};
enum status kv_snapshot_new(struct kv *kv, const char *rows_dir, struct kv_snapshot **out, struct err *e) MUST_USE;
size_t kv_snapshot_files(const struct kv_snapshot *s, const struct kv_snapshot_file **out);
void kv_snapshot_free(struct kv_snapshot *s);

/* --- check ------------------------------------------------------------------------------------------------
 * Walks what belongs to kv: log records, rows of extents, each chunk's checksum, bodies without a reference and
 * references without a body, collector's counts. found() is told each fault, once; repair mends what follows from
 * the rest (counts, rows of segments) and marks damaged bodies. Reads go on beside it. */
enum kv_fault { KV_FAULT_LOG, KV_FAULT_EXTENTS, KV_FAULT_BODY, KV_FAULT_NO_BODY, KV_FAULT_ORPHAN, KV_FAULT_COUNT };
struct kv_check_options {
	bool repair, bodies; /* bodies: read them all, not the rows alone */
	void (*found)(void *ctx, enum kv_fault what, const struct blob_id *id, const char *text);
	void (*progress)(void *ctx, uint64_t done, uint64_t all); /* octets of bodies */
	void *ctx;
};
enum status kv_check(struct kv *kv, const struct kv_check_options *opt, struct err *e) MUST_USE;

struct kv_stat {
	uint64_t batches, txns, syncs, bytes_log, bytes_rows, blobs_new, blobs_known, rows_put;
	uint64_t disk_free;
	bool stopped;
	/* of the opening: the format it was in (0: it was made), batches taken from the log, batches lost to salvage */
	unsigned format_was;
	uint64_t replayed, lost;
	struct kv_collected collected; /* since the opening */
};
void kv_stat(struct kv *kv, struct kv_stat *out);
