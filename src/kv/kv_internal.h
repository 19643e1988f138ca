#pragma once
/* kv_internal.h — what the files of kv/ share. Nobody outside includes it (tests of kv do).
 *
 * Threads and locking order. A mutex further down may be taken while holding one further up, never the reverse:
 *
 *   1 commit_mu   one batch at a time (the committer thread, or whoever pumps); held across the syncs. Callbacks
 *                 (done) run under it and may commit again: the queue is then worked off by the same caller.
 *   2 mu          lock table, queue of commits, pending lists, epochs, `stopped`, free transactions. Short. Wake-ups
 *                 of parked callers are called under it, so that none can come after kv_unpark has returned; they
 *                 only post.
 *   3 segs.mu     the table of segments, reservations of the bulk segment.
 *   4 blobs.mu, scratch.mu   caches; leaf locks, as are gc.mu and keeper.mu.
 *
 * Before all of them comes gc.pass_mu: one step of a collector at a time, which commits and waits.
 *
 * The overlay has no lock and no structure of its own. Each lock id keeps the list of its queued transactions,
 * newest first. Whoever holds the lock is the only one who could add to it, so a transaction takes references to
 * the ones it finds at kv_begin (`seen`) and reads their write sets, which never change after kv_commit. One that
 * becomes durable meanwhile stays readable there, with the values the engine now has; nothing newer can exist under
 * a lock that is held. Order of a read: own writes, seen (newest first), engine — in this order, because rows move
 * from the overlay into the engine and never back.
 *
 * Failure: under mu, each lock of a failed transaction counts up `drops`; queued transactions that share one of
 * them fail in queue order (and pass it on to their other locks); an open transaction compares `drops` with what it
 * was at its begin and fails at kv_commit. */
#include "kv/kv.h"
#include "kv/kv_engine.h"
#include "kv/kv_gc.h"
#include "kv/kv_log.h"
#include "kv/kv_map.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/limits.h"
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/uio.h>

#define KV_EPOCHS 4096u   /* epochs are kept by hash of the lock id: a neighbour's move only costs a re-read */
#define KV_LOCK_BUCKETS 4096u
#define KV_TXN_KEPT 256u  /* transactions kept for reuse */
#define KV_BATCH_BYTES (32u << 20) /* rows and bodies of one batch; the first transaction always fits */

/* --- locks (kv_lock.c) --------------------------------------------------------------------------------- */
struct kv_lock { /* one id somebody holds, waits for, or has queued writes under */
	uint32_t id;
	struct kv_lock *chain;
	const void *owner; /* the transaction, or the parked caller that has it already; NULL: free */
	struct parked *first, *last;
	struct kv_hold *newest; /* queued transactions, not yet durable */
	uint64_t drops;
};
struct kv_hold { /* a transaction's part in a lock */
	struct kv_lock *lock;
	struct kv_txn *t;
	struct kv_hold *newer, *older;
	uint64_t drops;
};

/* --- transactions (kv_txn.c) --------------------------------------------------------------------------- */
#define KV_FILTER 4
struct kv_txn {
	struct kv *kv;
	struct arena user, rows;
	struct kv_map set;
	uint64_t filter[KV_FILTER]; /* 256 bits over the keys in set: most lookups end here */
	uint64_t seq, ops;
	unsigned scans;
	size_t bytes;
	struct err err; /* sticky; code set: fails at commit */
	struct kv_upload *blobs, **blobs_end;
	struct kv_gc_list *gc; /* requests of the collector */
	struct kv_hold *holds;
	size_t n_holds;
	struct kv_txn **seen; /* newest first */
	size_t n_seen;
	bool pending; /* in the lists of its locks */
	bool frees;   /* may use the reserve */
	_Atomic unsigned refs;
	struct done *done;
	struct kv_txn *next;
	struct kv_hold hold_one;
};
struct kv_queue {
	struct kv_txn *first, **last;
};
void kv_queue_init(struct kv_queue *q);
void kv_queue_add(struct kv_queue *q, struct kv_txn *t);

