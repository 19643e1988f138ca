/* kv_snapshot.c — the store between two batches, kept as it is while others go on.
 *
 * Rows are the engine's checkpoint, made while the committer stands still; it is asked to write its rows out before,
 * so that standing still is short. Bodies are the segments that are there at that moment: what they hold by then is
 * never written to again, and kv_segs_remove asks kv_snapshot_has. */
#include "kv/kv_internal.h"
#include "base/alloc.h"

struct kv_snapshot {
	struct kv *kv;
	struct kv_snapshot *next;
	struct kv_snapshot_file *files;
	size_t n;
};

/* segs.mu held. */
bool kv_snapshot_has(const struct kv *kv, uint32_t no)
{
	for (const struct kv_snapshot *s = kv->snapshots; s; s = s->next)
		for (size_t i = 0; i < s->n; i++)
			if (s->files[i].segment == no)
				return true;
	return false;
}

static void pin(struct kv *kv, struct kv_snapshot *s, const struct kv_seg_info *info,
		size_t n)
{
	s->files = mem_array(n + 1, sizeof(*s->files));
	for (size_t i = 0; i < n; i++)
		s->files[i] = (struct kv_snapshot_file){ info[i].no, info[i].bytes };
	s->n = n;
	pthread_mutex_lock(&kv->segs.mu);
	s->next = kv->snapshots;
	kv->snapshots = s;
	pthread_mutex_unlock(&kv->segs.mu);
}

/* commit_mu and pass_mu held: no batch is written, no segment removed. */
static enum status take(struct kv *kv, const char *rows_dir, struct kv_snapshot *s,
			struct err *e)
{
	struct kv_seg_info *info;
	size_t n;
	enum status st = kv->en->ops->checkpoint(kv->en, rows_dir, e);

	if (st != ST_OK || (st = kv_segs_list(kv, &info, &n, e)) != ST_OK)
		return st;
	pin(kv, s, info, n);
	mem_free(info);
	return ST_OK;
}

enum status kv_snapshot_new(struct kv *kv, const char *rows_dir, struct kv_snapshot **out,
			    struct err *e)
{
	enum status st;

	if (!kv->en->ops->checkpoint)
		return err_set(e, ERR_CANNOT, "a store in memory has no snapshots");
	if ((st = kv->en->ops->flush(kv->en, e)) != ST_OK)
		return st;
	struct kv_snapshot *s = mem_new(sizeof(*s));
	s->kv = kv;
	pthread_mutex_lock(&kv->gc.pass_mu);
	pthread_mutex_lock(&kv->commit_mu);
	if (kv->stopped) {
		pthread_mutex_lock(&kv->mu);
		st = err_set(e, ERR_STOPPED, "the store has stopped: %s",
			     kv->stop_why.text);
		pthread_mutex_unlock(&kv->mu);
	} else {
		st = take(kv, rows_dir, s, e);
	}
	pthread_mutex_unlock(&kv->commit_mu);
	pthread_mutex_unlock(&kv->gc.pass_mu);
	if (st != ST_OK) {
		mem_free(s);
		return st;
	}
	*out = s;
	return ST_OK;
}

size_t kv_snapshot_files(const struct kv_snapshot *s, const struct kv_snapshot_file **out)
{
	*out = s->files;
	return s->n;
}

void kv_snapshot_free(struct kv_snapshot *s)
{
	if (!s)
		return;
	struct kv *kv = s->kv;

	pthread_mutex_lock(&kv->segs.mu);
	struct kv_snapshot **at = &kv->snapshots;
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	pthread_mutex_unlock(&kv->segs.mu);
	mem_free(s->files);
	mem_free(s);
}
