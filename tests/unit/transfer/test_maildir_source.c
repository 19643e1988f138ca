/* A Maildir that somebody works in while it is read. */
#include "base/alloc.h"
#include "transfer/maildir.h"
#include "transfer/source.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* after the system's headers */
#include <cmocka.h>
#include "../../support/dir_test.h"

struct place {
	char path[64];
	int fd;
	const char *from, *to; /* renamed behind the first message; to NULL: removed */
	struct source_report last;
	unsigned refused;
};

static void put(struct place *p, const char *name)
{
	int fd = openat(p->fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && write(fd, "A: b\n\nc\n", 8) == 8);
	close(fd);
}

static int setup(void **state)
{
	struct place *p = mem_new(sizeof(*p));
	*p = (struct place){ .path = "/tmp/facteur-source-XXXXXX" };
	assert_non_null(mkdtemp(p->path));
	p->fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(p->fd >= 0);
	assert_int_equal(mkdirat(p->fd, "cur", 0700), 0);
	assert_int_equal(mkdirat(p->fd, "new", 0700), 0);
	put(p, "cur/1700000001.a.host:2,S");
	put(p, "cur/1700000002.b.host:2,");
	put(p, "new/1700000003.c.host");
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	close(p->fd);
	remove_tree(p->path);
	mem_free(p);
	return 0;
}

static void total(void *ctx, uint64_t messages)
{
	(void)ctx;
	(void)messages;
}
static void progress(void *ctx, uint64_t messages, uint64_t bytes)
{
	struct place *p = ctx;
	(void)messages;
	(void)bytes;
	if (p->from && p->to)
		assert_int_equal(renameat(p->fd, p->from, p->fd, p->to), 0);
	else if (p->from)
		assert_int_equal(unlinkat(p->fd, p->from, 0), 0);
	p->from = NULL;
}
static void refused(void *ctx, slice box, slice name, const char *why)
{
	(void)box;
	(void)name;
	(void)why;
	((struct place *)ctx)->refused++;
}
static void report(void *ctx, const struct source_report *r)
{
	((struct place *)ctx)->last = *r;
}

static uint64_t read_all(struct place *p, const char *from, const char *to)
{
	const struct source_watch w = { .total = total,
					.progress = progress,
					.refused = refused,
					.report = report,
					.ctx = p };
	struct source s;
	struct err e = { 0 };
	p->from = from;
	p->to = to;
	source_init(&s, &w);
	if (maildir_source(&s, p->fd, &e) != ST_OK)
		fail_msg("%s", e.text);
	source_done(&s);
	assert_null(p->from);
	assert_int_equal(p->refused, 0);
	return p->last.found;
}

static void a_file_that_gets_a_flag_is_read_under_its_new_name(void **state)
{
	assert_int_equal(read_all(*state, "cur/1700000002.b.host:2,",
				  "cur/1700000002.b.host:2,FS"),
			 3);
}

static void a_file_that_moves_to_cur_is_read_there(void **state)
{
	assert_int_equal(
		read_all(*state, "new/1700000003.c.host", "cur/1700000003.c.host:2,"), 3);
}

static void a_file_that_is_deleted_is_missing_alone(void **state)
{
	assert_int_equal(read_all(*state, "cur/1700000002.b.host:2,", NULL), 2);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_file_that_gets_a_flag_is_read_under_its_new_name),
		TEST(a_file_that_moves_to_cur_is_read_there),
		TEST(a_file_that_is_deleted_is_missing_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
