#pragma once
/* smtp_parse.h — the grammar of SMTP commands, over one complete line without its
 * CRLF.
 *
 * RFC 5321 4.1.2, 4.1.3; RFC 6531 3.3 (UTF-8 in addresses); RFC 1870, 3030, 4954, 6152
 * (parameters). Pure; results borrow from the input. A parser that takes `slice *in`
 * cuts what it understood off the front and leaves *in alone when it fails. Whether
 * non-ASCII is allowed is the caller's question (is_utf8): the grammar takes it when
 * it is valid UTF-8. */
#include "base/slice.h"

enum smtp_syntax {
	SMTP_SYNTAX_OK = 0,
	SMTP_SYNTAX_VERB,      /* 500: not a command */
	SMTP_SYNTAX_ARGUMENT,  /* 501 5.5.4: missing, superfluous or malformed */
	SMTP_SYNTAX_PATH,      /* 501 5.1.7 or 5.1.3: bad address */
	SMTP_SYNTAX_PARAM,     /* 501 5.5.4: malformed or repeated parameter, or bad value */
	SMTP_SYNTAX_UNKNOWN    /* 555 5.5.4: parameter not recognised */
};

struct smtp_path {
	slice address;      /* local@domain as it came, without source route; empty for <> */
	slice local;        /* with quotes when it is quoted */
	slice domain;       /* with brackets when it is a literal; empty for <Postmaster> */
	bool is_null;       /* <> */
	bool is_postmaster; /* <Postmaster>, no domain */
	bool is_literal, is_quoted;
	bool is_utf8;       /* holds octets above 127 */
};

enum smtp_body_type { SMTP_BODY_7BIT, SMTP_BODY_8BITMIME };
struct smtp_params {
	bool has_size, has_body, has_smtputf8, has_auth;
	uint64_t size;
	enum smtp_body_type body;
	slice auth; /* as it came: xtext, or "<>" */
};
enum { /* which parameters a command takes here; others are SMTP_SYNTAX_UNKNOWN */
	SMTP_PARAM_SIZE = 1, SMTP_PARAM_BODY = 2, SMTP_PARAM_UTF8 = 4, SMTP_PARAM_AUTH = 8
};

/* "MAIL FROM:<x> SIZE=1" → verb "MAIL", rest "FROM:<x> SIZE=1". Trailing blanks are
 * dropped (RFC 5321 4.1.1). */
void smtp_parse_verb(slice line, slice *out_verb, slice *out_rest);
/* behind "MAIL " and "RCPT " */
enum smtp_syntax smtp_parse_mail(slice rest, unsigned allowed, struct smtp_path *out, struct smtp_params *out_params);
enum smtp_syntax smtp_parse_rcpt(slice rest, struct smtp_path *out);
/* behind "BDAT ". *out_size is set when the size was readable, whatever is wrong
 * behind it: so many octets follow. */
enum smtp_syntax smtp_parse_bdat(slice rest, uint64_t *out_size, bool *out_has_size, bool *out_last);
/* behind "AUTH ": mechanism, and the initial response when there is one */
enum smtp_syntax smtp_parse_auth(slice rest, slice *out_mechanism, slice *out_initial, bool *out_has_initial);
/* behind "EHLO ": anything printable is taken (RFC 5321 4.1.4: no refusal for a wrong
 * name). *out_is_name: it is a Domain or an address literal as the grammar has them,
 * and may stand in a Received line. */
enum smtp_syntax smtp_parse_hello(slice rest, slice *out_name, bool *out_is_name);

enum smtp_syntax smtp_parse_path(slice *in, struct smtp_path *out);
enum smtp_syntax smtp_parse_params(slice in, unsigned allowed, struct smtp_params *out);
bool smtp_parse_local_part(slice *in, slice *out, bool *out_quoted);
bool smtp_parse_domain(slice *in, slice *out);
bool smtp_parse_address_literal(slice *in, slice *out);
bool smtp_is_ipv4(slice s);
bool smtp_is_ipv6(slice s);
