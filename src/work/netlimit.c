/* Connections per network: all, before login, and a minute (HAZARDS, limits and
 * defences). */
#include "work/driver.h"
#include "base/alloc.h"
#include "base/hash.h"
#include "base/limits.h"

struct net {
	unsigned char net[16];
	struct net *next;
	unsigned all, preauth;
	int64_t tokens; /* thousandths of a connection */
	int64_t seen_ms;
};

enum { NET_BUCKETS = 4096 };

struct net_table {
	pthread_mutex_t lock;
	struct siphash_key key;
	unsigned sweep; /* the bucket that is looked through next */
	struct net *bucket[NET_BUCKETS];
};

struct net_table *net_table_new(void)
{
	struct net_table *t = mem_new(sizeof(*t));

	pthread_mutex_init(&t->lock, NULL);
	random_bytes(&t->key, sizeof(t->key));
	return t;
}

void net_table_free(struct net_table *t)
{
	unsigned i;

	if (!t)
		return;
	for (i = 0; i < NET_BUCKETS; i++) {
		while (t->bucket[i]) {
			struct net *n = t->bucket[i];

			t->bucket[i] = n->next;
			mem_free(n);
		}
	}
	pthread_mutex_destroy(&t->lock);
	mem_free(t);
}

/* Bucket of LIMIT_CONN_RATE a minute. */
static void refill(struct net *n, int64_t now_ms)
{
	int64_t full = (int64_t)LIMIT_CONN_RATE * 1000;

	n->tokens += (now_ms - n->seen_ms) * LIMIT_CONN_RATE / 60;
	if (n->tokens > full)
		n->tokens = full;
	n->seen_ms = now_ms;
}

static struct net **net_find(struct net_table *t, const unsigned char net[16])
{
	struct net **s = &t->bucket[siphash(&t->key, slice_make(net, 16)) % NET_BUCKETS];

	while (*s && memcmp((*s)->net, net, 16) != 0)
		s = &(*s)->next;
	return s;
}

/* Every newcomer pays for a look at two buckets, so that nets nobody comes from any more
 * leave the table. */
static void sweep(struct net_table *t, int64_t now_ms)
{
	int i;

	for (i = 0; i < 2; i++) {
		struct net **s = &t->bucket[t->sweep++ % NET_BUCKETS], *n;

		while ((n = *s)) {
			refill(n, now_ms);
			if (n->all == 0 && n->tokens == (int64_t)LIMIT_CONN_RATE * 1000) {
				*s = n->next;
				mem_free(n);
			} else {
				s = &n->next;
			}
		}
	}
}

bool net_enter(struct net_table *t, const unsigned char net[16], int64_t now_ms)
{
	struct net **s, *n;
	bool ok = false;

	pthread_mutex_lock(&t->lock);
	s = net_find(t, net);
	n = *s;
	if (!n) {
		sweep(t, now_ms);
		n = mem_new(sizeof(*n));
		memcpy(n->net, net, 16);
		n->tokens = (int64_t)LIMIT_CONN_RATE * 1000;
		n->seen_ms = now_ms;
		s = net_find(t, net); /* the sweep may have moved the end of the chain */
		*s = n;
	}
	refill(n, now_ms);
	if (n->all < LIMIT_CONN_PER_NET && n->preauth < LIMIT_CONN_PREAUTH_PER_NET &&
	    n->tokens >= 1000) {
		n->tokens -= 1000;
		n->all++;
		n->preauth++;
		ok = true;
	}
	pthread_mutex_unlock(&t->lock);
	return ok;
}

void net_leave(struct net_table *t, const unsigned char net[16], bool preauth)
{
	struct net *n;

	pthread_mutex_lock(&t->lock);
	n = *net_find(t, net);
	if (n) {
		n->all--;
		n->preauth -= preauth;
	}
	pthread_mutex_unlock(&t->lock);
}

void net_login(struct net_table *t, const unsigned char net[16])
{
	struct net *n;

	pthread_mutex_lock(&t->lock);
	n = *net_find(t, net);
	if (n)
		n->preauth--;
	pthread_mutex_unlock(&t->lock);
}