/* All with mu held. */
void kv_lock_release(struct kv *kv, struct kv_txn *t);  /* hands t's locks to the next in line */
void kv_lock_pend(struct kv *kv, struct kv_txn *t);     /* t joins the overlay of its locks */
void kv_lock_unpend(struct kv *kv, struct kv_txn *t);   /* and leaves it, frees locks nobody needs */
void kv_lock_drop(struct kv *kv, struct kv_txn *t);     /* t failed: drops and epochs of its locks move */
void kv_lock_move_epochs(struct kv *kv, struct kv_txn *t); /* t failed alone, nothing is behind it yet */
bool kv_lock_is_dropped(const struct kv_txn *t);        /* since its begin */
void kv_lock_done(struct kv *kv);

void kv_txn_ref(struct kv_txn *t);
void kv_txn_unref(struct kv_txn *t);
void kv_txn_fail(struct kv_txn *t, const struct err *why); /* the first reason stays */
struct kv_txn *kv_txn_take(struct kv *kv);                 /* mu held */
/* The version of node that a reader which began at op sees: NULL when none. */
const struct kv_node *kv_node_at(const struct kv_node *node, uint64_t op);

/* --- segments (kv_segment.c) --------------------------------------------------------------------------- */
#define KV_SEG_BYTES (256u << 20) /* of a bulk segment */
#define KV_LOG_BYTES (64u << 20)  /* of a log segment; one batch that is larger gets one to itself */
#define KV_LOG_GROWS (16u << 20)  /* of one that was not there before, and grows (kv_spare.c) */
#define KV_REC_HEADER 32u
#define KV_REC_LZ4 1u
#define KV_REC_ZSTD 2u /* cold bodies, moved by the collector */
#define KV_CHUNK (256u << 10)
#define KV_UPLOAD_KEPT (64u << 10)
#define KV_SEGS_OPEN 64 /* idle descriptors kept */

/* A chunk's place. seg 0: off is relative to the upload's own memory. */
struct kv_extent {
	uint32_t seg, stored, raw;
	uint64_t off; /* of the record header */
};
struct kv_seg {
	uint32_t no;
	int fd;
	unsigned refs;
	uint64_t used; /* last use, for eviction */
	uint64_t synced; /* committer: the batch that synced it last */
	struct kv_seg *next;
};
struct kv_segs {
	pthread_mutex_t mu;
	char *dir; /* NULL: memfd segments, for the memory engine */
	struct kv_seg *list; /* open ones */
	size_t n_idle;
	uint64_t clock;
	_Atomic uint32_t next_no; /* written under mu */
	uint64_t max_bytes; /* KV_SEG_BYTES; tests make it small */
	struct kv_seg *bulk;  /* shared by uploads in flight */
	uint64_t bulk_end;
};
enum status kv_segs_open(struct kv_segs *s, const char *dir, struct err *e) MUST_USE;
void kv_segs_close(struct kv_segs *s);
/* For reading; ST_NOT_FOUND when the file is gone. */
enum status kv_seg_get(struct kv_segs *s, uint32_t no, struct kv_seg **out, struct err *e) MUST_USE;
void kv_seg_put(struct kv_segs *s, struct kv_seg *seg);
/* n bytes of the bulk segment, referenced for the caller. */
enum status kv_seg_reserve(struct kv_segs *s, size_t n, struct kv_seg **out, uint64_t *out_off,
			   struct err *e) MUST_USE;
/* An empty segment, referenced for the caller; its name is durable. ERR_STOPPED when that sync failed. */
enum status kv_seg_new(struct kv_segs *s, struct kv_seg **out, struct err *e) MUST_USE;
/* The file at path becomes a new segment. segs.mu held; otherwise as kv_seg_new. */
enum status kv_seg_adopt(struct kv_segs *s, const char *path, struct kv_seg **out, struct err *e) MUST_USE;
/* One that is there, for the log to be continued: read and write, one reference. */
enum status kv_seg_reopen(struct kv_segs *s, uint32_t no, struct kv_seg **out, struct err *e) MUST_USE;
void kv_seg_path(const struct kv_segs *s, uint32_t no, char dst[4096]);
/* Numbers of the segment files there are, in no order; *out is the caller's to free. */
enum status kv_seg_numbers(const struct kv_segs *s, uint32_t **out, size_t *out_n, struct err *e) MUST_USE;

