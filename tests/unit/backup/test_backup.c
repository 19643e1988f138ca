/* test_backup.c — MANIFEST, copies, secrets, the set of backups, and a backup made and read again. */
#include "backup/backup.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/limits.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <sys/stat.h>
#include <cmocka.h>

#define OK(call)                                                        \
	do {                                                            \
		struct err e = { 0 };                                   \
		enum status ok_st = (call);                             \
		if (ok_st != ST_OK)                                     \
			fail_msg("%s: status %d, %s: %s", #call, ok_st, \
				 err_name(e.code), e.text);             \
	} while (0)
#define FAILS(call, wanted)                                                            \
	do {                                                                           \
		struct err e = { 0 };                                                  \
		enum status fails_st = (call);                                         \
		assert_int_not_equal(fails_st, ST_OK);                                 \
		if (e.code != (wanted))                                                \
			fail_msg("%s: %s (%s) instead of %s", #call, err_name(e.code), \
				 e.text, err_name(wanted));                            \
	} while (0)

static struct arena mem;
static char top[256];

static const char *in(const char *name)
{
	return arena_fmt(&mem, "%s/%s", top, name).p;
}

static void put(const char *path, slice s)
{
	unlink(path);
	OK(io_write_file(path, s, 0600, &e));
}

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	arena_init(&mem);
	snprintf(top, sizeof(top), "%s/facteur-backup-XXXXXX", tmp ? tmp : "/tmp");
	return mkdtemp(top) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	io_set_fault(NULL, NULL);
	OK(io_remove_tree(top, &e));
	arena_release(&mem);
	return 0;
}

/* --- MANIFEST ------------------------------------------------------------------------- */
static void make_manifest(struct backup_manifest *m, struct buf *text)
{
	struct backup_file f = { .path = SL("FORMAT"), .size = 16, .mtime_ns = 5 };

	backup_manifest_init(m);
	m->made = 1795390200;
	m->program = SL("0.1.0");
	m->user = SL("facteur");
	memcpy(m->life, "0123456789abcdef0123456789abcdef", 33);
	m->epoch = 3;
	m->uidvalidity = 77;
	m->accounts = 2;
	m->messages = 9;
	buf_init(text, 1 << 20);
	backup_manifest_head(m, text);
	backup_manifest_line(&f, text);
	backup_manifest_add(m, &f);
	f = (struct backup_file){ .path = SL("meta/000012.sst"), .size = 1000 };
	memset(f.sha, 0xab, sizeof(f.sha));
	backup_manifest_line(&f, text);
	backup_manifest_add(m, &f);
	AUTO_BUF end = { 0 };

	buf_init(&end, 1000);
	backup_manifest_end(m, buf_slice(text), &end);
	buf_add(text, buf_slice(&end));
}

static void a_manifest_is_read_as_it_was_written(void **state)
{
	struct backup_manifest m, r;
	AUTO_BUF text;

	(void)state;
	make_manifest(&m, &text);
	backup_manifest_init(&r);
	OK(backup_manifest_parse(&r, buf_slice(&text), false, &e));
	assert_true(r.finished && r.n == 2 && r.bytes == 1016 && r.made == m.made);
	assert_true(r.epoch == 3 && r.uidvalidity == 77 && r.accounts == 2 &&
		    r.messages == 9);
	assert_string_equal(r.life, m.life);
	assert_true(slice_eq(r.user, SL("facteur")) && slice_eq(r.program, SL("0.1.0")));
	assert_non_null(backup_manifest_find(&r, SL("meta/000012.sst")));
	assert_int_equal(backup_manifest_find(&r, SL("FORMAT"))->mtime_ns, 5);
	assert_null(backup_manifest_find(&r, SL("meta/000013.sst")));
	backup_manifest_done(&r);
	backup_manifest_done(&m);
}

