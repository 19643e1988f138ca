#pragma once
/* arena.h — memory by lifetime: allocate freely, free all at once.
 *
 * The command arena is reset when its reply is complete, the session arena dies with
 * the session. Nothing in an arena is freed alone. One owner at a time; not for two
 * threads. Blocks double from 1 KiB to 64 KiB; an allocation above a block gets its
 * own. arena_reset keeps at most one small block, arena_release none (an idle
 * connection owns no arena memory). Limits are the callers': they bound what they ask
 * for. */
#include "base/slice.h"

struct arena_block;
struct arena {
	struct arena_block *head;
	size_t used; /* bytes handed out since the last reset: for budgets */
};

void arena_init(struct arena *a);     /* no memory yet */
void arena_reset(struct arena *a);
void arena_release(struct arena *a);  /* everything back to the heap; usable again */
void *arena_alloc(struct arena *a, size_t n);            /* 16-byte aligned, zeroed */
void *arena_array(struct arena *a, size_t n, size_t size); /* n * size, checked, zeroed */
slice arena_dup(struct arena *a, slice s);               /* NUL behind it, not counted */
char *arena_cstr(struct arena *a, slice s);              /* for OS and library calls */
slice arena_fmt(struct arena *a, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
slice arena_join(struct arena *a, slice x, slice y);
#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))
