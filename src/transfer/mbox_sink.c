/* mbox_sink.c — an export written as mboxrd. */
#include "transfer/mbox_sink.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "transfer/mbox.h"
#include "transfer/source.h"
#include <fcntl.h>

#define BATCH_BYTES (32u << 20) /* between two syncs */
#define OUT_STEP    (1u << 20)
#define NAME_LONG   238 /* room for .mbox.facteur-tmp */
#define LEDGER_MAX  256

struct mbox_sink {
	int root;
	bool many;
	struct export_watch watch;
	int home;
	slice account; /* own heap */

	int dir, fd;
	struct buf file; /* name in dir */
	struct mbox_ledger ledger;
	struct export_report report;
	uint64_t at;	 /* written to the file */
	uint64_t synced; /* of it, at the last ledger */
	struct buf out;

	struct mbox_writer writer;
	struct transfer_message now;
	struct buf words;
	bool has_head;
	uint64_t start, bytes;
};

struct mbox_sink *mbox_sink_new(int root, bool many, const struct export_watch *w)
{
	struct mbox_sink *s = mem_new(sizeof(*s));
	*s = (struct mbox_sink){
		.root = root,
		.many = many,
		.watch = *w,
		.home = -1,
		.dir = -1,
		.fd = -1,
	};
	buf_init(&s->file, 4096);
	buf_init(&s->out, 4 * OUT_STEP);
	buf_init(&s->words, 64u << 10);
	return s;
}

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void mbox_sink_free(struct mbox_sink *s)
{
	if (s == NULL)
		return;
	shut(&s->fd);
	shut(&s->dir);
	shut(&s->home);
	mem_free((void *)(uintptr_t)s->account.p);
	buf_done(&s->file);
	buf_done(&s->out);
	buf_done(&s->words);
	mem_free(s);
}

/* --- names and ledger --------------------------------------------------------------- */

void mbox_part_write(struct buf *out, slice part)
{
	for (size_t i = 0; i < part.n; i++) {
		unsigned char c = (unsigned char)part.p[i];
		bool odd = c < 32 || c == 127 || c == '%' || c == '/' ||
			   (c == '.' && i == 0);
		if (odd)
			buf_addf(out, "%%%02X", c);
		else
			buf_addc(out, (char)c);
	}
}

