#include "smtp/smtp_write.h"
#include "base/clock.h"
#include "smtp/smtp_parse.h"

void smtp_write_reply(struct buf *b, unsigned code, const char *enhanced,
		      const char *text)
{
	buf_addu(b, code);
	buf_addc(b, ' ');
	if (enhanced) {
		buf_adds(b, enhanced);
		buf_addc(b, ' ');
	}
	buf_adds(b, text);
	buf_adds(b, "\r\n");
}

void smtp_write_line(struct buf *b, unsigned code, bool is_last, slice text)
{
	buf_addu(b, code);
	buf_addc(b, is_last ? ' ' : '-');
	buf_add(b, text);
	buf_adds(b, "\r\n");
}

void smtp_write_literal(struct buf *b, slice ip)
{
	buf_adds(b, slice_chr(ip, ':', 0) < ip.n ? "[IPv6:" : "[");
	buf_add(b, ip);
	buf_addc(b, ']');
}

/* RFC 3848 1: ESMTP, +A after AUTH, +S after STARTTLS, SA both; RFC 6531 4.3: UTF8SMTP
 * likewise. HELO has neither. */
const char *smtp_with(bool is_esmtp, bool is_tls, bool is_auth, bool is_utf8)
{
	static const char *const names[2][4] = {
		{ "ESMTP", "ESMTPS", "ESMTPA", "ESMTPSA" },
		{ "UTF8SMTP", "UTF8SMTPS", "UTF8SMTPA", "UTF8SMTPSA" },
	};
	return is_esmtp || is_utf8 ? names[is_utf8][is_tls + 2 * is_auth] : "SMTP";
}

static void put_digits(char *p, int n, int v)
{
	while (n-- > 0) {
		p[n] = (char)('0' + v % 10);
		v /= 10;
	}
}

/* date-time of RFC 5322 3.3, always +0000 */
static void write_date(struct buf *b, int64_t s)
{
	struct civil c = civil_from_unix(s, 0);
	char text[] = "Day, 00 Mon 0000 00:00:00 +0000"; /* once a message: no printf */
	memcpy(text, civil_days[c.weekday], 3);
	put_digits(text + 5, 2, c.day);
	memcpy(text + 8, civil_months[c.month - 1], 3);
	put_digits(text + 12, 4, c.year);
	put_digits(text + 17, 2, c.hour);
	put_digits(text + 20, 2, c.minute);
	put_digits(text + 23, 2, c.second);
	buf_add(b, slice_make(text, sizeof text - 1));
}

/* Time-stamp-line = "Received:" FWS Stamp <CRLF>
 * Stamp = "FROM" FWS Extended-Domain "BY" FWS Extended-Domain [Via] [With] [ID] [For]
 * ";" FWS date-time
 * Extended-Domain = Domain [FWS "(" TCP-info ")"] / address-literal FWS "(" TCP-info
 * ")"   RFC 5321 4.4 */
void smtp_write_received(struct buf *b, const struct smtp_trace *t)
{
	buf_adds(b, "Received: from ");
	if (t->hello.n > 0)
		buf_add(b, t->hello);
	else
		smtp_write_literal(b, t->peer);
	buf_adds(b, " (");
	smtp_write_literal(b, t->peer);
	buf_adds(b, ")\r\n\tby ");
	buf_add(b, t->hostname);
	buf_adds(b, " with ");
	buf_adds(b, smtp_with(t->is_esmtp, t->is_tls, t->is_auth, t->is_utf8));
	if (t->tls.n > 0) {
		buf_adds(b, " (");
		buf_add(b, t->tls);
		buf_addc(b, ')');
	}
	buf_adds(b, "\r\n\tid ");
	buf_add(b, t->id);
	if (t->only_recipient.n > 0) {
		buf_adds(b, " for <");
		buf_add(b, t->only_recipient);
		buf_addc(b, '>');
	}
	buf_adds(b, ";\r\n\t");
	write_date(b, t->time);
	buf_adds(b, "\r\n");
}

/* Return-path-line = "Return-Path:" FWS Reverse-path <CRLF> */
void smtp_write_return_path(struct buf *b, slice sender)
{
	buf_adds(b, "Return-Path: <");
	buf_add(b, sender);
	buf_adds(b, ">\r\n");
}

void smtp_write_delivered_to(struct buf *b, slice address)
{
	buf_adds(b, "Delivered-To: ");
	buf_add(b, address);
	buf_adds(b, "\r\n");
}

void smtp_write_path(struct buf *b, const struct smtp_path *p)
{
	buf_addc(b, '<');
	buf_add(b, p->address);
	buf_addc(b, '>');
}

void smtp_write_mail(struct buf *b, const struct smtp_path *p,
		     const struct smtp_params *params)
{
	buf_adds(b, "MAIL FROM:");
	smtp_write_path(b, p);
	if (params->has_size) {
		buf_adds(b, " SIZE=");
		buf_addu(b, params->size);
	}
	if (params->has_body)
		buf_adds(b, params->body == SMTP_BODY_8BITMIME ? " BODY=8BITMIME"
							       : " BODY=7BIT");
	if (params->has_smtputf8)
		buf_adds(b, " SMTPUTF8");
	if (params->has_auth) {
		buf_adds(b, " AUTH=");
		buf_add(b, params->auth);
	}
	buf_adds(b, "\r\n");
}

void smtp_write_rcpt(struct buf *b, const struct smtp_path *p)
{
	buf_adds(b, "RCPT TO:");
	smtp_write_path(b, p);
	buf_adds(b, "\r\n");
}
