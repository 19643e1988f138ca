/* maildir_sink.c — an export written as Maildir++. */
#include "transfer/maildir_sink.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "transfer/maildir.h"
#include "transfer/mbox_sink.h"
#include <errno.h>
#include <fcntl.h>

#define BATCH	    1000
#define BATCH_BYTES (64u << 20)
#define NAME_LONG   255
#define LIST_STEP   (1u << 20)

struct entry {			   /* a file in cur/ that is ours */
	uint32_t uid, size, extra; /* extra: CRs that CRLF has more */
	uint32_t date[2];
};
struct moved {
	uint32_t uid, flags, letters;
	int64_t date;
	uint64_t size, vsize;
};

struct maildir_sink {
	int root;
	bool many;
	struct export_watch watch;

	/* account */
	int home;
	slice account; /* own heap */
	struct buf subscriptions, roles;

	/* mailbox */
	int box, cur, tmp;
	struct buf name;
	uint32_t uidvalidity, uidnext;
	struct buf keywords; /* words of the account, each behind a NUL */
	bool told_keyword;
	struct export_report report;
	struct entry *entry;
	size_t n_entry, cap_entry;
	bool is_foreign; /* files of another UIDVALIDITY */

	/* message */
	int fd;
	struct moved now;
	bool cr;
	uint64_t at;
	struct buf out;
	struct moved *batch;
	size_t n_batch;
	uint64_t batch_bytes;
};

struct maildir_sink *maildir_sink_new(int root, bool many, const struct export_watch *w)
{
	struct maildir_sink *s = mem_new(sizeof(*s));
	*s = (struct maildir_sink){
		.root = root,
		.many = many,
		.watch = *w,
		.home = -1,
		.box = -1,
		.cur = -1,
		.tmp = -1,
		.fd = -1,
	};
	buf_init(&s->subscriptions, 64u << 20);
	buf_init(&s->roles, 64u << 10);
	buf_init(&s->name, 64u << 10);
	buf_init(&s->keywords, 64u << 10);
	buf_init(&s->out, 1u << 20);
	s->batch = mem_array(BATCH, sizeof(*s->batch));
	return s;
}

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void box_close(struct maildir_sink *s)
{
	shut(&s->fd);
	shut(&s->cur);
	shut(&s->tmp);
	shut(&s->box);
	mem_free(s->entry);
	s->entry = NULL;
	s->n_entry = s->cap_entry = s->n_batch = 0;
}

void maildir_sink_free(struct maildir_sink *s)
{
	if (s == NULL)
		return;
	box_close(s);
	shut(&s->home);
	mem_free((void *)(uintptr_t)s->account.p);
	buf_done(&s->subscriptions);
	buf_done(&s->roles);
	buf_done(&s->name);
	buf_done(&s->keywords);
	buf_done(&s->out);
	mem_free(s->batch);
	mem_free(s);
}

/* --- small files -------------------------------------------------------------------- */

/* Written beside and moved over: old or new, never half. The sync is the caller's. */
static enum status put_file(int dir, const char *name, slice text, struct err *e)
{
	AUTO_FD fd = -1;
	char beside[64];
	snprintf(beside, sizeof(beside), "%s.facteur-tmp", name);
	enum status st =
		io_at_open(dir, beside, O_WRONLY | O_CREAT | O_TRUNC, 0600, &fd, e);
	if (st == ST_OK)
		st = io_pwrite(fd, text, 0, e);
	if (st == ST_OK)
		st = io_fdatasync(fd, e);
	return st == ST_OK ? io_at_rename(dir, beside, dir, name, e) : st;
}

static enum status make_dir(int in, const char *name, int *out_fd, struct err *e)
{
	enum status st = io_at_mkdir(in, name, 0700, e);
	return st == ST_OK ? io_at_open(in, name, O_RDONLY | O_DIRECTORY, 0, out_fd, e)
			   : st;
}

/* --- accounts ----------------------------------------------------------------------- */

static enum status account_end(struct maildir_sink *s, struct err *e)
{
	enum status st = ST_OK;
	if (s->home < 0)
		return ST_OK;
	if (s->subscriptions.n > 0)
		st = put_file(s->home, "subscriptions", buf_slice(&s->subscriptions), e);
	if (st == ST_OK && s->roles.n > 0)
		st = put_file(s->home, "facteur-special-use", buf_slice(&s->roles), e);
	if (st == ST_OK)
		st = io_sync_fs(s->home, e);
	shut(&s->home);
	return st;
}

