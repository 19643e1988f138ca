/* kv_segment.c — segments: the files that bodies are in, and the log is made of (kv_log.h).
 *
 * Record: header of 32 bytes, little-endian, then the stored bytes of one chunk:
 *
 *	0 magic "FSR1"   4 crc32c of bytes 8–31   8 crc32c of the stored bytes   12 stored length
 *	16 raw length    20 flags (1: lz4)        24 number of the chunk          28 zero
 *
 * Two segments are written at a time. Small bodies are part of the log, which the committer alone writes. Large uploads
 * write their chunks to the bulk segment, at places reserved under segs.mu; the committer syncs it before the log names
 * them. A store that is opened again begins a fresh bulk segment; in an old one, bytes that no row names are dead. Both
 * kinds have one row of numbers, and none is used twice. */
#include "kv/kv_internal.h"
#include "base/alloc.h"
#include "base/io.h"
#include <endian.h>
#include <fcntl.h>
#include <sys/mman.h>

#define REC_MAGIC 0x31525346u /* "FSR1" */

static void put32(unsigned char *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, 4);
}

static uint32_t get32(const unsigned char *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return le32toh(v);
}

void kv_rec_write(unsigned char dst[KV_REC_HEADER], const struct kv_rec *r)
{
	memset(dst, 0, KV_REC_HEADER);
	put32(dst, REC_MAGIC);
	put32(dst + 8, r->body_crc);
	put32(dst + 12, r->stored);
	put32(dst + 16, r->raw);
	put32(dst + 20, r->flags);
	put32(dst + 24, r->chunk);
	put32(dst + 4, crc32c(0, slice_make(dst + 8, KV_REC_HEADER - 8)));
}

bool kv_rec_read(const unsigned char src[KV_REC_HEADER], struct kv_rec *out)
{
	if (get32(src) != REC_MAGIC ||
	    get32(src + 4) != crc32c(0, slice_make(src + 8, KV_REC_HEADER - 8)))
		return false;
	out->body_crc = get32(src + 8);
	out->stored = get32(src + 12);
	out->raw = get32(src + 16);
	out->flags = get32(src + 20);
	out->chunk = get32(src + 24);
	return true;
}

void kv_seg_path(const struct kv_segs *s, uint32_t no, char dst[4096])
{
	snprintf(dst, 4096, "%s/%08x.seg", s->dir, no);
}

struct numbers {
	uint32_t *no;
	size_t n;
};

/* Names of other shapes are not ours and left alone. */
static bool take_number(void *ctx, const char *name)
{
	struct numbers *l = ctx;
	slice s = slice_str(name);
	char *end;

	if (s.n != 12 || !slice_ends(s, SL(".seg")))
		return true;
	unsigned long no = strtoul(name, &end, 16);
	if (end != name + 8 || no == 0)
		return true;
	l->no = mem_grow(l->no, l->n + 1, sizeof(*l->no));
	l->no[l->n++] = (uint32_t)no;
	return true;
}

enum status kv_seg_numbers(const struct kv_segs *s, uint32_t **out, size_t *out_n,
			   struct err *e)
{
	struct numbers l = { 0 };
	enum status st = io_list_dir(s->dir, take_number, &l, e);

	if (st != ST_OK) {
		mem_free(l.no);
		return st;
	}
	*out = l.no;
	*out_n = l.n;
	return ST_OK;
}

enum status kv_segs_open(struct kv_segs *s, const char *dir, struct err *e)
{
	uint32_t max = 0;

	memset(s, 0, sizeof(*s));
	if (dir) {
		size_t n = strlen(dir) + 1, count;
		uint32_t *no;
		s->dir = mem_new(n);
		memcpy(s->dir, dir, n);
		enum status st = kv_seg_numbers(s, &no, &count, e);
		if (st != ST_OK) {
			mem_free(s->dir);
			return st;
		}
		for (size_t i = 0; i < count; i++)
			max = no[i] > max ? no[i] : max;
		mem_free(no);
	}
	pthread_mutex_init(&s->mu, NULL);
	s->next_no = max + 1;
	s->max_bytes = KV_SEG_BYTES;
	return ST_OK;
}

void kv_segs_close(struct kv_segs *s)
{
	for (struct kv_seg *g = s->list, *next; g; g = next) {
		next = g->next;
		close(g->fd);
		mem_free(g);
	}
	mem_free(s->dir);
	pthread_mutex_destroy(&s->mu);
}

static void seg_add(struct kv_segs *s, struct kv_seg *seg)
{
	seg->next = s->list;
	s->list = seg;
}

/* The descriptor unused for longest goes; never in the memory engine, where it is the data. */
static void evict_one(struct kv_segs *s)
{
	struct kv_seg **victim = NULL;

	for (struct kv_seg **at = &s->list; *at; at = &(*at)->next)
		if ((*at)->refs == 0 && (!victim || (*at)->used < (*victim)->used))
			victim = at;
	if (!victim)
		return;
	struct kv_seg *g = *victim;
	*victim = g->next;
	s->n_idle--;
	close(g->fd);
	mem_free(g);
}

static void seg_ref(struct kv_segs *s, struct kv_seg *seg)
{
	if (seg->refs++ == 0)
		s->n_idle--;
	seg->used = ++s->clock;
}

