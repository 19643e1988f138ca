/* mbox_source.c — an mbox of others, or a directory of them. */
#include "base/cleanup.h"
#include "base/io.h"
#include "base/limits.h"
#include "store/store.h"
#include "transfer/mbox.h"
#include "transfer/mbox_sink.h"
#include "transfer/source.h"
#include <fcntl.h>

#define HEADER_MAX \
	(1u << 20) /* gathered to look for Status; a longer one is cut in two */
#define DEPTH_MAX LIMIT_MAILBOX_DEPTH
#define FILES_MAX LIMIT_MAILBOXES

struct mbox_file {
	char *path; /* below root, own heap */
	slice box;  /* own heap, in the same arena */
};
struct reader {
	struct source *s;
	struct arena names;
	struct mbox_file *file;
	size_t n_file, cap_file;
	/* message */
	int64_t date;
	uint64_t offset;
	uint64_t number;
	struct buf header, kept, words;
	bool in_body, is_ours, any;
	char *piece;
	/* The first message begins the mailbox: a file that is no mbox makes none. */
	struct import_box box;
	bool box_waits; /* not begun yet */
	bool is_refused;
};

/* ST_INVALID, and told: the account will not have it. */
static enum status begin_box(struct reader *r, struct err *e)
{
	if (!r->box_waits)
		return ST_OK;
	enum status st = source_box_begin(r->s, &r->box, e);
	r->box_waits = false;
	r->is_refused = st == ST_INVALID;
	return st;
}

/* --- one message -------------------------------------------------------------------- */

static enum status begin(struct reader *r, struct err *e)
{
	char name[64];
	struct transfer_message m = { .date = r->date };
	buf_reset(&r->kept);
	buf_reset(&r->words);
	mbox_header_read(buf_slice(&r->header), &m, &r->kept, &r->words, &r->is_ours);
	if (!r->s->keep_uids)
		m.uid = 0;
	int n = snprintf(name, sizeof(name), "message %llu at octet %llu",
			 (unsigned long long)r->number, (unsigned long long)r->offset);
	r->in_body = true;
	enum status st = begin_box(r, e);
	if (st == ST_OK)
		st = source_begin(r->s, &m, slice_make(name, (size_t)n), e);
	return st == ST_OK ? source_data(r->s, buf_slice(&r->kept), e) : st;
}

static enum status on_from(void *ctx, int64_t date, uint64_t offset, struct err *e)
{
	struct reader *r = ctx;
	(void)e;
	r->date = date;
	r->offset = offset;
	r->number++;
	r->in_body = false;
	buf_reset(&r->header);
	return ST_OK;
}

/* Behind the last line of the header, or 0. */
static size_t header_end(slice s, size_t from)
{
	for (size_t at = from > 3 ? from - 3 : 0; at < s.n; at++) {
		at = slice_chr(s, '\n', at);
		if (slice_starts(slice_from(s, at), SL("\n\n")))
			return at + 1;
		if (slice_starts(slice_from(s, at), SL("\n\r\n")))
			return at + 1;
	}
	return 0;
}

static enum status on_octets(void *ctx, slice octets, struct err *e)
{
	struct reader *r = ctx;
	if (r->in_body)
		return source_data(r->s, octets, e);
	size_t before = r->header.n, room = HEADER_MAX - before;
	buf_add(&r->header, slice_sub(octets, 0, room));
	slice all = buf_slice(&r->header);
	bool at_once = all.n > 0 && (all.p[0] == '\n' || all.p[0] == '\r');
	size_t end = at_once ? 0 : header_end(all, before);
	if (!at_once && end == 0 && r->header.n < HEADER_MAX)
		return ST_OK;
	if (!at_once && end == 0)
		end = r->header.n;
	/* what is behind the header, in the buffer and in these octets */
	AUTO_BUF rest;
	buf_init(&rest, HEADER_MAX + 1);
	buf_add(&rest, slice_from(all, end));
	r->header.n = end;
	enum status st = begin(r, e);
	if (st == ST_OK)
		st = source_data(r->s, buf_slice(&rest), e);
	return st == ST_OK ? source_data(r->s, slice_from(octets, room), e) : st;
}

static enum status on_end(void *ctx, slice newline, bool is_blank, struct err *e)
{
	struct reader *r = ctx;
	enum status st = r->in_body ? ST_OK : begin(r, e);
	if (st == ST_OK && !r->is_ours && !is_blank)
		st = source_data(r->s, newline, e);
	return st == ST_OK ? source_end(r->s, e) : st;
}

static const struct mbox_events events = { .from = on_from,
					   .octets = on_octets,
					   .end = on_end };

/* --- one file ----------------------------------------------------------------------- */

