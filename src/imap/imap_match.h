#pragma once
/* imap_match.h — LIST patterns (RFC 3501 6.3.8): "*" matches anything, "%" anything
 * without the separator.
 *
 * Linear: no backtracking, octets × states whatever the pattern. Pure, any thread. */
#include "base/arena.h"

struct imap_pattern {
	slice text;  /* runs of wildcards collapsed */
	unsigned char *now, *next; /* states, text.n + 1 of each */
};
struct imap_pattern imap_pattern_make(struct arena *a, slice pattern);
bool imap_pattern_matches(struct imap_pattern *p, slice name, char separator);
bool imap_pattern_is_plain(const struct imap_pattern *p); /* no wildcard in it */