static void every_flipped_bit_and_every_cut_of_a_manifest_is_found(void **state)
{
	struct backup_manifest m, r;
	AUTO_BUF text;

	(void)state;
	make_manifest(&m, &text);
	for (size_t i = 0; i < text.n; i++) {
		for (int bit = 0; bit < 8; bit++) {
			text.p[i] ^= (char)(1 << bit);
			backup_manifest_init(&r);
			assert_int_not_equal(backup_manifest_parse(&r, buf_slice(&text),
								   false, NULL),
					     ST_OK);
			backup_manifest_done(&r);
			text.p[i] ^= (char)(1 << bit);
		}
		backup_manifest_init(&r);
		assert_int_not_equal(backup_manifest_parse(&r, slice_make(text.p, i),
							   false, NULL),
				     ST_OK);
		backup_manifest_done(&r);
	}
	backup_manifest_done(&m);
}

static void an_unfinished_manifest_gives_its_whole_lines(void **state)
{
	struct backup_manifest m, r;
	AUTO_BUF text;

	(void)state;
	make_manifest(&m, &text);
	size_t end = slice_find(buf_slice(&text), SL("end "), 0);
	slice torn = slice_make(text.p, end - 7);

	backup_manifest_init(&r);
	FAILS(backup_manifest_parse(&r, torn, false, &e), ERR_CORRUPT);
	backup_manifest_done(&r);
	backup_manifest_init(&r);
	OK(backup_manifest_parse(&r, torn, true, &e));
	assert_true(!r.finished && r.n == 1);
	backup_manifest_done(&r);
	backup_manifest_done(&m);
}

#define SHA_0 "0000000000000000000000000000000000000000000000000000000000000000"
#define HEAD  "facteur backup 1\nmade 1\nprogram x\nlife -\nids 1 1\nholds 0 0\nuser -\n"

static void names_that_lead_out_and_numbers_that_are_none_are_refused(void **state)
{
	static const char *const lines[] = {
		"file " SHA_0 " 1 1 ../FORMAT",
		"file " SHA_0 " 1 1 meta/../../etc/passwd",
		"file " SHA_0 " 1 1 /etc/passwd",
		"file " SHA_0 " 1 1 meta//x",
		"file " SHA_0 " 1 1 meta/",
		"file " SHA_0 " 1 1 meta/.x",
		"file " SHA_0 " 1 1 meta/a/b",
		"file " SHA_0 " 1 1 other/x",
		"file " SHA_0 " 1 1 MANIFEST",
		"file " SHA_0 " 1 1 meta/a b",
		"file " SHA_0 " 1 1 meta/a\tb",
		"file " SHA_0 " 1 1 ",
		"file " SHA_0 " -1 1 meta/x",
		"file " SHA_0 " 99999999999999999999 1 meta/x",
		"file " SHA_0 " 1 x meta/x",
		"file " SHA_0 "00 1 1 meta/x",
		"file 00 1 1 meta/x",
		"file",
		"link " SHA_0 " 1 1 meta/x",
		"",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct backup_manifest m;
		slice text = arena_fmt(&mem, HEAD "%s\n", lines[i]);

		backup_manifest_init(&m);
		if (backup_manifest_parse(&m, text, true, NULL) == ST_OK)
			fail_msg("taken: %s", lines[i]);
		backup_manifest_done(&m);
	}
	struct backup_manifest m;

	backup_manifest_init(&m); /* the same file twice */
	FAILS(backup_manifest_parse(&m,
				    SL(HEAD "file " SHA_0 " 1 1 meta/x\nfile " SHA_0
					    " 1 1 meta/x\n"),
				    true, &e),
	      ERR_CORRUPT);
	backup_manifest_done(&m);
	backup_manifest_init(&m);
	FAILS(backup_manifest_parse(&m, SL("facteur backup 2\nwhatever\n"), false, &e),
	      ERR_CANNOT);
	backup_manifest_done(&m);
}

