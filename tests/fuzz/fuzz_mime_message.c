/* A message: parsed whole and in pieces it gives the same digest, and the digest is sound. The cuts come from a hash of
 * the input, so that files of mail are inputs as they are. */
#include "base/cleanup.h"
#include "base/hash.h"
#include "mime/mime_digest.h"
#include "mime/mime_imap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define CHECK(x)                          \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

static void parse_cut(slice m, struct buf *out)
{
	const struct siphash_key key = { 1, 2 };
	uint64_t seed = siphash(&key, m) | 1;
	AUTO_ARENA a = { 0 };
	struct mime_parser *p = mime_parser_new(&a);

	while (m.n) {
		size_t take = 1 + (size_t)((seed >> 33) % 61) % m.n;
		char *copy = malloc(take);

		CHECK(copy);
		memcpy(copy, m.p, take);
		mime_parser_feed(p, (slice){ copy, take });
		free(copy);
		m = slice_from(m, take);
		seed = seed * 6364136223846793005u + 1442695040888963407u;
	}
	mime_digest_write(mime_parser_finish(p), out);
}

static void read_sections(slice digest, uint64_t size)
{
	for (uint32_t i = 0; i < 8; i++) {
		uint32_t path[3] = { i % 2 + 1, i / 2 % 2 + 1, i / 4 + 1 };

		for (size_t depth = 0; depth <= 3; depth++) {
			for (int w = MIME_SECTION_BODY; w <= MIME_SECTION_MIME; w++) {
				uint64_t off = 0, len = 0;
				bool found;

				CHECK(mime_digest_section(digest, path, depth,
							  (enum mime_section)w, &off,
							  &len, &found));
				CHECK(!found || (off <= size && len <= size - off));
			}
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	slice m = { (const char *)data, n };
	AUTO_ARENA a = { 0 };
	AUTO_BUF whole = { 0 }, cut = { 0 }, body = { 0 }, direct = { 0 };
	struct mime_part *root = mime_parse(&a, m);

	buf_init(&whole, MIME_DIGEST_MAX);
	buf_init(&cut, MIME_DIGEST_MAX);
	buf_init(&body, MIME_DIGEST_MAX);
	buf_init(&direct, MIME_DIGEST_MAX);
	mime_digest_write(root, &whole);
	parse_cut(m, &cut);
	CHECK(!whole.full && slice_eq(buf_slice(&whole), buf_slice(&cut)));
	CHECK(mime_digest_is_valid(buf_slice(&whole)));
	CHECK(mime_digest_size(buf_slice(&whole)) == n);
	CHECK(root->header_len == mime_header_length(m));
	CHECK(mime_digest_body(buf_slice(&whole), &body));
	mime_imap_body(&direct, root);
	CHECK(slice_eq(buf_slice(&body), buf_slice(&direct)));
	read_sections(buf_slice(&whole), n);
	for (const struct mime_part *p = root; p; p = mime_part_next(p))
		mime_part_filename(&a, p);
	return 0;
}
