/* backup_restore.c — a backup read again: verified, or made a store once more. */
#include "backup/backup.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/io.h"
#include "store/store_restore.h"

#define FORMAT_MAX 4096

/* --- verify --------------------------------------------------------------------------- */
struct verify {
	struct backup_verify *v;
	struct backup_manifest m;
	struct arena a;
	const char *dir, *below; /* below: "", "meta/" */
};

static void fault(struct backup_verify *v, slice path, const char *what)
{
	v->faults++;
	if (v->found)
		v->found(v->ctx, path, what);
}

static void verify_file(struct verify *x, const struct backup_file *f)
{
	unsigned char sha[32];
	struct err why = { 0 };
	uint64_t before = x->v->progress.done;
	enum status st =
		backup_hash_file(arena_fmt(&x->a, "%s/%.*s", x->dir, FMT(f->path)).p,
				 f->size, &x->v->progress, sha, &why);

	if (st == ST_NOT_FOUND)
		fault(x->v, f->path, "is missing");
	else if (st != ST_OK)
		fault(x->v, f->path, why.text);
	else if (memcmp(sha, f->sha, sizeof(sha)) != 0)
		fault(x->v, f->path, "is damaged: its checksum is another one");
	x->v->files++;
	x->v->bytes += f->size;
	x->v->progress.done = before;
	backup_progress_add(&x->v->progress, f->size);
}

static bool take_stranger(void *ctx, const char *name)
{
	struct verify *x = ctx;
	slice path = arena_fmt(&x->a, "%s%s", x->below, name);

	if (!x->below[0] && (strcmp(name, "meta") == 0 || strcmp(name, "bodies") == 0 ||
			     strcmp(name, BACKUP_MANIFEST) == 0))
		return true;
	if (!backup_manifest_find(&x->m, path))
		fault(x->v, path, "is not in the MANIFEST");
	return true;
}

static enum status find_strangers(struct verify *x, const char *below, struct err *e)
{
	x->below = below;
	return io_list_dir(arena_fmt(&x->a, "%s/%s", x->dir, below).p, take_stranger, x,
			   e);
}

enum status backup_verify(const char *backup, struct backup_verify *v, struct err *e)
{
	struct verify x = { .v = v, .dir = backup };

	backup_manifest_init(&x.m);
	arena_init(&x.a);
	enum status st = backup_manifest_read(&x.m, backup, false, e);

	if (st == ST_OK) {
		v->progress.all += x.m.bytes;
		for (size_t i = 0; i < x.m.n; i++)
			verify_file(&x, &x.m.file[i]);
		st = find_strangers(&x, "", e);
	}
	if (st == ST_OK)
		st = find_strangers(&x, "meta/", e);
	if (st == ST_OK)
		st = find_strangers(&x, "bodies/", e);
	arena_release(&x.a);
	backup_manifest_done(&x.m);
	return st;
}

/* --- the store, copied back ----------------------------------------------------------- */
static enum status copy_one(const char *backup, const struct backup_file *f,
			    const char *to, struct backup_progress *p, struct err *e)
{
	AUTO_ARENA a = { 0 };
	unsigned char sha[32];
	const char *from = arena_fmt(&a, "%s/%.*s", backup, FMT(f->path)).p;
	struct io_stat s;
	enum status st = io_stat_path(from, &s, e);

	if (st == ST_NOT_FOUND || (st == ST_OK && s.size != f->size))
		return err_set(e, ERR_CORRUPT, "%s is %s: this backup is damaged", from,
			       st == ST_OK ? "of another size" : "missing");
	if (st == ST_OK)
		st = backup_copy_file(from, f->size,
				      arena_fmt(&a, "%s/%.*s", to, FMT(f->path)).p, 0600,
				      p, sha, e);
	if (st == ST_OK && memcmp(sha, f->sha, sizeof(sha)) != 0)
		st = err_set(e, ERR_CORRUPT, "%s is damaged: its checksum is another one",
			     from);
	return st;
}

/* Another life: what is done from here on is not what was done after the backup. */
static enum status renew_life(const char *to, struct err *e)
{
	static const char digits[] = "0123456789abcdef";
	AUTO_ARENA a = { 0 };
	AUTO_BUF b = { 0 };
	unsigned char fresh[(BACKUP_LIFE_ROOM - 1) / 2];
	const char *path = arena_fmt(&a, "%s/FORMAT", to).p;

