/* test_store_intake.c — the stored form, the same wherever chunks are cut. */
#include "store_test.h"
#include "mime/mime_digest.h"
#include <openssl/sha.h>

struct taken {
	struct intake_info info;
	slice stored, digest;
};

/* Receives the pieces, stores the message and reads it back. */
static struct taken take_pieces(struct bench *b, unsigned flags, const slice *piece,
				size_t n)
{
	struct intake *in = intake_new(b->s, flags, LIMIT_MESSAGE);
	struct store_place place = { .account = b->alice };
	struct taken t_out;
	struct store_row row;
	struct store_email m;
	uint32_t uid;

	for (size_t i = 0; i < n; i++)
		OK(intake_write(in, piece[i], &e));
	OK(intake_end(in, &e));
	t_out.info = *intake_get(in);
	t_out.info.message_id = arena_dup(&b->a, t_out.info.message_id);
	t_out.digest = arena_dup(&b->a, t_out.info.digest);
	t_out.info.digest = t_out.digest;
	IN_TXN(b, b->alice, store_add(t, in, &place, &uid, &e));
	intake_free(in);
	OK(store_row_get(b->s, b->alice, mbox_id(b, b->alice, "INBOX"), uid, &row, &e));
	OK(store_email_get(b->s, b->alice, row.email, &b->a, &m, &e));
	t_out.stored = whole(b, &m);
	assert_int_equal(t_out.info.size, t_out.stored.n);
	assert_true(slice_eq(m.digest, t_out.digest));
	return t_out;
}

static struct taken take(struct bench *b, unsigned flags, slice text)
{
	return take_pieces(b, flags, &text, 1);
}

static const struct {
	slice in, out;
	bool repaired;
} lines[] = {
	{ S("a\r\nb\r\n"), S("a\r\nb\r\n"), false },
	{ S("a\nb\n"), S("a\r\nb\r\n"), true },
	{ S("a\rb\r"), S("a\r\nb\r\n"), true },
	{ S("a\r\r\nb"), S("a\r\n\r\nb"), true },
	{ S("a\n\rb"), S("a\r\n\r\nb"), true },
	{ S("\n\n\r\n\r\r\n"), S("\r\n\r\n\r\n\r\n\r\n"), true },
	{ S("\r"), S("\r\n"), true },
	{ S("no end"), S("no end"), false },
	{ S(""), S(""), false },
	{ S("Subject: x\n\nbody\r\nmore\n.\n\r\n"),
	  S("Subject: x\r\n\r\nbody\r\nmore\r\n.\r\n\r\n"), true },
};

static void test_every_line_end_becomes_crlf_and_nothing_else_changes(void **state)
{
	struct bench *b = *state;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct taken t = take(b, 0, lines[i].in);

		if (!slice_eq(t.stored, lines[i].out))
			fail_msg("%zu: '%.*s'", i, FMT(t.stored));
		assert_int_equal(t.info.had_bare_cr_or_lf, lines[i].repaired);
	}
}

static void test_return_path_fields_of_the_header_go_and_only_those(void **state)
{
	struct bench *b = *state;
	slice in = SL(
		"Return-Path: <a@b>\r\nSubject: Return-Path: x\r\nRETURN-path \t: <c@d>\r\n"
		" folded\r\n\tagain\r\nReturn-Paths: no\r\nReturn-Pat: no\r\nX-Return-Path: no\r\n"
		" Return-Path: folded into another\r\nreturn-path:\r\nTo: x\r\n\r\n"
		"Return-Path: <in the body>\r\n");
	slice want = SL(
		"Subject: Return-Path: x\r\nReturn-Paths: no\r\nReturn-Pat: no\r\n"
		"X-Return-Path: no\r\n Return-Path: folded into another\r\nTo: x\r\n\r\n"
		"Return-Path: <in the body>\r\n");

	assert_true(slice_eq(take(b, INTAKE_STRIP_TRACE, in).stored, want));
	assert_true(slice_eq(take(b, 0, in).stored, in)); /* APPEND keeps them */
	assert_slice(take(b, INTAKE_STRIP_TRACE, SL("Return-Path")).stored,
		     "Return-Path");
	assert_slice(take(b, INTAKE_STRIP_TRACE, SL("\r\nReturn-Path: b\r\n")).stored,
		     "\r\nReturn-Path: b\r\n");
	assert_slice(take(b, INTAKE_STRIP_TRACE, SL("Return-Path: b")).stored, "");
	assert_slice(take(b, INTAKE_STRIP_TRACE, SL("Return-Path: b\nX: y\n\nz")).stored,
		     "X: y\r\n\r\nz");
}

