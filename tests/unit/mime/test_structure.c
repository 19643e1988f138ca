/* ENVELOPE, BODY and BODYSTRUCTURE in wire form, and what the parser says of limits. */
#include "mime_test.h"

static void structure(const char *message, struct buf *out)
{
	AUTO_ARENA a = { 0 };
	slice m = exact(slice_str(message));

	buf_init(out, MIME_DIGEST_MAX);
	mime_imap_bodystructure(out, mime_parse(&a, m));
	exact_free(m);
}

#define PLAIN "\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\""
#define NOEXT " NIL NIL NIL NIL)"

static const struct {
	const char *message, *want;
} structures[] = {
	{ "", "(" PLAIN " 0 0" NOEXT },
	{ "\r\none\r\ntwo\r\n", "(" PLAIN " 10 2" NOEXT },
	{ "Content-Type: image/png\r\nContent-Transfer-Encoding: BASE64\r\n\r\nAAAA",
	  "(\"image\" \"png\" NIL NIL NIL \"BASE64\" 4" NOEXT },
	{ "Content-Type: text/html; x=\"q\\\"\\\\\"\r\nContent-ID: <a@b>\r\nContent-Description: d\r\n"
	  "Content-MD5: m\r\nContent-Disposition: inline\r\nContent-Language: en\r\nContent-Location: l\r\n\r\n",
	  "(\"text\" \"html\" (\"x\" \"q\\\"\\\\\") \"<a@b>\" \"d\" \"7bit\" 0 0 \"m\" (\"inline\" NIL) \"en\" \"l\")" },
	{ "Content-Type: text/plain; name=\"\xff\"\r\nContent-Language: a, ,b\r\nContent-Description:\r\n\r\n",
	  "(\"text\" \"plain\" (\"name\" {1}\r\n\xff) NIL \"\" \"7bit\" 0 0 NIL NIL (\"a\" \"b\") NIL)" },
	{ "Content-Type: multipart/mixed; boundary=b\r\nContent-Disposition: x; y=z\r\n\r\n--b\r\n\r\na\r\n--b--\r\n",
	  "((" PLAIN " 1 0" NOEXT
	  " \"mixed\" (\"boundary\" \"b\") (\"x\" (\"y\" \"z\")) NIL NIL)" },
	{ "Content-Type: message/rfc822\r\n\r\nSubject: s\r\n\r\nx\r\n",
	  "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 17 (NIL \"s\" NIL NIL NIL NIL NIL NIL NIL NIL) (" PLAIN
	  " 3 1" NOEXT " 3" NOEXT },
};

static void bodystructure_is_as_rfc_3501_has_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(structures) / sizeof(structures[0]); i++) {
		AUTO_BUF b;

		structure(structures[i].message, &b);
		assert_slice(buf_slice(&b), structures[i].want);
	}
}

static const struct {
	const char *header, *want;
} envelopes[] = {
	{ "", "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)" },
	{ "Date:\r\nSubject: \r\nMessage-ID:\r\nIn-Reply-To: \r\nFrom:\r\n",
	  "(\"\" \"\" NIL NIL NIL NIL NIL NIL \"\" \"\")" },
	{ "From: Ann <a@b>\r\nSender: \r\nReply-To: r@s\r\nTo: t@u\r\nTo: v@w\r\n",
	  "(NIL NIL ((\"Ann\" NIL \"a\" \"b\")) ((\"Ann\" NIL \"a\" \"b\")) ((NIL NIL \"r\" \"s\")) "
	  "((NIL NIL \"t\" \"u\")(NIL NIL \"v\" \"w\")) NIL NIL NIL NIL)" },
	{ "To: g:a@b;, undisclosed:;\r\n",
	  "(NIL NIL NIL NIL NIL ((NIL NIL \"g\" NIL)(NIL NIL \"a\" \"b\")(NIL NIL NIL NIL)"
	  "(NIL NIL \"undisclosed\" NIL)(NIL NIL NIL NIL)) NIL NIL NIL NIL)" },
	{ "Cc: <@x:a@b>, root\r\nBcc: \"q\\\"q\" <\"a b\"@c>\r\n",
	  "(NIL NIL NIL NIL NIL NIL ((NIL \"@x\" \"a\" \"b\")(NIL NIL \"root\" \"\")) "
	  "((\"q\\\"q\" NIL \"a b\" \"c\")) NIL NIL)" },
	{ "Subject: a\r\n\tb\r\nDate: =?utf-8?q?raw?=\r\nMessage-ID: <x>\r\nIn-Reply-To: <y>\r\n",
	  "(\"=?utf-8?q?raw?=\" \"a\tb\" NIL NIL NIL NIL NIL NIL \"<y>\" \"<x>\")" },
	{ "Subject: \xc3\xa9\r\n",
	  "(NIL {2}\r\n\xc3\xa9 NIL NIL NIL NIL NIL NIL NIL NIL)" },
	{ "Subject: one\r\nSubject: two\r\nDate: 1\r\nDate: 2\r\n",
	  "(\"1\" \"one\" NIL NIL NIL NIL NIL NIL NIL NIL)" },
	{ "Subject: a\rb\r\n", "(NIL \"a b\" NIL NIL NIL NIL NIL NIL NIL NIL)" },
};

