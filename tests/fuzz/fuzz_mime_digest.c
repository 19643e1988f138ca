/* A digest from a hostile disk (HAZARDS 11): every reader, exact-size input; nothing but false and empty may happen. */
#include "base/cleanup.h"
#include "mime/mime_digest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void touch(slice s)
{
	volatile char sum = 0;

	for (size_t i = 0; i < s.n; i++)
		sum = (char)(sum ^ s.p[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	slice d = { (const char *)data, n }, ref;
	AUTO_BUF body = { 0 };
	struct mime_digest_iter it = mime_digest_iter(d);
	struct mime_digest_part p;
	struct mime_date date;
	uint64_t size = mime_digest_size(d), off, len;
	size_t at = 0;
	bool found;

	buf_init(&body, MIME_DIGEST_MAX);
	touch(mime_digest_envelope(d));
	touch(mime_digest_bodystructure(d));
	touch(mime_digest_base_subject(d));
	touch(mime_digest_message_id(d));
	mime_digest_body(d, &body);
	mime_digest_sent(d, &date);
	mime_digest_is_valid(d);
	while (mime_digest_reference(d, &at, &ref))
		touch(ref);
	while (mime_digest_next(&it, &p)) {
		touch(p.type);
		touch(p.charset);
		if (p.body_off > size || p.body_len > size - p.body_off)
			__builtin_trap();
	}
	for (uint32_t i = 0; i < 8; i++) {
		uint32_t path[3] = { i % 2 + 1, i / 2 % 2 + 1, i / 4 + 1 };

		for (size_t depth = 0; depth <= 3; depth++)
			for (int w = MIME_SECTION_BODY; w <= MIME_SECTION_MIME; w++)
				if (mime_digest_section(d, path, depth,
							(enum mime_section)w, &off, &len,
							&found) &&
				    found && (off > size || len > size - off))
					__builtin_trap();
	}
	return 0;
}
