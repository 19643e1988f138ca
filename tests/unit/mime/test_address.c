/* RFC 5322 3.4 and 4.4: what an address list says. Shown as {name|route|local|domain}, groups as [name: … ]. */
#include "mime_test.h"

static void show(struct buf *b, slice value)
{
	AUTO_ARENA a = { 0 };
	struct mime_addr_iter it = mime_addr_iter(value);
	struct mime_addr x;

	while (mime_addr_next(&it, &a, &x)) {
		if (x.kind == MIME_ADDR_GROUP_START) {
			buf_addf(b, "[%.*s:", FMT(x.name));
		} else if (x.kind == MIME_ADDR_GROUP_END) {
			buf_addc(b, ']');
		} else {
			buf_addf(b, "{%.*s|%.*s|%.*s|%.*s}",
				 FMT(mime_has(x.name) ? x.name : SL("-")),
				 FMT(mime_has(x.route) ? x.route : SL("-")), FMT(x.local),
				 FMT(x.domain));
		}
	}
}

static const struct {
	const char *value, *want;
} lists[] = {
	{ "", "" },
	{ " , (x) ,, ", "" },
	{ "a@b.c", "{-|-|a|b.c}" },
	{ "Ann <a@b.c>", "{Ann|-|a|b.c}" },
	{ "\"Ann, Dr.\" <a@b.c>, d@e", "{Ann, Dr.|-|a|b.c}{-|-|d|e}" },
	{ "\"a \\\"b\\\" \\\\c\" <a@b>", "{a \"b\" \\c|-|a|b}" },
	{ "John Q. Public <j@p>", "{John Q. Public|-|j|p}" },
	{ "a@b (Ann (the) first)", "{Ann (the) first|-|a|b}" },
	{ "Ann (comment) Lee <a@b>", "{Ann Lee|-|a|b}" },
	{ "(c) a (d) @ (e) b (f) . (g) c (h)", "{h|-|a|b.c}" },
	{ "\"quo ted\"@b", "{-|-|quo ted|b}" },
	{ "<\"quo ted\"@b>", "{-|-|quo ted|b}" },
	{ "<@x,@y:a@b>", "{-|@x,@y|a|b}" },
	{ "N <@x:a@b>, c@d", "{N|@x|a|b}{-|-|c|d}" },
	{ "a@[192.0.2.1], b@[IPv6:2001:db8::1]",
	  "{-|-|a|[192.0.2.1]}{-|-|b|[IPv6:2001:db8::1]}" },
	{ "Group: a@b, N <c@d>;", "[Group:{-|-|a|b}{N|-|c|d}]" },
	{ "undisclosed-recipients:;", "[undisclosed-recipients:]" },
	{ "A B: x@y ; z@w", "[A B:{-|-|x|y}]{-|-|z|w}" },
	{ "g: a@b", "[g:{-|-|a|b}]" },
	{ "g: h: a@b;", "[g:{h:|-|a|b}]" },
	{ "root", "{-|-|root|}" },
	{ "not an address", "{not an address|-||}" },
	{ "a@b; c@d", "{-|-|a|b}{-|-|c|d}" },
	{ "a@b <a@b>", "{a@b|-|a|b}" },
	{ "=?utf-8?q?J=C3=B6rg?= <j@b>", "{=?utf-8?q?J=C3=B6rg?=|-|j|b}" },
	{ "J\xc3\xb6rg <j\xc3\xb6rg@\xc3\xa9.example>",
	  "{J\xc3\xb6rg|-|j\xc3\xb6rg|\xc3\xa9.example}" },
	{ "<>", "{-|-||}" },
	{ "\"\" <a@b>", "{|-|a|b}" },
	{ "Name a@b", "{Name|-|a|b}" },
	{ "<a@b, c@d", "{-|-|a|b}{-|-|c|d}" },
	{ "\"open, a@b", "{-|-|open, a@b|}" },
	{ "a@b (open, c@d", "{open, c@d|-|a|b}" },
	{ "a@", "{-|-|a|}" },
	{ "@b", "{-|-||b}" },
	{ "a@b@c", "{-|-|a|b@c}" },
	{ "a..b@c", "{-|-|a..b|c}" },
	{ "<a b@c>", "{-|-|a b|c}" },
};

static void address_lists_are_taken_apart(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		AUTO_BUF b;
		slice v = exact(slice_str(lists[i].value));

		buf_init(&b, 1 << 16);
		show(&b, v);
		exact_free(v);
		if (!slice_eq(buf_slice(&b), slice_str(lists[i].want)))
			fail_msg("%s\n gives %.*s\n  want %s", lists[i].value,
				 FMT(buf_slice(&b)), lists[i].want);
	}
}

static void one_mailbox_is_told_from_none_and_several(void **state)
{
	AUTO_ARENA a = { 0 };
	struct mime_addr x;

	(void)state;
	assert_true(mime_addr_single(&a, SL("Ann <a@b>"), &x));
	assert_slice(x.local, "a");
	assert_true(mime_addr_single(&a, SL("g: a@b;"), &x));
	assert_false(mime_addr_single(&a, SL("a@b, c@d"), &x));
	assert_false(mime_addr_single(&a, SL("(nobody)"), &x));
}

static void addresses_are_written_quoted_only_where_needed(void **state)
{
	static const struct {
		slice local, domain;
		const char *want;
	} cases[] = { { S("a.b+c"), S("x.y"), "a.b+c@x.y" },
		      { S("a b"), S("x"), "\"a b\"@x" },
		      { S("a..b"), S("x"), "\"a..b\"@x" },
		      { S(".a"), S("x"), "\".a\"@x" },
		      { S("a\"\\"), S("x"), "\"a\\\"\\\\\"@x" },
		      { S(""), S("x"), "\"\"@x" },
		      { S("root"), S(""), "root" },
		      { S("a\r\nb"), S("x"), "\"ab\"@x" } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mime_addr x = { .local = cases[i].local,
				       .domain = cases[i].domain };
		AUTO_BUF b;

		buf_init(&b, 1000);
		mime_addr_spec_write(&b, &x);
		assert_slice(buf_slice(&b), cases[i].want);
	}
}

static void comments_nest_and_may_stay_open(void **state)
{
	size_t at = 0;

	(void)state;
	assert_true(mime_skip_cfws(SL(" (a (b) \\) c)\t x"), &at));
	assert_int_equal(at, 15);
	at = 0;
	assert_false(mime_skip_cfws(SL("(a (b)"), &at));
	assert_int_equal(at, 6);
	at = 0;
	assert_false(mime_skip_cfws(SL("(a\\"), &at));
	assert_int_equal(at, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(address_lists_are_taken_apart),
		cmocka_unit_test(one_mailbox_is_told_from_none_and_several),
		cmocka_unit_test(addresses_are_written_quoted_only_where_needed),
		cmocka_unit_test(comments_nest_and_may_stay_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