static enum status account(void *ctx, slice address, struct err *e)
{
	struct maildir_sink *s = ctx;
	AUTO_BUF name;
	buf_init(&name, 4096);
	enum status st = account_end(s, e);
	if (st != ST_OK)
		return st;
	mem_free((void *)(uintptr_t)s->account.p);
	s->account = slice_make(memcpy(mem_new(address.n + 1), address.p, address.n),
				address.n);
	buf_reset(&s->subscriptions);
	buf_reset(&s->roles);
	if (!s->many)
		return io_at_open(s->root, ".", O_RDONLY | O_DIRECTORY, 0, &s->home, e);
	mbox_part_write(&name, address); /* a local part may hold / and % */
	buf_addc(&name, '\0');
	return make_dir(s->root, name.p, &s->home, e);
}

enum status maildir_sink_finish(struct maildir_sink *s, struct err *e)
{
	return account_end(s, e);
}

/* --- what is there ------------------------------------------------------------------ */

static bool take_file(void *ctx, const char *file)
{
	struct maildir_sink *s = ctx;
	struct maildir_name n;
	maildir_name_read(slice_str(file), &n);
	if (n.uid == 0)
		return true;
	if (n.uidvalidity != s->uidvalidity) {
		s->is_foreign = true;
		return true;
	}
	if (s->n_entry == s->cap_entry) {
		s->cap_entry = s->cap_entry ? s->cap_entry + s->cap_entry / 2 : 1024;
		s->entry = mem_grow(s->entry, s->cap_entry, sizeof(*s->entry));
	}
	s->entry[s->n_entry++] = (struct entry){
		.uid = n.uid,
		.size = (uint32_t)n.size,
		.extra = (uint32_t)(n.vsize - n.size),
		.date = { (uint32_t)n.date, (uint32_t)((uint64_t)n.date >> 32) },
	};
	return true;
}

static int by_uid(const void *x, const void *y)
{
	const struct entry *a = x, *b = y;
	return a->uid < b->uid ? -1 : a->uid > b->uid;
}

/* The files of cur/ that are ours, by UID, each once. */
static enum status scan(struct maildir_sink *s, struct err *e)
{
	size_t n = 0;
	s->n_entry = 0;
	s->is_foreign = false;
	enum status st = io_at_list(s->cur, take_file, s, e);
	if (st != ST_OK || s->n_entry == 0)
		return st;
	qsort(s->entry, s->n_entry, sizeof(*s->entry), by_uid);
	for (size_t i = 0; i < s->n_entry; i++)
		if (n == 0 || s->entry[n - 1].uid != s->entry[i].uid)
			s->entry[n++] = s->entry[i];
	s->n_entry = n;
	return ST_OK;
}

struct left_over {
	int dir;
};

static bool remove_left_over(void *ctx, const char *file)
{
	const struct left_over *l = ctx;
	struct err ignored;
	if (slice_ends(slice_str(file), SL(".facteur-part")))
		(void)!io_at_unlink(l->dir, file, &ignored);
	return true;
}

/* ST_INVALID: the list is of another mailbox. */
static enum status check_uidlist(struct maildir_sink *s, struct err *e)
{
	AUTO_FD fd = -1;
	struct err ignored;
	char line[256];
	uint64_t size;
	uint32_t v, next;
	if (io_at_open(s->box, "dovecot-uidlist", O_RDONLY, 0, &fd, &ignored) != ST_OK)
		return ST_OK;
	if (io_size(fd, &size, e) != ST_OK || size == 0)
		return ST_OK;
	size_t n = size < sizeof(line) ? (size_t)size : sizeof(line);
	enum status st = io_pread(fd, line, n, 0, e);
	if (st != ST_OK)
		return st;
	slice head = slice_sub(slice_make(line, n), 0,
			       slice_chr(slice_make(line, n), '\n', 0));
	if (maildir_uidlist_read_head(head, &v, &next) && v != s->uidvalidity) {
		err_set(e, ERR_CANNOT,
			"its directory holds a mailbox with UIDVALIDITY %u, not %u: export to an empty one",
			v, s->uidvalidity);
		return ST_INVALID;
	}
	return ST_OK;
}

