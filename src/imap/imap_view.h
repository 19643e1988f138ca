#pragma once
/* imap_view.h — which message has which number for one client.
 *
 * A client's numbers change only when it is told (RFC 3501 5.5, 7.4.1): they run over the
 * UIDs of the mailbox as last read (base: shared by all sessions that stand at that
 * modseq, borrowed) and over those expunged since that it was not told of yet (gone:
 * sorted, owned, disjoint from base). Binary search both ways. Pure, one owner. */
#include "base/slice.h"

struct imap_view {
	const uint32_t *uid;
	size_t n;
	uint32_t *gone;
	size_t n_gone, cap_gone;
};
void imap_view_done(struct imap_view *v);
static inline size_t imap_view_count(const struct imap_view *v)
{
	return v->n + v->n_gone;
}
size_t imap_view_below(const struct imap_view *v, uint32_t uid); /* how many have a smaller UID */
uint32_t imap_view_seq(const struct imap_view *v, uint32_t uid); /* 0: not in it */
/* The same; *hint says where the last one stood: walking upwards costs nothing. Start
 * with 0. */
static inline uint32_t imap_view_seq_from(const struct imap_view *v, uint32_t uid, size_t *hint)
{
	if (v->n_gone == 0 && *hint < v->n && v->uid[*hint] == uid)
		return (uint32_t)++*hint;
	*hint = imap_view_seq(v, uid);
	return (uint32_t)*hint;
}
uint32_t imap_view_uid(const struct imap_view *v, uint32_t seq); /* 0: out of range */
uint32_t imap_view_last(const struct imap_view *v);              /* highest UID, 0 when empty */
/* The base is replaced; expunged (ascending) are those that went from it. */
void imap_view_move(struct imap_view *v, const uint32_t *uid, size_t n, const uint32_t *expunged, size_t n_expunged);
void imap_view_forget(struct imap_view *v); /* the client knows now */
size_t imap_lower_bound(const uint32_t *v, size_t n, uint32_t uid); /* index of the first ≥ uid */
