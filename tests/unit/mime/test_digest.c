/* The row in the store: sections by part number, and readers that survive any damage. */
#include "mime_test.h"

/* The example of RFC 3501 6.4.5, so that every part number of its list is there. */
static const char example[] =
	"From: a@example.org\r\nSubject: Re: [x] the example\r\nDate: Sun, 22 Nov 2026 19:54:30 +0100\r\n"
	"Message-ID: <top@example.org>\r\nIn-Reply-To: <p@example.org>\r\n"
	"References: <r1@example.org> <r2@example.org>\r\n"
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
	"--b\r\nContent-Type: text/plain\r\n\r\nPART 1\r\n"
	"--b\r\nContent-Type: application/octet-stream\r\n\r\nPART 2\r\n"
	"--b\r\nContent-Type: message/rfc822\r\n\r\n"
	"Subject: three\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n"
	"--c\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nPART 3.1\r\n"
	"--c\r\nContent-Type: application/octet-stream\r\n\r\nPART 3.2\r\n--c--\r\n"
	"--b\r\nContent-Type: multipart/mixed; boundary=d\r\n\r\n"
	"--d\r\nContent-Type: image/gif\r\n\r\nPART 4.1\r\n"
	"--d\r\nContent-Type: message/rfc822\r\n\r\nSubject: four two\r\n\r\nPART 4.2.1\r\n"
	"--d--\r\n--b--\r\n";

/* "1.2.MIME": the text of that section; NULL when there is none. */
static const char *section(slice m, slice digest, const char *spec, slice *out)
{
	uint32_t path[8];
	size_t depth = 0;
	enum mime_section which = MIME_SECTION_BODY;
	slice rest = slice_str(spec);
	uint64_t off = 0, len = 0, n;
	bool found;

	while (rest.n) {
		slice word = slice_cut(&rest, '.');

		if (slice_u64(word, 100000, &n))
			path[depth++] = (uint32_t)n;
		else if (slice_eq(word, SL("HEADER")))
			which = MIME_SECTION_HEADER;
		else if (slice_eq(word, SL("TEXT")))
			which = MIME_SECTION_TEXT;
		else
			which = MIME_SECTION_MIME;
	}
	assert_true(mime_digest_section(digest, path, depth, which, &off, &len, &found));
	if (!found)
		return NULL;
	assert_true(off <= m.n && len <= m.n - off);
	*out = slice_sub(m, off, len);
	return spec;
}

static void check_sections(const char *message, const char *const (*want)[2], size_t n)
{
	slice m = slice_str(message);
	AUTO_BUF digest;

	digest_of(m, &digest);
	for (size_t i = 0; i < n; i++) {
		slice got;

		if (!section(m, buf_slice(&digest), want[i][0], &got)) {
			if (want[i][1])
				fail_msg("%s: no such section", want[i][0]);
		} else if (!want[i][1]) {
			fail_msg("%s is there: [%.*s]", want[i][0], FMT(got));
		} else if (!slice_eq(got, slice_str(want[i][1]))) {
			fail_msg("%s is [%.*s], want [%s]", want[i][0], FMT(got),
				 want[i][1]);
		}
	}
}