struct kv_rec {
	uint32_t flags, stored, raw, body_crc, chunk; /* chunk: its number in the blob */
};
void kv_rec_write(unsigned char dst[KV_REC_HEADER], const struct kv_rec *r);
bool kv_rec_read(const unsigned char src[KV_REC_HEADER], struct kv_rec *out);

/* --- the log (kv_log.c): the committer's alone ----------------------------------------------------------- */
struct kv_log {
	struct siphash_key key;
	struct kv_seg *seg;    /* NULL: none yet */
	struct kv_place at;    /* where it ends, and its last batch */
	_Atomic uint64_t shown_end; /* of the last record, for others */
	uint64_t max_bytes;    /* KV_LOG_BYTES; tests make it small */
	uint64_t room;	       /* of seg */
	struct buf rows;       /* of the batch being made */
	uint32_t left;	       /* segment the log has left without a batch that says so; 0: none */
	uint64_t left_bodies;
	uint32_t flushed;      /* no segment below is needed for replay; commit_mu */
};
void kv_log_init(struct kv_log *l);
void kv_log_done(struct kv_log *l);
void kv_log_begin(struct kv_log *l); /* rows is empty */
/* Room for a record of at most n octets behind the last: here, or in a new segment. */
enum status kv_log_room(struct kv *kv, uint64_t n, struct err *e) MUST_USE;
uint64_t kv_log_base(const struct kv *kv); /* where the bodies of the next record begin, in log.seg */
/* Writes the next record: iov[0] is kept free, then the bodies, then one more free; rows are log.rows. Durable when it
 * returns ST_OK, and only then log.at moves. ERR_STOPPED: nobody knows. Otherwise the log is as it was. */
enum status kv_log_write(struct kv *kv, struct iovec *iov, size_t n_iov, uint64_t bodies, uint32_t bodies_crc,
			 struct err *e) MUST_USE;
void kv_log_continue(struct kv *kv, struct kv_seg *seg, uint64_t size); /* in seg, whose file has this size */
void kv_log_leave(struct kv *kv); /* the next batch begins a new segment; commit_mu held */
/* May the file of segment no go, as far as replay is concerned? Has the engine write its rows out when that decides. Not
 * on the committer. */
enum status kv_log_let_go(struct kv *kv, uint32_t no, bool *out, struct err *e) MUST_USE;
/* Puts row 'L' of log.at into the engine's batch. */
void kv_log_place_put(struct kv *kv);

/* --- a segment in reserve (kv_spare.c) -------------------------------------------------------------------- */
struct kv_spare {
	_Atomic bool ready;  /* DIR/bodies/spare is there and whole; it is taken and removed under segs.mu */
	_Atomic bool wanted; /* the keeper has been asked */
	bool off;	     /* tests and benches: none is made */
};
void kv_spare_open(struct kv *kv);
void kv_spare_want(struct kv *kv);
void kv_spare_tend(struct kv *kv); /* keeper: makes it when it is wanted, gives it back when disk is short */
/* segs.mu held: the file of a segment nobody needs becomes the spare. False: it does not, remove it. */
bool kv_spare_give(struct kv *kv, const char *from);
/* ST_NOT_FOUND: there is none. */
enum status kv_spare_take(struct kv *kv, struct kv_seg **out, uint64_t *out_size, struct err *e) MUST_USE;

/* --- replay (kv_replay.c) -------------------------------------------------------------------------------- */
/* Opening: the engine is given what is in the log behind its row 'L', and the log goes on behind that. A torn last
 * record is left out. ERR_CORRUPT when records follow a damaged one, unless salvage. */
