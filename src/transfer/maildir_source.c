/* maildir_source.c — a Maildir++ of others, read in the order of its UIDs.
 *
 * Memory does not grow with the names in a directory: a pass over it keeps the WINDOW
 * smallest that are behind the last one sent, and there are as many passes as it takes.
 * Only where dovecot-uidlist gives UIDs is there a table, 16 octets a line. */
#include "base/cleanup.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/limits.h"
#include "store/store.h"
#include "transfer/maildir.h"
#include "transfer/source.h"
#include <fcntl.h>

#define WINDOW	   40000
#define SMALL_FILE (16u << 20) /* subscriptions, dovecot-keywords */
#define UID_NONE   UINT32_MAX
#define MOVES	   3 /* of a file, each while it was looked for */

struct file {
	uint32_t uid; /* UID_NONE: no UID is known; they come last */
	bool is_new;  /* in new/ */
	int64_t date; /* of the name: delivery order where there are no UIDs */
	char *name;   /* own heap */
};
struct uid_of {
	uint64_t hash;
	uint32_t uid;
};
struct folder {
	char *dir; /* own heap; "" is INBOX */
	slice name;
};

struct reader {
	struct source *s;
	int root, box, cur, fresh;
	struct arena names;
	struct folder *folder;
	size_t n_folder, cap_folder;
	struct buf subscriptions, roles;
	/* the mailbox */
	struct siphash_key key;
	struct uid_of *uid;
	size_t n_uid, cap_uid;
	uint32_t uidvalidity, uidnext;
	slice keyword[MAILDIR_LETTERS];
	struct arena words;
	struct file *file;
	size_t n_file;
	bool is_new; /* the directory that is listed */
	struct file last;
	bool has_last;
	char *piece;
	struct buf text;
};

/* --- small files -------------------------------------------------------------------- */

/* Nothing when it is absent, no file, or too long. */
static void read_small(int dir, const char *name, struct buf *out)
{
	AUTO_FD fd = -1;
	struct err ignored;
	uint64_t size = 0;
	buf_reset(out);
	if (io_at_open(dir, name, O_RDONLY | O_NONBLOCK, 0, &fd, &ignored) != ST_OK ||
	    io_size(fd, &size, &ignored) != ST_OK || size > SMALL_FILE ||
	    !buf_reserve(out, (size_t)size))
		return;
	if (io_pread(fd, out->p, (size_t)size, 0, &ignored) == ST_OK)
		out->n = (size_t)size;
}

static void read_keywords(struct reader *r)
{
	AUTO_BUF b;
	buf_init(&b, SMALL_FILE + 1);
	memset(r->keyword, 0, sizeof(r->keyword));
	arena_reset(&r->words);
	read_small(r->box, "dovecot-keywords", &b);
	for (slice rest = buf_slice(&b); rest.n > 0;) {
		unsigned letter;
		slice word;
		if (maildir_keyword_read(slice_cut(&rest, '\n'), &letter, &word) &&
		    transfer_is_keyword(word))
			r->keyword[letter] = arena_dup(&r->words, word);
	}
}

static void take_uid(struct reader *r, slice line)
{
	uint32_t uid;
	slice base;
	if (!maildir_uidlist_read_line(line, &uid, &base))
		return;
	if (r->n_uid == r->cap_uid) {
		r->cap_uid = r->cap_uid ? r->cap_uid + r->cap_uid / 2 : 1024;
		r->uid = mem_grow(r->uid, r->cap_uid, sizeof(*r->uid));
	}
	r->uid[r->n_uid++] = (struct uid_of){ siphash(&r->key, base), uid };
}

static int by_hash(const void *x, const void *y)
{
	const struct uid_of *a = x, *b = y;
	return a->hash < b->hash ? -1 : a->hash > b->hash;
}

