#pragma once
/* hash.h — SipHash-2-4 for tables keyed by the outside (HAZARDS 32), CRC-32C for
 * records on disk. */
#include "base/slice.h"
struct siphash_key {
	uint64_t k0, k1;
};
uint64_t siphash(const struct siphash_key *k, slice s);
/* Start with 0; chainable; hardware when the CPU has it. */
uint32_t crc32c(uint32_t crc, slice s);
uint32_t crc32c_portable(uint32_t crc, slice s); /* the same without hardware */
void random_bytes(void *p, size_t n);   /* getrandom; aborts when the kernel has none */
