#pragma once
/* pop3_stuff.h — multi-line responses: byte-stuffing, and where TOP ends.
 *
 * RFC 1939 3 (byte-stuffing), 7 (TOP). Pure, for chunks of any size: the state carries
 * over. Any thread. */
#include "base/buf.h"

struct pop3_stuff {
	bool in_line;    /* something of the current line has been seen */
	bool has_cr;     /* the last octet was CR */
	bool is_top;     /* ends behind the header and `lines` lines of the body */
	bool in_body;
	bool is_done;    /* TOP: enough; the rest is not wanted */
	uint32_t lines;
};
/* Appends the stuffed form of chunk to out. */
void pop3_stuff_add(struct pop3_stuff *s, slice chunk, struct buf *out);
/* CRLF if the last line has none, and the final dot. */
void pop3_stuff_end(struct pop3_stuff *s, struct buf *out);
