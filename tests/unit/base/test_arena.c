/* test_arena.c — base/arena.h and base/alloc.h */
#include "base/arena.h"
#include "base/alloc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <cmocka.h>

/* The sanitizers' own heaps would end the program their way. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "allocator_may_return_null=1";
}

static bool is_zero(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

static void memory_is_aligned_zeroed_and_apart(void **state)
{
	(void)state;
	struct arena a;
	char *ptr[400];

	arena_init(&a);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < 400; i++) {
			ptr[i] = arena_alloc(&a, i);
			assert_int_equal((uintptr_t)ptr[i] % 16, 0);
			assert_true(is_zero(ptr[i], i));
			memset(ptr[i], (int)(i & 0xff), i);
		}
		for (size_t i = 0; i < 400; i++)
			for (size_t k = 0; k < i; k++)
				assert_int_equal((unsigned char)ptr[i][k], i & 0xff);
		assert_int_equal(a.used, 399 * 400 / 2);
		arena_reset(&a); /* what comes next is zeroed again */
		assert_int_equal(a.used, 0);
	}
	arena_release(&a);
	assert_null(a.head);
}

static void a_large_allocation_gets_its_own_block(void **state)
{
	(void)state;
	struct arena a;

	arena_init(&a);
	char *big = arena_alloc(&a, 1u << 20);
	char *small = arena_alloc(&a, 10);
	char *bigger = arena_alloc(&a, 3u << 20);
	char *after = arena_alloc(&a, 10);

	memset(big, 1, 1u << 20);
	memset(bigger, 2, 3u << 20);
	assert_true(is_zero(small, 10));
	assert_true(is_zero(after, 10));
	/* The block of the small ones went on being used. */
	assert_true(after > small && after < small + 1024);
	arena_release(&a);
	small = arena_alloc(&a, 10); /* usable again */
	assert_true(is_zero(small, 10));
	arena_release(&a);
}

static void a_reset_keeps_at_most_one_small_block(void **state)
{
	(void)state;
	struct arena a;

	arena_init(&a);
	for (int i = 0; i < 1000; i++)
		arena_alloc(&a, 500);
	arena_reset(&a);
	void *block = a.head;

	assert_non_null(block);
	arena_alloc(&a, 500);
	assert_ptr_equal(a.head, block);
	arena_release(&a);
	arena_alloc(&a, 1u << 20);
	arena_reset(&a);
	assert_null(a.head);
	arena_release(&a);
}

static void copies_end_with_a_nul(void **state)
{
	(void)state;
	struct arena a;

	arena_init(&a);
	slice d = arena_dup(&a, SL("a\0b"));

	assert_true(slice_eq(d, SL("a\0b")));
	assert_int_equal(d.p[d.n], 0);
	assert_string_equal(arena_cstr(&a, SL("name")), "name");
	assert_string_equal(arena_cstr(&a, (slice){ 0 }), "");
	slice j = arena_join(&a, SL("ab"), SL("cd"));

	assert_string_equal(j.p, "abcd");
	assert_int_equal(j.n, 4);
	assert_int_equal(arena_join(&a, (slice){ 0 }, (slice){ 0 }).n, 0);
	slice f = arena_fmt(&a, "%s-%d", "x", 12);

	assert_true(slice_eq(f, SL("x-12")));
	assert_int_equal(arena_fmt(&a, "%*d", 5000, 1).n, 5000);
	arena_release(&a);
}

/* The signal that ends a child which runs fn. */
static int signal_of(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		const struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		signal(SIGABRT, SIG_DFL);
		if (!freopen("/dev/null", "w", stderr))
			_exit(1);
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void array_too_big(void)
{
	struct arena a;

	arena_init(&a);
	arena_array(&a, SIZE_MAX / 2, 3);
}

static void grow_too_big(void)
{
	mem_grow(NULL, SIZE_MAX / 2, 3);
}

static void nothing_wrong(void)
{
	mem_free(mem_grow(mem_new(3), 4, 5));
	mem_free(mem_new(0));
	mem_free(NULL);
	mem_free_secret(NULL, 10);
}

static void a_size_that_overflows_aborts(void **state)
{
	(void)state;
	assert_int_equal(signal_of(array_too_big), SIGABRT);
	assert_int_equal(signal_of(grow_too_big), SIGABRT);
	assert_int_equal(signal_of(nothing_wrong), 0);
}

/* Weak: there in sanitized programs only. */
__attribute__((weak)) int __asan_address_is_poisoned(const volatile void *p);

static void under_asan_what_was_not_handed_out_is_poisoned(void **state)
{
	(void)state;
	struct arena a;

	if (!__asan_address_is_poisoned)
		skip();
	arena_init(&a);
	char *first = arena_alloc(&a, 13), *second = arena_alloc(&a, 16);

	assert_int_equal(__asan_address_is_poisoned(first + 12), 0);
	assert_int_equal(__asan_address_is_poisoned(first + 13), 1);
	assert_int_equal(__asan_address_is_poisoned(second - 1), 1);
	assert_int_equal(__asan_address_is_poisoned(second + 16), 1);
	arena_reset(&a);
	assert_int_equal(__asan_address_is_poisoned(first), 1);
	arena_release(&a);
}

static void heap_memory_is_zeroed(void **state)
{
	(void)state;
	char *p = mem_array(100, 7);

	assert_true(is_zero(p, 700));
	mem_free_secret(p, 700);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_aligned_zeroed_and_apart),
		cmocka_unit_test(a_large_allocation_gets_its_own_block),
		cmocka_unit_test(a_reset_keeps_at_most_one_small_block),
		cmocka_unit_test(copies_end_with_a_nul),
		cmocka_unit_test(a_size_that_overflows_aborts),
		cmocka_unit_test(under_asan_what_was_not_handed_out_is_poisoned),
		cmocka_unit_test(heap_memory_is_zeroed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
