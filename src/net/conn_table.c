/* What a loop keeps for its connections: who is in which slot, and buffers for those that
 * read just now. */
#include "net/conn_priv.h"
#include "base/alloc.h"
#include <assert.h>

enum { POOLED = 3 };
static const uint32_t class_size[POOLED] = { 4 << 10, 16 << 10, 64 << 10 };
static const uint32_t class_keep[POOLED] = { 256, 64, 32 };

/* A buffer nobody uses begins with the next one. */
struct spare {
	struct spare *next;
};

struct conn_table {
	struct loop *loop;
	struct conn **slots;
	uint32_t *gens, *unused;
	uint32_t n, cap, n_unused;
	struct spare *pool[POOLED];
	uint32_t pooled[POOLED];
	char *gather;
};

/* --- the table -------------------------------------------------------------------- */

static void table_done(void *p)
{
	struct conn_table *t = p;
	uint32_t i;

	for (i = 0; i < t->n; i++)
		if (t->slots[i])
			conn_kill(t->slots[i], "shutdown");
	while (loop_step(t->loop)) /* tells the owners */
		;
	for (i = 0; i < t->n; i++)
		if (t->slots[i])
			conn_destroy(t->slots[i]);
	for (i = 0; i < POOLED; i++) {
		while (t->pool[i]) {
			struct spare *b = t->pool[i];

			t->pool[i] = b->next;
			mem_free(b);
		}
	}
	mem_free(t->gather);
	mem_free(t->slots);
	mem_free(t->gens);
	mem_free(t->unused);
	mem_free(t);
}

static struct conn_table *table_of(struct loop *l)
{
	struct conn_table *t = loop_attached(l);

	if (!t) {
		t = mem_new(sizeof(*t));
		t->loop = l;
		loop_attach(l, t, table_done);
	}
	return t;
}

void conn_table_add(struct conn *c)
{
	struct conn_table *t = table_of(c->loop);

	if (t->n_unused == 0 && t->n == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 64;
		t->slots = mem_grow(t->slots, t->cap, sizeof(*t->slots));
		t->gens = mem_grow(t->gens, t->cap, sizeof(*t->gens));
		t->unused = mem_grow(t->unused, t->cap, sizeof(*t->unused));
	}
	if (t->n_unused) {
		c->id.slot = t->unused[--t->n_unused];
	} else {
		c->id.slot = t->n++;
		t->gens[c->id.slot] = 0;
	}
	c->id.gen = ++t->gens[c->id.slot];
	t->slots[c->id.slot] = c;
}

struct conn *conn_by_id(struct loop *l, conn_id id)
{
	struct conn_table *t = loop_attached(l);
	struct conn *c = t && id.slot < t->n ? t->slots[id.slot] : NULL;

	return c && c->id.gen == id.gen && c->state < CONN_LINGER ? c : NULL;
}

void conn_table_drop(struct conn *c)
{
	struct conn_table *t = table_of(c->loop);

	t->slots[c->id.slot] = NULL;
	t->unused[t->n_unused++] = c->id.slot;
}

char *conn_gather(struct loop *l)
{
	struct conn_table *t = table_of(l);

	if (!t->gather)
		t->gather = mem_grow(NULL, CONN_GATHER, 1);
	return t->gather;
}

/* --- input buffers ---------------------------------------------------------------- */

static char *in_take(struct conn *c, uint32_t class)
{
	struct conn_table *t = table_of(c->loop);
	struct spare *b = t->pool[class];

	c->in_cap = class_size[class];
	if (!b)
		return mem_grow(NULL, class_size[class], 1);
	t->pool[class] = b->next;
	t->pooled[class]--;
	return (char *)b;
}

static void in_give(struct conn *c, char *b, uint32_t cap)
{
	struct conn_table *t = table_of(c->loop);
	uint32_t i;

	for (i = 0; i < POOLED; i++) {
		if (cap == class_size[i] && t->pooled[i] < class_keep[i]) {
			struct spare *x = (struct spare *)(void *)b;

			x->next = t->pool[i];
			t->pool[i] = x;
			t->pooled[i]++;
			return;
		}
	}
	mem_free(b);
}

void conn_in_free(struct conn *c)
{
	if (c->in)
		in_give(c, c->in, c->in_cap);
	c->in = NULL;
	c->in_off = c->in_n = c->in_cap = 0;
}

/* Room behind the bytes that wait: moves them to the front, or to a larger buffer. False
 * at in_max. */
bool conn_in_reserve(struct conn *c)
{
	char *old = c->in;
	uint32_t old_cap = c->in_cap, i;

	if (c->in_n >= c->in_max)
		return false;
	if (!old) {
		c->in = in_take(c, c->in_class);
		return true;
	}
	if (c->in_off + c->in_n < c->in_cap)
		return true;
	if (c->in_off && (c->in_off >= c->in_cap / 2 || c->in_cap >= c->in_max)) {
		memmove(c->in, c->in + c->in_off, c->in_n);
		c->in_off = 0;
		return true;
	}
	for (i = 0; i < POOLED && class_size[i] <= old_cap; i++)
		;
	if (i < POOLED) {
		c->in = in_take(c, i);
		c->in_class = (uint8_t)i;
	} else {
		c->in_cap = old_cap * 2;
		c->in = mem_grow(NULL, c->in_cap, 1);
	}
	memcpy(c->in, old + c->in_off, c->in_n);
	c->in_off = 0;
	in_give(c, old, old_cap);
	return true;
}
