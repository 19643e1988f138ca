/* backup_make.c — one backup: what has to be in it, linked or copied, read back, named. */
#include "backup/backup.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/limits.h"
#include <fcntl.h>

#define FORMAT_MAX  4096
#define SOURCES_MAX 16
#define SPACE_SPARED \
	(16u << 20) /* of the target: what a directory and its MANIFEST take */

struct item { /* a file to be */
	slice path;
	const char *from;
	uint64_t size;
	int64_t mtime_ns;
	const char *link;      /* of an earlier backup: the same file; NULL: copy */
	unsigned char sha[32]; /* of link */
};
struct source { /* an earlier backup that files may be linked from */
	const char *dir;
	struct backup_manifest m;
};
struct make {
	const struct backup_source *s;
	struct backup_options *opt;
	struct backup_result *out;
	struct err *e;
	struct arena a;
	struct backup_manifest m;
	struct source source[SOURCES_MAX];
	size_t n_sources;
	struct item *item;
	size_t n, cap;
	const char *dir; /* NAME.unfinished */
	int64_t last;	 /* in the name of the newest there is */
	struct buf text;
	uint64_t written; /* octets of text that are in MANIFEST */
	int fd;		  /* MANIFEST */
	enum status st;	  /* of a walk */
};

slice backup_life(slice format)
{
	slice rest = format, word;

	slice_cut(&rest, '\n');
	while (rest.n) {
		slice line = slice_cut(&rest, '\n');

		while (line.n) {
			size_t hex = 0;

			word = slice_cut(&line, ' ');
			while (hex < word.n &&
			       (is_digit(word.p[hex]) ||
				(word.p[hex] >= 'a' && word.p[hex] <= 'f')))
				hex++;
			if (hex == word.n && word.n == BACKUP_LIFE_ROOM - 1)
				return word;
		}
	}
	return SL("");
}

/* --- what was there before ------------------------------------------------------------ */
/* The last finished backup of this life, and what is left of unfinished ones. */
static enum status find_sources(struct make *k)
{
	struct backup_entry *list;
	size_t n;
	bool had_finished = false;
	enum status st = backup_list(k->opt->dir, &k->a, &list, &n, k->e);

	if (st == ST_OK && n > 0)
		k->last = list[n - 1].time;
	if (st != ST_OK || k->opt->full || !k->m.life[0])
		return st;
	for (size_t i = n; i-- > 0 && k->n_sources < SOURCES_MAX;) {
		struct source *s = &k->source[k->n_sources];

		if (list[i].finished && had_finished)
			continue;
		backup_manifest_init(&s->m);
		s->dir = arena_fmt(&k->a, "%s/%s", k->opt->dir, list[i].name).p;
		/* A damaged one is left alone: verify tells, and nothing is linked from it. */
		if (backup_manifest_read(&s->m, s->dir, !list[i].finished, NULL) !=
			    ST_OK ||
		    strcmp(s->m.life, k->m.life) != 0) {
			backup_manifest_done(&s->m);
			continue;
		}
		had_finished |= list[i].finished;
		k->n_sources++;
	}
	return ST_OK;
}

/* Files whose content never changes under the same name in the same life. */
static bool is_immutable(slice path)
{
	return slice_starts(path, SL("bodies/")) || slice_ends(path, SL(".sst"));
}

static void find_link(struct make *k, struct item *it)
{
	for (size_t i = 0; i < k->n_sources && is_immutable(it->path); i++) {
		const struct backup_file *f =
			backup_manifest_find(&k->source[i].m, it->path);
		struct io_stat st;

		if (!f || f->size != it->size || f->mtime_ns != it->mtime_ns)
			continue;
		const char *file =
			arena_fmt(&k->a, "%s/%.*s", k->source[i].dir, FMT(it->path)).p;

		if (io_stat_path(file, &st, NULL) != ST_OK || st.kind != IO_KIND_FILE ||
		    st.size != it->size)
			continue;
		it->link = file;
		memcpy(it->sha, f->sha, sizeof(it->sha));
		return;
	}
}

/* --- what is to be there -------------------------------------------------------------- */
/* size UINT64_MAX: all of it */
static enum status add(struct make *k, slice path, const char *from, uint64_t size)
{
	struct io_stat st;
	enum status rc = io_stat_path(from, &st, k->e);