/* dovecot-uidlist, in pieces: it may be long. Lines that are none are left out. */
static void read_uidlist(struct reader *r)
{
	AUTO_FD fd = -1;
	struct err ignored;
	uint64_t size = 0, at = 0;
	bool is_first = true;
	r->n_uid = 0;
	r->uidvalidity = r->uidnext = 0;
	if (io_at_open(r->box, "dovecot-uidlist", O_RDONLY | O_NONBLOCK, 0, &fd,
		       &ignored) != ST_OK ||
	    io_size(fd, &size, &ignored) != ST_OK)
		return;
	while (at < size) {
		size_t n = size - at < SOURCE_PIECE ? (size_t)(size - at) : SOURCE_PIECE;
		if (io_pread(fd, r->piece, n, at, &ignored) != ST_OK)
			break;
		size_t end = slice_rchr(slice_make(r->piece, n), '\n');
		if (end == n) /* no line is that long */
			break;
		at += end + 1;
		for (slice rest = slice_make(r->piece, end); rest.n > 0;) {
			slice line = slice_cut(&rest, '\n');
			if (is_first && !maildir_uidlist_read_head(line, &r->uidvalidity,
								   &r->uidnext))
				return;
			if (!is_first)
				take_uid(r, line);
			is_first = false;
		}
	}
	if (r->n_uid > 1)
		qsort(r->uid, r->n_uid, sizeof(*r->uid), by_hash);
}

static uint32_t uid_of(const struct reader *r, slice base)
{
	struct uid_of want = { siphash(&r->key, base), 0 };
	const struct uid_of *u =
		r->n_uid > 0 ? bsearch(&want, r->uid, r->n_uid, sizeof(*r->uid), by_hash)
			     : NULL;
	return u != NULL ? u->uid : UID_NONE;
}

/* --- which files, in which order ---------------------------------------------------- */

static int by_place(const void *x, const void *y)
{
	const struct file *a = x, *b = y;
	if (a->uid != b->uid)
		return a->uid < b->uid ? -1 : 1;
	if (a->date != b->date)
		return a->date < b->date ? -1 : 1;
	int c = strcmp(a->name, b->name);
	return c != 0 ? c : (int)a->is_new - (int)b->is_new;
}

/* Keeps the WINDOW smallest. */
static void trim(struct reader *r)
{
	qsort(r->file, r->n_file, sizeof(*r->file), by_place);
	for (; r->n_file > WINDOW; r->n_file--)
		mem_free(r->file[r->n_file - 1].name);
}

static bool take_file(void *ctx, const char *name)
{
	struct reader *r = ctx;
	struct maildir_name n;
	uint64_t date;
	if (name[0] == '.')
		return true; /* never a message: Maildir's rule */
	maildir_name_read(slice_str(name), &n);
	slice seconds = slice_sub(n.base, 0, slice_chr(n.base, '.', 0));
	struct file f = {
		.uid = uid_of(r, n.base),
		.is_new = r->is_new,
		.date = slice_u64(seconds, INT64_MAX, &date) ? (int64_t)date : INT64_MAX,
		.name = (char *)(uintptr_t)name,
	};
	if (r->has_last && by_place(&f, &r->last) <= 0)
		return true;
	size_t k = strlen(name) + 1;
	f.name = memcpy(mem_new(k), name, k);
	r->file[r->n_file++] = f;
	if (r->n_file == 2 * WINDOW)
		trim(r);
	return true;
}

static enum status list_both(struct reader *r, bool (*fn)(void *ctx, const char *name),
			     struct err *e)
{
	r->is_new = true;
	enum status st = r->fresh >= 0 ? io_at_list(r->fresh, fn, r, e) : ST_OK;
	r->is_new = false;
	if (st == ST_OK && r->cur >= 0)
		st = io_at_list(r->cur, fn, r, e);
	return st;
}

static void file_done(struct file *f)
{
	mem_free(f->name);
	f->name = NULL;
}

/* --- one message -------------------------------------------------------------------- */

static slice words_of(struct reader *r, const struct maildir_name *n)
{
	buf_reset(&r->text);
	for (unsigned i = 0; i < MAILDIR_LETTERS; i++) {
		if (!(n->letters >> i & 1) || r->keyword[i].n == 0)
			continue;
		if (r->text.n > 0)
			buf_addc(&r->text, ' ');
		buf_add(&r->text, r->keyword[i]);
	}
	if (n->is_passed) {
		if (r->text.n > 0)
			buf_addc(&r->text, ' ');
		buf_adds(&r->text, "$Forwarded");
	}
	return buf_slice(&r->text);
}

