/* Who is connected: for limits, who and kick, and for messages from other threads. One
 * lock; nothing is done under it but counting, copying and posting. */
#include "work/driver.h"
#include "base/alloc.h"
#include "base/limits.h"
#include "base/log.h"
#include <stddef.h>

struct user_count {
	uint32_t account, n;
	struct user_count *next;
};

static struct worker_loop *loop_find(struct worker_ctx *w, const struct loop *l)
{
	size_t i;

	for (i = 0; i < w->n; i++)
		if (w->wl[i].loop == l)
			return &w->wl[i];
	return NULL;
}

static struct user_count **user_find(struct worker_ctx *w, uint32_t account)
{
	struct user_count **u =
		&w->users[account % (sizeof(w->users) / sizeof(w->users[0]))];

	while (*u && (*u)->account != account)
		u = &(*u)->next;
	return u;
}

static void user_add(struct worker_ctx *w, uint32_t account)
{
	struct user_count **u = user_find(w, account);

	if (!account)
		return;
	if (!*u) {
		*u = mem_new(sizeof(**u));
		(*u)->account = account;
	}
	(*u)->n++;
}

static void user_drop(struct worker_ctx *w, uint32_t account)
{
	struct user_count **u = user_find(w, account), *gone = *u;

	if (!account || !gone || --gone->n)
		return;
	*u = gone->next;
	mem_free(gone);
}

static void slot_set(struct worker_loop *wl, uint32_t slot, struct driver *d)
{
	if (slot >= wl->slots) {
		uint32_t n = wl->slots ? wl->slots : 64;

		while (n <= slot)
			n *= 2;
		wl->by_slot = mem_grow(wl->by_slot, n, sizeof(struct driver *));
		memset(wl->by_slot + wl->slots, 0,
		       (n - wl->slots) * sizeof(struct driver *));
		wl->slots = n;
	}
	wl->by_slot[slot] = d;
}

bool registry_add(struct driver *d)
{
	struct worker_ctx *w = d->ctx;
	bool counted = !d->peer.is_loopback || w->limit_loopback, ok = false;

	if (atomic_load(&w->stopping))
		return false;
	if (counted && !net_enter(w->nets, d->peer.net, loop_mono_ms(d->loop)))
		return false;
	pthread_mutex_lock(&w->lock);
	if (w->live < LIMIT_CONNS) {
		w->live++;
		d->wl = loop_find(w, d->loop);
		slot_set(d->wl, d->id.slot, d);
		d->reg_next = w->first;
		if (w->first)
			w->first->reg_prev = d;
		w->first = d;
		d->counted = counted;
		ok = true;
	}
	pthread_mutex_unlock(&w->lock);
	if (!ok && counted)
		net_leave(w->nets, d->peer.net, true);
	return ok;
}

void registry_drop(struct driver *d)
{
	struct worker_ctx *w = d->ctx;

	pthread_mutex_lock(&w->lock);
	if (!d->wl) { /* has been here */
		pthread_mutex_unlock(&w->lock);
		return;
	}
	if (d->id.slot < d->wl->slots && d->wl->by_slot[d->id.slot] == d)
		d->wl->by_slot[d->id.slot] = NULL;
	d->wl = NULL;
	if (d->reg_prev)
		d->reg_prev->reg_next = d->reg_next;
	else
		w->first = d->reg_next;
	if (d->reg_next)
		d->reg_next->reg_prev = d->reg_prev;
	user_drop(w, d->account);
	if (--w->live == 0)
		pthread_cond_broadcast(&w->empty);
	pthread_mutex_unlock(&w->lock);
	if (d->counted)
		net_leave(w->nets, d->peer.net, d->preauth);
}

/* --- what protocols and the server ask -------------------------------------------- */

void session_ref_wake(const struct session_ref *r)
{
	struct worker_ctx *w = r->ctx;
	struct worker_loop *wl;
	struct driver *d;

	pthread_mutex_lock(&w->lock);
	wl = loop_find(w, r->loop);
	d = wl && r->id.slot < wl->slots ? wl->by_slot[r->id.slot] : NULL;
	if (d && d->id.gen == r->id.gen)
		driver_post(d, MAIL_WAKE);
	pthread_mutex_unlock(&w->lock);
}

void session_set_user(struct session *s, slice user, uint32_t account)
{
	struct driver *d = s->drv;
	char *copy = mem_new(user.n + 1), *old;
	bool was_preauth;

	memcpy(copy, user.p, user.n);
	pthread_mutex_lock(&d->ctx->lock);
	old = d->user;
	was_preauth = d->preauth;
	d->preauth = false;
	d->user = copy;
	user_drop(d->ctx, d->account);
	d->account = account;
	user_add(d->ctx, account);
	pthread_mutex_unlock(&d->ctx->lock);
	if (was_preauth && d->counted)
		net_login(d->ctx->nets, d->peer.net);
	mem_free(old);
}

bool session_over_user_limit(const struct session *s)
{
	struct driver *d = s->drv;
	struct user_count *u;
	bool over;

	if (!d->counted)
		return false;
	pthread_mutex_lock(&d->ctx->lock);
	u = *user_find(d->ctx, d->account);
	over = d->account && u && u->n > LIMIT_CONN_PER_USER;
	pthread_mutex_unlock(&d->ctx->lock);
	return over;
}

size_t worker_who(struct worker_ctx *w, struct arena *a, struct worker_session_info **out)
{
	struct worker_session_info *list;
	const struct driver *d;
	size_t n = 0;

	pthread_mutex_lock(&w->lock);
	list = arena_array(a, w->live ? w->live : 1, sizeof(*list));
	for (d = w->first; d; d = d->reg_next) {
		struct worker_session_info *i = &list[n++];

		snprintf(i->id, sizeof(i->id), "%s", d->sid);
		snprintf(i->user, sizeof(i->user), "%s", d->user ? d->user : "");
		snprintf(i->addr, sizeof(i->addr), "%s", d->peer.addr);
		snprintf(i->service, sizeof(i->service), "%s", d->svc->name);
		i->account = d->account;
		i->is_tls = d->is_tls;
		i->since_us = d->since_us;
	}
	pthread_mutex_unlock(&w->lock);
	*out = list;
	return n;
}

static bool is_meant(const struct driver *d, slice who, uint32_t account)
{
	if (account && d->account == account)
		return true;
	return who.n && (slice_eq(who, slice_str(d->sid)) ||
			 (d->user && slice_eq(who, slice_str(d->user))));
}

size_t worker_kick(struct worker_ctx *w, slice user_or_session_id, uint32_t account)
{
	struct driver *d;
	size_t n = 0;

	pthread_mutex_lock(&w->lock);
	for (d = w->first; d; d = d->reg_next) {
		if (is_meant(d, user_or_session_id, account)) {
			driver_post(d, MAIL_KICK);
			n++;
		}
	}
	pthread_mutex_unlock(&w->lock);
	return n;
}