/* --- secrets -------------------------------------------------------------------------- */
static void secrets_come_back_with_their_passphrase_alone(void **state)
{
	AUTO_BUF list = { 0 };
	AUTO_BUF sealed = { 0 };
	AUTO_BUF back = { 0 };
	slice missing, *outside;
	slice named[] = { slice_str(in("etc.conf")), slice_str(in("absent.pem")) };
	size_t n;
	const char *data = in("data"), *to = in("to");

	(void)state;
	OK(io_mkdir(data, 0700, &e));
	OK(io_mkdir(in("data/store"), 0700, &e));
	OK(io_mkdir(in("data/tls"), 0700, &e));
	put(in("data/store/FORMAT"), SL("not to be taken"));
	OK(io_write_file(in("data/tls/key.pem"), SL("the key"), 0600, &e));
	OK(io_write_file(in("data/tls/ca.pem"), SL("the ca"), 0644, &e));
	assert_int_equal(symlink("/etc/passwd", in("data/link")), 0);
	put(in("etc.conf"), SL("hostname = \"x\"\n"));
	buf_init(&list, LIMIT_BACKUP_SECRETS);
	buf_init(&sealed, LIMIT_BACKUP_SECRETS);
	buf_init(&back, LIMIT_BACKUP_SECRETS);
	OK(backup_secrets_collect(data, named, 2, &list, &mem, &missing, &e));
	assert_true(slice_eq(missing, named[1]));
	OK(backup_secrets_seal(buf_slice(&list), SL("open sesame"), &sealed, &e));
	assert_true(slice_find(buf_slice(&sealed), SL("the key"), 0) == sealed.n);
	FAILS(backup_secrets_open(buf_slice(&sealed), SL("open sesamE"), &back, &e),
	      ERR_DENIED);
	FAILS(backup_secrets_open(buf_slice(&sealed), SL(""), &back, &e), ERR_DENIED);
	assert_int_equal(back.n, 0);
	OK(backup_secrets_open(buf_slice(&sealed), SL("open sesame"), &back, &e));
	OK(io_mkdir(to, 0700, &e));
	OK(backup_secrets_restore(buf_slice(&back), to, &mem, &outside, &n, &e));
	assert_int_equal(n, 1);
	assert_true(slice_eq(outside[0], named[0]));
	back.n = 0;
	OK(io_read_file(in("to/tls/key.pem"), 100, &back, &e));
	OK(io_read_file(arena_fmt(&mem, "%s/restored%s", to, in("etc.conf")).p, 100,
			&back, &e));
	assert_true(slice_eq(buf_slice(&back), SL("the keyhostname = \"x\"\n")));
	struct io_stat st;

	OK(io_stat_path(in("to/tls/ca.pem"), &st, &e));
	assert_int_equal(st.mode, 0644);
	FAILS(io_stat_path(in("to/store/FORMAT"), &st, &e), ERR_IO);
	FAILS(io_stat_path(in("to/link"), &st, &e), ERR_IO);
}

static void damaged_secrets_are_refused(void **state)
{
	AUTO_BUF sealed = { 0 };
	AUTO_BUF back = { 0 };

	(void)state;
	buf_init(&sealed, 1 << 20);
	buf_init(&back, 1 << 20);
	OK(backup_secrets_seal(SL("\0"), SL("p"), &sealed, &e));
	for (size_t n = 0; n < sealed.n; n++) /* without the key derived 75 times over */
		if (n < 58 + 16 || n == sealed.n - 1)
			assert_int_not_equal(backup_secrets_open(slice_make(sealed.p, n),
								 SL("p"), &back, NULL),
					     ST_OK);
	sealed.p[sealed.n - 17] ^= 1;
	FAILS(backup_secrets_open(buf_slice(&sealed), SL("p"), &back, &e), ERR_DENIED);
	sealed.p[sealed.n - 17] ^= 1;
	sealed.p[22] = 0x7f; /* asks for more memory than there is */
	FAILS(backup_secrets_open(buf_slice(&sealed), SL("p"), &back, &e), ERR_CORRUPT);
}

