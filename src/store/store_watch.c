/* store_watch.c — who wants to hear of a change. Buckets by account, each with its lock;
 * fn only posts. */
#include "store/store_int.h"

static struct watch_bucket *bucket_of(struct store *s, uint32_t account)
{
	return &s->watch[account % WATCH_BUCKETS];
}

void store_watches_init(struct store *s)
{
	for (size_t i = 0; i < WATCH_BUCKETS; i++)
		pthread_mutex_init(&s->watch[i].lock, NULL);
}

void store_watches_done(struct store *s)
{
	for (size_t i = 0; i < WATCH_BUCKETS; i++)
		pthread_mutex_destroy(&s->watch[i].lock);
}

void store_watch_add(struct store *s, struct store_watch *w)
{
	struct watch_bucket *b = bucket_of(s, w->account);

	pthread_mutex_lock(&b->lock);
	w->prev = NULL;
	w->next = b->head;
	if (b->head)
		b->head->prev = w;
	b->head = w;
	pthread_mutex_unlock(&b->lock);
}

void store_watch_remove(struct store *s, struct store_watch *w)
{
	struct watch_bucket *b = bucket_of(s, w->account);

	pthread_mutex_lock(&b->lock);
	if (w->prev)
		w->prev->next = w->next;
	else if (b->head == w)
		b->head = w->next;
	if (w->next)
		w->next->prev = w->prev;
	w->next = w->prev = NULL;
	pthread_mutex_unlock(&b->lock);
}

void watch_publish(struct store *s, uint32_t account, uint32_t mbox)
{
	struct watch_bucket *b = bucket_of(s, account);

	pthread_mutex_lock(&b->lock);
	for (struct store_watch *w = b->head; w; w = w->next)
		if (w->account == account && (w->mbox == 0 || w->mbox == mbox))
			w->fn(w);
	pthread_mutex_unlock(&b->lock);
}