enum status kv_replay_open(struct kv *kv, bool read_only, bool salvage, struct err *e) MUST_USE;
/* The engine lost what it had taken, or takes no more: opens it again and brings back all up to log.at. */
enum status kv_replay_in_place(struct kv *kv, struct err *e) MUST_USE;

/* --- FORMAT (kv_format.c) -------------------------------------------------------------------------------- */
struct kv_format {
	unsigned number;
	unsigned char life[16];
	struct siphash_key key;
};
/* What DIR/FORMAT says. ST_NOT_FOUND: there is none, and nothing else of a store; *out_making: one was begun. Refusals
 * name what is there (ST_INVALID + ERR_CANNOT). Nothing is written. */
enum status kv_format_read(const char *dir, struct kv_format *out, bool *out_making, struct err *e) MUST_USE;
/* Old or new, never half. A number of KV_FORMAT; life and key are drawn when life is zero. */
enum status kv_format_write(const char *dir, struct kv_format *f, struct err *e) MUST_USE;
enum status kv_format_begin(const char *dir, struct err *e) MUST_USE; /* marks that a store is being made */
enum status kv_format_end(const char *dir, struct err *e) MUST_USE;

/* --- uploads (kv_upload.c) ----------------------------------------------------------------------------- */
struct kv_upload {
	struct kv *kv;
	struct kv_upload *next; /* in a transaction, or free */
	EVP_MD_CTX *sha;
	struct buf raw, mem; /* the chunk being filled; finished records not written anywhere */
	struct kv_extent *ext;
	size_t n_ext, cap_ext;
	uint64_t size;
	struct kv_seg **segs; /* bulk segments written to, referenced */
	size_t n_segs;
	struct blob_id id;
	bool ended;
	struct err err;
	bool known; /* committer: the store has it */
	bool heals; /* committer: the store has it, but damaged */
};
/* Sum over the headers of the records in mem, added to crc. */
uint32_t kv_upload_crc(const struct kv_upload *u, uint32_t crc);
/* The row 'B' hash: version, size, extents with seg 0 placed at (seg, base). */
void kv_extents_write(struct buf *b, const struct kv_upload *u, uint32_t seg, uint64_t base);

void kv_extents_put(struct buf *b, uint64_t size, const struct kv_extent *x, size_t n);

/* Scratch for one chunk, recycled: compression and reads of part of a chunk. */
#define KV_SCRATCH (KV_CHUNK + KV_REC_HEADER + 64u)
#define KV_SCRATCH_KEPT 8
#define KV_ZSTD_KEPT 2
char *kv_scratch_take(struct kv *kv);
void kv_scratch_give(struct kv *kv, char *p);

/* --- blobs (kv_blob.c) --------------------------------------------------------------------------------- */
#define KV_BLOB_CACHE 512 /* extents rows kept, by hash: only those of up to KV_BLOB_INLINE extents */
#define KV_BLOB_INLINE 2
struct kv_blob_row {
	struct blob_id id;
	uint64_t size;
	size_t n; /* 0: empty slot or an empty blob */
	bool used;
	struct kv_extent ext[KV_BLOB_INLINE];
};
struct kv_blobs {
	pthread_mutex_t mu;
	struct kv_blob_row *rows;
	uint64_t forgotten; /* so often: what was read from the engine before it is not kept */
};
slice kv_blob_key(unsigned char dst[33], const struct blob_id *id);
/* A row 'B' taken apart; *out_ext points into *out or into a. ST_IO + ERR_CORRUPT. */
enum status kv_extents_read(slice row, const struct blob_id *id, struct arena *a, struct kv_blob_row *out,
			    const struct kv_extent **out_ext) MUST_USE;
void kv_blob_forget(struct kv *kv, const struct blob_id *id); /* its places have changed */
/* The record at *x into in (KV_SCRATCH): header and checksum verified. *out_body points into in. */
enum status kv_record_read(struct kv *kv, const struct kv_extent *x, size_t chunk, char *in, struct kv_rec *out,
			   slice *out_body, struct err *e) MUST_USE;
