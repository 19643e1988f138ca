/* Replies and trace lines as written, octet by octet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "smtp/smtp_write.h"

static void is(struct buf *b, const char *want)
{
	if (!slice_eq(buf_slice(b), slice_str(want)))
		fail_msg("want %s\ngot %.*s", want, (int)b->n, b->p);
	buf_reset(b);
}

static void replies(void **state)
{
	struct buf b;
	(void)state;
	buf_init(&b, 1000);
	smtp_write_reply(&b, 250, "2.1.0", "OK");
	is(&b, "250 2.1.0 OK\r\n");
	smtp_write_reply(&b, 354, NULL, "End with CRLF.CRLF");
	is(&b, "354 End with CRLF.CRLF\r\n");
	smtp_write_line(&b, 250, false, SL("mail.example.org"));
	smtp_write_line(&b, 250, true, SL("HELP"));
	is(&b, "250-mail.example.org\r\n250 HELP\r\n");
	buf_done(&b);
}

/* RFC 3848 1, RFC 6531 4.3 */
static void with_names_the_protocol(void **state)
{
	static const struct {
		bool esmtp, tls, auth, utf8;
		const char *want;
	} rows[] = {
		{ false, false, false, false, "SMTP" },
		{ true, false, false, false, "ESMTP" },
		{ true, true, false, false, "ESMTPS" },
		{ true, false, true, false, "ESMTPA" },
		{ true, true, true, false, "ESMTPSA" },
		{ true, false, false, true, "UTF8SMTP" },
		{ true, true, false, true, "UTF8SMTPS" },
		{ true, false, true, true, "UTF8SMTPA" },
		{ true, true, true, true, "UTF8SMTPSA" },
		{ false, true, false, false, "SMTP" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_string_equal(smtp_with(rows[i].esmtp, rows[i].tls, rows[i].auth,
					      rows[i].utf8),
				    rows[i].want);
}

static void trace_lines(void **state)
{
	struct buf b;
	struct smtp_trace t = { .hello = SL("client.example.com"),
				.peer = SL("192.0.2.1"),
				.hostname = SL("mail.example.org"),
				.is_esmtp = true,
				.is_tls = true,
				.tls = SL("TLSv1.3 TLS_AES_256_GCM_SHA384"),
				.id = SL("3f2a-19-1"),
				.only_recipient = SL("bob@example.org"),
				.time = 1767323045 };
	(void)state;
	buf_init(&b, 1000);
	smtp_write_received(&b, &t);
	is(&b, "Received: from client.example.com ([192.0.2.1])\r\n"
	       "\tby mail.example.org with ESMTPS (TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n"
	       "\tid 3f2a-19-1 for <bob@example.org>;\r\n"
	       "\tFri, 02 Jan 2026 03:04:05 +0000\r\n");
	t = (struct smtp_trace){ .hello = SL(""),
				 .peer = SL("2001:db8::1"),
				 .hostname = SL("mail.example.org"),
				 .id = SL("a-1"),
				 .only_recipient = SL(""),
				 .tls = SL("") };
	smtp_write_received(&b, &t);
	is(&b, "Received: from [IPv6:2001:db8::1] ([IPv6:2001:db8::1])\r\n"
	       "\tby mail.example.org with SMTP\r\n"
	       "\tid a-1;\r\n"
	       "\tThu, 01 Jan 1970 00:00:00 +0000\r\n");
	smtp_write_return_path(&b, SL(""));
	smtp_write_return_path(&b, SL("\"a b\"@c.example"));
	smtp_write_delivered_to(&b, SL("bob@example.org"));
	is(&b,
	   "Return-Path: <>\r\nReturn-Path: <\"a b\"@c.example>\r\nDelivered-To: bob@example.org\r\n");
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies),
		cmocka_unit_test(with_names_the_protocol),
		cmocka_unit_test(trace_lines),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