static enum status send_octets(struct reader *r, int fd, uint64_t size, struct err *e)
{
	enum status st = ST_OK;
	for (uint64_t at = 0; at < size && st == ST_OK;) {
		struct err why = { 0 };
		size_t n = size - at < SOURCE_PIECE ? (size_t)(size - at) : SOURCE_PIECE;
		if (io_pread(fd, r->piece, n, at, &why) != ST_OK)
			return source_abort(r->s, why.text, e);
		st = source_data(r->s, slice_make(r->piece, n), e);
		at += n;
	}
	return st == ST_OK ? source_end(r->s, e) : st;
}

struct search {
	slice base;
	char *name; /* own heap; NULL: not found */
};

static bool take_same(void *ctx, const char *name)
{
	struct search *x = ctx;
	struct maildir_name n;
	maildir_name_read(slice_str(name), &n);
	if (!slice_eq(n.base, x->base))
		return true;
	size_t k = strlen(name) + 1;
	x->name = memcpy(mem_new(k), name, k);
	return false;
}

/* A mail program that sets a flag gives the file another name, one that opens the mailbox
 * moves it to cur/. False: it is gone. */
static bool find_again(struct reader *r, const struct file *was, struct file *out)
{
	struct maildir_name n;
	struct err ignored;
	maildir_name_read(slice_str(was->name), &n);
	struct search x = { .base = n.base };
	*out = *was;
	for (int in_new = 0; in_new < 2 && x.name == NULL; in_new++) {
		int dir = in_new ? r->fresh : r->cur;
		out->is_new = in_new;
		if (dir >= 0)
			(void)!io_at_list(dir, take_same, &x, &ignored);
	}
	out->name = x.name;
	return x.name != NULL;
}

static enum status send_file(struct reader *r, const struct file *f, int tries,
			     struct err *e);

static enum status send_moved(struct reader *r, const struct file *was, int tries,
			      struct err *e)
{
	struct file f;
	if (tries == 0) {
		source_bad(r->s, slice_str(was->name), "it is moved again and again");
		return ST_OK;
	}
	if (!find_again(r, was, &f))
		return ST_OK;
	enum status st = send_file(r, &f, tries - 1, e);
	file_done(&f);
	return st;
}

static enum status send_file(struct reader *r, const struct file *f, int tries,
			     struct err *e)
{
	AUTO_FD fd = -1;
	struct err why = { 0 };
	struct io_stat st;
	struct maildir_name n;
	int dir = f->is_new ? r->fresh : r->cur;
	slice name = slice_str(f->name);
	if (io_at_stat(dir, f->name, &st, &why) == ST_NOT_FOUND)
		return send_moved(r, f, tries, e);
	if (why.code == ERR_NONE && st.kind != IO_KIND_FILE)
		err_set(&why, ERR_CANNOT, "not a regular file");
	else if (why.code == ERR_NONE && st.size == 0)
		err_set(&why, ERR_CANNOT, "an empty file");
	else if (why.code == ERR_NONE)
		(void)!io_at_open(dir, f->name, O_RDONLY | O_NONBLOCK | O_NOATIME, 0, &fd,
				  &why);
	if (fd < 0 && why.code == ERR_IO) { /* O_NOATIME is the owner's alone */
		why = (struct err){ 0 };
		(void)!io_at_open(dir, f->name, O_RDONLY | O_NONBLOCK, 0, &fd, &why);
	}
	if (why.code != ERR_NONE) {
		source_bad(r->s, name, why.text);
		return ST_OK;
	}
	maildir_name_read(name, &n);
	struct transfer_message m = {
		.uid = r->s->keep_uids && f->uid != UID_NONE ? f->uid : 0,
		.flags = n.flags,
		.date = st.mtime_ns / 1000000000,
		.size = st.size,
		.keywords = words_of(r, &n),
	};
	enum status out = source_begin(r->s, &m, name, e);
	return out == ST_OK ? send_octets(r, fd, st.size, e) : out;
}

/* --- one mailbox -------------------------------------------------------------------- */

