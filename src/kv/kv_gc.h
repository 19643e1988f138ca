#pragma once
/* kv_gc.h — what the files of kv/ share about garbage collection (docs/adr/0008-collector.md).
 *
 * Two sides. The *collector* (kv_collect.c, on the keeper's thread or in kv_collect) looks for work, copies bodies
 * and asks; the *committer* (kv_gc.c, inside write_batch) decides, because only there nothing can come in between:
 *
 *	DROP   the body goes, unless the engine or this batch has a reference, or this batch brings the body
 *	MOVE   its row names the new places, if it still is what the collector copied
 *	COUNT  a segment's row of counts, or its end
 *
 * Requests travel in transactions without locks (kv_gc_submit). Rows:
 *
 *	g hash      candidate: a reference was deleted
 *	d hash      damaged: the next body with this hash is stored anew
 *	s segment   version, octets of records (0: not counted yet), octets dead
 *
 * Dead counts grow with each DROP and MOVE. Segments that carry no count of their records yet (bulk segments, those
 * of format 1) are counted by the collector when it first looks at them. mu is a leaf lock; pass_mu is taken before
 * commit_mu. */
#include "kv/kv.h"
#include "base/arena.h"
#include "base/buf.h"
#include <pthread.h>
#include <stdatomic.h>

struct kv_seg;
struct kv_extent;
struct kv_blob_row;

enum kv_gc_kind { KV_GC_DROP, KV_GC_MOVE, KV_GC_COUNT };
struct kv_gc_op {
	enum kv_gc_kind kind;
	struct blob_id id;
	slice old_row, new_row; /* MOVE: values of row B */
	uint32_t seg;           /* COUNT */
	uint64_t total, dead;   /* COUNT; total 0: the segment is gone */
	uint64_t seen;          /* COUNT: its count of dead when counting began */
	bool done;              /* out: the committer agreed */
	uint64_t bytes;         /* out: octets of records that became dead */
};
struct kv_gc_list {
	struct kv_gc_op *op;
	size_t n;
};

struct kv_gc_count {
	uint32_t seg;
	bool known; /* total is */
	uint64_t total, dead;
	uint64_t stuck; /* dead + 1 when something in it could not be moved: not tried again before more dies */
};
struct kv_gc_counts { /* ascending by segment */
	struct kv_gc_count *at;
	size_t n, cap;
};

struct kv_gc {
	pthread_mutex_t mu;
	struct kv_gc_counts counts;  /* durable state; mu */
	struct kv_gc_counts changed; /* of the batch: what its rows will say; committer only */
	unsigned char *refs;         /* hashes that the batch references: open addressing; committer only */
	bool *refs_used;
	size_t cap_refs;
	_Atomic bool damaged;    /* there may be rows d */
	_Atomic uint64_t unrefs; /* kv_blob_unref so far */
	_Atomic bool paused;     /* the keeper looks and does nothing: benches */
	struct kv_collected sum; /* since the store was opened; mu */
	pthread_mutex_t pass_mu; /* one step of one collector at a time */
	struct kv_seg *cold;     /* where moved bodies go; pass_mu */
	uint64_t cold_end;
};

/* --- committer (kv_gc.c) ---------------------------------------------------------------------------------- */
enum status kv_gc_open(struct kv *kv, struct err *e) MUST_USE; /* reads the counts */
void kv_gc_done(struct kv *kv);
/* Decides the requests of the batch, heals damaged bodies, and puts their rows: before those of the transactions,
 * whose rows g and d are newer. */
enum status kv_gc_decide(struct kv *kv, struct err *e) MUST_USE;
void kv_gc_settle(struct kv *kv, bool durable); /* what kv_gc_decide planned has happened, or has not */
/* The log leaves a segment that holds so many octets of records: puts its row. Committer, while rows are put. */
void kv_gc_leave(struct kv *kv, uint32_t seg, uint64_t octets);
/* Whether id is marked damaged; asked when the store has the body already. */
enum status kv_gc_is_damaged(struct kv *kv, const struct blob_id *id, bool *out, struct err *e) MUST_USE;
/* n requests through the committer, and waits. They and what they point to are the caller's. */
enum status kv_gc_submit(struct kv *kv, struct kv_gc_op *op, size_t n, struct err *e) MUST_USE;
struct kv_gc_count kv_gc_count_of(struct kv *kv, uint32_t seg);
void kv_gc_set_stuck(struct kv *kv, uint32_t seg);
/* Whether a row with prefix 'r' hash is durable. */
enum status kv_gc_is_referenced(struct kv *kv, const struct blob_id *id, bool *out, struct err *e) MUST_USE;
slice kv_gc_key(unsigned char dst[33], char kind, const struct blob_id *id);
slice kv_gc_key_end(unsigned char dst[33], char kind, const struct blob_id *id); /* behind all that begin so */
slice kv_place_key(unsigned char dst[13], uint32_t seg, uint64_t off);
slice kv_count_key(unsigned char dst[5], uint32_t seg);

