#include "pop3/pop3_stuff.h"

/* A line has ended. The line was empty when nothing but its CR came before its LF. */
static void line_ended(struct pop3_stuff *s, bool was_empty)
{
	if (!s->is_top)
		return;
	if (!s->in_body)
		s->in_body = was_empty;
	else
		s->lines--;
	s->is_done = s->in_body && s->lines == 0;
}

void pop3_stuff_add(struct pop3_stuff *s, slice chunk, struct buf *out)
{
	while (chunk.n > 0 && !s->is_done) {
		size_t end = slice_chr(chunk, '\n', 0);
		slice piece = slice_sub(chunk, 0, end < chunk.n ? end + 1 : end);
		bool was_empty;

		if (!s->in_line && piece.p[0] == '.')
			buf_addc(out, '.'); /* RFC 1939 3 */
		buf_add(out, piece);
		chunk = slice_from(chunk, piece.n);
		if (piece.p[piece.n - 1] != '\n') {
			/* only a CR alone at the start of a line may still become an
			 * empty line */
			s->has_cr = !s->in_line && piece.n == 1 && piece.p[0] == '\r';
			s->in_line = true;
			continue;
		}
		was_empty = (!s->in_line && piece.n <= 2 &&
			     (piece.n == 1 || piece.p[0] == '\r')) ||
			    (s->in_line && s->has_cr && piece.n == 1);
		s->in_line = s->has_cr = false;
		line_ended(s, was_empty);
	}
}

void pop3_stuff_end(struct pop3_stuff *s, struct buf *out)
{
	if (s->in_line)
		buf_adds(out, "\r\n");
	buf_adds(out, ".\r\n");
}