static void part_numbers_are_those_of_rfc_3501(void **state)
{
	static const char *const want[][2] = {
		{ "", example },
		{ "1", "PART 1" },
		{ "1.MIME", "Content-Type: text/plain\r\n\r\n" },
		{ "2", "PART 2" },
		{ "3.HEADER",
		  "Subject: three\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n" },
		{ "3.MIME", "Content-Type: message/rfc822\r\n\r\n" },
		{ "3.1", "PART 3.1" },
		{ "3.2", "PART 3.2" },
		{ "3.2.MIME", "Content-Type: application/octet-stream\r\n\r\n" },
		{ "4.MIME", "Content-Type: multipart/mixed; boundary=d\r\n\r\n" },
		{ "4.1", "PART 4.1" },
		{ "4.1.MIME", "Content-Type: image/gif\r\n\r\n" },
		{ "4.2", "Subject: four two\r\n\r\nPART 4.2.1" },
		{ "4.2.HEADER", "Subject: four two\r\n\r\n" },
		{ "4.2.TEXT", "PART 4.2.1" },
		{ "4.2.1", "PART 4.2.1" },
		{ "4.2.1.MIME", "Subject: four two\r\n\r\n" },
		{ "MIME", NULL },
		{ "0", NULL },
		{ "5", NULL },
		{ "1.1", NULL },
		{ "1.HEADER", NULL },
		{ "4.HEADER", NULL },
		{ "3.3", NULL },
		{ "4.2.2", NULL },
		{ "4.2.1.1", NULL },
		{ "4.2.1.HEADER", NULL },
		{ "99999", NULL },
	};

	(void)state;
	check_sections(example, want, sizeof(want) / sizeof(want[0]));
}

static void a_message_without_parts_has_part_one(void **state)
{
	static const char *const want[][2] = {
		{ "", "Subject: x\r\n\r\nbody\r\n" },
		{ "HEADER", "Subject: x\r\n\r\n" },
		{ "TEXT", "body\r\n" },
		{ "1", "body\r\n" },
		{ "1.MIME", "Subject: x\r\n\r\n" },
		{ "2", NULL },
		{ "1.1", NULL },
		{ "1.HEADER", NULL },
	};
	static const char *const wrapped[][2] = {
		{ "1", "Subject: in\r\n\r\nx\r\n" },
		{ "1.HEADER", "Subject: in\r\n\r\n" },
		{ "1.TEXT", "x\r\n" },
		{ "1.1", "x\r\n" },
		{ "1.2", NULL },
		{ "1.1.1", NULL },
	};

	(void)state;
	check_sections("Subject: x\r\n\r\nbody\r\n", want,
		       sizeof(want) / sizeof(want[0]));
	check_sections("Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nx\r\n",
		       wrapped, sizeof(wrapped) / sizeof(wrapped[0]));
}

static void the_digest_tells_what_was_parsed(void **state)
{
	AUTO_BUF b;
	slice d, id;
	struct mime_date date;
	struct mime_digest_iter it;
	struct mime_digest_part p;
	size_t at = 0, leaves = 0;

	(void)state;
	digest_of(slice_str(example), &b);
	d = buf_slice(&b);
	assert_true(mime_digest_is_current(d));
	assert_int_equal(mime_digest_size(d), sizeof(example) - 1);
	assert_int_equal(mime_digest_header_len(d),
			 mime_header_length(slice_str(example)));
	assert_int_equal(mime_digest_from_count(d), 1);
	assert_slice(mime_digest_base_subject(d), "the example");
	assert_true(mime_digest_is_reply(d));
	assert_slice(mime_digest_message_id(d), "top@example.org");
	assert_true(mime_digest_sent(d, &date));
	assert_int_equal(date.unix_s, 1795373670);
	assert_int_equal(date.zone, 60);
	assert_true(mime_digest_reference(d, &at, &id));
	assert_slice(id, "r1@example.org");
	assert_true(mime_digest_reference(d, &at, &id));
	assert_true(mime_digest_reference(d, &at, &id));
	assert_slice(id, "p@example.org");
	assert_false(mime_digest_reference(d, &at, &id));
	it = mime_digest_iter(d);
	while (mime_digest_next_leaf(&it, &p)) {
		leaves++;
		if (leaves != 3)
			continue;
		assert_slice(p.type, "text");
		assert_slice(p.charset, "utf-8");
		assert_int_equal(p.encoding, MIME_ENC_QP);
		assert_slice(slice_sub(slice_str(example), p.body_off, p.body_len),
			     "PART 3.1");
	}
	assert_int_equal(leaves, 6);
	assert_false(it.bad);
}

