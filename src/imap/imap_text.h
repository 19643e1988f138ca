#pragma once
/* imap_text.h — comparing text without case, over chunks.
 *
 * Substring search (RFC 3501 6.4.4) over UTF-8, each character folded to lower case by
 * itself (ASCII, and Unicode's simple mappings), no locale. Memory: one chunk and the
 * needle. Pure, any thread. */
#include "base/arena.h"
#include "base/buf.h"

slice imap_text_fold(struct arena *a, slice utf8); /* malformed octets become U+FFFD */

struct imap_finder {
	slice needle;   /* folded; empty: everything holds it */
	struct buf hay; /* the end of what came before, then the chunk */
	bool found;
};
void imap_finder_init(struct imap_finder *f, slice folded_needle);
void imap_finder_done(struct imap_finder *f);
void imap_finder_feed(struct imap_finder *f, slice utf8); /* whole characters */
bool imap_text_has(slice utf8, slice folded_needle);
