#pragma once
/* cleanup.h — the few scope guards: file descriptors, heap, buffers, arenas. */
#include "base/alloc.h"
#include "base/arena.h"
#include "base/buf.h"
#include <unistd.h>
static inline void cleanup_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
static inline void cleanup_mem(void *pp)
{
	mem_free(*(void **)pp);
}
#define AUTO_FD __attribute__((cleanup(cleanup_fd))) int
#define AUTO_MEM __attribute__((cleanup(cleanup_mem)))
#define AUTO_BUF __attribute__((cleanup(buf_done))) struct buf
#define AUTO_ARENA __attribute__((cleanup(arena_release))) struct arena
