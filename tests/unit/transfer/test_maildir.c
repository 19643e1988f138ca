/* Names and small files of a Maildir++: what is written is what is read, and nothing hostile gets through. */
#include "base/cleanup.h"
#include "base/utf8.h"
#include "store/store.h"
#include "transfer/maildir.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* after the system's headers */
#include <cmocka.h>

static void folders_are_named_as_dovecot_names_them(void **state)
{
	static const struct {
		const char *box, *dir;
	} t[] = {
		{ "INBOX", "" },
		{ "Sent", ".Sent" },
		{ "Work/2026/Q1", ".Work.2026.Q1" },
		{ "INBOX/Sub", ".INBOX.Sub" },
		{ "Entw\xc3\xbcrfe", ".Entw&APw-rfe" },
		{ "R&D", ".R&-D" },
		{ "v1.2", ".v1%2e2" },
		{ "a.b/c.", ".a%2eb.c%2e" },
		{ "\xe5\x8f\xb0\xe5\x8c\x97.x", ".&U,BTFw-%2ex" },
		{ " blank ", ". blank " },
		{ "&AC4-", ".&-AC4-" },
		{ "100%", ".100%" },
		{ "%2e %25 %2", ".%252e %2525 %2" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		AUTO_ARENA a;
		AUTO_BUF b;
		slice back;
		arena_init(&a);
		buf_init(&b, 4096);
		maildir_folder_write(&b, slice_str(t[i].box));
		if (!slice_eq(buf_slice(&b), slice_str(t[i].dir)))
			fail_msg("%s: %.*s", t[i].box, FMT(buf_slice(&b)));
		assert_true(maildir_folder_read(&a, buf_slice(&b), &back));
		if (!slice_eq(back, slice_str(t[i].box)))
			fail_msg("%s: back as %.*s", t[i].dir, FMT(back));
	}
}

static void names_that_are_no_folder_are_refused(void **state)
{
	static const slice bad[] = { S("."),	     S(".."),	 S(".a..b"),
				     S(".a."),	     S("cur"),	 S(".a\nb"),
				     S(".a/b"),	     S(".a\0b"), S(".\xff\xfe"),
				     S(".a\x1b[2J"), S(".&AC8-") };
	AUTO_ARENA a;
	slice out;
	(void)state;
	arena_init(&a);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (maildir_folder_read(&a, bad[i], &out) &&
		    slice_chr(out, '/', 0) < out.n)
			fail_msg("%.*s was taken as %.*s", FMT(bad[i]), FMT(out));
	for (size_t i = 0; i < 10; i++)
		assert_false(maildir_folder_read(&a, bad[i], &out));
	/* Dovecot with UTF-8 on disk, and what is no modified UTF-7 at all */
	assert_true(maildir_folder_read(&a, SL(".\xc3\xa9t\xc3\xa9"), &out));
	assert_true(slice_eq(out, SL("\xc3\xa9t\xc3\xa9")));
	assert_true(maildir_folder_read(&a, SL(".a&b"), &out));
	assert_true(slice_eq(out, SL("a&b")));
}

static void our_files_say_what_they_are(void **state)
{
	const struct maildir_name n = { .flags = FLAG_SEEN | FLAG_DELETED | FLAG_DRAFT,
					.letters = 1u << 0 | 1u << 25,
					.uid = 4294967295u,
					.uidvalidity = 1700000001,
					.date = -86400,
					.size = 1043,
					.vsize = 1070 };
	AUTO_BUF b;
	struct maildir_name got;
	(void)state;
	buf_init(&b, 512);
	maildir_name_write(&b, &n);
	assert_true(slice_eq(
		buf_slice(&b),
		SL("-86400.F4294967295V1700000001.facteur,S=1043,W=1070:2,DSTaz")));
	maildir_name_read(buf_slice(&b), &got);
	assert_int_equal(got.flags, n.flags);
	assert_int_equal(got.letters, n.letters);
	assert_int_equal(got.uid, n.uid);
	assert_int_equal(got.uidvalidity, n.uidvalidity);
	assert_true(got.date == n.date && got.size == n.size && got.vsize == n.vsize);
	assert_true(slice_ends(got.base, SL(",W=1070")));
}

static void files_of_others_are_read_as_far_as_they_go(void **state)
{
	static const struct {
		const char *file, *base;
		uint32_t flags, letters;
		bool passed;
		uint64_t size;
	} t[] = {
		{ "1204680122.27c448f1.host,S=12,W=14:2,FRS",
		  "1204680122.27c448f1.host,S=12,W=14",
		  FLAG_FLAGGED | FLAG_ANSWERED | FLAG_SEEN, 0, false, 12 },
		{ "1.x:2,", "1.x", 0, 0, false, 0 },
		{ "1.x", "1.x", 0, 0, false, 0 },
		{ "1.x:1,E", "1.x", 0, 0, false, 0 },
		{ "1.x:2,PQZ!a", "1.x", 0, 1, true, 0 },
		{ "1.x:2,S,something", "1.x", FLAG_SEEN, 0, false, 0 },
		{ "1.x,S=99999999999999999999:2,", "1.x,S=99999999999999999999", 0, 0,
		  false, 0 },
		{ "1.F0V1.facteur:2,", "1.F0V1.facteur", 0, 0, false, 0 },
		{ "1.F7V.facteur:2,", "1.F7V.facteur", 0, 0, false, 0 },
		{ "x.F7V1.facteur:2,", "x.F7V1.facteur", 0, 0, false, 0 },
		{ "", "", 0, 0, false, 0 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct maildir_name n;
		maildir_name_read(slice_str(t[i].file), &n);
		if (!slice_eq(n.base, slice_str(t[i].base)) || n.flags != t[i].flags ||
		    n.letters != t[i].letters || n.is_passed != t[i].passed ||
		    n.size != t[i].size || n.uid != 0)
			fail_msg("%s", t[i].file);
	}
}

static void uidlists_of_both_versions_are_read(void **state)
{
	uint32_t v, next, uid;
	slice base;
	AUTO_BUF b;
	(void)state;
	assert_true(maildir_uidlist_read_head(
		SL("3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1"), &v, &next));
	assert_true(v == 1275660208 && next == 25022);
	assert_true(maildir_uidlist_read_head(SL("1 1173189136 20221"), &v, &next));
	assert_true(v == 1173189136 && next == 20221);
	assert_true(maildir_uidlist_read_line(
		SL("25006 W2481 :1276528487.M364837P9451.kurkku,S=1355,W=1394"), &uid,
		&base));
	assert_int_equal(uid, 25006);
	assert_true(slice_eq(base, SL("1276528487.M364837P9451.kurkku,S=1355,W=1394")));
	assert_true(maildir_uidlist_read_line(SL("20 1.x:2,S\n"), &uid, &base));
	assert_true(uid == 20 && slice_eq(base, SL("1.x")));
	static const slice bad[] = { S(""),	 S("x"),     S("0 :a"),
				     S("5"),	 S("5 :"),   S("99999999999 :a"),
				     S("-1 :a"), S(" 5 :a"), S("\0") };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(maildir_uidlist_read_line(bad[i], &uid, &base));
	assert_false(maildir_uidlist_read_head(SL("3 N5"), &v, &next));
	assert_false(maildir_uidlist_read_head(SL("9 V5 N5"), &v, &next));
	buf_init(&b, 256);
	maildir_uidlist_head(&b, 7, 9);
	assert_true(maildir_uidlist_read_head(buf_slice(&b), &v, &next) && v == 7 &&
		    next == 9);
	buf_reset(&b);
	maildir_uidlist_line(&b, 8, SL("1.y,S=1"));
	assert_true(maildir_uidlist_read_line(buf_slice(&b), &uid, &base) && uid == 8 &&
		    slice_eq(base, SL("1.y,S=1")));
}

static void keywords_and_subscriptions(void **state)
{
	unsigned letter;
	slice word, name;
	AUTO_ARENA a;
	(void)state;
	arena_init(&a);
	assert_true(maildir_keyword_read(SL("0 $Forwarded"), &letter, &word));
	assert_true(letter == 0 && slice_eq(word, SL("$Forwarded")));
	assert_true(maildir_keyword_read(SL("25 last\r"), &letter, &word) &&
		    letter == 25);
	assert_false(maildir_keyword_read(SL("26 beyond"), &letter, &word));
	assert_false(maildir_keyword_read(SL("x y"), &letter, &word));
	assert_false(maildir_keyword_read(SL("3 "), &letter, &word));
	assert_true(maildir_subscription_read(&a, SL("Work.2026"), false, &name));
	assert_true(slice_eq(name, SL("Work/2026")));
	assert_true(maildir_subscription_read(&a, SL("Work\t2026"), true, &name));
	assert_true(slice_eq(name, SL("Work/2026")));
	assert_false(maildir_subscription_read(&a, SL(""), false, &name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(folders_are_named_as_dovecot_names_them),
		cmocka_unit_test(names_that_are_no_folder_are_refused),
		cmocka_unit_test(our_files_say_what_they_are),
		cmocka_unit_test(files_of_others_are_read_as_far_as_they_go),
		cmocka_unit_test(uidlists_of_both_versions_are_read),
		cmocka_unit_test(keywords_and_subscriptions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
