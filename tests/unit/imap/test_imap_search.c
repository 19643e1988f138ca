/* SEARCH keys and FETCH items: grammar, parse(write(x)) = x, folding text over chunks. */
#include "imap/imap_fetch.h"
#include "imap/imap_search.h"
#include "imap/imap_text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct arena a;

static int setup(void **st)
{
	(void)st;
	arena_init(&a);
	return 0;
}
static int teardown(void **st)
{
	(void)st;
	arena_release(&a);
	return 0;
}

static uint32_t seed = 11;
static uint32_t rnd(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static bool parses(slice in, struct imap_search *s)
{
	struct imap_parse p = imap_parse_init(in, &a);

	*s = (struct imap_search){ 0 };
	return imap_search_parse(&p, s) && imap_parse_end(&p);
}

static void the_grammar_of_search(void **st)
{
	static const struct {
		slice in;
		bool ok;
	} t[] = {
		{ S("ALL"), true },
		{ S("all"), true },
		{ S("CHARSET UTF-8 ALL"), true },
		{ S("1:3 NOT 2"), true },
		{ S("OR SEEN OR UNSEEN DRAFT"), true },
		{ S("(ALL (SEEN (NEW)))"), true },
		{ S("HEADER \"X Y\" {1}\r\nz"), true },
		{ S("UID *"), true },
		{ S("KEYWORD $Junk UNKEYWORD x"), true },
		{ S("SENTSINCE \"1-Jan-2000\""), true },
		{ S("LARGER 4294967295"), true },
		{ S("* 5"), true },
		{ S(""), false },
		{ S("ALL "), false },
		{ S("OR SEEN"), false },
		{ S("NOT"), false },
		{ S("()"), false },
		{ S("(SEEN"), false },
		{ S("SEEN)"), false },
		{ S("UID"), false },
		{ S("UID x"), false },
		{ S("LARGER x"), false },
		{ S("LARGER 4294967296"), false },
		{ S("HEADER x"), false },
		{ S("CHARSET UTF-8"), false },
		{ S("SEENX"), false },
		{ S("KEYWORD \"x\""), false },
		{ S("BODY \"\xff\""), false },
		{ S("BODY {1}\r\n\xff"), false },
		{ S("BEFORE 1-1-2000"), false },
	};

	(void)st;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct imap_search s;

		if (parses(t[i].in, &s) != t[i].ok)
			fail_msg("%.*s", FMT(t[i].in));
	}
}

static void depth_and_count_are_bounded(void **st)
{
	struct imap_search s;
	struct buf b;

	(void)st;
	buf_init(&b, 1 << 20);
	for (int i = 0; i < 5000; i++)
		buf_addc(&b, '(');
	assert_false(parses(buf_slice(&b), &s));
	buf_reset(&b);
	for (int i = 0; i < 2000;
	     i++) /* a long chain of ORs is common and costs no depth */
		buf_adds(&b, "OR SEEN ");
	buf_adds(&b, "ALL");
	assert_true(parses(buf_slice(&b), &s));
	buf_reset(&b);
	for (int i = 0; i < 65; i++)
		buf_adds(&b, i ? " BODY x" : "BODY x");
	assert_false(parses(buf_slice(&b), &s));
	buf_done(&b);
}

