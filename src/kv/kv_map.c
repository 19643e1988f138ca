#include "kv/kv_map.h"
#include <endian.h>

static uint64_t key_prefix(slice key)
{
	uint64_t v = 0;
	if (key.n)
		memcpy(&v, key.p, key.n < 8 ? key.n : 8);
	return be64toh(v);
}

static int cmp(uint64_t prefix, slice key, const struct kv_node *b)
{
	if (prefix != b->prefix)
		return prefix < b->prefix ? -1 : 1;
	return slice_cmp(key, b->key);
}

int kv_node_cmp(const struct kv_node *a, const struct kv_node *b)
{
	return cmp(a->prefix, a->key, b);
}

unsigned kv_map_draw_height(struct kv_map *m)
{
	uint64_t x = m->random ? m->random : 0x9e3779b97f4a7c15u;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	m->random = x;
	unsigned h = 1;
	for (uint64_t bits = x >> 16; h < KV_MAP_HEIGHT && (bits & 3) == 0; bits >>= 2)
		h++;
	return h;
}

/* The last node before key; NULL when there is none. */
struct kv_node *kv_map_seek_before(const struct kv_map *m, slice key)
{
	uint64_t prefix = key_prefix(key);
	struct kv_node *pred = NULL;
	struct kv_node *const *at = m->head;

	for (unsigned l = m->height; l-- > 0;) {
		struct kv_node *n;
		while ((n = at[l]) && cmp(prefix, key, n) > 0) {
			pred = n;
			at = n->next;
		}
	}
	return pred;
}

struct kv_node *kv_map_seek(const struct kv_map *m, slice key)
{
	struct kv_node *pred = kv_map_seek_before(m, key);
	return pred ? pred->next[0] : m->head[0];
}

struct kv_node *kv_map_find(const struct kv_map *m, slice key)
{
	struct kv_node *n = kv_map_seek(m, key);
	return n && slice_eq(n->key, key) ? n : NULL;
}

/* For each level the array of pointers that leads past node's place; returns the node before it. */
static struct kv_node *links_to(struct kv_map *m, const struct kv_node *node,
				struct kv_node **links[])
{
	struct kv_node *pred = NULL;
	struct kv_node **at = m->head;

	for (unsigned l = m->height; l-- > 0;) {
		struct kv_node *n;
		while ((n = at[l]) && kv_node_cmp(node, n) > 0) {
			pred = n;
			at = n->next;
		}
		links[l] = at;
	}
	return pred;
}

void kv_map_insert(struct kv_map *m, struct kv_node *node)
{
	struct kv_node **links[KV_MAP_HEIGHT];

	node->prefix = key_prefix(node->key);
	while (m->height < node->height)
		m->head[m->height++] = NULL;
	node->prev = links_to(m, node, links);
	for (unsigned l = 0; l < node->height; l++) {
		node->next[l] = links[l][l];
		links[l][l] = node;
	}
	if (node->next[0])
		node->next[0]->prev = node;
	else
		m->last = node;
	m->n++;
}

void kv_map_remove(struct kv_map *m, struct kv_node *node)
{
	struct kv_node **links[KV_MAP_HEIGHT];

	links_to(m, node, links);
	for (unsigned l = 0; l < node->height; l++)
		links[l][l] = node->next[l];
	if (node->next[0])
		node->next[0]->prev = node->prev;
	else
		m->last = node->prev;
	m->n--;
}