static bool is_listed(const struct buf *lines, slice mailbox)
{
	AUTO_ARENA a;
	arena_init(&a);
	slice rest = buf_slice(lines);
	bool v2 = slice_starts(rest, SL("V\t2\n"));
	if (v2)
		rest = slice_from(rest, 4);
	while (rest.n > 0) {
		slice name;
		arena_reset(&a);
		if (maildir_subscription_read(&a, slice_cut(&rest, '\n'), v2, &name) &&
		    slice_eq(name, mailbox))
			return true;
	}
	return false;
}

/* "sent Gesendet": what an export of ours says beside. */
static slice role_in(const struct buf *lines, slice mailbox, struct arena *a)
{
	for (slice rest = buf_slice(lines); rest.n > 0;) {
		slice line = slice_cut(&rest, '\n'), role = slice_cut(&line, ' '), name;
		if (maildir_subscription_read(a, line, false, &name) &&
		    slice_eq(name, mailbox))
			return role;
	}
	return SL("");
}

static bool count_file(void *ctx, const char *name)
{
	uint64_t *n = ctx;
	*n += name[0] != '.';
	return true;
}

static enum status send_window(struct reader *r, struct err *e)
{
	enum status st = ST_OK;
	for (size_t i = 0; i < r->n_file; i++) {
		if (st == ST_OK)
			st = send_file(r, &r->file[i], MOVES, e);
		if (i + 1 == r->n_file) { /* the next pass begins behind it */
			if (r->has_last)
				file_done(&r->last);
			r->last = r->file[i];
			r->has_last = true;
		} else {
			file_done(&r->file[i]);
		}
	}
	return st;
}

static enum status send_all(struct reader *r, struct err *e)
{
	enum status st = ST_OK;
	for (bool more = true; more && st == ST_OK;) {
		r->n_file = 0;
		st = list_both(r, take_file, e);
		trim(r);
		more = r->n_file == WINDOW;
		enum status sent = st == ST_OK ? send_window(r, e) : st;
		if (st != ST_OK)
			for (size_t i = 0; i < r->n_file; i++)
				file_done(&r->file[i]);
		st = sent;
	}
	if (r->has_last)
		file_done(&r->last);
	r->has_last = false;
	return st;
}

static void open_dirs(struct reader *r, const struct folder *f)
{
	struct err ignored;
	const char *dir = f->dir[0] != '\0' ? f->dir : ".";
	r->box = r->cur = r->fresh = -1;
	if (io_at_open(r->root, dir, O_RDONLY | O_DIRECTORY, 0, &r->box, &ignored) !=
	    ST_OK)
		r->box = -1;
	if (r->box < 0)
		return;
	if (io_at_open(r->box, "cur", O_RDONLY | O_DIRECTORY, 0, &r->cur, &ignored) !=
	    ST_OK)
		r->cur = -1;
	if (io_at_open(r->box, "new", O_RDONLY | O_DIRECTORY, 0, &r->fresh, &ignored) !=
	    ST_OK)
		r->fresh = -1;
}

static void close_dirs(struct reader *r)
{
	int *fd[] = { &r->box, &r->cur, &r->fresh };
	for (size_t i = 0; i < 3; i++) {
		if (*fd[i] >= 0)
			close(*fd[i]);
		*fd[i] = -1;
	}
}

static enum status send_box(struct reader *r, const struct folder *f, struct err *e)
{
	AUTO_ARENA a;
	arena_init(&a);
	read_uidlist(r);
	read_keywords(r);
	struct import_box box = {
		.name = f->name,
		.role = role_in(&r->roles, f->name, &a),
		.subscribed = is_listed(&r->subscriptions, f->name),
		.uidvalidity = r->s->keep_uids ? r->uidvalidity : 0,
		.uidnext = r->s->keep_uids ? r->uidnext : 0,
	};
	uint64_t n = 0;
	struct err ignored;
	if (r->fresh >= 0)
		(void)!io_at_list(r->fresh, count_file, &n, &ignored);
	if (r->cur >= 0)
		(void)!io_at_list(r->cur, count_file, &n, &ignored);
	r->s->watch.total(r->s->watch.ctx, n);
	enum status st = source_box_begin(r->s, &box, e);
	if (st == ST_INVALID)
		return ST_OK;
	if (st == ST_OK)
		st = send_all(r, e);
	return st == ST_OK ? source_box_end(r->s, e) : st;
}

