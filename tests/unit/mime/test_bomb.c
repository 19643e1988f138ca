/* HAZARDS 16 to 19: what is built to be slow or big is neither. Every bomb is parsed at size n and at 4n: the time must
 * not grow more than a linear pass can explain (the margin is wide, the machine may be busy), and the memory kept must
 * stay below a bound that does not depend on n. */
#include "mime_test.h"
#include <time.h>

/* 4 times the input may take 10 times as long; quadratic would take 16. Anything short is noise. */
#define GROWTH_MAX 10.0
#define NOISE_S	   0.20
#define ARENA_MAX  (24u << 20)

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void repeat(struct buf *b, const char *s, size_t n)
{
	while (n--)
		buf_adds(b, s);
}

/* Seconds for parse and digest, the best of two. */
static double cost(slice m, size_t *out_memory, uint32_t *out_parts)
{
	double best = 1e9;

	for (int i = 0; i < 2; i++) {
		AUTO_ARENA a = { 0 };
		AUTO_BUF digest;
		double start = now(), took;
		const struct mime_part *root = mime_parse(&a, m);
		size_t memory = a.used;

		buf_init(&digest, MIME_DIGEST_MAX);
		mime_digest_write(root, &digest);
		took = now() - start;
		best = took < best ? took : best;
		assert_false(digest.full);
		assert_true(mime_digest_is_valid(buf_slice(&digest)));
		*out_memory = memory + digest.n;
		*out_parts = 0;
		for (const struct mime_part *p = root; p; p = mime_part_next(p))
			++*out_parts;
	}
	return best;
}

static void check_bomb(void (*make)(struct buf *b, size_t n), size_t n)
{
	AUTO_BUF small, big;
	size_t memory;
	uint32_t parts;
	double t1, t4;

	buf_init(&small, 256u << 20);
	buf_init(&big, 256u << 20);
	make(&small, n / 4);
	make(&big, n);
	assert_false(big.full);
	t1 = cost(buf_slice(&small), &memory, &parts);
	t4 = cost(buf_slice(&big), &memory, &parts);
	assert_true(memory < ARENA_MAX);
	assert_true(parts <= LIMIT_MIME_PARTS);
	if (t4 > NOISE_S && t4 > GROWTH_MAX * t1)
		fail_msg("not linear: %zu octets %.3f s, %zu octets %.3f s", small.n, t1,
			 big.n, t4);
}

static void to_lines(struct buf *b, size_t n)
{
	repeat(b, "To: a@example.org\r\n", n);
	buf_adds(b, "\r\nx\r\n");
}

static void commas(struct buf *b, size_t n)
{
	buf_adds(b, "To: ");
	repeat(b, ",", n);
	buf_adds(b, "\r\nCc: ");
	repeat(b, "a,", n);
	buf_adds(b, "\r\n\r\n");
}

static void long_header(struct buf *b, size_t n)
{
	buf_adds(b, "Subject: ");
	repeat(b, "0123456789abcdef", n);
	buf_adds(b, "\r\n\r\n");
}

static void folded_header(struct buf *b, size_t n)
{
	buf_adds(b, "Subject:");
	repeat(b, "\r\n x", n);
	buf_adds(b, "\r\n\r\n");
}

static void parentheses(struct buf *b, size_t n)
{
	static const char *const names[] = { "From: ",
					     "\r\nReceived: ",
					     "\r\nDate: ",
					     "\r\nContent-Type: ",
					     "\r\nContent-Disposition: ",
					     "\r\nMessage-ID: ",
					     "\r\nContent-Transfer-Encoding: " };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		buf_adds(b, names[i]);
		repeat(b, "(", n);
	}
	buf_adds(b, "\r\n\r\n");
}

static void quotes_and_brackets(struct buf *b, size_t n)
{
	buf_adds(b, "From: ");
	repeat(b, "[", n);
	buf_adds(b, "\r\nTo: ");
	repeat(b, "<", n);
	buf_adds(b, "\r\nCc: ");
	repeat(b, "\"", n);
	buf_adds(b, "\r\nBcc: ");
	repeat(b, "a:", n);
	buf_adds(b, "\r\nReply-To: ");
	repeat(b, "@", n);
	buf_adds(b, "\r\nReply-To: ");
	repeat(b, "<@", n);
	buf_adds(b, "\r\nReferences: ");
	repeat(b, "<", n);
	buf_adds(b, "\r\n\r\n");
}

static void continuations(struct buf *b, size_t n)
{
	buf_adds(b, "Content-Type: application/x;\r\n");
	for (size_t i = 0; i < n; i++)
		buf_addf(b, " filename*%zu*=a;\r\n", n - i);
	buf_adds(b, " end=1\r\n\r\n");
}

