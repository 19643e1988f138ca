#pragma once
/* pool.h — worker threads for plain blocking C. Jobs carry a key (an account id; 0: none); the pool serves keys in
 * turn and lets no key have more than threads - 1 of the workers (at least one), so that one busy account never stalls
 * another. Within a key: FIFO. */
#include "base/slice.h"

struct job { /* embedded */
	void (*run)(struct job *j);
	uint32_t key;
	struct job *next;
};
struct pool;
struct pool *pool_new(const char *name, unsigned threads, size_t stack_bytes); /* 0 threads: pool_step runs jobs (sim) */
/* The same with threads that give way to others when the processors are busy (nice, 0–19). */
struct pool *pool_new_nice(const char *name, unsigned threads, size_t stack_bytes, int nice);
void pool_free(struct pool *p);              /* runs what is queued, then ends */
void pool_submit(struct pool *p, struct job *j); /* any thread */
void pool_submit_list(struct pool *p, struct job *first); /* the same for many, linked by next */
bool pool_step(struct pool *p);              /* sim: runs one job; false when none */
