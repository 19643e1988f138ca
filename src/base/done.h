#pragma once
/* done.h — the two callbacks that cross layers: "durable" and "your turn".
 *
 * Both are embedded in the waiter's own structure, which outlives the call. Callbacks
 * run on a thread the waiter does not own and must only post: no locks held long, no
 * I/O. */
#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Completion of a commit. fn is called exactly once: ST_OK after the sync, otherwise
 * *why says the reason. */
struct done {
	void (*fn)(struct done *d, enum status st, const struct err *why);
};

/* A place in a lock's FIFO (kv_begin). wake is called exactly once after ST_WAIT,
 * when the locks asked for *have been granted*: the waiter must call kv_begin again,
 * or kv_unpark to give them back. */
struct parked {
	void (*wake)(struct parked *p);
	struct parked *next;  /* the rest belongs to the lock table */
	const uint32_t *ids;
	size_t n;
	bool granted;
};
