/* test_log.c — base/log.h: lines are read back through a pipe. */
#include "base/log.h"
#include "base/utf8.h"
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <cmocka.h>

static int ends[2];
static char got[8192];

static int capture(void **state)
{
	(void)state;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
		return -1;
	log_set_fd(ends[1]);
	log_set_level(LOG_LEVEL_INFO);
	return 0;
}

static int release(void **state)
{
	(void)state;
	log_set_fd(2);
	close(ends[0]);
	close(ends[1]);
	return 0;
}

/* Everything written so far, from "level=" on: the time is checked apart. */
static slice lines(void)
{
	ssize_t n = read(ends[0], got, sizeof(got));
	slice s = slice_make(got, n > 0 ? (size_t)n : 0);

	return slice_from(s, slice_find(s, SL("level="), 0));
}

static void a_line_is_logfmt(void **state)
{
	(void)state;
	struct log_line l;
	struct err e;

	err_set(&e, ERR_NO_ACCOUNT, "no such account");
	log_begin(&l, LOG_LEVEL_INFO, "smtp.rcpt.refused");
	log_str(&l, "to", SL("x@example.org"));
	log_str(&l, "empty", SL(""));
	log_cstr(&l, "null", NULL);
	log_int(&l, "size", -42);
	log_err(&l, &e);
	log_end(&l);
	slice s = lines();

	assert_true(slice_eq(
		s, SL("level=info event=smtp.rcpt.refused to=x@example.org size=-42 "
		      "code=no-account reason=\"no such account\"\n")));
	/* time=2026-11-22T19:44:08.123Z */
	assert_memory_equal(got, "time=20", 7);
	assert_memory_equal(got + 28, "Z ", 2);
}

static void levels_below_the_set_one_are_silent(void **state)
{
	(void)state;
	struct log_line l;

	assert_false(log_on(LOG_LEVEL_DEBUG));
	log_begin(&l, LOG_LEVEL_DEBUG, "x");
	log_int(&l, "a", 1);
	log_end(&l);
	assert_int_equal(lines().n, 0);
	log_set_level(LOG_LEVEL_DEBUG);
	log_begin(&l, LOG_LEVEL_DEBUG, "x");
	log_end(&l);
	assert_true(slice_eq(lines(), SL("level=debug event=x\n")));
	log_set_level(LOG_LEVEL_NONE);
	log_begin(&l, LOG_LEVEL_ERROR, "x");
	log_end(&l);
	assert_int_equal(lines().n, 0);
	assert_false(log_on(LOG_LEVEL_NONE));
}

static void a_peer_cannot_forge_a_line(void **state)
{
	(void)state;
	static const slice pairs[][2] = {
		{ S("plain"), S("plain") },
		{ S("a b"), S("\"a b\"") },
		{ S("a=b"), S("\"a=b\"") },
		{ S("say \"x\\\""), S("\"say \\\"x\\\\\\\"\"") },
		{ S("x\r\nlevel=error"), S("\"x\\x0d\\x0alevel=error\"") },
		{ S("a\0b\x1b[31m"), S("\"a\\x00b\\x1b[31m\"") },
		{ S("\xc3\xbc\xf0\x9f\x98\x80"), S("\xc3\xbc\xf0\x9f\x98\x80") },
		{ S("\xff\xc3"), S("\"\\xff\\xc3\"") },
		{ S("\xc2\x9b"), S("\"\\xc2\\x9b\"") },		 /* C1: CSI */
		{ S("\xe2\x80\xa8"), S("\"\\xe2\\x80\\xa8\"") }, /* U+2028 */
		{ S("\x7f"), S("\"\\x7f\"") },
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct log_line l;

		log_begin(&l, LOG_LEVEL_WARN, "e");
		log_str(&l, "v", pairs[i][0]);
		log_end(&l);
		slice s = lines(), head = SL("level=warn event=e v=");

		assert_true(slice_starts(s, head));
		s = slice_from(s, head.n);
		assert_int_equal(s.p[s.n - 1], '\n');
		s.n--;
		if (!slice_eq(s, pairs[i][1]))
			fail_msg("case %zu: %.*s", i, FMT(s));
	}
}

/* Values of every kind and every length around the end of the line: always one valid line, marked. */
static void a_long_line_is_cut_and_marked(void **state)
{
	(void)state;
	static const char *const kinds[] = { "a", "a b", "\xe2\x82\xac", "\"", "\xff" };

	for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
		for (size_t pad = 1; pad < 40; pad++) {
			struct log_line l;
			char big[6000], fill[40];
			size_t n = strlen(kinds[kind]);

			memset(fill, 'p', pad);
			for (size_t i = 0; i + n <= sizeof(big); i += n)
				memcpy(big + i, kinds[kind], n);
			log_begin(&l, LOG_LEVEL_INFO, "e");
			log_str(&l, "pad", slice_make(fill, pad));
			log_str(&l, "v", slice_make(big, sizeof(big) / n * n));
			log_str(&l, "late", SL("x"));
			log_int(&l, "later", 1);
			log_end(&l);
			slice s = lines();

			assert_int_equal(slice_chr(s, '\n', 0), s.n - 1);
			assert_true(utf8_is_valid(s));
			assert_true(slice_ends(s, SL("\xe2\x80\xa6\n")) ||
				    slice_ends(s, SL("\xe2\x80\xa6\"\n")));
			assert_int_equal(slice_find(s, SL("late"), 0), s.n);
			assert_true(l.n <= sizeof(l.text));
		}
	}
}