/* --- mailboxes ---------------------------------------------------------------------- */

static void note_box(struct maildir_sink *s, const struct export_box *box)
{
	slice dir = buf_slice(&s->name);
	slice shown = dir.n > 0 ? slice_from(dir, 1) : SL("INBOX");
	if (box->subscribed) {
		buf_add(&s->subscriptions, shown);
		buf_addc(&s->subscriptions, '\n');
	}
	if (box->exists && box->role.n > 0 && !slice_eq(box->role, SL("inbox"))) {
		buf_add(&s->roles, box->role);
		buf_addc(&s->roles, ' ');
		buf_add(&s->roles, shown);
		buf_addc(&s->roles, '\n');
	}
}

static enum status put_keywords(struct maildir_sink *s, const struct export_box *box,
				struct err *e)
{
	AUTO_BUF b;
	buf_init(&b, 64u << 10);
	buf_reset(&s->keywords);
	s->told_keyword = false;
	for (size_t i = 0; i < box->n_keywords; i++) {
		if (i < MAILDIR_LETTERS)
			buf_addf(&b, "%zu %.*s\n", i, FMT(box->keywords[i]));
		buf_addc(&s->keywords, ' ');
		buf_add(&s->keywords, box->keywords[i]);
	}
	return b.n > 0 ? put_file(s->box, "dovecot-keywords", buf_slice(&b), e) : ST_OK;
}

static enum status open_dirs(struct maildir_sink *s, struct err *e)
{
	int fd = -1;
	enum status st;
	if (s->name.n == 0)
		st = io_at_open(s->home, ".", O_RDONLY | O_DIRECTORY, 0, &s->box, e);
	else {
		buf_addc(&s->name, '\0');
		s->name.n--;
		st = make_dir(s->home, s->name.p, &s->box, e);
	}
	if (st == ST_OK)
		st = make_dir(s->box, "cur", &s->cur, e);
	if (st == ST_OK)
		st = make_dir(s->box, "tmp", &s->tmp, e);
	if (st == ST_OK)
		st = make_dir(s->box, "new", &fd, e);
	shut(&fd);
	if (st == ST_OK && s->name.n > 0)
		st = io_at_open(s->box, "maildirfolder", O_WRONLY | O_CREAT, 0600, &fd,
				e);
	shut(&fd);
	return st;
}

static enum status box_begin(void *ctx, const struct export_box *box,
			     struct export_ranges *have, struct err *e)
{
	struct maildir_sink *s = ctx;
	buf_reset(&s->name);
	maildir_folder_write(&s->name, box->name);
	if (s->name.full || s->name.n > NAME_LONG) {
		err_set(e, ERR_CANNOT, "its name is too long for a directory");
		return ST_INVALID;
	}
	note_box(s, box);
	s->uidvalidity = box->uidvalidity;
	s->uidnext = box->uidnext;
	s->report = (struct export_report){ .account = s->account, .box = box->name };
	if (!box->exists)
		return ST_OK;
	enum status st = open_dirs(s, e);
	if (st == ST_OK)
		st = check_uidlist(s, e);
	if (st == ST_OK)
		st = scan(s, e);
	if (st == ST_OK && s->is_foreign) {
		err_set(e, ERR_CANNOT,
			"its directory holds an export of another UIDVALIDITY: export to an empty one");
		st = ST_INVALID;
	}
	struct left_over l = { .dir = s->tmp };
	if (st == ST_OK)
		st = io_at_list(s->tmp, remove_left_over, &l, e);
	if (st == ST_OK)
		st = put_keywords(s, box, e);
	if (st != ST_OK) {
		box_close(s);
		return st;
	}
	for (size_t i = 0; i < s->n_entry; i++)
		export_ranges_add(have, s->entry[i].uid);
	s->report.had = s->n_entry;
	return ST_OK;
}

/* --- batches ------------------------------------------------------------------------ */

static void part_name(char *out, size_t max, uint32_t uid)
{
	snprintf(out, max, "%u.facteur-part", uid);
}