/* Everything that a cut could tear apart, in one message. */
static const char torn[] =
	"Return-Path: <x@y>\r\nReceived: from a\r\n\tby b\r\nRETURN-PATH : z\n folded\rMessage-ID: <id@x>\r\r\n"
	"From: a@b\r\nFrom: c@d\r\nDelivered-To: Me@Example.org\r\nReceived: two\n"
	"Content-Type: multipart/mixed; boundary=\"=_x\"\r\n\r\npre\r\n--=_x\r\n\r\none\n\n\r\n--=_x\r\n"
	"Content-Type: text/html\r\n\r\n<b>\xc3\xa4</b>\r\r\n\n--=_x--\r\nend\r";

static void same(const struct taken *x, const struct taken *y, size_t at)
{
	if (!slice_eq(x->stored, y->stored) || !slice_eq(x->digest, y->digest) ||
	    memcmp(&x->info.blob, &y->info.blob, sizeof(x->info.blob)) != 0 ||
	    x->info.had_bare_cr_or_lf != y->info.had_bare_cr_or_lf ||
	    x->info.has_8bit != y->info.has_8bit || x->info.had_nul != y->info.had_nul ||
	    x->info.received_fields != y->info.received_fields ||
	    x->info.from_fields != y->info.from_fields)
		fail_msg("cut at %zu: another result", at);
}

static void cut_everywhere(struct bench *b, slice text, unsigned flags)
{
	struct taken want = take(b, flags, text);
	unsigned char sha[32];
	slice *bytes = arena_array(&b->a, text.n + 1, sizeof(*bytes));

	SHA256((const unsigned char *)want.stored.p, want.stored.n, sha);
	assert_memory_equal(sha, want.info.blob.h, 32);
	for (size_t at = 0; at <= text.n; at++) {
		slice two[] = { slice_sub(text, 0, at), slice_from(text, at) };
		slice three[] = { slice_sub(text, 0, at), slice_sub(text, at, 1),
				  slice_from(text, at + 1) };
		struct taken got = take_pieces(b, flags, two, 2);

		same(&want, &got, at);
		got = take_pieces(b, flags, three, 3);
		same(&want, &got, at);
		bytes[at] = slice_sub(text, at, 1);
	}
	struct taken got = take_pieces(b, flags, bytes, text.n);

	same(&want, &got, text.n);
}

static void test_a_message_cut_anywhere_gives_the_same_blob_and_digest(void **state)
{
	struct bench *b = *state;

	cut_everywhere(b, slice_make(torn, sizeof(torn) - 1), INTAKE_STRIP_TRACE);
	cut_everywhere(b, slice_make(torn, sizeof(torn) - 1), 0);
	cut_everywhere(b, SL("a\0b\r\n\r\n\0\r"), INTAKE_STRIP_TRACE);
}

static void test_what_smtp_asks_about_a_message_is_noticed(void **state)
{
	struct bench *b = *state;
	slice text = slice_make(torn, sizeof(torn) - 1);
	struct intake *in = message(b, text);
	const struct intake_info *info = intake_get(in);

	/* The repair of "\r\r\n" ends this header early: what stands behind is body. */
	assert_slice(info->message_id, "id@x");
	assert_int_equal(info->received_fields, 1);
	assert_false(intake_was_delivered_to(in, SL("me@example.org")));
	intake_free(in);
	in = message(
		b,
		SL("Received: a\r\nReceived: b\r\nReceived: c\r\nDelivered-To: Me@Example.org\r\n"
		   "From: a\r\nFrom: b\r\n\r\nReceived: d\r\n"));
	info = intake_get(in);
	assert_int_equal(info->received_fields, 3);
	assert_int_equal(info->from_fields, 2);
	assert_true(intake_was_delivered_to(in, SL("me@example.org")));
	assert_false(intake_was_delivered_to(in, SL("you@example.org")));
	assert_false(info->has_8bit);
	assert_false(info->had_nul);
	intake_free(in);
	in = message(b, SL("x\0y\xff"));
	assert_true(intake_get(in)->had_nul);
	assert_true(intake_get(in)->has_8bit);
	intake_free(in);
}