	if (rc != ST_OK)
		return rc;
	if (st.kind != IO_KIND_FILE || !backup_path_is_ok(path))
		return err_set(k->e, ERR_CANNOT, "%s: not a file of a store", from);
	if (size != UINT64_MAX && st.size < size)
		return err_set(k->e, ERR_CORRUPT,
			       "%s has %llu octets, not the %llu it should", from,
			       (unsigned long long)st.size, (unsigned long long)size);
	if (k->n == k->cap) {
		k->cap = k->cap ? k->cap * 2 : 256;
		k->item = mem_grow(k->item, k->cap, sizeof(*k->item));
	}
	struct item *it = &k->item[k->n++];

	*it = (struct item){ .path = path,
			     .from = from,
			     .size = size == UINT64_MAX ? st.size : size,
			     .mtime_ns = st.mtime_ns };
	find_link(k, it);
	if (!it->link)
		k->opt->progress.all += it->size;
	return ST_OK;
}

static bool take_row_file(void *ctx, const char *name)
{
	struct make *k = ctx;

	if (strcmp(name, "LOCK") == 0) /* of whoever has it open */
		return true;
	k->st = add(k, arena_fmt(&k->a, "meta/%s", name),
		    arena_fmt(&k->a, "%s/%s", k->s->rows, name).p, UINT64_MAX);
	return k->st == ST_OK;
}

static enum status plan(struct make *k)
{
	enum status st = add(k, SL("FORMAT"),
			     arena_fmt(&k->a, "%s/FORMAT", k->s->store).p, UINT64_MAX);

	if (st == ST_OK)
		st = io_list_dir(k->s->rows, take_row_file, k, k->e);
	if (st == ST_OK)
		st = k->st;
	for (size_t i = 0; i < k->s->n_segments && st == ST_OK; i++) {
		const struct kv_snapshot_file *f = &k->s->segment[i];
		slice path = arena_fmt(&k->a, "bodies/%08x.seg", f->segment);

		st = add(k, path, arena_fmt(&k->a, "%s/%.*s", k->s->store, FMT(path)).p,
			 f->bytes);
	}
	return st;
}

static enum status check_space(struct make *k)
{
	uint64_t free_bytes, need = k->opt->progress.all + SPACE_SPARED;
	enum status st = io_free_bytes(k->opt->dir, &free_bytes, k->e);

	if (st == ST_OK && free_bytes < need)
		return err_set(k->e, ERR_DISK_FULL,
			       "%s has room for %llu MiB, and this backup needs %llu",
			       k->opt->dir, (unsigned long long)(free_bytes >> 20),
			       (unsigned long long)(need >> 20) + 1);
	return st;
}

/* --- doing it ------------------------------------------------------------------------- */
static enum status flush_manifest(struct make *k)
{
	slice rest = slice_from(buf_slice(&k->text), k->written);
	enum status st = ST_OK;

	if (k->text.full)
		return err_set(k->e, ERR_LIMIT,
			       "too many files for one " BACKUP_MANIFEST);
	if (rest.n)
		st = io_pwrite(k->fd, rest, k->written, k->e);
	if (st == ST_OK)
		k->written += rest.n;
	return st;
}

static enum status start(struct make *k)
{
	/* The order of names is the order in which they were made, whatever the clock does. */
	backup_name(k->opt->now > k->last ? k->opt->now : k->last + 1, k->out->name);
	k->dir = arena_fmt(&k->a, "%s/%s" BACKUP_UNFINISHED, k->opt->dir, k->out->name).p;
	enum status st = io_mkdir(k->dir, 0700, k->e);

	if (st == ST_OK)
		st = io_mkdir(arena_fmt(&k->a, "%s/meta", k->dir).p, 0700, k->e);
	if (st == ST_OK)
		st = io_mkdir(arena_fmt(&k->a, "%s/bodies", k->dir).p, 0700, k->e);
	if (st == ST_OK)
		st = io_open(arena_fmt(&k->a, "%s/" BACKUP_MANIFEST, k->dir).p,
			     O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0400, &k->fd,
			     k->e);
	backup_manifest_head(&k->m, &k->text);
	return st == ST_OK ? flush_manifest(k) : st;
}

static enum status note(struct make *k, const struct item *it,
			const unsigned char sha[32])
{
	struct backup_file f = { .path = it->path,
				 .size = it->size,
				 .mtime_ns = it->mtime_ns };

	memcpy(f.sha, sha, sizeof(f.sha));
	backup_manifest_add(&k->m, &f);
	backup_manifest_line(&f, &k->text);
	k->out->files++;
	k->out->bytes += f.size;
	return flush_manifest(k);
}

static enum status take(struct make *k, struct item *it)
{
	const char *to = arena_fmt(&k->a, "%s/%.*s", k->dir, FMT(it->path)).p;
	unsigned char sha[32];

