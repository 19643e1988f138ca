/* What we write: lines that fit, nothing smuggled, and parse(write(x)) = x. */
#include "mime_test.h"

static void check_lines(slice s)
{
	while (s.n) {
		size_t lf = slice_chr(s, '\n', 0);

		if (lf >= s.n || lf == 0 || s.p[lf - 1] != '\r')
			fail_msg("not a CRLF line: [%.*s]", FMT(s));
		if (lf > 79)
			fail_msg("%zu octets: [%.*s]", lf - 1, (int)lf, s.p);
		s = slice_from(s, lf + 1);
	}
}

static const char *const texts[] = {
	"",
	"short",
	"a longer subject that has to be folded because it does not fit into seventy-eight octets at all",
	"two  blanks   and   three",
	"Gr\xc3\xbc\xc3\x9f"
	"e aus K\xc3\xb6ln",
	"\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2"
	"\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97",
	"looks like =?utf-8?q?a_word?= but is none",
	"\xc3\xa9 mixed plain words and \xc3\xa8 others, with punctuation! (and) <brackets> \"quotes\" _ ? =",
};

static void texts_come_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		AUTO_ARENA a = { 0 };
		AUTO_BUF b;

		buf_init(&b, 1 << 20);
		mime_write_text(&b, "Subject", slice_str(texts[i]));
		check_lines(buf_slice(&b));
		assert_true(slice_starts(buf_slice(&b), SL("Subject:")));
		assert_slice(mime_words_decode(&a, mime_header_get(&a, buf_slice(&b),
								   SL("Subject"))),
			     texts[i]);
	}
}

static void addresses_come_back(void **state)
{
	static const struct mime_addr list[] = {
		{ .name = S("Ann Lee"), .local = S("ann"), .domain = S("example.org") },
		{ .name = S("Lee, \"Ann\" \\ (x)"),
		  .local = S("a b"),
		  .domain = S("example.org") },
		{ .name = S("J\xc3\xb6rg \xe6\xbc\xa2\xe5\xad\x97"),
		  .local = S("j\xc3\xb6rg"),
		  .domain = S("example.org") },
		{ .local = S("bare"), .domain = S("[192.0.2.1]") },
		{ .kind = MIME_ADDR_GROUP_START, .name = S("A group") },
		{ .name = S("in it"), .local = S("x"), .domain = S("y.example") },
		{ .local = S("z"), .domain = S("w.example") },
		{ .kind = MIME_ADDR_GROUP_END },
		{ .kind = MIME_ADDR_GROUP_START, .name = S("undisclosed-recipients") },
		{ .kind = MIME_ADDR_GROUP_END },
		{ .local = S("last"), .domain = S("example.org") },
	};
	AUTO_ARENA a = { 0 };
	AUTO_BUF b;
	struct mime_addr_iter it;
	struct mime_addr x;
	size_t n = 0;

	(void)state;
	buf_init(&b, 1 << 20);
	mime_write_addresses(&b, "To", list, sizeof(list) / sizeof(list[0]));
	check_lines(buf_slice(&b));
	it = mime_addr_iter(mime_header_get(&a, buf_slice(&b), SL("To")));
	for (; mime_addr_next(&it, &a, &x); n++) {
		assert_int_equal(x.kind, list[n].kind);
		assert_true(slice_eq(mime_words_decode(&a, x.name), list[n].name));
		assert_true(slice_eq(x.local, list[n].local));
		assert_true(slice_eq(x.domain, list[n].domain));
	}
	assert_int_equal(n, sizeof(list) / sizeof(list[0]));
}

static void parameters_come_back(void **state)
{
	struct mime_param long_one = { .name = S("filename") };
	struct mime_param list[] = {
		{ .name = S("charset"), .value = S("utf-8") },
		{ .name = S("name"), .value = S("two \"words\".txt") },
		{ .name = S("x"), .value = S("\xe6\xbc\xa2\xe5\xad\x97.txt") }
	};
	AUTO_ARENA a = { 0 };
	AUTO_BUF b, name;
	struct mime_content c;

	(void)state;
	buf_init(&b, 1 << 20);
	buf_init(&name, 1000);
	list[0].next = &list[1];
	list[1].next = &list[2];
	list[2].next = &long_one;
	for (int i = 0; i < 60; i++)
		buf_adds(&name, "\xc3\xa9"
				"a");
	long_one.value = buf_slice(&name);
	mime_write_content(&b, "Content-Type", SL("text/plain"), list);
	check_lines(buf_slice(&b));
	assert_true(mime_content_type_parse(
		&a, mime_header_get(&a, buf_slice(&b), SL("Content-Type")), &c));
	assert_slice(c.subtype, "plain");
	for (struct mime_param *p = list; p; p = p->next)
		assert_true(
			slice_eq(mime_param_text(&a, c.params, arena_cstr(&a, p->name)),
				 p->value));
}