static enum status flush_batch(struct maildir_sink *s, struct err *e)
{
	AUTO_BUF name;
	buf_init(&name, NAME_LONG + 1);
	if (s->n_batch == 0)
		return ST_OK;
	enum status st = io_sync_fs(s->tmp, e);
	for (size_t i = 0; i < s->n_batch && st == ST_OK; i++) {
		const struct moved *m = &s->batch[i];
		char part[48];
		struct maildir_name n = {
			.flags = m->flags,
			.letters = m->letters,
			.uid = m->uid,
			.uidvalidity = s->uidvalidity,
			.date = m->date,
			.size = m->size,
			.vsize = m->vsize,
		};
		buf_reset(&name);
		maildir_name_write(&name, &n);
		buf_addc(&name, '\0');
		part_name(part, sizeof(part), m->uid);
		st = io_at_rename(s->tmp, part, s->cur, name.p, e);
	}
	s->n_batch = 0;
	s->batch_bytes = 0;
	return st;
}

/* --- messages ----------------------------------------------------------------------- */

static void take_keyword(struct maildir_sink *s, slice word, uint32_t *letters)
{
	slice rest = buf_slice(&s->keywords);
	slice_cut(&rest, ' ');
	for (unsigned i = 0; rest.n > 0; i++) {
		if (!slice_eq(slice_cut(&rest, ' '), word))
			continue;
		if (i < MAILDIR_LETTERS)
			*letters |= 1u << i;
		else if (!s->told_keyword) {
			s->told_keyword = true;
			s->watch.failed(
				s->watch.ctx, s->account, s->report.box, 0,
				SL("a Maildir has letters for 26 keywords: those beyond are left out"));
		}
		return;
	}
}

static enum status message(void *ctx, const struct transfer_message *m, struct err *e)
{
	struct maildir_sink *s = ctx;
	char part[48];
	s->now = (struct moved){ .uid = m->uid, .flags = m->flags, .date = m->date };
	for (slice rest = m->keywords; rest.n > 0;)
		take_keyword(s, slice_cut(&rest, ' '), &s->now.letters);
	s->cr = false;
	s->at = 0;
	buf_reset(&s->out);
	part_name(part, sizeof(part), m->uid);
	return io_at_open(s->tmp, part, O_WRONLY | O_CREAT | O_TRUNC, 0600, &s->fd, e);
}

static enum status flush_out(struct maildir_sink *s, struct err *e)
{
	enum status st = io_pwrite(s->fd, buf_slice(&s->out), s->at, e);
	s->at += s->out.n;
	buf_reset(&s->out);
	return st;
}

/* CRLF becomes LF; a CR that stands alone, which the store never holds, stays. */
static enum status data(void *ctx, slice octets, struct err *e)
{
	struct maildir_sink *s = ctx;
	s->now.vsize += octets.n;
	if (s->cr && octets.n > 0 && octets.p[0] != '\n')
		buf_addc(&s->out, '\r');
	if (octets.n > 0)
		s->cr = false;
	for (size_t at = 0; at < octets.n;) {
		size_t cr = slice_chr(octets, '\r', at);
		buf_add(&s->out, slice_sub(octets, at, cr - at));
		if (cr + 1 == octets.n)
			s->cr = true;
		else if (cr < octets.n && octets.p[cr + 1] != '\n')
			buf_addc(&s->out, '\r');
		at = cr + 1;
	}
	return s->out.n >= s->out.max / 4 ? flush_out(s, e) : ST_OK;
}

static enum status end(void *ctx, bool keep, struct err *e)
{
	struct maildir_sink *s = ctx;
	char part[48];
	if (s->cr)
		buf_addc(&s->out, '\r');
	enum status st = keep ? flush_out(s, e) : ST_OK;
	s->now.size = s->at;
	if (st == ST_OK)
		st = io_set_mtime(s->fd, s->now.date, e);
	shut(&s->fd);
	if (st != ST_OK)
		return st;
	if (!keep) {
		part_name(part, sizeof(part), s->now.uid);
		return io_at_unlink(s->tmp, part, e);
	}
	s->batch[s->n_batch++] = s->now;
	s->batch_bytes += s->now.size;
	s->report.written++;
	s->report.written_bytes += s->now.vsize;
	s->watch.progress(s->watch.ctx, 1, s->now.vsize);
	if (s->n_batch == BATCH || s->batch_bytes >= BATCH_BYTES)
		return flush_batch(s, e);
	return ST_OK;
}

