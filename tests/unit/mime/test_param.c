/* RFC 2045 5.1, RFC 2183, RFC 2231: parameters, and the one name of an attachment. */
#include "mime_test.h"

static void show(struct buf *b, const struct mime_content *c)
{
	buf_addf(b, "%.*s/%.*s", FMT(c->type), FMT(c->subtype));
	for (const struct mime_param *p = c->params; p; p = p->next)
		buf_addf(b, ";%.*s=%.*s", FMT(p->name), FMT(p->value));
	if (c->cut)
		buf_adds(b, " cut");
}

static const struct {
	const char *value, *want; /* NULL: no type */
} types[] = {
	{ "text/plain", "text/plain" },
	{ "Text / HTML ; Charset = \"UTF-8\"", "Text/HTML;Charset=UTF-8" },
	{ "text/plain; charset=us-ascii (Plain text)", "text/plain;charset=us-ascii" },
	{ "text/plain (a;b); x=y", "text/plain;x=y" },
	{ "a/b; name=\"x \\\"y\\\" \\\\ z;=\"; c=d", "a/b;name=x \"y\" \\ z;=;c=d" },
	{ "a/b; name=two words.txt; c=d", "a/b;name=two words.txt;c=d" },
	{ "a/b;;; c=d;", "a/b;c=d" },
	{ "a/b; novalue; c=d", "a/b;c=d" },
	{ "a/b; =x; c=d", "a/b;c=d" },
	{ "a/b junk; c=d", "a/b;c=d" },
	{ "a/b; c=; d=e", "a/b;c=;d=e" },
	{ "a/b; c=\"open; d=e", "a/b;c=open; d=e" },
	{ "a/b; c=\"x\\", "a/b;c=x\\" },
	{ "a/b; c=1; C=2; c=3", "a/b;c=1" },
	{ "a/b; n*0=x; n*1=y; n*2=z", "a/b;n=xyz" },
	{ "a/b; n*2=z; n*0=x; n*1=y", "a/b;n=xyz" },
	{ "a/b; n*0=x; n*2=z", "a/b;n=x" },
	{ "a/b; n*1=x", "a/b" },
	{ "a/b; n*0=x; n*0=w; n*1=y", "a/b;n=xy" },
	{ "a/b; n*=utf-8''%41", "a/b;n*=utf-8''%41" },
	{ "a/b; n*0*=utf-8'en'%41; n*1*=%42; n*2=\"c d%\"",
	  "a/b;n*=utf-8'en'%41%42c%20d%25" },
	{ "a/b; n=plain; n*=utf-8''ext", "a/b;n=plain;n*=utf-8''ext" },
	{ "a/b; n=plain; n*0=joined", "a/b;n=joined" },
	{ "a/b; z=1; n*0=x; y=2", "a/b;z=1;n=x;y=2" },
	{ "", NULL },
	{ "text", NULL },
	{ "text/", NULL },
	{ "/plain", NULL },
	{ "\"text\"/plain", NULL },
	{ "(c) text/plain", "text/plain" },
};

static void content_types_are_taken_apart(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		AUTO_ARENA a = { 0 };
		AUTO_BUF b;
		struct mime_content c;
		slice v = exact(slice_str(types[i].value));
		bool ok = mime_content_type_parse(&a, v, &c);

		buf_init(&b, 10000);
		if (ok != (types[i].want != NULL))
			fail_msg("%s: %s", types[i].value,
				 ok ? "was read" : "cannot be read");
		if (ok) {
			show(&b, &c);
			assert_slice(buf_slice(&b), types[i].want);
		}
		exact_free(v);
	}
}

