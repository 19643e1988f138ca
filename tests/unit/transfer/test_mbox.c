/* mboxrd: parse(write(x)) = x, octet for octet, whatever the pieces; mboxes of others are read sensibly. */
#include "base/cleanup.h"
#include "store/store.h"
#include "transfer/mbox.h"
#include "transfer/mbox_sink.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* after the system's headers */
#include <cmocka.h>

/* All that the reader finds as text: "[date]octets{newline,blank}". */
struct found {
	struct buf text;
	int64_t date;
	size_t messages;
	struct buf
		last; /* the octets of the message in hand, end included when it is not blank */
	bool take_newline;
};

static enum status on_from(void *ctx, int64_t date, uint64_t offset, struct err *e)
{
	struct found *f = ctx;
	(void)offset;
	(void)e;
	f->date = date;
	f->messages++;
	buf_reset(&f->last);
	buf_addf(&f->text, "[%lld]", (long long)date);
	return ST_OK;
}

static enum status on_octets(void *ctx, slice s, struct err *e)
{
	struct found *f = ctx;
	(void)e;
	buf_add(&f->text, s);
	buf_add(&f->last, s);
	return ST_OK;
}

static enum status on_end(void *ctx, slice newline, bool is_blank, struct err *e)
{
	struct found *f = ctx;
	(void)e;
	(void)newline;
	buf_addf(&f->text, "{%zu,%d}", newline.n, is_blank);
	return ST_OK;
}

static const struct mbox_events events = { on_from, on_octets, on_end };

static void found_init(struct found *f)
{
	*f = (struct found){ 0 };
	buf_init(&f->text, 8u << 20);
	buf_init(&f->last, 8u << 20);
}

static void found_done(struct found *f)
{
	buf_done(&f->text);
	buf_done(&f->last);
}

static enum status read_in(struct found *f, slice mbox, size_t step)
{
	struct mbox_reader r;
	struct err e;
	enum status st = ST_OK;
	mbox_reader_init(&r, &events, f);
	for (size_t at = 0; at < mbox.n && st == ST_OK; at += step)
		st = mbox_feed(&r, slice_sub(mbox, at, step), &e);
	return st == ST_OK ? mbox_feed_end(&r, &e) : st;
}

#define D "Sun Nov 22 23:18:05 2026"
#define T 1795389485

static void reading_takes_off_what_writing_put_on(void **state)
{
	static const char *const texts[] = {
		"Subject: a\r\n\r\nbody\r\n",
		"Subject: a\r\n\r\nFrom here\r\n>From there\r\n>>From\r\nFromage\r\n",
		"Subject: a\r\n\r\nFrom x " D "\r\n",
		"no end",
		"no end\r\nFrom x " D,
		"From x",
		"From ",
		"Fro",
		">",
		">>>",
		"",
		"\r\n",
		"\r\n\r\n\r\n",
		"Status: RO\r\nX-UID: 9\r\n\r\nStatus of others\r\n",
		"X-Mbox-Export: facteur 1\r\nStatus: R\r\n\r\n",
		"a\r\n\r\n\r\n",
	};
	static const size_t steps[] = { 1, 2, 3, 7, 100000 };
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		for (size_t k = 0; k < 25; k++) {
			struct mbox_writer w = { 0 };
			struct transfer_message m = { .uid = 7,
						      .flags = FLAG_SEEN | FLAG_DRAFT,
						      .date = T,
						      .keywords = SL("$a b") };
			struct found f;
			AUTO_BUF box, kept, words, crlf;
			bool ours;
			buf_init(&box, 1u << 20);
			buf_init(&kept, 1u << 20);
			buf_init(&words, 1u << 20);
			buf_init(&crlf, 1u << 20);
			mbox_head_write(&box, &m, SL("x@y"));
			slice text = slice_str(texts[i]);
			for (size_t at = 0; at < text.n; at += steps[k / 5])
				mbox_write(&w, &box, slice_sub(text, at, steps[k / 5]));
			mbox_end_write(&w, &box);
			size_t one = box.n;
			buf_adds(&box, "From z " D "\nX: next\n\n");
			found_init(&f);
			assert_int_equal(read_in(&f, slice_sub(buf_slice(&box), 0, one),
						 steps[k % 5]),
					 ST_OK);
			assert_int_equal(f.messages, 1);
			assert_true(f.date == T);
			struct transfer_message got = { 0 };
			mbox_header_read(buf_slice(&f.last), &got, &kept, &words, &ours);
			assert_true(ours);
			assert_int_equal(got.uid, 7);
			assert_int_equal(got.flags, FLAG_SEEN | FLAG_DRAFT);
			assert_true(slice_eq(got.keywords, SL("$a b")));
			for (size_t c = 0; c < kept.n; c++) {
				if (kept.p[c] == '\n')
					buf_addc(&crlf, '\r');
				buf_addc(&crlf, kept.p[c]);
			}
			if (!slice_eq(buf_slice(&crlf), text))
				fail_msg("'%s' came back as '%.*s'", texts[i],
					 FMT(buf_slice(&crlf)));
			found_done(&f);
			found_init(&f);
			assert_int_equal(read_in(&f, buf_slice(&box), steps[k % 5]),
					 ST_OK);
			assert_int_equal(f.messages, 2);
			assert_true(slice_eq(buf_slice(&f.last), SL("X: next\n")));
			found_done(&f);
		}
	}
}