static void envelope_is_as_rfc_3501_has_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(envelopes) / sizeof(envelopes[0]); i++) {
		AUTO_ARENA a = { 0 };
		AUTO_BUF b;

		buf_init(&b, 1 << 20);
		mime_imap_envelope(
			&b, mime_parse(&a, slice_str(envelopes[i].header))->summary);
		assert_slice(buf_slice(&b), envelopes[i].want);
	}
}

static void the_summary_counts_and_lists(void **state)
{
	AUTO_ARENA a = { 0 };
	struct mime_parser *p = mime_parser_new(&a);
	const struct mime_summary *s = mime_parser_summary(p);
	const struct mime_field *f;

	(void)state;
	mime_parser_feed(
		p,
		SL("Received: x\r\nreceived : y\r\nFROM: a@b\r\nFrom: c@d\r\nDelivered-To: x@y\r\n"
		   "Delivered-To: <z@w>\r\nReferences: <1@a>\r\n <2@a>\r\nX: y\r\n\r"));
	assert_false(mime_parser_has_header(p));
	mime_parser_feed(p, SL("\nFrom: no\r\nReceived: no\r\n"));
	assert_true(mime_parser_has_header(p));
	assert_int_equal(s->received_count, 2);
	assert_int_equal(s->from_count, 2);
	assert_int_equal(s->field_count, 8);
	assert_slice(s->from, "a@b");
	assert_slice(s->references, "<1@a> <2@a>");
	assert_false(mime_has(s->subject));
	f = mime_field_next(s, NULL, MIME_F_DELIVERED_TO);
	assert_slice(f->value, "x@y");
	f = mime_field_next(s, f, MIME_F_DELIVERED_TO);
	assert_slice(f->value, "<z@w>");
	assert_null(mime_field_next(s, f, MIME_F_DELIVERED_TO));
	mime_parser_finish(p);
}

static void parts_beyond_the_limits_are_opaque(void **state)
{
	AUTO_ARENA a = { 0 };
	AUTO_BUF m, out;
	const struct mime_part *root, *last = NULL;
	uint32_t n = 0;

	(void)state;
	buf_init(&m, 1 << 20);
	buf_adds(&m, "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
	for (int i = 0; i < LIMIT_MIME_PARTS + 100; i++)
		buf_adds(&m, "--b\r\n\r\nx\r\n");
	buf_adds(&m, "--b--\r\n");
	root = mime_parse(&a, buf_slice(&m));
	for (const struct mime_part *p = root; p; p = mime_part_next(p), n++)
		last = p;
	assert_int_equal(n, LIMIT_MIME_PARTS);
	assert_int_equal(last->body_off + last->body_len,
			 m.n); /* takes all that is left */
	buf_reset(&m);
	for (int i = 0; i < LIMIT_MIME_DEPTH + 10; i++)
		buf_addf(&m,
			 "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n",
			 i, i);
	buf_adds(&m, "\r\nx\r\n--b0\r\n\r\nsecond part of the outermost\r\n");
	root = mime_parse(&a, buf_slice(&m));
	assert_int_equal(root->nchildren, 2);
	for (last = root; last->first; last = last->first)
		;
	assert_int_equal(last->depth, LIMIT_MIME_DEPTH);
	assert_true(last->opaque);
	buf_init(&out, MIME_DIGEST_MAX);
	mime_imap_body(&out, last);
	assert_true(
		slice_starts(buf_slice(&out), SL("(\"application\" \"octet-stream\"")));
}

static void headers_beyond_the_limits_are_cut(void **state)
{
	AUTO_ARENA a = { 0 };
	AUTO_BUF m;
	const struct mime_part *root;

	(void)state;
	buf_init(&m, 8u << 20);
	buf_adds(&m, "Subject: ");
	for (unsigned i = 0; i < LIMIT_HEADER_FIELD + 10; i++)
		buf_addc(&m, 'x');
	buf_adds(&m, "\r\nTo: a@b\r\n");
	for (int i = 0; i < LIMIT_HEADER_FIELDS; i++)
		buf_adds(&m, "X: y\r\n");
	buf_adds(&m, "Cc: too@late\r\nReceived: counted\r\n\r\nbody");
	root = mime_parse(&a, buf_slice(&m));
	assert_true(root->cut);
	assert_int_equal(root->summary->subject.n,
			 LIMIT_HEADER_FIELD - 1); /* less the blank in front */
	assert_non_null(mime_field_next(root->summary, NULL, MIME_F_TO));
	assert_null(mime_field_next(root->summary, NULL, MIME_F_CC));
	assert_int_equal(root->summary->received_count, 1);
	assert_int_equal(root->body_len, 4);
}

static void an_abandoned_parse_leaves_nothing_behind(void **state)
{
	AUTO_ARENA a = { 0 };
	struct mime_parser *p = mime_parser_new(&a);

	(void)state;
	mime_parser_feed(p, SL("Subject: half"));
	mime_parser_free(p); /* the leak checker looks */
	mime_parser_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodystructure_is_as_rfc_3501_has_it),
		cmocka_unit_test(envelope_is_as_rfc_3501_has_it),
		cmocka_unit_test(the_summary_counts_and_lists),
		cmocka_unit_test(parts_beyond_the_limits_are_opaque),
		cmocka_unit_test(headers_beyond_the_limits_are_cut),
		cmocka_unit_test(an_abandoned_parse_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