static void a_list_of_secrets_leads_nowhere_else(void **state)
{
	static const struct {
		enum backup_secret_kind kind;
		slice path;
	} bad[] = {
		{ SECRET_DATA, S("../x") },	{ SECRET_DATA, S("/etc/x") },
		{ SECRET_DATA, S("a/../b") },	{ SECRET_DATA, S("a//b") },
		{ SECRET_DATA, S("") },		{ SECRET_DATA, S("a/") },
		{ SECRET_DATA, S(".") },	{ SECRET_OUTSIDE, S("etc/x") },
		{ SECRET_OUTSIDE, S("/../x") }, { SECRET_OUTSIDE, S("/") },
		{ SECRET_DATA, S("a\0b") },	{ 7, S("x") },
	};

	(void)state;
	OK(io_mkdir(in("to"), 0700, &e));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		AUTO_BUF b = { 0 };
		struct backup_secret s = { bad[i].kind, 0600, bad[i].path, SL("evil") };
		slice *outside;
		size_t n;

		buf_init(&b, 1000);
		backup_secret_write(&b, &s);
		buf_put_u8(&b, SECRET_END);
		FAILS(backup_secrets_restore(buf_slice(&b), in("to"), &mem, &outside, &n,
					     &e),
		      ERR_CORRUPT);
	}
}

/* --- a set of backups ----------------------------------------------------------------- */
#define LIFE_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LIFE_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void make_store(const char *life)
{
	OK(io_mkdir(in("live"), 0700, &e));
	OK(io_mkdir(in("live/bodies"), 0700, &e));
	OK(io_mkdir(in("live/rows"), 0700, &e));
	put(in("live/FORMAT"),
	    arena_fmt(&mem, "facteur store 2\n%s cccccccccccccccccccccccccccccccc\n",
		      life));
	put(in("live/rows/CURRENT"), SL("MANIFEST-000001\n"));
	put(in("live/rows/LOCK"), SL(""));
	if (access(in("live/rows/000007.sst"), F_OK) != 0) {
		put(in("live/rows/000007.sst"), SL("some rows of the store"));
		put(in("live/bodies/00000001.seg"),
		    SL("many bodies and what is not of the snapshot"));
	}
}

#define SEGMENT_BYTES 11 /* "many bodies" */

static struct kv_snapshot_file segment = { 1, SEGMENT_BYTES };

static struct backup_source source(void)
{
	return (struct backup_source){ .store = in("live"),
				       .rows = in("live/rows"),
				       .segment = &segment,
				       .n_segments = 1,
				       .epoch = 2,
				       .uidvalidity = 9,
				       .accounts = 1,
				       .messages = 4 };
}

static struct backup_result make_backup(int64_t now, size_t keep)
{
	struct backup_source s = source();
	struct backup_options opt = {
		.dir = in("b"), .now = now, .secrets = SL("sealed"), .keep = keep
	};
	struct backup_result r = { 0 };

	OK(backup_make(&s, &opt, &r, &e));
	return r;
}

static struct io_stat stat_of(const char *backup, const char *file)
{
	struct io_stat s = { 0 };

	OK(io_stat_path(arena_fmt(&mem, "%s/b/%s/%s", top, backup, file).p, &s, &e));
	return s;
}

static void count_fault(void *ctx, slice path, const char *what)
{
	(void)path;
	(void)what;
	++*(int *)ctx;
}

static size_t faults_of(const char *backup)
{
	int told = 0;
	struct backup_verify v = { .found = count_fault, .ctx = &told };

	OK(backup_verify(arena_fmt(&mem, "%s/b/%s", top, backup).p, &v, &e));
	assert_int_equal(told, v.faults);
	return v.faults;
}

