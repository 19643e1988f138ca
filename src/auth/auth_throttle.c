/* auth_throttle.c — delay, don't ban: distinct wrong passwords by address, wider nets and
 * account.
 *
 * Each counted key (address /32 or /64, /26 or /48, /21 or /32, and the account) has an
 * entry: a count and a ring of keyed hashes of the wrong (user, password) pairs seen
 * last. A pair in the ring does not count again: a phone with an old password never slows
 * its office down. A count falls by one every DECAY_S. Wider nets must show more before
 * they are slowed.
 *
 * The table is of fixed size, sets of WAYS entries by SipHash under a random key; a full
 * set gives up its entry with the lowest count, then the oldest: nobody grows our memory,
 * and a flood of new keys does not push a busy attacker out. */
#include "auth/auth_internal.h"
#include "base/alloc.h"

#define SETS	  1024u
#define WAYS	  8u
#define RING	  16u
#define DECAY_S	  300
#define COUNT_MAX 6u /* of steps; times the weight of the level */

struct entry {
	uint64_t key;	/* 0: free */
	int64_t fell_s; /* when the count last fell (or began) */
	uint32_t count;
	uint32_t n_ring; /* ever written */
	uint32_t ring[RING];
};
struct throttle {
	struct siphash_key key;
	struct entry e[SETS][WAYS];
};

/* Levels: bits of a v4-mapped and of a v6 address, and how many wrong passwords make one
 * step there. */
static const struct {
	unsigned bits4, bits6, weight;
} levels[] = { { 32, 64, 1 }, { 26, 48, 3 }, { 21, 32, 9 } };
#define LEVELS	       (sizeof(levels) / sizeof(levels[0]))
#define ACCOUNT_LEVEL  9u
#define ACCOUNT_WEIGHT 5u

struct throttle *throttle_new(void)
{
	struct throttle *t = mem_new(sizeof(*t));

	random_bytes(&t->key, sizeof(t->key));
	return t;
}

void throttle_free(struct throttle *t)
{
	mem_free(t);
}

static int64_t step_ms(uint32_t count)
{
	static const int16_t seconds[] = { 0, 0, 1, 2, 4, 8, 15 };

	return (int64_t)seconds[count > COUNT_MAX ? COUNT_MAX : count] * 1000;
}

static uint64_t net_key(const struct throttle *t, const unsigned char net[16],
			unsigned level)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	bool is_v4 = memcmp(net, mapped, 12) == 0;
	unsigned bits = is_v4 ? 96 + levels[level].bits4 : levels[level].bits6;
	unsigned char text[17] = { (unsigned char)level };

	memcpy(text + 1, net, 16);
	for (unsigned i = 0; i < 16; i++) {
		unsigned kept = bits > 8 * i ? bits - 8 * i : 0;

		if (kept < 8)
			text[1 + i] &= (unsigned char)(0xff00u >> kept);
	}
	return siphash(&t->key, slice_make(text, sizeof(text))) | 1;
}

/* Hash of tag, user (ASCII case folded) and password: what makes an attempt distinct. */
static uint64_t text_key(const struct throttle *t, unsigned char tag, slice user,
			 slice password)
{
	uint64_t parts[3];
	char folded[64];
	uint64_t h = tag;

	for (size_t at = 0; at < user.n || at == 0; at += sizeof(folded) - 8) {
		slice piece = slice_sub(user, at, sizeof(folded) - 8);

		memcpy(folded, &h, 8);
		for (size_t i = 0; i < piece.n; i++)
			folded[8 + i] = ascii_lower(piece.p[i]);
		h = siphash(&t->key, slice_make(folded, 8 + piece.n));
	}
	parts[0] = h;
	parts[1] = siphash(&t->key, password);
	parts[2] = tag;
	return siphash(&t->key, slice_make(parts, sizeof(parts))) | 1;
}

static void decay(struct entry *e, int64_t now_s)
{
	int64_t steps = (now_s - e->fell_s) / DECAY_S;

	if (steps <= 0)
		return;
	e->count = steps >= e->count ? 0 : e->count - (uint32_t)steps;
	e->fell_s += steps * DECAY_S;
	if (e->count == 0)
		e->n_ring = 0; /* forgotten: the same password counts anew */
}

static struct entry *find(struct throttle *t, uint64_t key, int64_t now_s)
{
	struct entry *set = t->e[(key >> 32) % SETS];

	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].key != key)
			continue;
		decay(&set[i], now_s);
		return &set[i];
	}
	return NULL;
}

static struct entry *find_or_make(struct throttle *t, uint64_t key, int64_t now_s)
{
	struct entry *set = t->e[(key >> 32) % SETS];
	struct entry *worst = find(t, key, now_s);

	if (worst)
		return worst;
	worst = &set[0];
	for (unsigned i = 0; i < WAYS; i++) {
		decay(&set[i], now_s);
		if (set[i].count < worst->count ||
		    (set[i].count == worst->count && set[i].fell_s < worst->fell_s))
			worst = &set[i];
	}
	*worst = (struct entry){ .key = key, .fell_s = now_s };
	return worst;
}

static bool ring_has(const struct entry *e, uint32_t h)
{
	for (uint32_t i = 0; i < RING && i < e->n_ring; i++)
		if (e->ring[i] == h)
			return true;
	return false;
}

/* Counts the pair once; the delay is that of the count after it. */
static int64_t count(struct throttle *t, uint64_t key, uint32_t pair, uint32_t weight,
		     int64_t now_s)
{
	struct entry *e = find_or_make(t, key, now_s);

	if (!ring_has(e, pair)) {
		if (e->count == 0)
			e->fell_s = now_s;
		if (e->count < COUNT_MAX * weight)
			e->count++;
		e->ring[e->n_ring % RING] = pair;
		e->n_ring = e->n_ring + 1 < 2 * RING ? e->n_ring + 1
						     : e->n_ring + 1 - RING;
	}
	return step_ms((e->count + weight - 1) / weight);
}

int64_t throttle_failed(struct throttle *t, const unsigned char net[16], bool has_net,
			slice user, slice password, int64_t now_s)
{
	uint32_t pair = (uint32_t)text_key(t, 1, user, password);
	int64_t most = count(t, text_key(t, ACCOUNT_LEVEL, user, SL("")), pair,
			     ACCOUNT_WEIGHT, now_s);

	for (unsigned i = 0; has_net && i < LEVELS; i++) {
		int64_t ms = count(t, net_key(t, net, i), pair, levels[i].weight, now_s);

		most = ms > most ? ms : most;
	}
	return most;
}

int64_t throttle_delay(struct throttle *t, const unsigned char net[16], int64_t now_s)
{
	int64_t most = 0;

	for (unsigned i = 0; i < LEVELS; i++) {
		const struct entry *e = find(t, net_key(t, net, i), now_s);
		int64_t ms = e ? step_ms((e->count + levels[i].weight) / levels[i].weight)
			       : 0;

		most = ms > most ? ms : most;
	}
	return most;
}
