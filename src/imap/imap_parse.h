#pragma once
/* imap_parse.h — the pieces every IMAP command is made of.
 *
 * RFC 3501 9. Recursive descent over one complete command: the framer has put its
 * literals in place ("{3}\r\nabc") and cut the last line end. Pure (base and mime).
 * Results borrow from the command or live in the arena; any thread.
 *
 * Every function answers true and moves behind what it took, or answers false and leaves
 * the reason of the *first* failure in why and why_at: the caller of the whole grammar
 * shows it ("BAD octet 12: …"). */
#include "base/arena.h"
#include "base/slice.h"

struct imap_parse {
	slice s;
	size_t at;
	struct arena *a;
	unsigned depth;  /* of parentheses, NOT and OR: ≤ LIMIT_IMAP_DEPTH */
	const char *why; /* static text; NULL: no failure yet */
	size_t why_at;
};

struct imap_parse imap_parse_init(slice command, struct arena *a);
bool imap_parse_fail(struct imap_parse *p, const char *why); /* always false */
bool imap_parse_is_end(const struct imap_parse *p);
bool imap_parse_end(struct imap_parse *p);
bool imap_parse_peek(const struct imap_parse *p, char c);
bool imap_parse_accept(struct imap_parse *p, char c); /* takes c if it is next; no failure is noted */
bool imap_parse_char(struct imap_parse *p, char c);   /* it must be next */
bool imap_parse_sp(struct imap_parse *p);
/* The word is next (ASCII case ignored) and a delimiter or the end behind it: taken. No
 * failure is noted. */
bool imap_parse_word(struct imap_parse *p, const char *word);
bool imap_parse_enter(struct imap_parse *p); /* one level deeper */
void imap_parse_leave(struct imap_parse *p);

bool imap_parse_tag(struct imap_parse *p, slice *out);
bool imap_parse_atom(struct imap_parse *p, slice *out);
bool imap_parse_number(struct imap_parse *p, uint32_t *out);
bool imap_parse_nz_number(struct imap_parse *p, uint32_t *out);
bool imap_parse_string(struct imap_parse *p, slice *out);
bool imap_parse_astring(struct imap_parse *p, slice *out);
bool imap_parse_nstring(struct imap_parse *p, slice *out); /* NIL: out->p is NULL */
bool imap_parse_mailbox(struct imap_parse *p, slice *out);      /* UTF-8; INBOX in upper case */
bool imap_parse_list_mailbox(struct imap_parse *p, slice *out); /* UTF-8, wildcards kept */
/* date: days since 1970-01-01. */
bool imap_parse_date(struct imap_parse *p, int64_t *out_days);
/* date-time with its quotes: seconds since 1970. */
bool imap_parse_date_time(struct imap_parse *p, int64_t *out_s);

struct imap_flags { /* as the client writes them */
	uint32_t sys;   /* enum store_flag */
	slice *kw;      /* distinct, ASCII case ignored */
	size_t n_kw;
};
bool imap_parse_flag_list(struct imap_parse *p, struct imap_flags *out);  /* "(" … ")" */
bool imap_parse_flags(struct imap_parse *p, struct imap_flags *out);      /* a list, or flags with SP between */

/* "{123}" or "{123+}" at the end of s (no line end behind it). *out_at is where it
 * starts. */
enum imap_literal { IMAP_LITERAL_NONE, IMAP_LITERAL_SYNC, IMAP_LITERAL_NONSYNC, IMAP_LITERAL_ABSURD };
enum imap_literal imap_literal_at_end(slice s, size_t *out_at, uint32_t *out_n);

bool imap_is_atom_char(char c);    /* ATOM-CHAR */
bool imap_is_astring_char(char c); /* ASTRING-CHAR */