static void what_did_not_change_is_linked_never_into_the_store(void **state)
{
	struct backup_result one, two, three;
	struct io_stat live;

	(void)state;
	make_store(LIFE_A);
	one = make_backup(1000000000, 0);
	assert_string_equal(one.name, "2001-09-09T01-46-40Z");
	assert_true(one.files == 5 && one.linked == 0);
	assert_int_equal(stat_of(one.name, "bodies/00000001.seg").size, SEGMENT_BYTES);
	assert_int_equal(stat_of(one.name, "bodies/00000001.seg").mode, 0400);
	two = make_backup(1000000000, 0); /* the same second: the next is taken */
	assert_string_equal(two.name, "2001-09-09T01-46-41Z");
	assert_int_equal(two.linked, 2);
	OK(io_stat_path(in("live/rows/000007.sst"), &live, &e));
	assert_int_equal(live.links, 1);
	assert_int_equal(stat_of(one.name, "meta/000007.sst").inode,
			 stat_of(two.name, "meta/000007.sst").inode);
	assert_int_not_equal(stat_of(one.name, "meta/CURRENT").inode,
			     stat_of(two.name, "meta/CURRENT").inode);
	/* Written anew under its old name and size: copied. */
	put(in("live/rows/000007.sst"), SL("SOME rows of the store"));
	three = make_backup(1000000002, 0);
	assert_int_equal(three.linked, 1);
	assert_int_equal(
		faults_of(one.name) + faults_of(two.name) + faults_of(three.name), 0);
}

static void another_life_shares_nothing(void **state)
{
	(void)state;
	make_store(LIFE_A);
	make_backup(1000000000, 0);
	make_store(LIFE_B);
	assert_int_equal(make_backup(1000000001, 0).linked, 0);
	assert_int_equal(make_backup(1000000002, 0).linked, 2);
}

static int no_links(void *ctx, enum io_op op)
{
	(void)ctx;
	return op == IO_LINK ? EXDEV : 0;
}

static void where_links_do_not_work_files_are_copied(void **state)
{
	struct backup_result r;

	(void)state;
	make_store(LIFE_A);
	make_backup(1000000000, 0);
	io_set_fault(no_links, NULL);
	r = make_backup(1000000001, 0);
	io_set_fault(NULL, NULL);
	assert_int_equal(r.linked, 0);
	assert_int_equal(faults_of(r.name), 0);
}

static void old_ones_go_when_a_new_one_is_finished(void **state)
{
	struct backup_entry *list, found;
	size_t n;

	(void)state;
	make_store(LIFE_A);
	for (int i = 0; i < 4; i++)
		make_backup(1000000000 + i, 0);
	OK(io_mkdir(in("b/2001-09-09T01-00-00Z.unfinished"), 0700, &e));
	OK(io_mkdir(in("b/something else"), 0700, &e));
	assert_int_equal(make_backup(1000000010, 2).removed, 4);
	OK(backup_list(in("b"), &mem, &list, &n, &e));
	assert_int_equal(n, 2);
	assert_string_equal(list[0].name, "2001-09-09T01-46-43Z");
	assert_int_equal(access(in("b/something else"), F_OK), 0);
	assert_int_equal(faults_of(list[0].name) + faults_of(list[1].name), 0);
	OK(backup_find(in("b"), SL(""), &mem, &found, &e));
	assert_string_equal(found.name, list[1].name);
	OK(backup_find(in("b"), SL("2001-09-09T01:46:49Z"), &mem, &found, &e));
	assert_string_equal(found.name, list[0].name);
	OK(backup_find(in("b"), SL("2001-09-09"), &mem, &found, &e));
	assert_string_equal(found.name, list[1].name);
	FAILS(backup_find(in("b"), SL("2001-09-08"), &mem, &found, &e), ERR_CANNOT);
	OK(backup_find(in("b"), SL("2001-09"), &mem, &found, &e));
	/* what is no time must not find a backup */
	static const char *const no_time[] = { "yesterday", "22.11.2026", "9.9.2001",
					       "2001-9-9",  "2001-09-0",  "2001-09-09Z" };
	for (size_t i = 0; i < sizeof(no_time) / sizeof(no_time[0]); i++)
		FAILS(backup_find(in("b"), slice_str(no_time[i]), &mem, &found, &e),
		      ERR_SYNTAX);
}

/* The call number `at` fails. */
static int fail_at, seen;

static int nth(void *ctx, enum io_op op)
{
	(void)ctx;
	(void)op;
	return ++seen == fail_at ? ENOSPC : 0;
}