/* --- collector (kv_collect.c) ------------------------------------------------------------------------------ */
#define KV_COLLECT_OPS   64u          /* requests in one transaction */
#define KV_COLLECT_BYTES (1u << 20)   /* and octets of moved bodies */
enum kv_pass_phase { KV_PASS_DROP, KV_PASS_CHOOSE, KV_PASS_EMPTY, KV_PASS_FREE, KV_PASS_END };
struct kv_pass {
	struct kv *kv;
	enum kv_pass_phase phase;
	bool full;           /* kv_collect: everything that has an eighth to give back */
	struct buf from;     /* rows g: where to go on */
	unsigned drops;      /* steps of DROP */
	bool dropped_all;    /* no row g is left behind `from` */
	uint32_t seg;        /* being emptied */
	bool stuck;          /* something in it could not be moved */
	uint64_t place, batch; /* in it: offset to go on at; of the log's batch that is in */
	uint32_t *tried;     /* segments this pass is done with */
	size_t n_tried;
	uint64_t bytes;      /* read and written so far */
	uint64_t asked;      /* requests the committer has decided */
	struct kv_collected sum;
	void *zstd;          /* compression context */
	struct buf out;      /* records not yet written, for cold_end */
	bool unsynced;       /* the cold segment */
};
void kv_pass_init(struct kv_pass *p, struct kv *kv, bool full);
void kv_pass_done(struct kv_pass *p);
/* One bounded piece of work; *out_more false: the pass has come to its end. */
enum status kv_pass_step(struct kv_pass *p, bool *out_more, struct err *e) MUST_USE;
/* Records of bodies in a segment, ascending from *place on (kv_places.c). fn answers false to stop behind this one;
 * *place and *batch say then where to go on. Whether a row still names a record is another question. */
enum status kv_places_walk(struct kv *kv, uint32_t seg, uint64_t *place, uint64_t *batch,
			   bool (*fn)(void *ctx, const struct blob_id *id, uint64_t off), void *ctx,
			   struct err *e) MUST_USE;
/* Whether each record in seg has a row 'b'; those of the log have none. ST_NOT_FOUND: there is no such file. */
enum status kv_places_has_rows(struct kv *kv, uint32_t seg, bool *out, struct err *e) MUST_USE;
/* Octets of records in seg that rows name, or might. */
enum status kv_places_live(struct kv *kv, uint32_t seg, uint64_t *out, struct err *e) MUST_USE;
/* Looks up the body whose record is at (seg, off): the extent there, or NULL when the row names other places. */
struct kv_lookup {
	struct arena a;
	struct blob_id id;
	bool used;
	slice row; /* empty: there is none */
	struct kv_blob_row *blob;
	const struct kv_extent *ext;
};
enum status kv_places_look(struct kv *kv, struct kv_lookup *l, const struct blob_id *id, uint32_t seg, uint64_t off,
			   const struct kv_extent **out, struct err *e) MUST_USE;

/* --- moving (kv_move.c) ---------------------------------------------------------------------------------------- */
/* Copies a body into the cold segment, zstd where that gains, and fills op. ST_OK with op->new_row empty: it is
 * damaged. Its octets are not synced before kv_move_sync. */
enum status kv_move_copy(struct kv_pass *p, const struct kv_lookup *l, struct arena *a, struct kv_gc_op *op,
			 struct err *e) MUST_USE;
enum status kv_move_sync(struct kv_pass *p, struct err *e) MUST_USE;

/* --- segments, for the collector and snapshots (kv_seglist.c) ------------------------------------------------ */
struct kv_seg_info {
	uint32_t no;
	uint64_t bytes; /* of the file; of the active ones what has been written */
	bool active;    /* the log's, the bulk or the cold segment, or somebody holds it */
};
/* All there are, ascending; *out is the caller's to free. */
enum status kv_segs_list(struct kv *kv, struct kv_seg_info **out, size_t *out_n, struct err *e) MUST_USE;
/* segs.mu held: a snapshot names it (kv_snapshot.c). */
bool kv_snapshot_has(const struct kv *kv, uint32_t no);
/* Removes the file. False: somebody reads it or a snapshot has it. */
enum status kv_segs_remove(struct kv *kv, uint32_t no, bool *out_gone, struct err *e) MUST_USE;

/* --- keeper (kv_keeper.c) -------------------------------------------------------------------------------------- */
struct kv_keeper {
	pthread_mutex_t mu;
	pthread_cond_t cond;
	pthread_t thread;
	bool started, closing, woken;
	_Atomic int64_t every_us; /* between two passes while references are deleted */
};
void kv_keeper_wake(struct kv *kv); /* it looks now, and collects if there may be anything */
enum status kv_keeper_start(struct kv *kv, struct err *e) MUST_USE;
void kv_keeper_stop(struct kv *kv);
