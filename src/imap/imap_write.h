#pragma once
/* imap_write.h — the pieces of IMAP answers.
 *
 * RFC 3501 9. Text goes to an output chain; nothing written here can hold a bare CR or LF
 * outside a literal (DESIGN P6). Pure but for the chain, any thread. */
#include "net/out.h"

/* Digits of v without a terminator; returns how many (≤ 20). */
size_t imap_digits(char *to, uint64_t v);
/* quoted when it can be (7-bit, no CR, LF, NUL, at most 1,000 octets), else a literal. */
void imap_write_string(struct out *o, slice s);
void imap_write_astring(struct out *o, slice s);       /* an atom when it can be */
void imap_write_mailbox(struct out *o, slice utf8);    /* modified UTF-7 */
/* "22-Nov-2026 19:54:30 +0000" with the quotes, 28 octets. */
void imap_date_time(char to[28], int64_t s);
/* resp-text: 7-bit, no CR or LF, and never empty. */
void imap_write_text(struct out *o, slice s);

/* "(\Seen $Forwarded)": keywords by bit from names; bits without a name are left out. */
struct imap_flag_names {
	const slice *kw;
	size_t n;
};
void imap_write_flags(struct out *o, uint32_t sys, uint64_t kw, bool recent, const struct imap_flag_names *names);
/* The same for few flags into a buffer of the caller: returns the length, or 0 when it
 * needs imap_write_flags. */
#define IMAP_FLAGS_SHORT 128
size_t imap_flags_short(char to[IMAP_FLAGS_SHORT], uint32_t sys, bool recent);