static void no_date_is_told_from_a_date(void **state)
{
	AUTO_BUF b, c;
	struct mime_date d = { 1, 2 };

	(void)state;
	digest_of(SL("Date: nonsense\r\n\r\n"), &b);
	assert_false(mime_digest_sent(buf_slice(&b), &d));
	assert_int_equal(d.unix_s, 1);
	digest_of(SL("Date: 1 Jan 1960 00:00:00 -1200\r\n\r\n"), &c);
	assert_true(mime_digest_sent(buf_slice(&c), &d));
	assert_int_equal(d.unix_s, -315576000);
	assert_int_equal(d.zone, -720);
}

/* Every reader over damaged bytes: nothing crashes, and no answer points outside the message. */
static void read_everything(slice d)
{
	AUTO_BUF body;
	struct mime_digest_iter it = mime_digest_iter(d);
	struct mime_digest_part p;
	uint64_t size = mime_digest_size(d);
	struct mime_date date;
	size_t at = 0;
	slice id;

	buf_init(&body, MIME_DIGEST_MAX);
	while (mime_digest_next(&it, &p))
		assert_true(p.body_off <= size && p.body_len <= size - p.body_off);
	for (uint32_t i = 1; i < 5; i++) {
		uint32_t path[3] = { i, 2, 1 };
		uint64_t off, len;
		bool found;

		for (int w = MIME_SECTION_BODY; w <= MIME_SECTION_MIME; w++)
			if (mime_digest_section(d, path, 1 + i % 3, (enum mime_section)w,
						&off, &len, &found) &&
			    found)
				assert_true(off <= size && len <= size - off);
	}
	while (mime_digest_reference(d, &at, &id))
		assert_true(id.p >= d.p && id.p + id.n <= d.p + d.n);
	id = mime_digest_envelope(d);
	assert_true(!id.n || (id.p >= d.p && id.p + id.n <= d.p + d.n));
	mime_digest_body(d, &body);
	mime_digest_sent(d, &date);
	mime_digest_is_valid(d);
}

static void a_cut_digest_is_refused(void **state)
{
	AUTO_BUF b;

	(void)state;
	digest_of(slice_str(example), &b);
	assert_true(mime_digest_is_valid(buf_slice(&b)));
	for (size_t n = 0; n < b.n; n++) {
		slice d = exact(slice_sub(buf_slice(&b), 0, n));

		assert_false(mime_digest_is_valid(d));
		read_everything(d);
		exact_free(d);
	}
	buf_addc(&b, 0);
	assert_false(mime_digest_is_valid(buf_slice(&b)));
}

static void a_damaged_digest_is_survived(void **state)
{
	AUTO_BUF b;

	(void)state;
	digest_of(slice_str(example), &b);
	for (size_t i = 0; i < b.n; i++) {
		static const unsigned char values[] = { 0,   1,	  2,   0x7f, 0x80, 0xff,
							'(', ')', '"', '{',  ' ' };

		for (size_t k = 0; k < sizeof(values); k++) {
			slice d = exact(buf_slice(&b));

			((char *)(uintptr_t)d.p)[i] = (char)values[k];
			read_everything(d);
			exact_free(d);
		}
	}
}

static void an_older_version_is_not_read(void **state)
{
	AUTO_BUF b;

	(void)state;
	digest_of(slice_str(example), &b);
	b.p[0] = (char)(MIME_DIGEST_VERSION + 1);
	assert_false(mime_digest_is_current(buf_slice(&b)));
	assert_int_equal(mime_digest_envelope(buf_slice(&b)).n, 0);
	assert_int_equal(mime_digest_size(buf_slice(&b)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(part_numbers_are_those_of_rfc_3501),
		cmocka_unit_test(a_message_without_parts_has_part_one),
		cmocka_unit_test(the_digest_tells_what_was_parsed),
		cmocka_unit_test(no_date_is_told_from_a_date),
		cmocka_unit_test(a_cut_digest_is_refused),
		cmocka_unit_test(a_damaged_digest_is_survived),
		cmocka_unit_test(an_older_version_is_not_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