/* --- folders ------------------------------------------------------------------------ */

static bool take_folder(void *ctx, const char *name)
{
	struct reader *r = ctx;
	struct io_stat st;
	struct err ignored;
	slice box;
	if (name[0] != '.' || io_at_stat(r->root, name, &st, &ignored) != ST_OK ||
	    st.kind != IO_KIND_DIR)
		return true;
	if (!maildir_folder_read(&r->names, slice_str(name), &box)) {
		r->s->report = (struct source_report){ .box = SL("") };
		source_bad(r->s, slice_str(name), "not a folder's name");
		return true;
	}
	if (r->n_folder == r->cap_folder) {
		r->cap_folder = r->cap_folder ? r->cap_folder * 2 : 64;
		r->folder = mem_grow(r->folder, r->cap_folder, sizeof(*r->folder));
	}
	r->folder[r->n_folder++] = (struct folder){
		.dir = arena_cstr(&r->names, slice_str(name)),
		.name = box,
	};
	return true;
}

static int by_name(const void *x, const void *y)
{
	const struct folder *a = x, *b = y;
	return slice_cmp(a->name, b->name);
}

static enum status list_folders(struct reader *r, struct err *e)
{
	r->cap_folder = 64;
	r->folder = mem_array(r->cap_folder, sizeof(*r->folder));
	enum status st = io_at_list(r->root, take_folder, r, e);
	if (st == ST_OK && r->n_folder > 1)
		qsort(r->folder, r->n_folder, sizeof(*r->folder), by_name);
	return st;
}

static bool is_wanted(const struct reader *r, slice name)
{
	return r->s->only.n == 0 || slice_eq(r->s->only, name);
}

static enum status send_folders(struct reader *r, struct err *e)
{
	static char inbox_dir[] = "";
	struct folder inbox = { .dir = inbox_dir, .name = SL("INBOX") };
	enum status st = list_folders(r, e);
	size_t sent = 0;
	for (size_t i = 0; i <= r->n_folder && st == ST_OK; i++) {
		const struct folder *f = i == 0 ? &inbox : &r->folder[i - 1];
		if (!is_wanted(r, f->name))
			continue;
		open_dirs(r, f);
		if (r->cur >= 0 || r->fresh >= 0) {
			st = send_box(r, f, e);
			sent++;
		}
		close_dirs(r);
	}
	if (st == ST_OK && sent == 0)
		return err_set(e, ERR_NO_MAILBOX, "no such mailbox in the Maildir");
	return st;
}

enum status maildir_source(struct source *s, int root, struct err *e)
{
	struct reader *r = mem_new(sizeof(*r));
	*r = (struct reader){ .s = s, .root = root, .box = -1, .cur = -1, .fresh = -1 };
	random_bytes(&r->key, sizeof(r->key));
	arena_init(&r->names);
	arena_init(&r->words);
	buf_init(&r->subscriptions, SMALL_FILE + 1);
	buf_init(&r->roles, SMALL_FILE + 1);
	buf_init(&r->text, (MAILDIR_LETTERS + 1) * (LIMIT_KEYWORD + 1));
	r->piece = mem_new(SOURCE_PIECE);
	r->file = mem_array((size_t)2 * WINDOW, sizeof(*r->file));
	read_small(root, "subscriptions", &r->subscriptions);
	read_small(root, "facteur-special-use", &r->roles);
	enum status st = send_folders(r, e);
	mem_free(r->file);
	mem_free(r->piece);
	mem_free(r->folder);
	mem_free(r->uid);
	buf_done(&r->subscriptions);
	buf_done(&r->roles);
	buf_done(&r->text);
	arena_release(&r->names);
	arena_release(&r->words);
	mem_free(r);
	return st;
}

bool maildir_is_one(int root)
{
	struct io_stat st;
	struct err ignored;
	return (io_at_stat(root, "cur", &st, &ignored) == ST_OK &&
		st.kind == IO_KIND_DIR) ||
	       (io_at_stat(root, "new", &st, &ignored) == ST_OK &&
		st.kind == IO_KIND_DIR);
}
