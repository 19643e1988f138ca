/* backup_set.c — the directory that holds the backups: which there are, and which go. */
#include "backup/backup.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/limits.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#define NAME_N	20 /* 2026-11-22T23-30-00Z */
#define HIGHEST "HIGHEST"

static const char shape[] = "dddd-dd-ddTdd-dd-ddZ";

static bool has_shape(slice s)
{
	for (size_t i = 0; i < s.n && i < NAME_N; i++)
		if (shape[i] == 'd' ? !is_digit(s.p[i]) : s.p[i] != shape[i])
			return false;
	return true;
}

void backup_name(int64_t time, char out[BACKUP_NAME_ROOM])
{
	struct civil c = civil_from_unix(time, 0);

	snprintf(out, BACKUP_NAME_ROOM, "%04d-%02d-%02dT%02d-%02d-%02dZ", c.year, c.month,
		 c.day, c.hour, c.minute, c.second);
}

/* A name of ours, and the time in it. */
static bool read_name(slice s, struct backup_entry *out)
{
	int v[6] = { 0 }, at = 0;
	struct civil c;

	if (s.n < NAME_N || s.n >= BACKUP_NAME_ROOM || !has_shape(s))
		return false;
	for (size_t i = 0; i < NAME_N; i++) {
		if (shape[i] == 'd')
			v[at] = v[at] * 10 + (s.p[i] - '0');
		else if (at < 5)
			at++;
	}
	slice behind = slice_from(s, NAME_N);

	out->finished = behind.n == 0;
	if (!out->finished && !slice_eq(behind, SL(BACKUP_UNFINISHED)))
		return false;
	c = (struct civil){ .year = v[0],
			    .month = v[1],
			    .day = v[2],
			    .hour = v[3],
			    .minute = v[4],
			    .second = v[5] };
	if (c.year < 1970 || c.month < 1 || c.month > 12 || c.day < 1 || c.day > 31 ||
	    c.hour > 23 || c.minute > 59 || c.second > 60)
		return false;
	out->time = civil_to_unix(&c);
	memcpy(out->name, s.p, s.n);
	out->name[s.n] = '\0';
	return true;
}

struct names {
	struct backup_entry *at;
	size_t n, cap;
};

static bool take_name(void *ctx, const char *name)
{
	struct names *l = ctx;
	struct backup_entry x;

	if (!read_name(slice_str(name), &x))
		return true;
	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 32;
		l->at = mem_grow(l->at, l->cap, sizeof(*l->at));
	}
	l->at[l->n++] = x;
	return l->n < LIMIT_BACKUPS;
}

static int by_name(const void *x, const void *y)
{
	return strcmp(((const struct backup_entry *)x)->name,
		      ((const struct backup_entry *)y)->name);
}

enum status backup_list(const char *dir, struct arena *a, struct backup_entry **out,
			size_t *out_n, struct err *e)
{
	struct names l = { 0 };
	enum status st = io_list_dir(dir, take_name, &l, e);

	if (st == ST_OK && l.n >= LIMIT_BACKUPS)
		st = err_set(e, ERR_LIMIT, "%s holds more than %d backups", dir,
			     LIMIT_BACKUPS);
	if (st == ST_OK) {
		if (l.n)
			qsort(l.at, l.n, sizeof(*l.at), by_name);
		*out = arena_array(a, l.n + 1, sizeof(**out));
		if (l.n)
			memcpy(*out, l.at, l.n * sizeof(**out));
		*out_n = l.n;
	}
	mem_free(l.at);
	return st;
}

/* A whole time or what it begins with, cut where a number ends. Anything else would be
 * compared with names all the same, and find the wrong backup. */
static bool is_time(slice s)
{
	static const size_t ends[] = { 4, 7, 10, 13, 16, 19, NAME_N };

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (s.n == ends[i])
			return has_shape(s);
	return false;
}

enum status backup_find(const char *dir, slice at, struct arena *a,
			struct backup_entry *out, struct err *e)
{
	struct backup_entry *list, *best = NULL;
	size_t n;
	char *want = arena_cstr(a, at);
	enum status st;

