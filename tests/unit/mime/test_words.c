/* RFC 2047 and RFC 5256 2.1: text that people read. */
#include "mime_test.h"
#include "mime/mime_decode.h"
#include "base/utf8.h"

static void encoded_words_are_decoded(void **state)
{
	static const struct {
		const char *value, *want;
	} cases[] = {
		{ "plain", "plain" },
		{ "=?utf-8?q?J=C3=B6rg?=", "J\xc3\xb6rg" },
		{ "=?UTF-8?B?SsO2cmc=?=", "J\xc3\xb6rg" },
		{ "=?iso-8859-1?Q?a_b=E9?=", "a b\xc3\xa9" },
		{ "(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)" },
		{ "=?ISO-8859-1?Q?a?=  \t =?ISO-8859-2?Q?_b?= c", "a b c" },
		{ "=?utf-8?q?a?= b", "a b" },
		{ "x =?utf-8?q?a?=y", "x ay" },
		{ "=?utf-8*en?q?lang?=", "lang" },
		{ "=?utf-8?q?=C3?= =?utf-8?q?=A9?=",
		  "\xc3\xa9" }, /* one character cut in two */
		{ "=?utf-8?b?w6k?= =?utf-8?b?w6k=?=", "\xc3\xa9\xc3\xa9" },
		{ "=?iso-2022-jp?B?GyRCJCIbKEI=?=", "\xe3\x81\x82" },
		{ "=?utf-8?q?=C3?= x", "\xef\xbf\xbd x" },
		{ "=?nonsense-1?q?a=E9?=", "a\xef\xbf\xbd" },
		{ "=?utf-8?x?a?=", "=?utf-8?x?a?=" },
		{ "=?utf-8?q?open", "=?utf-8?q?open" },
		{ "=?utf-8?q?"
		  "?=",
		  "" },
		{ "=?utf-8?q?a=0D=0ABcc:_x?=", "a  Bcc: x" }, /* no line end comes out */
		{ "\xe9t\xe9", "\xc3\xa9t\xc3\xa9" },
		{ "\xc3\xa9 raw", "\xc3\xa9 raw" },
		{ "=?", "=?" },
		{ "=?=?utf-8?q?a?=", "=?a" },
		{ "=?utf-8?q?a=", "=?utf-8?q?a=" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO_ARENA a = { 0 };
		slice v = exact(slice_str(cases[i].value));

		assert_slice(mime_words_decode(&a, v), cases[i].want);
		exact_free(v);
	}
}

/* HAZARDS 16: each charset of a text is opened once, and the seventeenth not at all. */
static void a_text_has_at_most_sixteen_charsets(void **state)
{
	AUTO_ARENA a = { 0 };
	AUTO_BUF in;
	slice got;

	(void)state;
	buf_init(&in, 1 << 20);
	for (int round = 0; round < 2; round++) {
		buf_adds(&in, "=?koi8-r?q?=C1?= ");
		for (int i = 1; i < MIME_CHARSETS; i++)
			buf_addf(&in, "=?x-none-%d?q?a?= ", i);
		buf_adds(&in, "=?windows-1251?q?=E0?= ");
	}
	got = mime_words_decode(&a, buf_slice(&in));
	assert_int_equal(got.n, 2 * (2 + (MIME_CHARSETS - 1) + 3) + 1);
	assert_true(slice_starts(got, SL("\xd0\xb0"
					 "aaa")));
	assert_true(slice_ends(got, SL("aaa\xef\xbf\xbd ")));
}

static void base_subjects_follow_rfc_5256(void **state)
{
	static const struct {
		const char *value, *want;
		bool reply;
	} cases[] = {
		{ "", "", false },
		{ "hello  \t world", "hello world", false },
		{ "Re: hello", "hello", true },
		{ "RE : Fwd: FW:hello", "hello", true },
		{ "Re[2]: hello", "hello", true },
		{ "Re [list]: hello", "hello", true },
		{ "[list] hello", "hello", false },
		{ "[a][b] Re: [c] hello", "hello", true },
		{ "[list]", "[list]", false },
		{ "Re: [list]", "[list]", true },
		{ "hello (fwd) (FWD) ", "hello", true },
		{ "[Fwd: hello]", "hello", true },
		{ "[Fwd: Re: hello (fwd)]", "hello", true },
		{ "Reply: hello", "Reply: hello", false },
		{ "re hello", "re hello", false },
		{ "[open hello", "[open hello", false },
		{ "=?utf-8?q?Re:_=C3=BC?=", "\xc3\xbc", true },
		{ "Re:", "", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO_ARENA a = { 0 };
		slice v = exact(slice_str(cases[i].value));
		bool reply;

		assert_slice(mime_base_subject(&a, v, &reply), cases[i].want);
		if (reply != cases[i].reply)
			fail_msg("%s: reply is %d", cases[i].value, reply);
		exact_free(v);
	}
}

static void transfer_encodings_forgive(void **state)
{
	static const struct {
		enum mime_encoding enc;
		const char *in, *want;
	} cases[] = {
		{ MIME_ENC_BASE64, "SGVsbG8=", "Hello" },
		{ MIME_ENC_BASE64, "SGVs\r\nbG8=\r\n", "Hello" },
		{ MIME_ENC_BASE64, "SGVsbG8", "Hello" },
		{ MIME_ENC_BASE64, "S!G V*sbG8===", "Hello" },
		{ MIME_ENC_BASE64, "SGk=SGk=", "HiHi" },
		{ MIME_ENC_BASE64, "S", "" },
		{ MIME_ENC_QP, "a=20b=\r\nc", "a bc" },
		{ MIME_ENC_QP, "trailing \t\r\nnext", "trailing\r\nnext" },
		{ MIME_ENC_QP, "kept=20\r\n", "kept \r\n" },
		{ MIME_ENC_QP, "soft= \t\r\nend", "softend" },
		{ MIME_ENC_QP, "=c3=A9", "\xc3\xa9" },
		{ MIME_ENC_QP, "bad=zz=1", "bad=zz=1" },
		{ MIME_ENC_QP, "==41", "=A" },
		{ MIME_ENC_QP, "end=", "end" },
		{ MIME_ENC_QP, "end ", "end" },
		{ MIME_ENC_8BIT, "as=20it is ", "as=20it is " },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		slice in = slice_str(cases[i].in);

		for (size_t cut = 0; cut <= in.n; cut++) {
			AUTO_BUF out;
			struct mime_decoder d;
			slice x = exact(slice_sub(in, 0, cut)),
			      y = exact(slice_from(in, cut));

			buf_init(&out, 1000);
			mime_decoder_init(&d, cases[i].enc);
			mime_decoder_feed(&d, x, &out);
			mime_decoder_feed(&d, y, &out);
			mime_decoder_finish(&d, &out);
			assert_slice(buf_slice(&out), cases[i].want);
			exact_free(x);
			exact_free(y);
		}
	}
	assert_int_equal(mime_encoding_of(SL("Quoted-Printable")), MIME_ENC_QP);
	assert_int_equal(mime_encoding_of(SL("x-uue")), MIME_ENC_UNKNOWN);
	assert_int_equal(mime_encoding_of(SL("")), MIME_ENC_7BIT);
}

static void what_is_encoded_is_decoded_again(void **state)
{
	uint32_t seed = 1;

	(void)state;
	for (size_t n = 0; n < 300; n++) {
		AUTO_BUF in, mid, out;
		struct mime_decoder d;

		buf_init(&in, 1000);
		buf_init(&mid, 4000);
		buf_init(&out, 1000);
		for (size_t i = 0; i < n; i++) {
			seed = seed * 1664525u + 1013904223u;
			buf_addc(&in, (char)(seed >> 24));
		}
		mime_base64_encode(&mid, buf_slice(&in));
		mime_decoder_init(&d, MIME_ENC_BASE64);
		mime_decoder_feed(&d, buf_slice(&mid), &out);
		assert_true(slice_eq(buf_slice(&in), buf_slice(&out)));
	}
}

static void quoted_printable_is_written_safely(void **state)
{
	AUTO_BUF b, back;
	struct mime_decoder d;
	slice text = SL(
		"From here\n.\n=caf\xc3\xa9 \nlong long long long long long long long long long long long "
		"long long lo\xc3\xa9\xc3\xa9\r\nlast");

	(void)state;
	buf_init(&b, 10000);
	buf_init(&back, 10000);
	mime_qp_encode(&b, text);
	for (slice rest = buf_slice(&b); rest.n;) {
		slice line = slice_cut(&rest, '\n');

		assert_true(line.n <= 77); /* 76 and CR */
		assert_false(slice_starts(line, SL("From ")));
		assert_false(slice_starts(line, SL(".")));
	}
	mime_decoder_init(&d, MIME_ENC_QP);
	mime_decoder_feed(&d, buf_slice(&b), &back);
	mime_decoder_finish(&d, &back);
	assert_slice(
		buf_slice(&back),
		"From here\r\n.\r\n=caf\xc3\xa9 \r\nlong long long long long long long long "
		"long long long long long long lo\xc3\xa9\xc3\xa9\r\nlast");
}

static void charsets_become_utf8_wherever_cut(void **state)
{
	static const struct {
		const char *name, *in, *want;
		bool known;
	} cases[] = {
		{ "utf-8", "\xe2\x82\xac\xf0\x9f\x98\x80", "\xe2\x82\xac\xf0\x9f\x98\x80",
		  true },
		{ "UTF8", "a\xc3", "a\xef\xbf\xbd", true },
		{ "utf-8", "\xc0\x80\xed\xa0\x80",
		  "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", true },
		{ "us-ascii", "\xc3\xa9", "\xc3\xa9", true },
		{ "iso-8859-1", "\xe9\x80", "\xc3\xa9\xe2\x82\xac", true },
		{ "koi8-r", "\xc1", "\xd0\xb0", true },
		{ "shift_jis", "\x82\xa0\x83\x5c", "\xe3\x81\x82\xe3\x82\xbd", true },
		{ "gb2312", "\xc4\xe3", "\xe4\xbd\xa0", true },
		{ "big5", "\xa7\x41", "\xe4\xbd\xa0", true },
		{ "iso-2022-jp", "\x1b$B$\x22\x1b(B!", "\xe3\x81\x82!", true },
		{ "euc-kr", "\xb0\xa1\xff", "\xea\xb0\x80\xef\xbf\xbd", true },
		{ "no-such-thing", "\xc3\xa9\xff", "\xc3\xa9\xef\xbf\xbd", false },
		{ "UTF-8//TRANSLIT", "a", "a", false },
		{ "../../x", "a", "a", false },
		{ "", "a", "a", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		slice in = slice_str(cases[i].in);
		bool known;

		assert_int_equal(mime_charset_is_known(slice_str(cases[i].name)),
				 cases[i].known);
		for (size_t cut = 0; cut <= in.n; cut++) {
			AUTO_BUF out;
			struct mime_charset *c =
				mime_charset_new(slice_str(cases[i].name), &known);

			buf_init(&out, 1000);
			mime_charset_feed(c, slice_sub(in, 0, cut), &out);
			mime_charset_feed(c, slice_from(in, cut), &out);
			mime_charset_finish(c, &out);
			mime_charset_free(c);
			assert_int_equal(known, cases[i].known);
			if (!slice_eq(buf_slice(&out), slice_str(cases[i].want)))
				fail_msg("%s, cut %zu: [%.*s]", cases[i].name, cut,
					 FMT(buf_slice(&out)));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encoded_words_are_decoded),
		cmocka_unit_test(a_text_has_at_most_sixteen_charsets),
		cmocka_unit_test(base_subjects_follow_rfc_5256),
		cmocka_unit_test(transfer_encodings_forgive),
		cmocka_unit_test(what_is_encoded_is_decoded_again),
		cmocka_unit_test(quoted_printable_is_written_safely),
		cmocka_unit_test(charsets_become_utf8_wherever_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
