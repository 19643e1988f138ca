/* Where exports write: every name that a mailbox or an address may have finds a place of its own. */
#include "base/alloc.h"
#include "base/limits.h"
#include "transfer/maildir_sink.h"
#include "transfer/mbox_sink.h"
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
	struct export_report last;
};

static int setup(void **state)
{
	struct place *p = mem_new(sizeof(*p));
	*p = (struct place){ .path = "/tmp/facteur-sinks-XXXXXX" };
	assert_non_null(mkdtemp(p->path));
	p->fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(p->fd >= 0);
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

static void progress(void *ctx, uint64_t messages, uint64_t bytes)
{
	(void)ctx;
	(void)messages;
	(void)bytes;
}
static void report(void *ctx, const struct export_report *r)
{
	((struct place *)ctx)->last = *r;
}
static void failed(void *ctx, slice who, slice box, uint32_t uid, slice why)
{
	(void)ctx;
	(void)who;
	(void)uid;
	fail_msg("%.*s: %.*s", FMT(box), FMT(why));
}

static struct export_watch watch(struct place *p)
{
	return (struct export_watch){ .total = progress,
				      .progress = progress,
				      .report = report,
				      .failed = failed,
				      .ctx = p };
}

/* A mailbox with one message; what became of it. */
static enum status write_box(const struct export_sink *ops, void *ctx, slice name,
			     struct err *e)
{
	const struct export_box box = { .name = name,
					.role = SL(""),
					.exists = true,
					.uidvalidity = 7,
					.uidnext = 2,
					.messages = 1 };
	const struct transfer_message m = { .uid = 1,
					    .date = 1700000000,
					    .keywords = SL("") };
	const struct export_box_end end = { .sent = 1, .sent_bytes = 8 };
	struct export_ranges have = { 0 };
	enum status st = ops->box_begin(ctx, &box, &have, e);
	assert_int_equal(have.n, 0); /* not the place of another one */
	export_ranges_done(&have);
	if (st == ST_OK)
		st = ops->message(ctx, &m, e);
	if (st == ST_OK)
		st = ops->data(ctx, SL("A: b\r\n\r\n"), e);
	if (st == ST_OK)
		st = ops->end(ctx, true, e);
	return st == ST_OK ? ops->box_end(ctx, &end, e) : st;
}

static void no_name_takes_the_place_of_another_mbox(void **state)
{
	static const char *const names[] = { "a",
					     "a.mbox/b",
					     "a.mbox.facteur/b",
					     "a.mbox",
					     "a.sbd/b",
					     "a/b",
					     "a%2Embox/b",
					     "../b",
					     "a.mbox/b.c/d",
					     "a.mbox.facteur-tmp/b" };
	struct place *p = *state;
	struct export_watch w = watch(p);
	struct mbox_sink *s = mbox_sink_new(p->fd, true, &w);
	struct err e = { 0 };
	assert_int_equal(mbox_sink_ops.account(s, SL("ann@a.example"), &e), ST_OK);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (write_box(&mbox_sink_ops, s, slice_str(names[i]), &e) != ST_OK)
			fail_msg("%s: %s", names[i], e.text);
		assert_true(p->last.is_complete);
	}
	mbox_sink_free(s);
}

/* The longest that fits is written, and its ledger too; a longer one is refused alone. */
static void a_name_of_any_length_stops_nothing(void **state)
{
	struct place *p = *state;
	struct export_watch w = watch(p);
	struct mbox_sink *s = mbox_sink_new(p->fd, true, &w);
	struct err e = { 0 };
	char name[300];
	memset(name, 'x', sizeof(name));
	assert_int_equal(mbox_sink_ops.account(s, SL("ann@a.example"), &e), ST_OK);
	for (size_t n = 230; n < 260; n++) {
		enum status st = write_box(&mbox_sink_ops, s, slice_make(name, n), &e);
		if (st != ST_OK && st != ST_INVALID)
			fail_msg("%zu octets: %s", n, e.text);
	}
	mbox_sink_free(s);
}

static void addresses_have_directories_of_their_own(void **state)
{
	static const char *const who[] = { "a/b@a.example", "a%b@a.example",
					   "a%2Fb@a.example", ".a@a.example" };
	struct place *p = *state;
	struct export_watch w = watch(p);
	struct maildir_sink *s = maildir_sink_new(p->fd, true, &w);
	struct err e = { 0 };
	for (size_t i = 0; i < sizeof(who) / sizeof(who[0]); i++) {
		assert_int_equal(maildir_sink_ops.account(s, slice_str(who[i]), &e),
				 ST_OK);
		if (write_box(&maildir_sink_ops, s, SL("INBOX"), &e) != ST_OK)
			fail_msg("%s: %s", who[i], e.text);
		assert_true(p->last.is_complete);
	}
	assert_int_equal(maildir_sink_finish(s, &e), ST_OK);
	maildir_sink_free(s);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_name_takes_the_place_of_another_mbox),
		TEST(a_name_of_any_length_stops_nothing),
		TEST(addresses_have_directories_of_their_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
