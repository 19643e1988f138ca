#pragma once
/* pop3_parse.h — the grammar of POP3 commands.
 *
 * RFC 2449 3: command = keyword *(SP param) CRLF; RFC 1939 5–7; RFC 5034 4 (AUTH). Pure:
 * base/ only; everything borrows from the line, which comes without its line end. Any
 * thread.
 *
 * Liberal in one thing: blanks at the end of a command with numbers are ignored, as
 * clients send them. */
#include "base/slice.h"
#include "base/status.h"

struct pop3_args {
	bool has_msg, has_initial;
	uint32_t msg; /* as the client numbers them: from 1; not checked against any maildrop */
	uint32_t lines; /* TOP */
	slice text;	/* USER: name; PASS: password; AUTH: mechanism */
	slice initial;	/* AUTH: base64, or "=" */
};
enum pop3_grammar {
	POP3_NO_ARGS,
	POP3_MSG,	/* SP msg */
	POP3_OPT_MSG,	/* [SP msg] */
	POP3_MSG_LINES, /* SP msg SP n */
	POP3_TEXT,	/* SP the rest of the line, blanks and all (RFC 1939 7, PASS) */
	POP3_WORD,	/* SP one word */
	POP3_AUTH	/* SP mechanism [SP initial-response] */
};
/* keyword = 3*4VCHAR, here letters. ERR_SYNTAX for anything else, and for NUL, CR or LF
 * anywhere in the line. */
enum status pop3_parse_keyword(slice line, slice *out_keyword, slice *out_rest,
			       struct err *e) MUST_USE;
/* rest: what stands behind the keyword, beginning with its SP, or nothing. */
enum status pop3_parse_args(enum pop3_grammar g, slice rest, struct pop3_args *out,
			    struct err *e) MUST_USE;
