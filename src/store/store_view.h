#pragma once
/* store_view.h — inside of views: shared by store_view.c and store_changes.c.
 *
 * One node a mailbox that somebody looks at; its lock covers building and the list of
 * live views. Views of one modseq are one object. A view that follows another shares its
 * array of UIDs when nothing was expunged: new ones are written behind the end that the
 * older one knows. Each keeps what changed since the one before (its step), so that a
 * publication is read once however many sessions wait for it. */
#include "store/store_int.h"

struct uid_array { /* shared by views; refs under the node's lock */
	unsigned refs;
	size_t used, cap;
	uint32_t uid[];
};
struct uid_set { /* growing, own heap */
	uint32_t *uid;
	size_t n, cap;
};
struct uid_changes {
	struct uid_set added, expunged, changed;
};
struct view {
	struct store_view pub; /* first: the public pointer is this one */
	_Atomic unsigned refs;
	struct view_node *node;
	struct uid_array *array;
	struct view *next;     /* live views of the node, newest first */
	bool has_step;
	uint64_t step_from;
	struct uid_changes step;
};
struct view_node {
	uint32_t account, mbox;
	unsigned users;        /* under store.view_lock */
	pthread_mutex_t lock;
	struct view *live;
	struct view_node *next;
};

void uid_set_add(struct uid_set *s, uint32_t uid);
void uid_set_sort(struct uid_set *s);
void uid_set_done(struct uid_set *s);
void uid_changes_done(struct uid_changes *c);
/* What happened in (from, to] according to the change log; each list sorted. *out_known
 * is false when the log does not reach back or reading it would cost more than a scan. */
enum status changes_read(struct store *s, uint32_t account, uint32_t mbox, uint64_t from,
			 uint64_t to, struct uid_changes *out, bool *out_known,
			 struct err *e) MUST_USE;
bool uid_is_in(const uint32_t *uid, size_t n, uint32_t x);
/* All uids below uidnext; those changed behind `since` also go to changed (may be NULL).
 */
enum status uids_scan(struct store *s, uint32_t account, uint32_t mbox, uint32_t uidnext,
		      uint64_t since, struct uid_set *out, struct uid_set *changed,
		      struct err *e) MUST_USE;
/* Keeps of each list what is true of the two arrays of UIDs. */
void changes_settle(struct uid_changes *c, const uint32_t *from, size_t n_from,
		    const uint32_t *to, size_t n_to);
/* added and expunged from the arrays themselves. */
void changes_compare(struct uid_changes *c, const uint32_t *from, size_t n_from,
		     const uint32_t *to, size_t n_to);
