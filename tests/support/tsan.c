/* tsan.c — linked into every unit test. RocksDB is not instrumented, so the thread sanitizer cannot see how it
 * locks: what it reports with a frame of that library is no finding. Our own code under it is tested over the
 * memory engine. */
#ifdef __SANITIZE_THREAD__
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:librocksdb\n"
	       "called_from_lib:librocksdb\n"
	       "mutex:librocksdb\n"
	       "deadlock:librocksdb\n"
	       "thread:librocksdb\n";
}
#else
_Static_assert(1, "nothing to do without the thread sanitizer");
#endif
