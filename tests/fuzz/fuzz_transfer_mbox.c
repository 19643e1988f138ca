/* fuzz_transfer_mbox.c — mboxes: pieces of any size give the same messages, and what is written comes back.
 *
 * The input is read as an mbox, whole and in pieces; then it is taken for a message (with CRLF at every
 * line's end), written between two others and read again. */
#include "base/cleanup.h"
#include "transfer/mbox.h"
#include "transfer/mbox_sink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define CHECK(x)                          \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

struct found {
	struct buf text, last;
	size_t messages;
};

static enum status on_from(void *ctx, int64_t date, uint64_t offset, struct err *e)
{
	struct found *f = ctx;
	(void)e;
	f->messages++;
	buf_reset(&f->last);
	buf_addf(&f->text, "[%lld %llu]", (long long)date, (unsigned long long)offset);
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
	buf_add(&f->text, newline);
	buf_addf(&f->text, "{%d}", is_blank);
	return ST_OK;
}

static void read_in(struct found *f, slice s, size_t step)
{
	static const struct mbox_events events = { on_from, on_octets, on_end };
	struct mbox_reader r;
	struct err e;

	*f = (struct found){ 0 };
	buf_init(&f->text, 64u << 20);
	buf_init(&f->last, 64u << 20);
	mbox_reader_init(&r, &events, f);
	for (size_t at = 0; at < s.n; at += step)
		CHECK(mbox_feed(&r, slice_sub(s, at, step), &e) == ST_OK);
	CHECK((mbox_feed_end(&r, &e) == ST_OK) == (f->messages > 0));
}

static void found_done(struct found *f)
{
	buf_done(&f->text);
	buf_done(&f->last);
}

static void pieces_agree(slice s)
{
	struct found whole, parts;

	read_in(&whole, s, s.n + 1);
	read_in(&parts, s, 1 + s.n % 5);
	CHECK(slice_eq(buf_slice(&whole.text), buf_slice(&parts.text)));
	found_done(&whole);
	found_done(&parts);
}

static void header_is_taken_apart(slice s)
{
	AUTO_BUF kept = { 0 }, words = { 0 };
	struct transfer_message m = { 0 };
	bool ours;

	buf_init(&kept, s.n + 1);
	buf_init(&words, s.n + 1);
	mbox_header_read(s, &m, &kept, &words, &ours);
	CHECK(!kept.full && !words.full);
}

static void comes_back(slice s)
{
	AUTO_BUF crlf = { 0 }, box = { 0 }, kept = { 0 }, words = { 0 }, again = { 0 };
	struct transfer_message m = { .uid = 1, .flags = 1 }, got = { 0 };
	struct mbox_writer w = { 0 };
	struct found f;
	bool ours;

	buf_init(&crlf, 2 * s.n + 2);
	buf_init(&box, 8 * s.n + 4096);
	buf_init(&kept, 8 * s.n + 4096);
	buf_init(&words, 4096);
	buf_init(&again, 8 * s.n + 4096);
	for (size_t i = 0; i < s.n;
	     i++) { /* a stored message has no CR and no LF alone */
		if (s.p[i] == '\n')
			buf_addc(&crlf, '\r');
		if (s.p[i] != '\r')
			buf_addc(&crlf, s.p[i]);
	}
	mbox_head_write(&box, &m, SL("a@b"));
	for (size_t at = 0; at < crlf.n; at += 3)
		mbox_write(&w, &box, slice_sub(buf_slice(&crlf), at, 3));
	mbox_end_write(&w, &box);
	CHECK(!box.full);
	read_in(&f, buf_slice(&box), 7);
	CHECK(f.messages == 1);
	mbox_header_read(buf_slice(&f.last), &got, &kept, &words, &ours);
	CHECK(ours && got.uid == 1 && got.flags == 1);
	for (size_t i = 0; i < kept.n; i++) {
		if (kept.p[i] == '\n')
			buf_addc(&again, '\r');
		buf_addc(&again, kept.p[i]);
	}
	CHECK(slice_eq(buf_slice(&again), buf_slice(&crlf)));
	found_done(&f);
}

static void ledger_and_names(slice s)
{
	AUTO_BUF b = { 0 }, back = { 0 };
	struct mbox_ledger l, again;

	buf_init(&b, 4 * s.n + 256);
	buf_init(&back, 4 * s.n + 256);
	if (mbox_ledger_read(s, &l)) {
		mbox_ledger_write(&b, &l);
		CHECK(mbox_ledger_read(buf_slice(&b), &again));
		CHECK(again.offset == l.offset && again.uid == l.uid);
	}
	buf_reset(&b);
	mbox_part_write(&b, s);
	if (slice_chr(s, '\0', 0) == s.n) {
		CHECK(mbox_part_read(buf_slice(&b), &back));
		CHECK(slice_eq(buf_slice(&back), s));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	slice s = slice_make(data, n);

	pieces_agree(s);
	header_is_taken_apart(s);
	comes_back(s);
	ledger_and_names(s);
	return 0;
}