static void many_small_fields_stop_at_the_end_of_the_line(void **state)
{
	(void)state;
	for (size_t first = 1; first < 12; first++) {
		struct log_line l;

		log_begin(&l, LOG_LEVEL_INFO, "e");
		log_str(&l, "first", slice_make("xxxxxxxxxxxx", first));
		for (int i = 0; i < 1000; i++)
			log_int(&l, "n", i);
		log_end(&l);
		slice s = lines();

		assert_true(slice_ends(s, SL("\xe2\x80\xa6\n")));
		assert_int_equal(slice_find(s, SL("=\xe2\x80\xa6"), 0), s.n);
	}
}

static void say(enum log_level level, const char *event)
{
	struct log_line l;

	log_begin(&l, level, event);
	log_end(&l);
}

/* Waits until as much has come, or ten seconds. */
static size_t wait_for(size_t n)
{
	const struct timespec one = { .tv_nsec = 1000000 };
	size_t have = 0;

	for (int ms = 0; have < n && ms < 10000; ms++) {
		ssize_t r = read(ends[0], got + have, sizeof(got) - have);

		if (r > 0)
			have += (size_t)r;
		else
			nanosleep(&one, NULL);
	}
	return have;
}

enum { LINE = 49 }; /* time, level=info, event=e */
static void a_writer_gathers_and_a_warning_hurries(void **state)
{
	(void)state;
	log_start_writer();
	say(LOG_LEVEL_INFO, "e");
	say(LOG_LEVEL_INFO, "f");
	assert_int_equal(wait_for(2 * LINE), 2 * LINE);
	say(LOG_LEVEL_INFO, "g");
	say(LOG_LEVEL_WARN, "h");
	ssize_t n =
		read(ends[0], got, sizeof(got)); /* both are out when log_end returns */
	assert_int_equal(n, 2 * LINE);
	assert_memory_equal(got + LINE - 2, "g\n", 2);
	assert_memory_equal(got + 2 * LINE - 2, "h\n", 2);
	say(LOG_LEVEL_INFO, "i");
	log_stop_writer();
	assert_int_equal(read(ends[0], got, sizeof(got)), LINE);
	say(LOG_LEVEL_INFO, "j"); /* and without it, as before */
	assert_int_equal(read(ends[0], got, sizeof(got)), LINE);
}

static void what_was_said_before_a_crash_is_written(void **state)
{
	int wait_status;

	(void)state;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		log_start_writer();
		say(LOG_LEVEL_INFO, "e");
		abort();
	}
	assert_int_equal(waitpid(pid, &wait_status, 0), pid);
	assert_true(WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGABRT);
	assert_int_equal(wait_for(LINE), LINE);
}

enum { TALKERS = 4, LINES = 5000 };
static void *talk(void *arg)
{
	struct log_line l;

	for (int i = 0; i < LINES; i++) {
		log_begin(&l, LOG_LEVEL_INFO, arg);
		log_int(&l, "n", i);
		log_end(&l);
	}
	return NULL;
}

static void lines_of_many_threads_are_whole_and_in_order(void **state)
{
	static const char *const names[TALKERS] = { "a", "b", "c", "d" };
	char path[] = "/tmp/facteur-log-XXXXXX", line[256];
	int next[TALKERS] = { 0 };
	pthread_t id[TALKERS];
	int fd = mkostemp(path, O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	unlink(path);
	log_set_fd(fd);
	log_start_writer();
	for (int i = 0; i < TALKERS; i++)
		assert_int_equal(pthread_create(&id[i], NULL, talk,
						(void *)(uintptr_t)names[i]),
				 0);
	for (int i = 0; i < TALKERS; i++)
		pthread_join(id[i], NULL);
	log_stop_writer();
	FILE *f = fdopen(fd, "r");
	rewind(f);
	while (fgets(line, sizeof(line), f)) {
		char *event = strstr(line, " event="), *n = strstr(line, " n=");

		assert_true(event && n && strncmp(line, "time=", 5) == 0);
		int who = event[7] - 'a';
		assert_true(who >= 0 && who < TALKERS);
		assert_int_equal(strtol(n + 3, NULL, 10), next[who]++);
	}
	fclose(f);
	for (int i = 0; i < TALKERS; i++)
		assert_int_equal(next[i], LINES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_line_is_logfmt, capture, release),
		cmocka_unit_test_setup_teardown(levels_below_the_set_one_are_silent,
						capture, release),
		cmocka_unit_test_setup_teardown(a_peer_cannot_forge_a_line, capture,
						release),
		cmocka_unit_test_setup_teardown(a_long_line_is_cut_and_marked, capture,
						release),
		cmocka_unit_test_setup_teardown(
			many_small_fields_stop_at_the_end_of_the_line, capture, release),
		/* It forks: before any test that has had threads. */
		cmocka_unit_test_setup_teardown(what_was_said_before_a_crash_is_written,
						capture, release),
		cmocka_unit_test_setup_teardown(a_writer_gathers_and_a_warning_hurries,
						capture, release),
		cmocka_unit_test_setup_teardown(
			lines_of_many_threads_are_whole_and_in_order, capture, release),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