static void parameters_in_many_parts(struct buf *b, size_t n)
{
	buf_adds(b, "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
	for (size_t i = 0; i < n; i++) {
		buf_adds(b, "--b\r\nContent-Type: text/plain");
		for (int k = 0; k < 100; k++)
			buf_addf(b, ";a%d=b", k);
		buf_adds(b, "\r\n\r\nx\r\n");
	}
}

static void nested_multiparts(struct buf *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_addf(b,
			 "Content-Type: multipart/mixed; boundary=b%zu\r\n\r\n--b%zu\r\n",
			 i, i);
}

static void nested_same_boundary(struct buf *b, size_t n)
{
	repeat(b, "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n", n);
}

static void nested_messages(struct buf *b, size_t n)
{
	repeat(b, "Content-Type: message/rfc822\r\n\r\n", n);
}

static void many_parts(struct buf *b, size_t n)
{
	buf_adds(b, "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
	repeat(b, "--b\r\n\r\n", n);
}

static void many_messages(struct buf *b, size_t n)
{
	buf_adds(b, "Content-Type: multipart/digest; boundary=b\r\n\r\n");
	repeat(b, "--b\r\n\r\nFrom: a@b, c@d\r\n\r\n", n);
}

static void almost_delimiters(struct buf *b, size_t n)
{
	for (int i = 0; i < 40; i++)
		buf_addf(
			b,
			"Content-Type: multipart/mixed; boundary=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa%d\r\n\r\n"
			"--aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa%d\r\n",
			i, i);
	buf_adds(b, "\r\n");
	repeat(b, "--aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaax\r\n", n);
}

static void encoded_words(struct buf *b, size_t n)
{
	buf_adds(b, "Subject: ");
	repeat(b, "=?a?q?", n);
	buf_adds(b, "\r\n\r\n");
}

static void subject_blobs(struct buf *b, size_t n)
{
	buf_adds(b, "Subject: ");
	repeat(b, "[a]", n);
	repeat(b, "(fwd)", n);
	buf_adds(b, "\r\n\r\n");
}

static void forwards(struct buf *b, size_t n)
{
	buf_adds(b, "Subject: ");
	repeat(b, "[fwd:", n);
	repeat(b, "]", n);
	buf_adds(b, "\r\n\r\n");
}

static void references(struct buf *b, size_t n)
{
	buf_adds(b, "References: ");
	repeat(b, "<a@b>\r\n ", n);
	buf_adds(b, "\r\n\r\n");
}

static const struct {
	const char *name;
	void (*make)(struct buf *b, size_t n);
	size_t n;
} bombs[] = {
	{ "500,000 To lines", to_lines, 500000 },
	{ "1,000,000 commas", commas, 1000000 },
	{ "a header of 50 MB", long_header, 3200000 },
	{ "1,000,000 folds", folded_header, 1000000 },
	{ "1,000,000 parentheses in seven fields", parentheses, 1000000 },
	{ "1,000,000 open brackets", quotes_and_brackets, 1000000 },
	{ "100,000 RFC 2231 sections", continuations, 100000 },
	{ "10,000 parts of 100 parameters", parameters_in_many_parts, 10000 },
	{ "100,000 nested multiparts", nested_multiparts, 100000 },
	{ "100,000 nested multiparts of one boundary", nested_same_boundary, 100000 },
	{ "100,000 nested messages", nested_messages, 100000 },
	{ "1,000,000 parts", many_parts, 1000000 },
	{ "100,000 messages in a digest", many_messages, 100000 },
	{ "1,000,000 almost delimiters", almost_delimiters, 1000000 },
	{ "40,000 open encoded words", encoded_words, 40000 },
	{ "40,000 subject blobs", subject_blobs, 40000 },
	{ "40,000 forwards", forwards, 40000 },
	{ "1,000,000 references", references, 1000000 },
};

static void every_bomb_is_linear_and_bounded(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bombs) / sizeof(bombs[0]); i++) {
		double start = now();

		check_bomb(bombs[i].make, bombs[i].n);
		print_message("  %-45s %.2f s\n", bombs[i].name, now() - start);
	}
}

/* The parsers of single values, given more than a header field may hold. */
static void values_beyond_the_limits_are_linear(void **state)
{
	static const char *const units[] = {
		"(",	     ")",   "\"",     "<",
		">",	     "[",   "@",      ",",
		";",	     ":",   "\\",     "a,",
		"<a@b>,",    "(a)", "=?a?q?", "=?utf-8?q?a?= ",
		"[a]",	     "re:", "(fwd)",  "a*0=b;",
		"a*1*=%41;", "<@",  "a:",     "'",
		"%"
	};

	(void)state;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		double took[2];

		for (int big = 0; big < 2; big++) {
			AUTO_ARENA a = { 0 };
			AUTO_BUF b;
			struct mime_addr_iter it;
			struct mime_addr addr;
			struct mime_content c;
			struct mime_date d;
			size_t at = 0, n = 0;
			slice v, id;

			buf_init(&b, 16u << 20);
			buf_adds(&b, "a/b;");
			repeat(&b, units[i], big ? 400000 : 100000);
			v = buf_slice(&b);
			double start = now();

			it = mime_addr_iter(v);
			while (mime_addr_next(&it, &a, &addr))
				n++;
			assert_true(n <= 2 * v.n);
			while (mime_msgid_next(v, &at, &a, &id))
				;
			mime_content_type_parse(&a, v, &c);
			mime_disposition_parse(&a, v, &c);
			mime_date_parse(v, &d);
			mime_base_subject(&a, v, NULL);
			took[big] = now() - start;
		}
		if (took[1] > NOISE_S && took[1] > GROWTH_MAX * took[0])
			fail_msg("\"%s\": %.3f s, then %.3f s", units[i], took[0],
				 took[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_bomb_is_linear_and_bounded),
		cmocka_unit_test(values_beyond_the_limits_are_linear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
