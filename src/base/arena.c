#include "base/arena.h"
#include "base/alloc.h"
#include "base/checked.h"
#include <stdarg.h>
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#endif

#define BLOCK_MIN 1024u
#define BLOCK_MAX (64u << 10)
#define BLOCK_KEPT \
	4096u /* what a reset may keep: an arena between two commands stays small */
#define ALIGN 16u

/* The header is 32 bytes so that data starts 16-byte aligned behind malloc's own alignment. */
struct arena_block {
	struct arena_block *next;
	size_t size, used; /* of data */
	size_t reserved;
	char data[];
};

/* Under ASan whatever was not handed out is poisoned, and a gap follows every allocation, so that a read past
 * its end is seen inside a block too. */
static void poison(void *p, size_t n)
{
#ifdef ARENA_ASAN
	ASAN_POISON_MEMORY_REGION(p, n);
#else
	(void)p;
	(void)n;
#endif
}

static void unpoison(void *p, size_t n)
{
#ifdef ARENA_ASAN
	ASAN_UNPOISON_MEMORY_REGION(p, n);
#else
	(void)p;
	(void)n;
#endif
}

static struct arena_block *block_new(size_t size)
{
	size_t total;
	struct arena_block *b;

	if (!CHECKED_ADD(size, sizeof(*b), &total))
		total = SIZE_MAX; /* aborts below, with its message */
	b = mem_grow(NULL, total, 1);
	b->next = NULL;
	b->size = size;
	b->used = 0;
	poison(b->data, size);
	return b;
}

static void block_free(struct arena_block *b)
{
	unpoison(b->data, b->size);
	mem_free(b);
}

/* The space an allocation of n takes in a block. */
static size_t padded(size_t n)
{
#ifdef ARENA_ASAN
	const size_t gap = ALIGN;
#else
	const size_t gap = 0;
#endif
	size_t sum;

	if (!CHECKED_ADD(n, gap + ALIGN - 1, &sum))
		return SIZE_MAX & ~(size_t)(ALIGN - 1);
	return sum & ~(size_t)(ALIGN - 1);
}

/* n bytes, not zeroed. */
static void *take(struct arena *a, size_t n)
{
	size_t want = padded(n ? n : 1);
	struct arena_block *b = a->head;

	if (!b || b->size - b->used < want) {
		size_t size = b ? b->size * 2 : BLOCK_MIN;

		if (size > BLOCK_MAX || size < BLOCK_MIN)
			size = BLOCK_MAX;
		if (want > size) {
			/* Its own block goes behind the head, which may still have room. */
			struct arena_block *own = block_new(want);

			if (b) {
				own->next = b->next;
				b->next = own;
			} else {
				a->head = own;
			}
			b = own;
		} else {
			struct arena_block *fresh = block_new(size);

			fresh->next = b;
			a->head = b = fresh;
		}
	}
	char *p = b->data + b->used;

	b->used += want;
	a->used += n;
	unpoison(p, n);
	return p;
}

void arena_init(struct arena *a)
{
	*a = (struct arena){ 0 };
}

void arena_reset(struct arena *a)
{
	struct arena_block *kept = NULL;

	for (struct arena_block *b = a->head, *next; b; b = next) {
		struct arena_block *loser = b;

		next = b->next;
		if (b->size <= BLOCK_KEPT && (!kept || b->size > kept->size)) {
			loser = kept;
			kept = b;
		}
		if (loser)
			block_free(loser);
	}
	if (kept) {
		kept->next = NULL;
		kept->used = 0;
		poison(kept->data, kept->size);
	}
	a->head = kept;
	a->used = 0;
}

void arena_release(struct arena *a)
{
	for (struct arena_block *b = a->head, *next; b; b = next) {
		next = b->next;
		block_free(b);
	}
	arena_init(a);
}

void *arena_alloc(struct arena *a, size_t n)
{
	return memset(take(a, n), 0, n);
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
	size_t bytes;

	if (!CHECKED_MUL(n, size, &bytes))
		bytes = SIZE_MAX; /* no such memory: aborts with its message */
	return arena_alloc(a, bytes);
}

char *arena_cstr(struct arena *a, slice s)
{
	size_t n;

	if (!CHECKED_ADD(s.n, 1u, &n))
		n = SIZE_MAX;
	char *p = take(a, n);

	if (s.n)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return p;
}

slice arena_dup(struct arena *a, slice s)
{
	return slice_make(arena_cstr(a, s), s.n);
}

slice arena_join(struct arena *a, slice x, slice y)
{
	size_t n;

	if (!CHECKED_ADD(x.n, y.n, &n) || n == SIZE_MAX)
		n = SIZE_MAX - 1;
	char *p = take(a, n + 1);

	if (x.n)
		memcpy(p, x.p, x.n);
	if (y.n)
		memcpy(p + x.n, y.p, y.n);
	p[n] = '\0';
	return slice_make(p, n);
}

slice arena_fmt(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;

	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);

	va_end(ap);
	if (n < 0)
		n = 0;
	char *p = take(a, (size_t)n + 1);

	p[0] = '\0';
	vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	return slice_make(p, (size_t)n);
}