static void reader_init(struct reader *r, struct source *s)
{
	*r = (struct reader){ .s = s };
	arena_init(&r->names);
	buf_init(&r->header, HEADER_MAX);
	buf_init(&r->kept, HEADER_MAX);
	buf_init(&r->words, 64u << 10);
	r->piece = mem_new(SOURCE_PIECE);
}

static void reader_done(struct reader *r)
{
	arena_release(&r->names);
	buf_done(&r->header);
	buf_done(&r->kept);
	buf_done(&r->words);
	mem_free(r->file);
	mem_free(r->piece);
}

/* ST_INVALID: it is no mbox; otherwise failures are those of the other side. */
static enum status read_file(struct reader *r, int fd, struct err *e)
{
	struct mbox_reader m;
	uint64_t size = 0;
	struct err why = { 0 };
	mbox_reader_init(&m, &events, r);
	r->number = 0;
	enum status st = io_size(fd, &size, e);
	for (uint64_t at = 0; at < size && st == ST_OK;) {
		size_t n = size - at < SOURCE_PIECE ? (size_t)(size - at) : SOURCE_PIECE;
		if (io_pread(fd, r->piece, n, at, &why) != ST_OK) {
			if (m.in_message && r->in_body)
				return source_abort(r->s, why.text, e);
			source_bad(r->s, SL("the file"), why.text);
			return ST_OK;
		}
		st = mbox_feed(&m, slice_make(r->piece, n), e);
		at += n;
	}
	return st == ST_OK && size > 0 ? mbox_feed_end(&m, e) : st;
}

static enum status send_one(struct reader *r, int root, const char *path, slice box,
			    struct err *e)
{
	AUTO_FD fd = -1;
	struct err why = { 0 };
	enum status st = io_at_open(root, path, O_RDONLY | O_NONBLOCK, 0, &fd, &why);
	r->s->report = (struct source_report){ .box = box };
	if (st != ST_OK) {
		source_bad(r->s, slice_str(path), why.text);
		return ST_OK;
	}
	r->box = (struct import_box){ .name = box, .role = SL("") };
	r->box_waits = true;
	r->is_refused = false;
	st = read_file(r, fd, &why);
	if (r->box_waits && st == ST_OK && r->s->report.unreadable == 0)
		st = begin_box(r, &why); /* an empty file is an empty mailbox */
	if (r->is_refused)
		return ST_OK;
	if (st != ST_OK && st != ST_INVALID) {
		*e = why;
		return st;
	}
	if (st == ST_INVALID) {
		r->s->report.box = r->box_waits ? SL("") : box;
		source_bad(r->s, slice_str(path), why.text);
	}
	return r->box_waits ? ST_OK : source_box_end(r->s, e);
}

/* --- directories -------------------------------------------------------------------- */

struct walk {
	struct reader *r;
	int dir;
	slice path, box; /* of the directory; empty at the top */
	unsigned depth;
	bool full;
};

static void add_file(struct walk *w, slice name, slice part)
{
	struct reader *r = w->r;
	AUTO_BUF plain;
	buf_init(&plain, 4096);
	if (r->n_file == FILES_MAX) {
		w->full = true;
		return;
	}
	if (!mbox_part_read(part, &plain)) {
		buf_reset(&plain);
		buf_add(&plain, part);
	}
	if (r->n_file == r->cap_file) {
		r->cap_file = r->cap_file ? r->cap_file * 2 : 64;
		r->file = mem_grow(r->file, r->cap_file, sizeof(*r->file));
	}
	slice path = w->path.n > 0
			     ? arena_fmt(&r->names, "%.*s/%.*s", FMT(w->path), FMT(name))
			     : name;
	slice box = w->box.n > 0 ? arena_fmt(&r->names, "%.*s/%.*s", FMT(w->box),
					     FMT(buf_slice(&plain)))
				 : arena_dup(&r->names, buf_slice(&plain));
	if (slice_ieq(box, SL("inbox")))
		box = SL("INBOX");
	r->file[r->n_file++] =
		(struct mbox_file){ .path = arena_cstr(&r->names, path), .box = box };
}

static void walk_dir(struct reader *r, int dir, slice path, slice box, unsigned depth);