static void text_of_a_parameter_is_decoded(void **state)
{
	static const struct {
		const char *value, *want;
	} cases[] = {
		{ "x; n=\"a b\"", "a b" },
		{ "x; n*=utf-8''%e2%82%ac%20rates", "\xe2\x82\xac rates" },
		{ "x; n*=iso-8859-1'en'%A3", "\xc2\xa3" },
		{ "x; n*0*=utf-8''%e2%82; n*1*=%ac; n*2=\" x\"", "\xe2\x82\xac x" },
		{ "x; n=plain; n*=utf-8''ext", "ext" },
		{ "x; n=\"=?utf-8?q?=C3=A9?=.txt\"", "\xc3\xa9.txt" },
		{ "x; n=\"\xe9\"", "\xc3\xa9" },
		{ "x; n*=utf-8''%ff%", "\xef\xbf\xbd%" },
		{ "x; n*=nonsense", "nonsense" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO_ARENA a = { 0 };
		struct mime_content c;

		assert_true(mime_disposition_parse(&a, slice_str(cases[i].value), &c));
		assert_slice(mime_param_text(&a, c.params, "n"), cases[i].want);
	}
}

/* HAZARDS 18: one name, whatever the header tries. */
static void an_attachment_has_one_name(void **state)
{
	static const struct {
		const char *header, *want; /* NULL: none */
	} cases[] = {
		{ "Content-Type: a/b; name=ct.txt\r\nContent-Disposition: attachment; filename=cd.txt",
		  "cd.txt" },
		{ "Content-Type: a/b; name=ct.txt", "ct.txt" },
		{ "Content-Disposition: attachment; filename=\"../../etc/passwd\"",
		  "passwd" },
		{ "Content-Disposition: attachment; filename=\"C:\\\\dir\\\\x.exe\"",
		  "x.exe" },
		{ "Content-Disposition: attachment; filename*=utf-8''a%2Fb%00%0Ac.txt",
		  "bc.txt" },
		{ "Content-Disposition: attachment; filename*=utf-8''x%E2%80%AEtxt.exe",
		  "xtxt.exe" },
		{ "Content-Disposition: attachment;\r\n filename*0=a;\r\n filename*1=.exe; filename=b.txt",
		  "a.exe" },
		{ "Content-Disposition: attachment", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO_ARENA a = { 0 };
		AUTO_BUF m;
		slice name;

		buf_init(&m, 10000);
		buf_addf(&m, "%s\r\n\r\nx\r\n", cases[i].header);
		name = mime_part_filename(&a, mime_parse(&a, buf_slice(&m)));
		assert_int_equal(mime_has(name), cases[i].want != NULL);
		if (mime_has(name))
			assert_slice(name, cases[i].want);
	}
}

static void parameters_are_limited(void **state)
{
	AUTO_ARENA a = { 0 };
	AUTO_BUF b;
	struct mime_content c;
	size_t n = 0;

	(void)state;
	buf_init(&b, 1 << 20);
	buf_adds(&b, "a/b");
	for (int i = 0; i < LIMIT_MIME_PARAMS + 5; i++)
		buf_addf(&b, "; p%d=x", i);
	assert_true(mime_content_type_parse(&a, buf_slice(&b), &c));
	for (struct mime_param *p = c.params; p; p = p->next)
		n++;
	assert_int_equal(n, LIMIT_MIME_PARAMS);
	assert_true(c.cut);
	buf_reset(&b);
	buf_adds(&b, "a/b; p=\"");
	for (unsigned i = 0; i < LIMIT_MIME_PARAM_VALUE + 1; i++)
		buf_addc(&b, 'x');
	buf_adds(&b, "\"; q=r");
	assert_true(mime_content_type_parse(&a, buf_slice(&b), &c));
	assert_true(c.cut);
	assert_int_equal(c.params->value.n, LIMIT_MIME_PARAM_VALUE);
	assert_slice(mime_param_get(c.params, "Q"), "r");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(content_types_are_taken_apart),
		cmocka_unit_test(text_of_a_parameter_is_decoded),
		cmocka_unit_test(an_attachment_has_one_name),
		cmocka_unit_test(parameters_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