static void mboxes_of_others(void **state)
{
	static const struct {
		slice mbox;
		const char *found;
	} t[] = {
		{ S("From a " D "\nS: 1\n\nb\n\nFrom c " D "\nS: 2\n\nd\n"),
		  "[1795389485]S: 1\n\nb\n{1,1}[1795389485]S: 2\n\nd{1,0}" },
		{ S("From a " D "\r\nS: 1\r\n\r\nb\r\n\r\n"),
		  "[1795389485]S: 1\r\n\r\nb\r\n{2,1}" },
		{ S("From a " D "\n\nFrom the start\nFrom me, 2026\n"),
		  "[1795389485]\nFrom the start\nFrom me, 2026{1,0}" },
		{ S("junk in front\nFrom a " D "\nx"), "[1795389485]x{0,0}" },
		{ S("From a " D "\n>From b\n>>From c\n> From\n"),
		  "[1795389485]From b\n>From c\n> From{1,0}" },
		{ S("From a " D "\n"), "[1795389485]{0,0}" },
		{ S("From a " D), "[1795389485]{0,0}" },
		{ S("From a " D "\n\r\r\n\r"), "[1795389485]\r\r\n\r{0,0}" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		for (size_t step = 1; step < 40; step++) {
			struct found f;
			found_init(&f);
			assert_int_equal(read_in(&f, t[i].mbox, step), ST_OK);
			if (!slice_eq(buf_slice(&f.text), slice_str(t[i].found)))
				fail_msg("%zu, step %zu: %.*s", i, step,
					 FMT(buf_slice(&f.text)));
			found_done(&f);
		}
	}
}

static void what_holds_no_message_is_told(void **state)
{
	static const slice bad[] = { S(""), S("\n"), S("PK\3\4"), S("From nobody\n"),
				     S(">From a " D "\n") };
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct found f;
		found_init(&f);
		assert_int_equal(read_in(&f, bad[i], 3), err_status(ERR_CANNOT));
		assert_int_equal(f.messages, 0);
		found_done(&f);
	}
}

static void huge_lines_and_nuls_pass(void **state)
{
	AUTO_BUF b;
	struct found f;
	(void)state;
	buf_init(&b, 8u << 20);
	buf_adds(&b, "From a " D "\n");
	size_t head = b.n;
	for (size_t i = 0; i < (1u << 20); i++)
		buf_addc(&b, i % 3 ? '>' : '\0');
	buf_adds(&b, "\nFrom ");
	for (size_t i = 0; i < 5000; i++)
		buf_addc(&b, 'x');
	buf_adds(&b, "\n");
	found_init(&f);
	assert_int_equal(read_in(&f, buf_slice(&b), 4096), ST_OK);
	assert_true(slice_eq(buf_slice(&f.last),
			     slice_sub(buf_slice(&b), head, b.n - head - 1)));
	found_done(&f);
}