/* --- the end of a mailbox ----------------------------------------------------------- */

/* UIDs and names, as Dovecot keeps them, in pieces of bounded size. */
static enum status put_uidlist(struct maildir_sink *s, struct err *e)
{
	AUTO_FD fd = -1;
	AUTO_BUF b, name;
	uint64_t at = 0;
	buf_init(&b, 2 * LIST_STEP);
	buf_init(&name, NAME_LONG + 1);
	enum status st = io_at_open(s->box, "dovecot-uidlist.facteur-tmp",
				    O_WRONLY | O_CREAT | O_TRUNC, 0600, &fd, e);
	maildir_uidlist_head(&b, s->uidvalidity, s->uidnext);
	for (size_t i = 0; i < s->n_entry && st == ST_OK; i++) {
		const struct entry *x = &s->entry[i];
		struct maildir_name n = {
			.uid = x->uid,
			.uidvalidity = s->uidvalidity,
			.date = (int64_t)((uint64_t)x->date[1] << 32 | x->date[0]),
			.size = x->size,
			.vsize = (uint64_t)x->size + x->extra,
		};
		buf_reset(&name);
		maildir_name_write(&name, &n);
		name.n -= 3; /* ":2," */
		maildir_uidlist_line(&b, x->uid, buf_slice(&name));
		if (b.n >= LIST_STEP) {
			st = io_pwrite(fd, buf_slice(&b), at, e);
			at += b.n;
			buf_reset(&b);
		}
	}
	if (st == ST_OK)
		st = io_pwrite(fd, buf_slice(&b), at, e);
	if (st == ST_OK)
		st = io_fdatasync(fd, e);
	return st == ST_OK ? io_at_rename(s->box, "dovecot-uidlist.facteur-tmp", s->box,
					  "dovecot-uidlist", e)
			   : st;
}

struct verify {
	struct maildir_sink *s;
	uint64_t n, bytes;
};

/* A file counts when it is as long as its name says. */
static bool verify_file(void *ctx, const char *file)
{
	struct verify *v = ctx;
	struct maildir_name n;
	struct io_stat st;
	struct err ignored;
	maildir_name_read(slice_str(file), &n);
	if (n.uid != 0 && n.uidvalidity == v->s->uidvalidity &&
	    io_at_stat(v->s->cur, file, &st, &ignored) == ST_OK &&
	    st.kind == IO_KIND_FILE && st.size == n.size) {
		v->n++;
		v->bytes += n.vsize;
	}
	return true;
}

static enum status box_end(void *ctx, const struct export_box_end *x, struct err *e)
{
	struct maildir_sink *s = ctx;
	struct export_report *r = &s->report;
	struct verify v = { .s = s };
	if (s->box < 0)
		return ST_OK; /* a name alone */
	enum status st = flush_batch(s, e);
	if (st == ST_OK)
		st = scan(s, e);
	if (st == ST_OK)
		st = put_uidlist(s, e);
	if (st == ST_OK)
		st = io_sync_fs(s->box, e);
	if (st == ST_OK)
		st = io_at_list(s->cur, verify_file, &v, e);
	if (st == ST_OK) {
		r->failed = x->failed;
		r->gone = r->had - (x->had < r->had ? x->had : r->had);
		r->verified = v.n;
		r->verified_bytes = v.bytes;
		r->is_complete = r->written == x->sent &&
				 r->written_bytes == x->sent_bytes &&
				 v.n == r->had + r->written;
		s->watch.report(s->watch.ctx, r);
	}
	box_close(s);
	return st;
}

static void total(void *ctx, uint64_t messages, uint64_t bytes)
{
	struct maildir_sink *s = ctx;
	s->watch.total(s->watch.ctx, messages, bytes);
}

static void failed(void *ctx, slice who, slice box, uint32_t uid, slice why)
{
	struct maildir_sink *s = ctx;
	s->watch.failed(s->watch.ctx, who.n > 0 ? who : s->account, box, uid, why);
}

const struct export_sink maildir_sink_ops = {
	.total = total,
	.account = account,
	.box_begin = box_begin,
	.message = message,
	.data = data,
	.end = end,
	.box_end = box_end,
	.failed = failed,
};
