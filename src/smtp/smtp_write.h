#pragma once
/* smtp_write.h — what the server writes: replies and trace lines. Into a buf (sticky
 * when full). Pure: base only.
 *
 * RFC 5321 4.2 (replies), 2034 and 3463 (enhanced codes; none in the greeting, EHLO
 * and HELO replies and 3yz), 4.4 (Return-Path, Received), 3848 and 6531 4.3 (with
 * ESMTPSA, UTF8SMTPS…). Nothing the peer said is ever in a reply (HAZARDS 26). */
#include "base/buf.h"

/* "250 2.1.0 OK\r\n"; enhanced NULL: without. text is one line of our own. */
void smtp_write_reply(struct buf *b, unsigned code, const char *enhanced, const char *text);
/* One line of several: "250-PIPELINING\r\n", the last with a blank. */
void smtp_write_line(struct buf *b, unsigned code, bool is_last, slice text);

struct smtp_trace {
	slice hello;           /* EHLO argument; empty when it may not stand here */
	slice peer;            /* "192.0.2.1" or "2001:db8::1" */
	slice hostname;
	bool is_esmtp, is_tls, is_auth, is_utf8;
	slice tls;             /* "TLSv1.3 TLS_AES_256_GCM_SHA384" */
	slice id;              /* an Atom */
	slice only_recipient;  /* for <…>; empty when there are several (RFC 5321 7.2: Bcc) */
	int64_t time;          /* seconds since 1970 */
};
/* The time-stamp line with CRLF, folded. */
void smtp_write_received(struct buf *b, const struct smtp_trace *t);
/* Return-Path: <sender>   final delivery only */
void smtp_write_return_path(struct buf *b, slice sender);
void smtp_write_delivered_to(struct buf *b, slice address);
/* "[192.0.2.1]", "[IPv6:2001:db8::1]" */
void smtp_write_literal(struct buf *b, slice ip);
/* "ESMTPSA" and its kin */
const char *smtp_with(bool is_esmtp, bool is_tls, bool is_auth, bool is_utf8);

/* The commands, as a client writes them: parse(write(x)) = x. */
struct smtp_path;
struct smtp_params;
void smtp_write_path(struct buf *b, const struct smtp_path *p);
void smtp_write_mail(struct buf *b, const struct smtp_path *p, const struct smtp_params *params);
void smtp_write_rcpt(struct buf *b, const struct smtp_path *p);