static struct imap_key *random_key(int depth)
{
	static const struct {
		enum imap_key_kind kind;
		uint32_t sys;
	} plain[] = {
		{ IMAP_KEY_ALL, 0 },
		{ IMAP_KEY_FLAG, FLAG_SEEN },
		{ IMAP_KEY_UNFLAG, FLAG_DELETED },
		{ IMAP_KEY_NEW, 0 },
		{ IMAP_KEY_OLD, 0 },
		{ IMAP_KEY_RECENT, 0 },
		{ IMAP_KEY_FLAG, FLAG_DRAFT },
	};
	static const enum imap_key_kind texts[] = { IMAP_KEY_BCC,     IMAP_KEY_CC,
						    IMAP_KEY_FROM,    IMAP_KEY_TO,
						    IMAP_KEY_SUBJECT, IMAP_KEY_BODY,
						    IMAP_KEY_TEXT,    IMAP_KEY_HEADER };
	static const enum imap_key_kind dates[] = { IMAP_KEY_BEFORE, IMAP_KEY_ON,
						    IMAP_KEY_SINCE,  IMAP_KEY_SENTBEFORE,
						    IMAP_KEY_SENTON, IMAP_KEY_SENTSINCE };
	struct imap_key *k = ARENA_NEW(&a, struct imap_key), **at = &k->kids;
	uint32_t pick, n;

	switch (rnd(depth ? 8 : 5)) {
	case 0:
		pick = rnd(7);
		k->kind = plain[pick].kind;
		k->sys = plain[pick].sys;
		break;
	case 1:
		k->kind = texts[rnd(8)];
		k->text = arena_fmt(&a, "t%u \"(\r\n", rnd(100));
		k->field = k->kind == IMAP_KEY_HEADER ? SL("X-A b") : SL("");
		break;
	case 2:
		k->kind = dates[rnd(6)];
		k->day = (int64_t)rnd(20000) - 5000;
		break;
	case 3:
		k->kind = rnd(2) ? IMAP_KEY_LARGER : IMAP_KEY_SMALLER;
		k->size = rnd(1000000);
		break;
	case 4:
		k->kind = rnd(2) ? IMAP_KEY_SEQ : IMAP_KEY_UID;
		k->set.n = 1 + rnd(3);
		k->set.range = arena_array(&a, k->set.n, sizeof(*k->set.range));
		for (size_t i = 0; i < k->set.n; i++)
			k->set.range[i] = (struct imap_range){ rnd(50), rnd(50) };
		break;
	case 5:
		k->kind = IMAP_KEY_NOT;
		k->kids = random_key(depth - 1);
		break;
	default:
		k->kind = rnd(2) ? IMAP_KEY_AND : IMAP_KEY_OR;
		for (n = 2 + rnd(3); n; n--) {
			*at = random_key(k->kind == IMAP_KEY_OR && n > 1 ? 0 : depth - 1);
			at = &(*at)->next;
		}
		break;
	}
	return k;
}

static void what_is_written_is_read_again(void **st)
{
	(void)st;
	for (int round = 0; round < 5000; round++) {
		struct imap_search s;
		struct buf one, two;

		buf_init(&one, 1 << 20);
		buf_init(&two, 1 << 20);
		imap_key_write(&one, random_key(4));
		assert_true(parses(buf_slice(&one), &s));
		/* Reading puts cheap keys first: written and read once more it must stand
		 * still. */
		imap_key_write(&two, s.key);
		assert_true(parses(buf_slice(&two), &s));
		buf_reset(&one);
		imap_key_write(&one, s.key->kids);
		assert_true(slice_eq(buf_slice(&one), buf_slice(&two)));
		buf_done(&one);
		buf_done(&two);
		arena_reset(&a);
	}
}