	buf_init(&b, FORMAT_MAX);
	enum status st = io_read_file(path, FORMAT_MAX, &b, e);

	if (st != ST_OK)
		return st;
	slice life = backup_life(buf_slice(&b));

	if (!life.n)
		return ST_OK; /* an older format: it draws one when it is opened */
	char *at = b.p + (life.p - b.p);

	random_bytes(fresh, sizeof(fresh));
	for (size_t i = 0; i < sizeof(fresh); i++) {
		at[2 * i] = digits[fresh[i] >> 4];
		at[2 * i + 1] = digits[fresh[i] & 15];
	}
	return io_write_file(path, buf_slice(&b), 0600, e);
}

enum status backup_copy_store(const char *backup, struct backup_manifest *m,
			      const char *to, struct backup_progress *p, struct err *e)
{
	AUTO_ARENA a = { 0 };
	const char *meta = arena_fmt(&a, "%s/meta", to).p;
	const char *bodies = arena_fmt(&a, "%s/bodies", to).p;
	enum status st = io_mkdir(to, 0700, e);

	if (st == ST_OK)
		st = io_mkdir(meta, 0700, e);
	if (st == ST_OK)
		st = io_mkdir(bodies, 0700, e);
	for (size_t i = 0; i < m->n && st == ST_OK; i++)
		if (!slice_eq(m->file[i].path, SL(BACKUP_SECRETS)))
			st = copy_one(backup, &m->file[i], to, p, e);
	if (st == ST_OK && !backup_manifest_find(m, SL("FORMAT")))
		st = err_set(e, ERR_CORRUPT, "%s holds no store", backup);
	if (st == ST_OK)
		st = renew_life(to, e);
	if (st == ST_OK)
		st = io_sync_dir(meta, e);
	if (st == ST_OK)
		st = io_sync_dir(bodies, e);
	return st == ST_OK ? io_sync_dir(to, e) : st;
}

static enum status make_another(const char *to, const struct clock *clock,
				struct backup_highest *highest, struct err *e)
{
	struct kv_options opt = {
		.engine = KV_ROCKSDB,
		.mode = KV_COMMIT_INLINE,
		.dir = to,
		.read_only_probe = true,
	};
	struct store_restored done = { 0 };
	struct kv *kv;
	enum status st = kv_open(&opt, &kv, e);

	if (st != ST_OK)
		return st;
	st = store_after_restore(kv, clock, highest->epoch, highest->uidvalidity, &done,
				 e);
	kv_close(kv);
	if (st == ST_OK)
		*highest = (struct backup_highest){ done.epoch, done.uidvalidity };
	return st;
}

enum status backup_restore_store(const char *backup, struct backup_manifest *m,
				 const char *to, const struct clock *clock,
				 struct backup_highest *highest,
				 struct backup_progress *p, struct err *e)
{
	enum status st = backup_copy_store(backup, m, to, p, e);

	return st == ST_OK ? make_another(to, clock, highest, e) : st;
}

/* --- ids ------------------------------------------------------------------------------ */
enum status backup_highest_known(const char *dir, struct backup_highest *out,
				 struct err *e)
{
	AUTO_ARENA a = { 0 };
	struct backup_entry *list;
	struct backup_highest h;
	size_t n;
	enum status st = backup_highest_read(dir, &h, e);

	if (st == ST_OK)
		st = backup_list(dir, &a, &list, &n, e);
	if (st != ST_OK)
		return st;
	for (size_t i = 0; i < n; i++) {
		struct backup_manifest m;

		backup_manifest_init(&m);
		/* What cannot be read of others says nothing about this one. */
		if (list[i].finished &&
		    backup_manifest_read(&m, arena_fmt(&a, "%s/%s", dir, list[i].name).p,
					 false, NULL) == ST_OK) {
			h.epoch = m.epoch > h.epoch ? m.epoch : h.epoch;
			if (m.uidvalidity > h.uidvalidity)
				h.uidvalidity = m.uidvalidity;
		}
		backup_manifest_done(&m);
	}
	*out = h;
	return ST_OK;
}
