#pragma once
/* alloc.h — heap that aborts when there is none (DESIGN P4). Sizes are
 * checked, memory is zeroed. */
#include <stddef.h>
void *mem_new(size_t n);
void *mem_array(size_t n, size_t size);
/* realloc to n * size, checked; the new part is not zeroed. */
void *mem_grow(void *p, size_t n, size_t size);
void mem_free(void *p);
void mem_free_secret(void *p, size_t n);        /* wiped first */