static void enter(struct walk *w, slice name)
{
	AUTO_FD fd = -1;
	AUTO_BUF plain;
	struct err why = { 0 };
	slice part = slice_ends(name, SL(".sbd")) ? slice_sub(name, 0, name.n - 4) : name;
	buf_init(&plain, 4096);
	if (!mbox_part_read(part, &plain)) {
		buf_reset(&plain);
		buf_add(&plain, part);
	}
	struct arena *a = &w->r->names;
	slice path = w->path.n > 0 ? arena_fmt(a, "%.*s/%.*s", FMT(w->path), FMT(name))
				   : arena_dup(a, name);
	slice box = w->box.n > 0 ? arena_fmt(a, "%.*s/%.*s", FMT(w->box),
					     FMT(buf_slice(&plain)))
				 : arena_dup(a, buf_slice(&plain));
	if (w->depth >= DEPTH_MAX ||
	    io_at_open(w->dir, arena_cstr(a, name), O_RDONLY | O_DIRECTORY, 0, &fd,
		       &why) != ST_OK) {
		source_bad(w->r->s, path, why.code ? why.text : "too deep");
		return;
	}
	walk_dir(w->r, fd, path, box, w->depth + 1);
}

static bool take_name(void *ctx, const char *file)
{
	struct walk *w = ctx;
	struct io_stat st;
	struct err why = { 0 };
	slice name = slice_str(file);
	if (file[0] == '.' || slice_ends(name, SL(".msf")) ||
	    slice_ends(name, SL(".facteur")) || slice_ends(name, SL(".facteur-tmp")))
		return true;
	if (io_at_stat(w->dir, file, &st, &why) != ST_OK) {
		source_bad(w->r->s, name, why.text);
		return true;
	}
	if (st.kind == IO_KIND_DIR)
		enter(w, name);
	else if (st.kind == IO_KIND_FILE)
		add_file(w, name,
			 slice_ends(name, SL(".mbox")) ? slice_sub(name, 0, name.n - 5)
						       : name);
	else
		source_bad(w->r->s, name, "not a regular file");
	return true;
}

static void walk_dir(struct reader *r, int dir, slice path, slice box, unsigned depth)
{
	struct err why = { 0 };
	struct walk w = { r, dir, path, box, depth, false };
	if (io_at_list(dir, take_name, &w, &why) != ST_OK)
		source_bad(r->s, path, why.text);
	if (w.full)
		source_bad(r->s, path, "more files than an account may have mailboxes");
}

static int by_box(const void *x, const void *y)
{
	const struct mbox_file *a = x, *b = y;
	return slice_cmp(a->box, b->box);
}

static enum status send_directory(struct reader *r, int root, struct err *e)
{
	enum status st = ST_OK;
	size_t sent = 0;
	walk_dir(r, root, SL(""), SL(""), 0);
	if (r->n_file > 1)
		qsort(r->file, r->n_file, sizeof(*r->file), by_box);
	for (size_t i = 0; i < r->n_file && st == ST_OK; i++) {
		if (r->s->only.n > 0 && !slice_eq(r->s->only, r->file[i].box))
			continue;
		st = send_one(r, root, r->file[i].path, r->file[i].box, e);
		sent++;
	}
	if (st == ST_OK && sent == 0)
		return r->s->only.n > 0
			       ? err_set(e, ERR_NO_MAILBOX,
					 "no mbox for the mailbox %.*s is in the directory",
					 FMT(r->s->only))
			       : err_set(e, ERR_CANNOT,
					 "neither a Maildir nor an mbox is in the directory");
	return st;
}

static slice box_of_file(struct reader *r, slice file)
{
	struct walk w = { .r = r, .path = SL(""), .box = SL("") };
	add_file(&w, file,
		 slice_ends(file, SL(".mbox")) ? slice_sub(file, 0, file.n - 5) : file);
	return r->file[0].box;
}

enum status mbox_source(struct source *s, int root, slice file, slice to, struct err *e)
{
	struct reader r;
	enum status st;
	reader_init(&r, s);
	if (file.n == 0)
		st = send_directory(&r, root, e);
	else
		st = send_one(&r, root, arena_cstr(&r.names, file),
			      to.n > 0 ? to : box_of_file(&r, file), e);
	reader_done(&r);
	return st;
}

/* --- counting what we have written -------------------------------------------------- */

static void ignore_total(void *ctx, uint64_t n)
{
	(void)ctx;
	(void)n;
}

static void ignore_progress(void *ctx, uint64_t n, uint64_t bytes)
{
	(void)ctx;
	(void)n;
	(void)bytes;
}

static void ignore_refused(void *ctx, slice box, slice name, const char *why)
{
	(void)ctx;
	(void)box;
	(void)name;
	(void)why;
}

enum status mbox_count(int fd, uint64_t *out_messages, uint64_t *out_bytes, struct err *e)
{
	struct source s;
	struct reader r;
	const struct source_watch w = { .total = ignore_total,
					.progress = ignore_progress,
					.refused = ignore_refused };
	source_init(&s, &w);
	reader_init(&r, &s);
	enum status st = read_file(&r, fd, e);
	*out_messages = s.report.found;
	*out_bytes = s.report.found_bytes;
	reader_done(&r);
	source_done(&s);
	return st;
}