	for (size_t i = 0; i < at.n; i++)
		if (want[i] == ':')
			want[i] = '-';
	if (at.n > 0 && !is_time(slice_make(want, at.n)))
		return err_set(e, ERR_SYNTAX,
			       "--at %.*s: expected a time like 2026-11-22 or "
			       "2026-11-22T23:30:00Z (UTC)",
			       FMT(at));
	st = backup_list(dir, a, &list, &n, e);
	if (st != ST_OK)
		return st;
	for (size_t i = 0; i < n; i++)
		if (list[i].finished && strncmp(list[i].name, want, at.n) <= 0)
			best = &list[i];
		else if (list[i].finished && at.n == 0)
			best = &list[i];
	if (!best) {
		err_set(e, ERR_CANNOT, "there is no finished backup%s%s in %s",
			at.n ? " of or before " : "", want, dir);
		return ST_NOT_FOUND;
	}
	*out = *best;
	return ST_OK;
}

/* --- pruning -------------------------------------------------------------------------- */
/* A finished one loses its name first: whatever is left of it by a crash is unfinished. */
static enum status remove_one(const char *dir, const struct backup_entry *x,
			      struct err *e)
{
	AUTO_ARENA a = { 0 };
	const char *path = arena_fmt(&a, "%s/%s", dir, x->name).p;
	enum status st = ST_OK;

	if (x->finished) {
		const char *to = arena_fmt(&a, "%s" BACKUP_UNFINISHED, path).p;

		st = io_remove_tree(to, e);
		if (st == ST_OK)
			st = io_rename(path, to, e);
		path = to;
	}
	return st == ST_OK ? io_remove_tree(path, e) : st;
}

enum status backup_prune(const char *dir, const char *except, size_t keep,
			 size_t *out_removed, struct err *e)
{
	AUTO_ARENA a = { 0 };
	struct backup_entry *list;
	size_t n, finished = 0, removed = 0;
	enum status st = backup_list(dir, &a, &list, &n, e);

	for (size_t i = 0; st == ST_OK && i < n; i++)
		finished += list[i].finished;
	for (size_t i = 0; st == ST_OK && i < n; i++) {
		bool old = list[i].finished && keep > 0 && finished > keep;

		if ((except && strcmp(list[i].name, except) == 0) ||
		    (list[i].finished && !old))
			continue;
		finished -= list[i].finished;
		st = remove_one(dir, &list[i], e);
		removed++;
	}
	if (st == ST_OK)
		*out_removed = removed;
	return st;
}

enum status backup_lock(const char *dir, bool shared, int *out_fd, struct err *e)
{
	int fd;
	enum status st = io_open(dir, O_RDONLY | O_DIRECTORY, 0, &fd, e);

	if (st != ST_OK)
		return st;
	if (flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0) {
		st = errno == EWOULDBLOCK
			     ? err_set(e, ERR_BUSY,
				       "another backup or restore is at work in %s", dir)
			     : err_set(e, ERR_IO, "%s: %s", dir, strerrordesc_np(errno));
		close(fd);
		return st;
	}
	*out_fd = fd;
	return ST_OK;
}

/* --- ids given out -------------------------------------------------------------------- */
enum status backup_highest_read(const char *dir, struct backup_highest *out,
				struct err *e)
{
	AUTO_ARENA a = { 0 };
	AUTO_BUF b = { 0 };
	uint64_t epoch, v;

	buf_init(&b, 256);
	enum status st = io_read_file(arena_fmt(&a, "%s/" HIGHEST, dir).p, 256, &b, e);

	if (st == ST_NOT_FOUND) {
		*out = (struct backup_highest){ 0 };
		return ST_OK;
	}
	if (st != ST_OK)
		return st;
	slice rest = slice_trim(buf_slice(&b)), word = slice_cut(&rest, ' '),
	      x = slice_cut(&rest, ' ');

	if (!slice_eq(word, SL("ids")) || !slice_u64(x, UINT32_MAX, &epoch) ||
	    !slice_u64(rest, UINT32_MAX, &v))
		return err_set(e, ERR_CORRUPT,
			       "%s/" HIGHEST
			       " is damaged: it says which ids restores have used",
			       dir);
	*out = (struct backup_highest){ (uint32_t)epoch, (uint32_t)v };
	return ST_OK;
}

enum status backup_highest_write(const char *dir, const struct backup_highest *h,
				 struct err *e)
{
	AUTO_ARENA a = { 0 };

	return io_write_file(arena_fmt(&a, "%s/" HIGHEST, dir).p,
			     arena_fmt(&a, "ids %u %u\n", h->epoch, h->uidvalidity), 0600,
			     e);
}