static void seg_put(struct kv_segs *s, struct kv_seg *seg)
{
	if (--seg->refs > 0)
		return;
	s->n_idle++;
	if (s->dir && s->n_idle > KV_SEGS_OPEN)
		evict_one(s);
}

void kv_seg_put(struct kv_segs *s, struct kv_seg *seg)
{
	pthread_mutex_lock(&s->mu);
	seg_put(s, seg);
	pthread_mutex_unlock(&s->mu);
}

/* A new, empty segment with one reference; ERR_STOPPED when a sync failed. Its directory entry is durable before anything is written to it. */
static enum status seg_new(struct kv_segs *s, struct kv_seg **out, struct err *e)
{
	char path[4096];
	int fd;

	if (s->dir) {
		kv_seg_path(s, s->next_no, path);
		enum status st = io_open(path, O_RDWR | O_CREAT | O_EXCL, 0600, &fd, e);
		if (st == ST_OK && (st = io_sync_dir(s->dir, e)) != ST_OK) {
			close(fd);
			s->next_no++;
			if (e)
				e->code = ERR_STOPPED; /* a failed sync is final */
		}
		if (st != ST_OK)
			return st;
	} else {
		fd = memfd_create("segment", MFD_CLOEXEC);
		if (fd < 0)
			return err_set(e, ERR_IO, "no memory file for a segment");
	}
	struct kv_seg *g = mem_new(sizeof(*g));
	g->no = s->next_no++;
	g->fd = fd;
	g->refs = 1;
	seg_add(s, g);
	*out = g;
	return ST_OK;
}

enum status kv_seg_get(struct kv_segs *s, uint32_t no, struct kv_seg **out, struct err *e)
{
	enum status st = ST_OK;
	struct kv_seg *g;

	pthread_mutex_lock(&s->mu);
	for (g = s->list; g && g->no != no; g = g->next)
		;
	if (g) {
		seg_ref(s, g);
	} else if (!s->dir) {
		err_set(e, ERR_CORRUPT, "segment %u is missing", no);
		st = ST_NOT_FOUND;
	} else {
		char path[4096];
		int fd;
		kv_seg_path(s, no, path);
		st = io_open(path, O_RDONLY, 0, &fd, e);
		if (st == ST_OK) {
			g = mem_new(sizeof(*g));
			g->no = no;
			g->fd = fd;
			g->refs = 1;
			g->used = ++s->clock;
			seg_add(s, g);
		}
	}
	pthread_mutex_unlock(&s->mu);
	if (st == ST_OK)
		*out = g;
	return st;
}

enum status kv_seg_reserve(struct kv_segs *s, size_t n, struct kv_seg **out,
			   uint64_t *out_off, struct err *e)
{
	enum status st = ST_OK;

	pthread_mutex_lock(&s->mu);
	if (!s->bulk || s->bulk_end + n > s->max_bytes) {
		struct kv_seg *fresh;
		st = seg_new(s, &fresh, e);
		if (st == ST_OK) {
			if (s->bulk)
				seg_put(s, s->bulk);
			s->bulk = fresh;
			s->bulk_end = 0;
		}
	}
	if (st == ST_OK) {
		seg_ref(s, s->bulk);
		*out = s->bulk;
		*out_off = s->bulk_end;
		s->bulk_end += n;
	}
	pthread_mutex_unlock(&s->mu);
	return st;
}

enum status kv_seg_adopt(struct kv_segs *s, const char *path, struct kv_seg **out,
			 struct err *e)
{
	char name[4096];
	int fd;
	enum status st = io_open(path, O_RDWR, 0, &fd, e);

	if (st != ST_OK)
		return st;
	kv_seg_path(s, s->next_no, name);
	if ((st = io_rename(path, name, e)) != ST_OK) {
		close(fd);
		s->next_no++; /* it may have the name */
		return st;
	}
	struct kv_seg *g = mem_new(sizeof(*g));
	g->no = s->next_no++;
	g->fd = fd;
	g->refs = 1;
	seg_add(s, g);
	*out = g;
	return ST_OK;
}

/* One that was opened to be read, and is idle, goes. */
static void drop_idle(struct kv_segs *s, uint32_t no)
{
	for (struct kv_seg **at = &s->list; *at; at = &(*at)->next) {
		struct kv_seg *g = *at;
		if (g->no != no || g->refs)
			continue;
		*at = g->next;
		s->n_idle--;
		close(g->fd);
		mem_free(g);
		return;
	}
}

enum status kv_seg_reopen(struct kv_segs *s, uint32_t no, struct kv_seg **out,
			  struct err *e)
{
	char path[4096];
	int fd;

	kv_seg_path(s, no, path);
	enum status st = io_open(path, O_RDWR, 0, &fd, e);
	if (st != ST_OK)
		return st;
	struct kv_seg *g = mem_new(sizeof(*g));
	g->no = no;
	g->fd = fd;
	g->refs = 1;
	pthread_mutex_lock(&s->mu);
	drop_idle(s, no);
	seg_add(s, g);
	pthread_mutex_unlock(&s->mu);
	*out = g;
	return ST_OK;
}

enum status kv_seg_new(struct kv_segs *s, struct kv_seg **out, struct err *e)
{
	pthread_mutex_lock(&s->mu);
	enum status st = seg_new(s, out, e);
	pthread_mutex_unlock(&s->mu);
	return st;
}
