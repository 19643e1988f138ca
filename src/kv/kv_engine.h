#pragma once
/* kv_engine.h — what an engine of ordered rows must do for kv; one table of functions each.
 *
 * Reads come from any thread at any time. Batches come from one thread at a time (the committer): any number of
 * put and del, then write, which makes all of them visible or none, and empties the batch in both cases. What is
 * durable is the log's affair (kv_log.h): an engine may forget its newest batches, never one in the middle, and
 * is given them again when it was opened. An iterator sees the rows as they were when it was made, but for the log's
 * own row (KV_KEY_PLACE), which it passes over. */
#include "kv/kv.h"

struct kv_engine;
struct kv_iter;

struct kv_engine_ops {
	/* Value copied into a. ST_OK, ST_NOT_FOUND, ST_IO. */
	enum status (*get)(struct kv_engine *en, slice key, struct arena *a, slice *out, struct err *e);
	/* Positioned at the first row of r (the last when r->reverse). */
	struct kv_iter *(*iter_new)(struct kv_engine *en, const struct kv_range *r);
	bool (*iter_row)(struct kv_iter *it, slice *out_key, slice *out_value); /* borrowed until next; false: end */
	void (*iter_next)(struct kv_iter *it);
	enum status (*iter_free)(struct kv_iter *it, struct err *e); /* ST_IO when it ended early */
	void (*batch_put)(struct kv_engine *en, slice key, slice value);
	void (*batch_del)(struct kv_engine *en, slice key);
	/* Asked before a batch is written to the log: would batch_write take it? A refusal is an answer to everybody
	 * in the batch, so this is where an engine without disk space says so. e->code == ERR_STOPPED: the store must
	 * stop. */
	enum status (*ready)(struct kv_engine *en, struct err *e);
	/* After a failure the engine wants reopen. */
	enum status (*batch_write)(struct kv_engine *en, struct err *e);
	void (*batch_drop)(struct kv_engine *en);
	/* Everything written so far is in the engine's own files. NULL: it has none. */
	enum status (*flush)(struct kv_engine *en, struct err *e);
	/* A copy of the rows in dir, by links where it can; flushes. NULL: it cannot. Not beside a write. */
	enum status (*checkpoint)(struct kv_engine *en, const char *dir, struct err *e);
	/* Closes and opens again, in place; then replay, which is given the row of key (empty: there is none), brings
	 * back what was forgotten. Readers wait meanwhile. ERR_DISK_FULL: it is as it was, or closed; later, again.
	 * NULL in an engine whose batch_write never fails. */
	enum status (*reopen)(struct kv_engine *en, slice key,
			      enum status (*replay)(void *ctx, slice row, struct err *e), void *ctx, struct err *e);
	void (*close)(struct kv_engine *en);
};

struct kv_engine {
	const struct kv_engine_ops *ops;
};

struct kv_engine *kv_memory_new(void);
/* Tests: the nth batch from now on (1: the next) is refused with code by ready; 0 takes it back. */
void kv_memory_fail(struct kv_engine *en, uint64_t nth, enum err_code code);
enum kv_rocksdb_how {
	KV_ROCKSDB_MAKE, /* make it when it is not there */
	KV_ROCKSDB_OPEN,
	KV_ROCKSDB_READ  /* nothing is written */
};
/* Recovers the engine's own log, which stores of format 1 had. */
enum status kv_rocksdb_open(const char *dir, enum kv_rocksdb_how how, size_t cache_bytes, struct kv_engine **out,
			    struct err *e) MUST_USE;
/* What can be read of its tables, put together again; nobody has it open. */
enum status kv_rocksdb_repair(const char *dir, struct err *e) MUST_USE;
/* The rows of dir, and the log's place, into a new one; what lies in blocks that cannot be read stays behind: out_gaps
 * of them. to NULL: only reads, up to the first gap. ERR_CORRUPT when the log's place is in a gap. */
enum status kv_rocksdb_copy(const char *dir, const char *to, uint64_t *out_gaps, struct err *e) MUST_USE;