static void the_grammar_of_fetch(void **st)
{
	static const struct {
		slice in;
		bool ok;
	} t[] = {
		{ S("1 ALL"), true },
		{ S("1 fast"), true },
		{ S("1:* (FLAGS UID)"), true },
		{ S("1 BODY"), true },
		{ S("1 BODY[]"), true },
		{ S("1 BODY.PEEK[]<0.1>"), true },
		{ S("1 BODY[1.2.3.MIME]"), true },
		{ S("1 BODY[HEADER.FIELDS (a \"b\" {1}\r\nc)]"), true },
		{ S("1 BODY[1.HEADER.FIELDS.NOT (a)]<5.6>"), true },
		{ S("1 (BODYSTRUCTURE RFC822.SIZE RFC822.HEADER RFC822 RFC822.TEXT ENVELOPE INTERNALDATE)"),
		  true },
		{ S("1"), false },
		{ S("1 "), false },
		{ S("1 ()"), false },
		{ S("1 (ALL)"), false },
		{ S("1 BODY["), false },
		{ S("1 BODY[0]"), false },
		{ S("1 BODY[1.]"), false },
		{ S("1 BODY[.1]"), false },
		{ S("1 BODY[MIME]"), false },
		{ S("1 BODY[]<1>"), false },
		{ S("1 BODY[]<1.0>"), false },
		{ S("1 BODY[]<1.2"), false },
		{ S("1 BODY.PEEK"), false },
		{ S("1 BODY[HEADER.FIELDS ()]"), false },
		{ S("1 BODY[HEADER.FIELDS]"), false },
		{ S("1 FLAGS UID"), false },
		{ S("x FLAGS"), false },
		{ S("1 RFC822.FOO"), false },
		{ S("1 BODY[TEXT"), false },
	};

	(void)st;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct imap_parse p = imap_parse_init(t[i].in, &a);
		struct imap_fetch f = { 0 };

		if ((imap_fetch_parse(&p, &f) && imap_parse_end(&p)) != t[i].ok)
			fail_msg("%.*s", FMT(t[i].in));
	}
}

static void sections_are_echoed_as_asked(void **st)
{
	static const slice in[] = { S(""),
				    S("HEADER"),
				    S("TEXT"),
				    S("1"),
				    S("1.2.3"),
				    S("1.MIME"),
				    S("2.HEADER"),
				    S("HEADER.FIELDS (Subject \"a b\")"),
				    S("3.1.HEADER.FIELDS.NOT (x)") };

	(void)st;
	for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++) {
		slice text = arena_fmt(&a, "1 BODY[%.*s]", FMT(in[i]));
		struct imap_parse p = imap_parse_init(text, &a);
		struct imap_fetch f = { 0 };
		struct buf b;

		buf_init(&b, 1000);
		assert_true(imap_fetch_parse(&p, &f));
		imap_section_write(&b, &f.first->sec);
		assert_true(slice_eq(buf_slice(&b), in[i]));
		buf_done(&b);
	}
}

static void text_is_found_wherever_it_is_cut(void **st)
{
	slice text = SL("GR\xc3\x9c\xc3\x9f"
			"E aus \xd0\x9c\xd0\x9e\xd0\xa1\xd0\x9a\xd0\x92\xd0\x90 end");
	slice needle = imap_text_fold(
		&a, SL("aus \xd0\xbc\xd0\xbe\xd0\xa1\xd0\xba\xd0\xb2\xd0\xb0"));
	slice other = imap_text_fold(&a, SL("moskva"));

	(void)st;
	for (size_t cut = 0; cut <= text.n; cut++) {
		struct imap_finder f;

		if (cut < text.n && ((unsigned char)text.p[cut] & 0xc0) == 0x80)
			continue; /* whole characters only */
		imap_finder_init(&f, needle);
		imap_finder_feed(&f, slice_sub(text, 0, cut));
		imap_finder_feed(&f, slice_from(text, cut));
		assert_true(f.found);
		imap_finder_done(&f);
	}
	assert_true(imap_text_has(text, imap_text_fold(&a, SL("gr\xc3\xbc"))));
	assert_false(imap_text_has(text, other));
	assert_true(imap_text_has(SL(""), SL("")));
	assert_false(imap_text_has(SL(""), SL("x")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_grammar_of_search, setup, teardown),
		cmocka_unit_test_setup_teardown(depth_and_count_are_bounded, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_is_written_is_read_again, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_grammar_of_fetch, setup, teardown),
		cmocka_unit_test_setup_teardown(sections_are_echoed_as_asked, setup,
						teardown),
		cmocka_unit_test_setup_teardown(text_is_found_wherever_it_is_cut, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