static void test_a_message_that_is_too_long_is_dropped_while_the_peer_finishes(
	void **state)
{
	struct bench *b = *state;
	struct intake *in = intake_new(b->s, 0, 1000);
	struct store_place place = { .account = b->alice };
	char chunk[4096];

	memset(chunk, 'x', sizeof(chunk));
	OK(intake_write(in, slice_make(chunk, 900), &e));
	FAILS(intake_write(in, slice_make(chunk, 4096), &e), ERR_LIMIT);
	FAILS(intake_write(in, slice_make(chunk, 4096), &e), ERR_LIMIT);
	FAILS(intake_end(in, &e), ERR_LIMIT);
	assert_int_equal(intake_get(in)->size, 900 + 2 * 4096);
	FAILS_IN_TXN(b, b->alice, store_add(t, in, &place, NULL, &e), ERR_LIMIT);
	intake_free(in);
	in = intake_new(b->s, 0, 4096);
	OK(intake_write(in, slice_make(chunk, 4096), &e));
	OK(intake_end(in, &e));
	FAILS(intake_write(in, slice_make(chunk, 1), &e), ERR_CANNOT);
	intake_free(in);
}

static void test_an_unfinished_message_is_freed_and_cannot_be_added(void **state)
{
	struct bench *b = *state;
	struct intake *in = intake_new(b->s, 0, 1000);
	struct store_place place = { .account = b->alice };

	OK(intake_write(in, SL("Subject: x\r\n"), &e));
	FAILS_IN_TXN(b, b->alice, store_add(t, in, &place, NULL, &e), ERR_CANNOT);
	intake_free(in);
	intake_free(NULL);
}

static void test_a_message_of_empty_lines_costs_linear_time_and_little_memory(void **state)
{
	struct bench *b = *state;
	static const char ends[][3] = { "\n", "\r", "\r\n" };
	size_t n = 300000;
	char *p = mem_new(2 * n);

	for (size_t k = 0; k < 3; k++) {
		size_t len = 0;

		for (size_t i = 0; i < n; i++)
			for (const char *c = ends[k]; *c; c++)
				p[len++] = *c;
		struct taken t = take(b, INTAKE_STRIP_TRACE, slice_make(p, len));

		assert_int_equal(t.info.size, 2 * n);
	}
	mem_free(p);
}

static void test_a_large_message_of_any_bytes_comes_back_as_it_was(void **state)
{
	struct bench *b = *state;
	size_t n = 3 << 20;
	char *p = mem_new(n);
	uint32_t seed = 5;
	slice piece[64];
	size_t at = 0, k = 0;

	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525u + 1013904223u;
		p[i] = (char)(seed >> 24);
		if (p[i] == '\r' || p[i] == '\n')
			p[i] = 'x';
	}
	for (size_t i = 998; i + 1 < n; i += 1000) {
		p[i] = '\r';
		p[i + 1] = '\n';
	}
	p[n - 1] = 'x';
	while (k < 63 && at < n) {
		piece[k] = slice_sub(slice_make(p, n), at, 40000 + k * 777);
		at += piece[k++].n;
	}
	piece[k++] = slice_from(slice_make(p, n), at);
	struct taken t = take_pieces(b, 0, piece, k);

	assert_true(slice_eq(t.stored, slice_make(p, n)));
	assert_false(t.info.had_bare_cr_or_lf);
	mem_free(p);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_every_line_end_becomes_crlf_and_nothing_else_changes),
		TEST(test_return_path_fields_of_the_header_go_and_only_those),
		TEST(test_a_message_cut_anywhere_gives_the_same_blob_and_digest),
		TEST(test_what_smtp_asks_about_a_message_is_noticed),
		TEST(test_a_message_that_is_too_long_is_dropped_while_the_peer_finishes),
		TEST(test_an_unfinished_message_is_freed_and_cannot_be_added),
		TEST(test_a_message_of_empty_lines_costs_linear_time_and_little_memory),
		TEST(test_a_large_message_of_any_bytes_comes_back_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
