/* The same structure wherever the chunks are cut, and trees that are always sound. */
#include "mime_test.h"

static void check_tree(const char *name, const struct mime_part *root, uint64_t total)
{
	uint64_t end = 0;

	assert_int_equal(root->header_off, 0);
	assert_int_equal(root->body_off + root->body_len, total);
	for (const struct mime_part *p = root; p; p = mime_part_next(p)) {
		uint32_t n = 0;

		if (p->body_off != p->header_off + p->header_len || p->header_off < end)
			fail_msg("%s: offsets out of order at %llu", name,
				 (unsigned long long)p->header_off);
		if (p->parent &&
		    p->body_off + p->body_len > p->parent->body_off + p->parent->body_len)
			fail_msg("%s: part at %llu leaves its parent", name,
				 (unsigned long long)p->header_off);
		for (const struct mime_part *c = p->first; c; c = c->next)
			n++;
		assert_int_equal(n, p->nchildren);
		assert_true(p->depth <= LIMIT_MIME_DEPTH);
		assert_true(p->type.n && p->subtype.n);
		assert_true(p->lines <= p->body_len);
		assert_int_equal(p->kind == MIME_LEAF, n == 0);
		if (p->kind == MIME_MESSAGE)
			assert_true(n == 1 && p->first->summary);
		end = n ? p->body_off : p->body_off + p->body_len;
	}
}

static void check_sound(const char *name, slice m)
{
	AUTO_ARENA a = { 0 };
	AUTO_BUF digest, body, other;
	struct mime_part *root = mime_parse(&a, m);

	check_tree(name, root, m.n);
	assert_int_equal(root->header_len, mime_header_length(m));
	buf_init(&digest, MIME_DIGEST_MAX);
	buf_init(&body, MIME_DIGEST_MAX);
	buf_init(&other, MIME_DIGEST_MAX);
	mime_digest_write(root, &digest);
	if (!mime_digest_is_valid(buf_slice(&digest)))
		fail_msg("%s: digest not valid", name);
	assert_int_equal(mime_digest_size(buf_slice(&digest)), m.n);
	assert_true(mime_digest_body(buf_slice(&digest), &body));
	mime_imap_body(&other, root);
	assert_true(slice_eq(buf_slice(&body), buf_slice(&other)));
}

static void check_every_offset(const char *name, slice m)
{
	AUTO_BUF whole, cut;

	digest_of(m, &whole);
	buf_init(&cut, MIME_DIGEST_MAX);
	for (size_t i = 0; i <= m.n; i++) {
		buf_reset(&cut);
		digest_cut(m, &i, 1, &cut);
		if (!slice_eq(buf_slice(&cut), buf_slice(&whole)))
			fail_msg("%s: cut at %zu gives another structure", name, i);
	}
}

static void check_small_chunks(const char *name, slice m)
{
	AUTO_BUF whole, cut;

	digest_of(m, &whole);
	buf_init(&cut, MIME_DIGEST_MAX);
	for (size_t step = 1; step < 8; step++) {
		size_t n = m.n / step;
		size_t *cuts = mem_array(n + 1, sizeof(*cuts));

		for (size_t i = 0; i < n; i++)
			cuts[i] = (i + 1) * step;
		buf_reset(&cut);
		digest_cut(m, cuts, n, &cut);
		mem_free(cuts);
		if (!slice_eq(buf_slice(&cut), buf_slice(&whole)))
			fail_msg("%s: chunks of %zu give another structure", name, step);
	}
}

static void every_corpus_message_has_a_sound_tree(void **state)
{
	(void)state;
	assert_true(for_corpus(check_sound) > 30);
}

static void two_chunks_cut_at_every_offset_give_the_same(void **state)
{
	(void)state;
	for_corpus(check_every_offset);
}

static void chunks_of_one_to_seven_octets_give_the_same(void **state)
{
	(void)state;
	for_corpus(check_small_chunks);
}

static void every_prefix_of_a_message_has_a_sound_tree(void **state)
{
	static const char *const names[] = {
		"multipart.eml",	   "rfc822-nested.eml",
		"boundary-prefixes.eml",   "empty-parts.eml",
		"delimiter-in-header.eml", "digest.eml",
		"same-boundary.eml",	   "padding.eml"
	};

	(void)state;
	for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
		slice m = read_file(CORPUS, names[k]);

		for (size_t i = 0; i <= m.n; i++) {
			slice prefix = exact(slice_sub(m, 0, i));

			check_sound(names[k], prefix);
			exact_free(prefix);
		}
		exact_free(m);
	}
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* Messages made of the pieces that matter, in any order: sound, and the same when cut. */
static void random_messages_are_sound_and_cut_anywhere(void **state)
{
	static const char *const pieces[] = {
		"\r\n",
		"\r\n\r\n",
		"\n",
		"\r",
		"--b",
		"--bb",
		"--",
		"b",
		"--b--",
		"--b\r\n",
		"--bb--\r\n",
		" ",
		"\t",
		"Content-Type: multipart/mixed; boundary=b\r\n",
		"Content-Type: multipart/digest; boundary=bb\r\n\r\n",
		"Content-Type: message/rfc822\r\n",
		"Content-Type: text/html;\r\n charset=x\r\n",
		"From: a@b\r\n",
		"Subject: x\r\n",
		"content-type",
		":",
		"text",
		"(",
		"\"",
		"Content-Transfer-Encoding: base64\r\n",
	};
	uint32_t seed = 7;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		AUTO_BUF m, whole, cut;
		size_t cuts[2];

		buf_init(&m, 1 << 20);
		buf_init(&cut, MIME_DIGEST_MAX);
		for (uint32_t n = next_random(&seed) % 40; n; n--)
			buf_adds(&m, pieces[next_random(&seed) %
					    (sizeof(pieces) / sizeof(pieces[0]))]);
		check_sound("random", buf_slice(&m));
		digest_of(buf_slice(&m), &whole);
		for (int i = 0; i < 8; i++) {
			cuts[0] = next_random(&seed) % (m.n + 1);
			cuts[1] = cuts[0] + next_random(&seed) % (m.n - cuts[0] + 1);
			buf_reset(&cut);
			digest_cut(buf_slice(&m), cuts, 2, &cut);
			if (!slice_eq(buf_slice(&cut), buf_slice(&whole)))
				fail_msg("round %d cut at %zu, %zu: [%.*s]", round,
					 cuts[0], cuts[1], FMT(buf_slice(&m)));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_corpus_message_has_a_sound_tree),
		cmocka_unit_test(two_chunks_cut_at_every_offset_give_the_same),
		cmocka_unit_test(chunks_of_one_to_seven_octets_give_the_same),
		cmocka_unit_test(every_prefix_of_a_message_has_a_sound_tree),
		cmocka_unit_test(random_messages_are_sound_and_cut_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
