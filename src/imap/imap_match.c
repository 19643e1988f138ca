#include "imap/imap_match.h"

struct imap_pattern imap_pattern_make(struct arena *a, slice pattern)
{
	struct imap_pattern p;
	char *to = arena_alloc(a, pattern.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < pattern.n; i++) {
		char c = pattern.p[i], last = n ? to[n - 1] : 0;

		if (c == '*' && last == '%')
			to[n - 1] = '*'; /* "%*" and "*%" are "*" */
		else if ((c == '*' && last == '*') ||
			 (c == '%' && (last == '*' || last == '%')))
			continue;
		else
			to[n++] = c;
	}
	p.text = slice_make(to, n);
	p.now = arena_alloc(a, n + 1);
	p.next = arena_alloc(a, n + 1);
	return p;
}

bool imap_pattern_is_plain(const struct imap_pattern *p)
{
	return slice_chr(p->text, '*', 0) == p->text.n &&
	       slice_chr(p->text, '%', 0) == p->text.n;
}

/* State i: the first i octets of the pattern are matched. A wildcard may match
 * nothing. */
static void close_states(const struct imap_pattern *p, unsigned char *st)
{
	for (size_t i = 0; i < p->text.n; i++)
		if (st[i] && (p->text.p[i] == '*' || p->text.p[i] == '%'))
			st[i + 1] = 1;
}

bool imap_pattern_matches(struct imap_pattern *p, slice name, char separator)
{
	size_t n = p->text.n;

	if (n == 1 && p->text.p[0] == '*')
		return true;
	memset(p->now, 0, n + 1);
	p->now[0] = 1;
	close_states(p, p->now);
	for (size_t k = 0; k < name.n; k++) {
		unsigned char any = 0, *swap;

		memset(p->next, 0, n + 1);
		for (size_t i = 0; i < n; i++) {
			char c = p->text.p[i];

			if (!p->now[i])
				continue;
			if (c == '*' || (c == '%' && name.p[k] != separator))
				p->next[i] = any = 1;
			else if (c == name.p[k])
				p->next[i + 1] = any = 1;
		}
		if (!any)
			return false;
		close_states(p, p->next);
		swap = p->now;
		p->now = p->next;
		p->next = swap;
	}
	return p->now[n];
}