static void a_backup_that_fails_anywhere_is_never_taken_for_whole(void **state)
{
	bool done = false;
	struct backup_entry *list, last;
	size_t n;

	(void)state;
	make_store(LIFE_A);
	make_backup(1000000000, 0);
	for (fail_at = 1; !done && fail_at < 1000; fail_at++) {
		struct backup_source s = source();
		struct backup_options opt = { .dir = in("b"),
					      .now = 1000000000 + fail_at,
					      .secrets = SL("s") };
		struct backup_result r;

		seen = 0;
		io_set_fault(nth, NULL);
		done = backup_make(&s, &opt, &r, NULL) == ST_OK && seen < fail_at;
		io_set_fault(NULL, NULL);
		OK(backup_list(in("b"), &mem, &list, &n, &e));
		for (size_t i = 0; i < n; i++)
			if (list[i].finished)
				assert_int_equal(faults_of(list[i].name), 0);
		OK(backup_find(in("b"), SL(""), &mem, &last, &e));
		if (done) /* it has cleared away what the one before left */
			for (size_t i = 0; i < n; i++)
				assert_true(list[i].finished);
		else if (fail_at % 8 == 0)
			OK(backup_prune(in("b"), NULL, 1, &n, &e));
	}
	assert_true(done && fail_at > 40);
}

static int no_rename(void *ctx, enum io_op op)
{
	(void)ctx;
	return op == IO_RENAME ? EIO : 0;
}

static void an_interrupted_backup_lends_what_it_had(void **state)
{
	struct backup_source s = source();
	struct backup_options opt = { .dir = in("b"), .now = 1000000000 };
	struct backup_entry none;
	struct backup_result r;

	(void)state;
	make_store(LIFE_A);
	io_set_fault(no_rename, NULL); /* the last step: its name */
	FAILS(backup_make(&s, &opt, &r, &e), ERR_IO);
	io_set_fault(NULL, NULL);
	assert_int_equal(access(in("b/2001-09-09T01-46-40Z.unfinished"), F_OK), 0);
	FAILS(backup_find(in("b"), SL(""), &mem, &none, &e), ERR_CANNOT);
	r = make_backup(1000000005, 0);
	assert_int_equal(r.linked, 2);
	assert_int_equal(faults_of(r.name), 0);
	assert_int_equal(access(in("b/2001-09-09T01-46-40Z.unfinished"), F_OK), -1);
}

static void flip(const char *path, off_t at)
{
	char c;
	int fd = open(path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &c, 1, at), 1);
	c ^= 0x10;
	assert_int_equal(pwrite(fd, &c, 1, at),
			 1); /* lint: allow door: damage done on purpose */
	close(fd);
}

static void a_flipped_byte_in_any_file_is_found_and_nothing_of_it_restored(void **state)
{
	static const char *const files[] = { "FORMAT", "meta/CURRENT", "meta/000007.sst",
					     "bodies/00000001.seg", "secrets.enc" };
	struct backup_result r;

	(void)state;
	make_store(LIFE_A);
	r = make_backup(1000000000, 0);
	const char *dir = arena_fmt(&mem, "%s/b/%s", top, r.name).p;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		const char *path = arena_fmt(&mem, "%s/%s", dir, files[i]).p;
		struct backup_manifest m;
		struct io_stat st;

		assert_int_equal(chmod(path, 0600), 0);
		OK(io_stat_path(path, &st, &e));
		flip(path, (off_t)st.size - 1);
		assert_int_equal(faults_of(r.name), 1);
		backup_manifest_init(&m);
		OK(backup_manifest_read(&m, dir, false, &e));
		if (i < 4)
			FAILS(backup_copy_store(dir, &m, in("out"), NULL, &e),
			      ERR_CORRUPT);
		OK(io_remove_tree(in("out"), &e));
		backup_manifest_done(&m);
		flip(path, (off_t)st.size - 1);
		assert_int_equal(faults_of(r.name), 0);
	}
	/* Shorter, gone, and one too many. */
	assert_int_equal(truncate(arena_fmt(&mem, "%s/meta/CURRENT", dir).p, 3), 0);
	assert_int_equal(unlink(arena_fmt(&mem, "%s/meta/000007.sst", dir).p), 0);
	put(arena_fmt(&mem, "%s/bodies/stranger", dir).p, SL("x"));
	assert_int_equal(faults_of(r.name), 3);
}

