#include "base/alloc.h"
#include "base/checked.h"

static _Noreturn void no_memory(size_t n, size_t size)
{
	/* stdio may itself need memory: snprintf into the stack, one write. */
	char line[96];
	int len = snprintf(line, sizeof(line),
			   "facteur: out of memory (%zu * %zu bytes)\n", n, size);

	if (len > 0 && write(STDERR_FILENO, line, (size_t)len) < 0)
		abort();
	abort();
}

void *mem_array(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	if (!p)
		no_memory(n, size);
	return p;
}

void *mem_new(size_t n)
{
	return mem_array(n, 1);
}

void *mem_grow(void *p, size_t n, size_t size)
{
	size_t bytes;

	if (!CHECKED_MUL(n, size, &bytes))
		no_memory(n, size);
	p = realloc(p, bytes ? bytes : 1);
	if (!p)
		no_memory(n, size);
	return p;
}

void mem_free(void *p)
{
	free(p);
}

void mem_free_secret(void *p, size_t n)
{
	if (!p)
		return;
	explicit_bzero(p, n);
	free(p);
}