/* The first n octets of what a record holds (n ≤ rec->raw) into dst. */
enum status kv_record_unpack(struct kv *kv, const struct kv_extent *x, const struct kv_rec *rec, slice body, char *dst,
			     size_t n, struct err *e) MUST_USE;

/* --- commit (kv_commit.c) ------------------------------------------------------------------------------ */
struct kv_row {
	const struct kv_node *node;
	uint32_t order;
};
struct kv_batch { /* of the committer; memory kept from batch to batch */
	struct kv_txn **t;
	size_t n, cap;
	struct iovec *iov;
	size_t n_iov, cap_iov;
	const struct kv_upload **slots; /* open addressing: the bodies of the batch */
	size_t cap_slots;
	struct kv_row *rows;
	size_t cap_rows;
	struct buf row;
	uint64_t no;
	uint64_t mem_bytes; /* of new bodies that go into the log */
	uint32_t mem_crc;   /* over their records' headers */
};
struct kv_stats {
	_Atomic uint64_t batches, txns, syncs, bytes_log, bytes_rows, blobs_new, blobs_known, rows_put;
};

struct kv {
	enum kv_commit_mode mode;
	char *dir;
	uint64_t reserve;
	struct kv_engine *en;
	struct siphash_key hash_key;
	EVP_MD *sha256;
	struct clock clock;

	pthread_mutex_t commit_mu;
	bool committing; /* by the thread in `committer`; see kv_commit.c */
	pthread_t committer;
	struct kv_batch batch;
	size_t batch_bytes; /* KV_BATCH_BYTES; tests make it small */

	pthread_mutex_t mu;
	pthread_cond_t work; /* wake_at are queued, or closing */
	struct kv_lock *locks[KV_LOCK_BUCKETS], *free_locks;
	struct kv_queue queue;
	size_t queued, wake_at; /* in it; how many the committer sleeps for */
	uint64_t seq;
	uint64_t epoch_no;
	bool closing;
	bool read_only;
	struct err stop_why;
	struct kv_txn *free_txns;
	size_t n_free_txns;
	_Atomic bool stopped;
	_Atomic bool ending; /* kv_close has begun: nothing is waited for that may never come */
	_Atomic uint64_t epochs[KV_EPOCHS];

	struct kv_segs segs;
	struct kv_log log;
	struct kv_spare spare;
	bool engine_shut; /* committer: the engine must be opened again first */
	struct kv_format format;
	unsigned format_was;	 /* before this program opened it; 0: it made the store */
	uint64_t replayed, lost; /* batches brought back; left out by salvage */
	struct kv_blobs blobs;
	struct kv_gc gc;
	struct kv_keeper keeper;
	struct kv_snapshot *snapshots; /* segs.mu */
	pthread_mutex_t scratch_mu;
	char *scratch[KV_SCRATCH_KEPT];
	size_t n_scratch;
	void *zstd[KV_ZSTD_KEPT]; /* decompression contexts */
	size_t n_zstd;
	struct kv_upload *free_uploads;
	size_t n_free_uploads;

	uint64_t reserve_last;
	_Atomic uint64_t disk_free;
	_Atomic bool disk_low; /* below the reserve, when it was last asked */
	_Atomic int64_t disk_asked_us;
	struct kv_stats stats;
	pthread_t thread;
};
void kv_stop(struct kv *kv, const struct err *why); /* for good: a sync failed */
enum status kv_disk_check(struct kv *kv, struct err *e) MUST_USE; /* at most one statvfs in 100 ms */
void *kv_commit_thread(void *kv);
/* While a batch is written: rows of kv's own, before those of the transactions; to the log's record and the engine. */
void kv_row_put(struct kv *kv, slice key, slice value);
void kv_row_del(struct kv *kv, slice key);
void kv_commit_run(struct kv *kv, bool all); /* one batch, or until the queue is empty */
