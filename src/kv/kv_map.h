#pragma once
/* kv_map.h — an ordered map in memory: a skip list of nodes the caller allocates.
 *
 * Used by the write set of a transaction (nodes in its arena) and by the memory engine (nodes on the heap). Keys
 * are compared as bytes, shorter first. The map owns nothing and is zero-initialised; one writer at a time, readers
 * only while nobody writes. Nodes keep their place while others come and go, so a node is a cursor. */
#include "base/slice.h"

#define KV_MAP_HEIGHT 12 /* levels; one node in four goes up: good for 16 million rows */

struct kv_node {
	slice key, value;
	uint64_t prefix; /* first 8 bytes of key, big-endian: most comparisons end here */
	uint64_t op;     /* write set: number of the put that made this version */
	struct kv_node *older; /* write set: version a running scan must still see */
	struct kv_node *prev;
	bool del; /* write set: the row is deleted */
	uint8_t height;
	struct kv_node *next[];
};

struct kv_map {
	struct kv_node *head[KV_MAP_HEIGHT];
	struct kv_node *last;
	uint64_t random;
	size_t n;
	unsigned height;
};

/* How many next[] pointers the next node shall have: a node takes kv_node_size(height) bytes. */
unsigned kv_map_draw_height(struct kv_map *m);
static inline size_t kv_node_size(unsigned height)
{
	return sizeof(struct kv_node) + height * sizeof(struct kv_node *);
}
struct kv_node *kv_map_find(const struct kv_map *m, slice key);
struct kv_node *kv_map_seek(const struct kv_map *m, slice key);        /* first at or behind key */
struct kv_node *kv_map_seek_before(const struct kv_map *m, slice key); /* last before key */
static inline struct kv_node *kv_map_first(const struct kv_map *m)
{
	return m->head[0];
}
/* node->key and node->height are set; the key is not in the map yet. */
void kv_map_insert(struct kv_map *m, struct kv_node *node);
void kv_map_remove(struct kv_map *m, struct kv_node *node);
int kv_node_cmp(const struct kv_node *a, const struct kv_node *b);
