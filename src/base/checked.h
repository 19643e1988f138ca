#pragma once
/* checked.h — arithmetic on sizes that came from outside. True means it fits; *out is
 * untouched otherwise. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#define CHECKED_ADD(a, b, out) (!__builtin_add_overflow((a), (b), (out)))
#define CHECKED_SUB(a, b, out) (!__builtin_sub_overflow((a), (b), (out)))
#define CHECKED_MUL(a, b, out) (!__builtin_mul_overflow((a), (b), (out)))