static void ids_and_dates_come_back(void **state)
{
	static const slice ids[] = {
		S("one@example.org"),
		S("a-rather-long-identifier-of-a-message@mail.example.org"),
		S("evil>\r\nBcc: x@y")
	};
	const struct mime_date d = { 1795373670, -90 };
	AUTO_ARENA a = { 0 };
	AUTO_BUF b;
	struct mime_date back;
	slice v, id;
	size_t at = 0;

	(void)state;
	buf_init(&b, 1 << 20);
	mime_write_msgids(&b, "References", ids, 3);
	mime_write_date(&b, "Date", &d);
	check_lines(buf_slice(&b));
	v = mime_header_get(&a, buf_slice(&b), SL("References"));
	assert_true(mime_msgid_next(v, &at, &a, &id));
	assert_true(slice_eq(id, ids[0]));
	assert_true(mime_msgid_next(v, &at, &a, &id));
	assert_true(slice_eq(id, ids[1]));
	assert_true(mime_msgid_next(v, &at, &a, &id));
	assert_slice(id, "evilBcc:x@y");
	assert_true(
		mime_date_parse(mime_header_get(&a, buf_slice(&b), SL("Date")), &back));
	assert_int_equal(back.unix_s, d.unix_s);
	assert_int_equal(back.zone, d.zone);
}

/* HAZARDS 8: no value starts a field of its own. */
static void line_ends_in_values_start_nothing(void **state)
{
	static const slice evil =
		S("x\r\nBcc: victim@example.org\r\n\r\nbody\n\rX: y\0z");
	struct mime_addr addr = { .name = evil, .local = evil, .domain = evil };
	struct mime_param p = { .name = S("p"), .value = evil };
	AUTO_BUF b;
	struct mime_header_iter it;
	struct mime_header_field f;
	size_t n = 0;

	(void)state;
	buf_init(&b, 1 << 20);
	mime_write_text(&b, "A", evil);
	mime_write_raw(&b, "A", evil);
	mime_write_addresses(&b, "A", &addr, 1);
	mime_write_msgids(&b, "A", &evil, 1);
	mime_write_content(&b, "A", evil, &p);
	it = mime_header_iter(buf_slice(&b));
	for (; mime_header_next(&it, &f); n++)
		assert_slice(f.name, "A");
	assert_int_equal(n, 5);
	assert_int_equal(it.at, b.n);
	assert_int_equal(slice_chr(buf_slice(&b), '\0', 0), b.n);
}

static void a_small_message_parses_as_it_was_meant(void **state)
{
	AUTO_ARENA a = { 0 };
	AUTO_BUF b, s;
	struct mime_param p = { .name = S("boundary"), .value = S("=_b") };

	(void)state;
	buf_init(&b, 1 << 20);
	buf_init(&s, 1 << 20);
	mime_write_text(&b, "Subject", SL("report"));
	mime_write_content(&b, "Content-Type", SL("multipart/report"), &p);
	mime_write_delimiter(&b, SL("=_b"), false);
	buf_adds(&b, "\r\nfirst");
	mime_write_delimiter(&b, SL("=_b"), false);
	buf_adds(&b, "\r\nsecond");
	mime_write_delimiter(&b, SL("=_b"), true);
	mime_imap_body(&s, mime_parse(&a, buf_slice(&b)));
	assert_slice(
		buf_slice(&s),
		"((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 5 0)"
		"(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 6 0) \"report\")");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_come_back),
		cmocka_unit_test(addresses_come_back),
		cmocka_unit_test(parameters_come_back),
		cmocka_unit_test(ids_and_dates_come_back),
		cmocka_unit_test(line_ends_in_values_start_nothing),
		cmocka_unit_test(a_small_message_parses_as_it_was_meant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