static int hex(char c)
{
	if (is_digit(c))
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool mbox_part_read(slice file, struct buf *out)
{
	for (size_t i = 0; i < file.n; i++) {
		if (file.p[i] != '%') {
			buf_addc(out, file.p[i]);
			continue;
		}
		int a = i + 2 < file.n ? hex(file.p[i + 1]) : -1;
		int b = i + 2 < file.n ? hex(file.p[i + 2]) : -1;
		if (a < 0 || b < 0 || a * 16 + b == 0)
			return false;
		buf_addc(out, (char)(a * 16 + b));
		i += 2;
	}
	return true;
}

void mbox_ledger_write(struct buf *out, const struct mbox_ledger *l)
{
	buf_addf(out, "facteur-mbox 1 %u %u %llu %llu %llu\n", l->uidvalidity, l->uid,
		 (unsigned long long)l->offset, (unsigned long long)l->messages,
		 (unsigned long long)l->bytes);
}

bool mbox_ledger_read(slice text, struct mbox_ledger *out)
{
	struct mbox_ledger l;
	slice rest = slice_trim(text);
	if (!slice_eq(slice_cut(&rest, ' '), SL("facteur-mbox")) ||
	    !slice_eq(slice_cut(&rest, ' '), SL("1")) ||
	    !slice_u32(slice_cut(&rest, ' '), &l.uidvalidity) ||
	    !slice_u32(slice_cut(&rest, ' '), &l.uid) ||
	    !slice_u64(slice_cut(&rest, ' '), INT64_MAX, &l.offset) ||
	    !slice_u64(slice_cut(&rest, ' '), INT64_MAX, &l.messages) ||
	    !slice_u64(rest, INT64_MAX, &l.bytes))
		return false;
	*out = l;
	return true;
}

static const char *cstr(struct buf *b)
{
	buf_addc(b, '\0');
	b->n--;
	return b->p;
}

static const char *ledger_name(const struct mbox_sink *s, struct buf *b)
{
	buf_init(b, 512);
	buf_add(b, buf_slice(&s->file));
	buf_adds(b, ".facteur");
	return cstr(b);
}

static enum status ledger_save(struct mbox_sink *s, struct err *e)
{
	AUTO_FD fd = -1;
	AUTO_BUF name, beside, text;
	const char *to = ledger_name(s, &name);
	buf_init(&beside, 512);
	buf_addf(&beside, "%s-tmp", to);
	buf_init(&text, LEDGER_MAX);
	s->ledger.offset = s->at;
	mbox_ledger_write(&text, &s->ledger);
	enum status st = io_at_open(s->dir, cstr(&beside), O_WRONLY | O_CREAT | O_TRUNC,
				    0600, &fd, e);
	if (st == ST_OK)
		st = io_pwrite(fd, buf_slice(&text), 0, e);
	if (st == ST_OK)
		st = io_fdatasync(fd, e);
	return st == ST_OK ? io_at_rename(s->dir, beside.p, s->dir, to, e) : st;
}

/* ST_NOT_FOUND: there is none. */
static enum status ledger_load(struct mbox_sink *s, struct err *e)
{
	AUTO_FD fd = -1;
	AUTO_BUF name;
	char text[LEDGER_MAX];
	uint64_t size;
	enum status st = io_at_open(s->dir, ledger_name(s, &name), O_RDONLY, 0, &fd, e);
	if (st == ST_OK)
		st = io_size(fd, &size, e);
	if (st != ST_OK)
		return st;
	size_t n = size < sizeof(text) ? (size_t)size : sizeof(text);
	st = io_pread(fd, text, n, 0, e);
	if (st == ST_OK && !mbox_ledger_read(slice_make(text, n), &s->ledger)) {
		err_set(e, ERR_CANNOT, "its ledger cannot be read: export elsewhere");
		st = ST_INVALID;
	}
	return st;
}

/* --- accounts and mailboxes --------------------------------------------------------- */

static enum status make_dir(int in, const char *name, int *out_fd, struct err *e)
{
	enum status st = io_at_mkdir(in, name, 0700, e);
	return st == ST_OK ? io_at_open(in, name, O_RDONLY | O_DIRECTORY, 0, out_fd, e)
			   : st;
}

static enum status account(void *ctx, slice address, struct err *e)
{
	struct mbox_sink *s = ctx;
	AUTO_BUF name;
	buf_init(&name, 4096);
	shut(&s->home);
	mbox_part_write(&name, address);
	mem_free((void *)(uintptr_t)s->account.p);
	s->account = slice_make(memcpy(mem_new(address.n + 1), address.p, address.n),
				address.n);
	if (!s->many)
		return io_at_open(s->root, ".", O_RDONLY | O_DIRECTORY, 0, &s->home, e);
	return make_dir(s->root, cstr(&name), &s->home, e);
}

/* Without a dot: "a.mbox/b" would take the place of the file of "a". */
static void dir_part_write(struct buf *out, slice part)
{
	while (slice_chr(part, '.', 0) < part.n) {
		mbox_part_write(out, slice_cut(&part, '.'));
		buf_adds(out, "%2E");
	}
	mbox_part_write(out, part);
}

/* Opens the directory of the mailbox's file and names it. */
static enum status open_dir(struct mbox_sink *s, slice mailbox, struct err *e)
{
	enum status st = io_at_open(s->home, ".", O_RDONLY | O_DIRECTORY, 0, &s->dir, e);
	while (st == ST_OK) {
		bool last = slice_chr(mailbox, '/', 0) == mailbox.n;
		int next;
		buf_reset(&s->file);
		if (last)
			mbox_part_write(&s->file, mailbox);
		else
			dir_part_write(&s->file, slice_cut(&mailbox, '/'));
		if (s->file.n > NAME_LONG) {
			err_set(e, ERR_CANNOT, "its name is too long for a file");
			return ST_INVALID;
		}
		if (last)
			break;
		st = make_dir(s->dir, cstr(&s->file), &next, e);
		if (st == ST_OK) {
			shut(&s->dir);
			s->dir = next;
		}
	}
	buf_adds(&s->file, ".mbox");
	return st;
}

/* Cuts the file where the ledger says it is durable. */
static enum status open_file(struct mbox_sink *s, uint32_t uidvalidity, struct err *e)
{
	uint64_t size = 0;
	s->ledger = (struct mbox_ledger){ .uidvalidity = uidvalidity };
	enum status st = ledger_load(s, e);
	bool is_new = st == ST_NOT_FOUND;
	if (is_new || st == ST_OK)
		st = io_at_open(s->dir, cstr(&s->file), O_RDWR | O_CREAT, 0600, &s->fd,
				e);
	if (st == ST_OK)
		st = io_size(s->fd, &size, e);
	if (st != ST_OK)
		return st;
	if (s->ledger.uidvalidity != uidvalidity || (is_new && size > 0) ||
	    size < s->ledger.offset) {
		err_set(e, ERR_CANNOT,
			"its file is of another export or was changed: export elsewhere");
		return ST_INVALID;
	}
	s->at = s->synced = s->ledger.offset;
	if (is_new) { /* what is begun now is ours, whenever it breaks off */
		st = ledger_save(s, e);
		if (st != ST_OK)
			return st;
	}
	return size > s->at ? io_truncate(s->fd, s->at, e) : ST_OK;
}

static enum status box_begin(void *ctx, const struct export_box *box,
			     struct export_ranges *have, struct err *e)
{
	struct mbox_sink *s = ctx;
	s->report = (struct export_report){ .account = s->account, .box = box->name };
	if (!box->exists)
		return ST_OK;
	enum status st = open_dir(s, box->name, e);
	if (st == ST_OK)
		st = open_file(s, box->uidvalidity, e);
	if (st != ST_OK) {
		shut(&s->fd);
		shut(&s->dir);
		return st;
	}
	s->report.had = s->ledger.messages;
	if (s->ledger.uid > 0) {
		export_ranges_add(have, 1);
		have->at[0].last = s->ledger.uid;
	}
	return ST_OK;
}

/* --- messages ----------------------------------------------------------------------- */

static enum status flush_out(struct mbox_sink *s, struct err *e)
{
	enum status st = io_pwrite(s->fd, buf_slice(&s->out), s->at, e);
	s->at += s->out.n;
	buf_reset(&s->out);
	return st;
}

static enum status sync_all(struct mbox_sink *s, struct err *e)
{
	enum status st = flush_out(s, e);
	if (st == ST_OK && s->at == s->synced)
		return ST_OK;
	if (st == ST_OK)
		st = io_fdatasync(s->fd, e);
	if (st == ST_OK)
		st = ledger_save(s, e);
	s->synced = s->at;
	return st;
}

static enum status message(void *ctx, const struct transfer_message *m, struct err *e)
{
	struct mbox_sink *s = ctx;
	(void)e;
	s->now = *m;
	buf_reset(&s->words);
	buf_add(&s->words, m->keywords);
	s->now.keywords = buf_slice(&s->words);
	s->has_head = false;
	s->start = s->at + s->out.n;
	s->bytes = 0;
	s->writer = (struct mbox_writer){ 0 };
	return ST_OK;
}

/* "Return-Path: <x>" as the first line of what was delivered by SMTP. */
static slice sender_of(slice octets)
{
	slice line = slice_sub(octets, 0, slice_chr(octets, '\r', 0));
	if (!slice_istarts(line, SL("Return-Path: <")) || !slice_ends(line, SL(">")))
		return SL("");
	return slice_sub(line, 14, line.n - 15);
}

static void put_head(struct mbox_sink *s, slice octets)
{
	if (!s->has_head)
		mbox_head_write(&s->out, &s->now, sender_of(octets));
	s->has_head = true;
}

static enum status data(void *ctx, slice octets, struct err *e)
{
	struct mbox_sink *s = ctx;
	put_head(s, octets);
	s->bytes += octets.n;
	mbox_write(&s->writer, &s->out, octets);
	return s->out.n >= OUT_STEP ? flush_out(s, e) : ST_OK;
}

static enum status end(void *ctx, bool keep, struct err *e)
{
	struct mbox_sink *s = ctx;
	if (!keep) { /* what came of it is cut off again */
		enum status st = flush_out(s, e);
		s->at = s->start;
		return st == ST_OK ? io_truncate(s->fd, s->start, e) : st;
	}
	put_head(s, SL(""));
	mbox_end_write(&s->writer, &s->out);
	s->ledger.uid = s->now.uid;
	s->ledger.messages++;
	s->ledger.bytes += s->bytes;
	s->report.written++;
	s->report.written_bytes += s->bytes;
	s->watch.progress(s->watch.ctx, 1, s->bytes);
	if (s->at + s->out.n - s->synced >= BATCH_BYTES)
		return sync_all(s, e);
	return s->out.n >= OUT_STEP ? flush_out(s, e) : ST_OK;
}

/* --- the end of a mailbox ----------------------------------------------------------- */

static enum status box_end(void *ctx, const struct export_box_end *x, struct err *e)
{
	struct mbox_sink *s = ctx;
	struct export_report *r = &s->report;
	if (s->fd < 0)
		return ST_OK; /* a name alone */
	enum status st = sync_all(s, e);
	if (st == ST_OK)
		st = io_sync_fs(s->dir, e);
	if (st == ST_OK && s->at > 0)
		st = mbox_count(s->fd, &r->verified, &r->verified_bytes, e);
	if (st == ST_OK) {
		r->failed = x->failed;
		r->gone = r->had - (x->had < r->had ? x->had : r->had);
		r->is_complete = r->written == x->sent &&
				 r->written_bytes == x->sent_bytes &&
				 r->verified == s->ledger.messages &&
				 r->verified_bytes == s->ledger.bytes;
		s->watch.report(s->watch.ctx, r);
	}
	shut(&s->fd);
	shut(&s->dir);
	return st;
}

static void total(void *ctx, uint64_t messages, uint64_t bytes)
{
	struct mbox_sink *s = ctx;
	s->watch.total(s->watch.ctx, messages, bytes);
}

static void failed(void *ctx, slice who, slice box, uint32_t uid, slice why)
{
	struct mbox_sink *s = ctx;
	s->watch.failed(s->watch.ctx, who.n > 0 ? who : s->account, box, uid, why);
}

const struct export_sink mbox_sink_ops = {
	.total = total,
	.account = account,
	.box_begin = box_begin,
	.message = message,
	.data = data,
	.end = end,
	.box_end = box_end,
	.failed = failed,
};
