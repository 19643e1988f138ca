#pragma once
/* kv_engine.h — what an engine of ordered rows must do for kv; one table of functions each.
 *
 * Reads come from any thread at any time. Batches come from one thread at a time (the committer): any number of
 * put and del, then write, which makes all of them durable or none visible, and empties the batch in both cases.
 * An iterator sees the rows as they were when it was made. */
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
	/* e->code == ERR_STOPPED: nobody knows what the disk has; the store must stop. Any other failure: nothing
	 * was written, later batches may succeed. */
	enum status (*batch_write)(struct kv_engine *en, struct err *e);
	void (*batch_drop)(struct kv_engine *en);
	/* Everything written so far is in the engine's own files. NULL: it has none. */
	enum status (*flush)(struct kv_engine *en, struct err *e);
	/* A copy of the rows in dir, by links where it can; flushes. NULL: it cannot. Not beside a write. */
	enum status (*checkpoint)(struct kv_engine *en, const char *dir, struct err *e);
	void (*close)(struct kv_engine *en);
};

struct kv_engine {
	const struct kv_engine_ops *ops;
};

struct kv_engine *kv_memory_new(void);
/* Tests: the nth batch from now on (1: the next) fails with code; 0 takes it back. */
void kv_memory_fail(struct kv_engine *en, uint64_t nth, enum err_code code);
enum status kv_rocksdb_open(const char *dir, size_t cache_bytes, struct kv_engine **out, struct err *e) MUST_USE;