	if (it->link && io_link(it->link, to, NULL) == ST_OK) {
		k->out->linked++;
		return note(k, it, it->sha);
	}
	enum status st = backup_copy_file(it->from, it->size, to, 0400, &k->opt->progress,
					  sha, k->e);

	if (st != ST_OK)
		return st;
	k->out->bytes_copied += it->size;
	return note(k, it, sha);
}

static enum status take_secrets(struct make *k)
{
	const char *to = arena_fmt(&k->a, "%s/" BACKUP_SECRETS, k->dir).p;
	struct item it = { .path = SL(BACKUP_SECRETS), .size = k->opt->secrets.n };
	unsigned char sha[32];

	if (!k->opt->secrets.n)
		return ST_OK;
	enum status st = io_write_file(to, k->opt->secrets, 0400, k->e);

	if (st == ST_OK)
		st = backup_hash_file(to, it.size, NULL, sha, k->e);
	return st == ST_OK ? note(k, &it, sha) : st;
}

/* From here on it counts: everything is on the disk, then the end line, then the name. */
static enum status finish(struct make *k)
{
	enum status st = io_sync_dir(arena_fmt(&k->a, "%s/meta", k->dir).p, k->e);

	if (st == ST_OK)
		st = io_sync_dir(arena_fmt(&k->a, "%s/bodies", k->dir).p, k->e);
	if (st == ST_OK)
		st = io_sync_dir(k->dir, k->e);
	if (st != ST_OK)
		return st;
	AUTO_BUF end = { 0 };

	buf_init(&end, 256);
	backup_manifest_end(&k->m, buf_slice(&k->text), &end);
	buf_add(&k->text, buf_slice(&end));
	st = flush_manifest(k);
	if (st == ST_OK)
		st = io_fdatasync(k->fd, k->e);
	if (st == ST_OK)
		st = io_rename(k->dir,
			       arena_fmt(&k->a, "%s/%s", k->opt->dir, k->out->name).p,
			       k->e);
	return st;
}

static enum status read_format(struct make *k)
{
	AUTO_BUF b = { 0 };

	buf_init(&b, FORMAT_MAX);
	enum status st = io_read_file(arena_fmt(&k->a, "%s/FORMAT", k->s->store).p,
				      FORMAT_MAX, &b, k->e);

	if (st == ST_OK) {
		slice life = backup_life(buf_slice(&b));

		memcpy(k->m.life, life.p, life.n);
	}
	return st;
}

static enum status run(struct make *k)
{
	enum status st = read_format(k);

	if (st == ST_OK)
		st = find_sources(k);
	if (st == ST_OK)
		st = plan(k);
	if (st == ST_OK)
		st = check_space(k);
	if (st == ST_OK)
		st = start(k);
	for (size_t i = 0; i < k->n && st == ST_OK; i++)
		st = take(k, &k->item[i]);
	if (st == ST_OK)
		st = take_secrets(k);
	if (st == ST_OK && k->opt->confirm)
		st = k->opt->confirm(k->opt->ctx, k->e);
	if (st == ST_OK)
		st = finish(k);
	return st;
}

enum status backup_make(const struct backup_source *s, struct backup_options *opt,
			struct backup_result *out, struct err *e)
{
	AUTO_FD lock = -1;
	struct make k = { .s = s, .opt = opt, .out = out, .e = e, .fd = -1 };
	enum status st = io_mkdir(opt->dir, 0700, e);

	*out = (struct backup_result){ 0 };
	if (st == ST_OK)
		st = backup_lock(opt->dir, false, &lock, e);
	if (st != ST_OK)
		return st;
	arena_init(&k.a);
	backup_manifest_init(&k.m);
	k.m.made = opt->now;
	k.m.program = SL(FACTEUR_VERSION);
	k.m.user = opt->user;
	k.m.epoch = s->epoch;
	k.m.uidvalidity = s->uidvalidity;
	k.m.accounts = s->accounts;
	k.m.messages = s->messages;
	buf_init(&k.text, LIMIT_BACKUP_MANIFEST);
	st = run(&k);
	if (k.fd >= 0)
		close(k.fd);
	for (size_t i = 0; i < k.n_sources; i++)
		backup_manifest_done(&k.source[i].m);
	backup_manifest_done(&k.m);
	buf_done(&k.text);
	mem_free(k.item);
	arena_release(&k.a);
	if (st == ST_OK) /* only now: until here the older ones are all there is */
		st = backup_prune(opt->dir, out->name, opt->keep, &out->removed, e);
	return st;
}