static void from_lines_have_many_dates(void **state)
{
	static const struct {
		const char *line;
		int64_t date; /* -1: none */
	} t[] = {
		{ "From a@b Sun Nov 22 23:18:05 2026", T },
		{ "From a@b  Sun Nov 22 23:18:05 2026\r", T },
		{ "From a b c Sun Nov 22 23:18:05 2026", T },
		{ "From - Sun Nov 22 23:18:05 2026 +0000", T },
		{ "From x Mon Nov 23 00:18:05 +0100 2026", T },
		{ "From x Sun Nov 22 23:18:05 GMT 2026", T },
		{ "From x Sun Nov 22 23:18 2026", T - 5 },
		{ "From Sun Nov 22 23:18:05 2026", T },
		{ "From x Sun Nov  1 00:00:00 2026", 1793491200 },
		{ "From x Xyz Nov 22 23:18:05 2026", -1 },
		{ "From x Sun Nov 32 23:18:05 2026", -1 },
		{ "From x Sun Nov 22 25:18:05 2026", -1 },
		{ "From x Sun Nov 22 23:18:05", -1 },
		{ "From x", -1 },
		{ "From ", -1 },
		{ "from x Sun Nov 22 23:18:05 2026", -1 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		int64_t date = -1;
		bool ok = mbox_from_read(slice_str(t[i].line), &date);
		if (ok != (t[i].date != -1) || date != t[i].date)
			fail_msg("%s: %d %lld", t[i].line, ok, (long long)date);
	}
}

static void status_lines_of_others_are_taken_out(void **state)
{
	AUTO_BUF kept, words;
	struct transfer_message m = { 0 };
	bool ours;
	(void)state;
	buf_init(&kept, 4096);
	buf_init(&words, 4096);
	mbox_header_read(
		SL("From: a\nStatus: RO\nX-Status: AF\nX-Keywords: $Forwarded, work bad(\n"
		   "X-UID: 12\nSubject: b\n Status: no field\nX-Keywords:\n more\n"),
		&m, &kept, &words, &ours);
	assert_false(ours);
	assert_int_equal(m.flags, FLAG_SEEN | FLAG_ANSWERED | FLAG_FLAGGED);
	assert_int_equal(m.uid, 12);
	assert_true(slice_eq(m.keywords, SL("$Forwarded work")));
	assert_true(slice_eq(buf_slice(&kept),
			     SL("From: a\nSubject: b\n Status: no field\n")));
}

static void ledger_and_names(void **state)
{
	static const slice bad[] = { S(""),
				     S("facteur-mbox 1 1 2 3 4"),
				     S("facteur-mbox 2 1 2 3 4 5"),
				     S("facteur-mbox 1 1 2 3 4 5 6"),
				     S("facteur-mbox 1 -1 2 3 4 5"),
				     S("\0\0\0\0") };
	static const char *const names[] = { "INBOX", "..",   ".hidden",
					     "100%",  "a\tb", "\xc3\xa9t\xc3\xa9" };
	const struct mbox_ledger l = { 4294967295u, 17, 1u << 30, 12, 99 };
	struct mbox_ledger got;
	AUTO_BUF b, back;
	(void)state;
	buf_init(&b, 256);
	buf_init(&back, 256);
	mbox_ledger_write(&b, &l);
	assert_true(mbox_ledger_read(buf_slice(&b), &got));
	assert_true(got.uidvalidity == l.uidvalidity && got.uid == 17 &&
		    got.offset == l.offset && got.messages == 12 && got.bytes == 99);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(mbox_ledger_read(bad[i], &got));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		buf_reset(&b);
		buf_reset(&back);
		mbox_part_write(&b, slice_str(names[i]));
		assert_true(b.p[0] != '.' && slice_chr(buf_slice(&b), '/', 0) == b.n);
		assert_true(mbox_part_read(buf_slice(&b), &back));
		assert_true(slice_eq(buf_slice(&back), slice_str(names[i])));
	}
	buf_reset(&b);
	mbox_part_write(&b, SL(".."));
	assert_true(slice_eq(buf_slice(&b), SL("%2E.")));
	assert_false(mbox_part_read(SL("%"), &back));
	assert_false(mbox_part_read(SL("%2"), &back));
	assert_false(mbox_part_read(SL("a%00"), &back));
	assert_false(mbox_part_read(SL("%zz"), &back));
}

static void heads_come_back(void **state)
{
	const struct transfer_message m = { UINT64_MAX, 7,	  FLAG_SEEN,
					    -1,		1u << 20, SL("a b") };
	struct transfer_message got;
	AUTO_BUF b;
	(void)state;
	buf_init(&b, 256);
	transfer_message_write(&b, &m);
	for (size_t n = 0; n < b.n; n++)
		assert_false(transfer_message_read(slice_sub(buf_slice(&b), 0, n), &got));
	assert_true(transfer_message_read(buf_slice(&b), &got));
	assert_true(got.tag == m.tag && got.uid == 7 && got.flags == FLAG_SEEN &&
		    got.date == -1 && got.size == m.size &&
		    slice_eq(got.keywords, m.keywords));
	buf_addc(&b, 'x');
	assert_false(transfer_message_read(buf_slice(&b), &got));
	assert_true(transfer_is_keyword(SL("$Forwarded")));
	static const slice bad[] = { S(""),   S("\\Seen"),   S("a b"), S("a(b"),
				     S("a]"), S("\xc3\xa9"), S("a*") };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(transfer_is_keyword(bad[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading_takes_off_what_writing_put_on),
		cmocka_unit_test(mboxes_of_others),
		cmocka_unit_test(what_holds_no_message_is_told),
		cmocka_unit_test(huge_lines_and_nuls_pass),
		cmocka_unit_test(from_lines_have_many_dates),
		cmocka_unit_test(status_lines_of_others_are_taken_out),
		cmocka_unit_test(ledger_and_names),
		cmocka_unit_test(heads_come_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