static void what_is_copied_back_is_the_store_in_another_life(void **state)
{
	struct backup_manifest m;
	AUTO_BUF b = { 0 };
	struct backup_result r;

	(void)state;
	make_store(LIFE_A);
	r = make_backup(1000000000, 0);
	backup_manifest_init(&m);
	const char *dir = arena_fmt(&mem, "%s/b/%s", top, r.name).p;

	OK(backup_manifest_read(&m, dir, false, &e));
	OK(backup_copy_store(dir, &m, in("out"), NULL, &e));
	buf_init(&b, 1000);
	OK(io_read_file(in("out/FORMAT"), 1000, &b, &e));
	slice s = buf_slice(&b), life = backup_life(s);

	assert_true(slice_starts(s, SL("facteur store 2\n")) &&
		    slice_ends(s, SL(" cccccccccccccccccccccccccccccccc\n")));
	assert_int_equal(life.n, 32);
	assert_false(slice_eq(life, SL(LIFE_A)));
	buf_reset(&b);
	OK(io_read_file(in("out/bodies/00000001.seg"), 1000, &b, &e));
	assert_true(slice_eq(buf_slice(&b), SL("many bodies")));
	assert_int_equal(access(in("out/secrets.enc"), F_OK), -1);
	assert_int_equal(access(in("out/meta/LOCK"), F_OK), -1);
	FAILS(backup_copy_store(dir, &m, in("out"), NULL, &e),
	      ERR_EXISTS); /* nothing is overwritten */
	backup_manifest_done(&m);
}

static void ids_given_out_are_remembered(void **state)
{
	struct backup_highest h;

	(void)state;
	make_store(LIFE_A);
	make_backup(1000000000, 0);
	OK(backup_highest_known(in("b"), &h, &e));
	assert_true(h.epoch == 2 && h.uidvalidity == 9);
	h = (struct backup_highest){ 5, 3 };
	OK(backup_highest_write(in("b"), &h, &e));
	OK(backup_highest_known(in("b"), &h, &e));
	assert_true(h.epoch == 5 && h.uidvalidity == 9);
	put(in("b/HIGHEST"), SL("ids 5\n"));
	FAILS(backup_highest_known(in("b"), &h, &e), ERR_CORRUPT);
}

static void one_at_a_time(void **state)
{
	AUTO_FD one = -1;
	int two;

	(void)state;
	OK(backup_lock(top, false, &one, &e));
	FAILS(backup_lock(top, true, &two, &e), ERR_BUSY);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_manifest_is_read_as_it_was_written),
		TEST(every_flipped_bit_and_every_cut_of_a_manifest_is_found),
		TEST(an_unfinished_manifest_gives_its_whole_lines),
		TEST(names_that_lead_out_and_numbers_that_are_none_are_refused),
		TEST(secrets_come_back_with_their_passphrase_alone),
		TEST(damaged_secrets_are_refused),
		TEST(a_list_of_secrets_leads_nowhere_else),
		TEST(what_did_not_change_is_linked_never_into_the_store),
		TEST(another_life_shares_nothing),
		TEST(where_links_do_not_work_files_are_copied),
		TEST(old_ones_go_when_a_new_one_is_finished),
		TEST(a_backup_that_fails_anywhere_is_never_taken_for_whole),
		TEST(an_interrupted_backup_lends_what_it_had),
		TEST(a_flipped_byte_in_any_file_is_found_and_nothing_of_it_restored),
		TEST(what_is_copied_back_is_the_store_in_another_life),
		TEST(ids_given_out_are_remembered),
		TEST(one_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
