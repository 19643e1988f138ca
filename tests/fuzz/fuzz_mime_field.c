/* One value through every parser of values, every decoder whole and in pieces, and what our writers make of it back
 * through the parsers. */
#include "base/cleanup.h"
#include "base/utf8.h"
#include "mime/mime_decode.h"
#include "mime/mime_header.h"
#include "mime/mime_imap.h"
#include "mime/mime_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define CHECK(x)                          \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

static void addresses(struct arena *a, slice v)
{
	struct mime_addr_iter it = mime_addr_iter(v);
	struct mime_addr x, back;
	bool in_group = false;

	while (mime_addr_next(&it, a, &x)) {
		AUTO_BUF b = { 0 };
		struct mime_addr_iter again;

		CHECK(in_group == (x.kind == MIME_ADDR_GROUP_END) ||
		      x.kind == MIME_ADDR_MAILBOX);
		in_group = x.kind == MIME_ADDR_GROUP_START ||
			   (in_group && x.kind == MIME_ADDR_MAILBOX);
		if (x.kind != MIME_ADDR_MAILBOX || !x.local.n ||
		    slice_find(x.domain, SL("@"), 0) < x.domain.n)
			continue;
		/* A local part is written so that it is read back the same. */
		buf_init(&b, 1 << 22);
		x.domain = SL("example.org");
		mime_addr_spec_write(&b, &x);
		if (slice_chr(x.local, '\0', 0) < x.local.n ||
		    slice_chr(x.local, '\r', 0) < x.local.n ||
		    slice_chr(x.local, '\n', 0) < x.local.n)
			continue;
		again = mime_addr_iter(buf_slice(&b));
		CHECK(mime_addr_next(&again, a, &back) && slice_eq(back.local, x.local) &&
		      slice_eq(back.domain, x.domain));
	}
	CHECK(!in_group);
}

static void dates(slice v)
{
	AUTO_BUF b = { 0 };
	struct mime_date d, back;

	buf_init(&b, 1000);
	if (mime_date_parse(v, &d) && d.unix_s > -60000000000 &&
	    d.unix_s < 253000000000) {
		mime_date_write(&b, &d);
		CHECK(mime_date_parse(buf_slice(&b), &back) && back.unix_s == d.unix_s &&
		      back.zone == d.zone);
		buf_reset(&b);
		mime_internaldate_write(&b, &d);
		CHECK(mime_internaldate_parse(buf_slice(&b), &back) &&
		      back.unix_s == d.unix_s && back.zone == d.zone);
	}
	mime_internaldate_parse(v, &d);
}

static void decoders(slice v)
{
	for (int enc = MIME_ENC_7BIT; enc <= MIME_ENC_UNKNOWN; enc++) {
		AUTO_BUF whole = { 0 }, cut = { 0 };
		struct mime_decoder d;

		buf_init(&whole, 1 << 24);
		buf_init(&cut, 1 << 24);
		mime_decoder_init(&d, (enum mime_encoding)enc);
		mime_decoder_feed(&d, v, &whole);
		mime_decoder_finish(&d, &whole);
		mime_decoder_init(&d, (enum mime_encoding)enc);
		for (size_t i = 0; i < v.n; i++)
			mime_decoder_feed(&d, slice_sub(v, i, 1), &cut);
		mime_decoder_finish(&d, &cut);
		CHECK(slice_eq(buf_slice(&whole), buf_slice(&cut)));
	}
}

static void charset(slice name, slice v)
{
	AUTO_BUF whole = { 0 }, cut = { 0 };
	struct mime_charset *c = mime_charset_new(name, NULL);

	buf_init(&whole, 1 << 24);
	buf_init(&cut, 1 << 24);
	mime_charset_feed(c, v, &whole);
	mime_charset_finish(c, &whole);
	for (size_t i = 0; i < v.n; i++)
		mime_charset_feed(c, slice_sub(v, i, 1), &cut);
	mime_charset_finish(c, &cut);
	mime_charset_free(c);
	CHECK(slice_eq(buf_slice(&whole), buf_slice(&cut)));
	CHECK(utf8_is_valid(buf_slice(&whole)));
}

/* Nothing written starts a second field, and text comes back as it was. */
static void writers(struct arena *a, slice v)
{
	AUTO_BUF b = { 0 };
	struct mime_header_iter it;
	struct mime_header_field f;
	struct mime_param p = { .name = SL("name"), .value = v };
	struct mime_addr addr = { .name = v, .local = v, .domain = v };
	size_t n = 0;

	buf_init(&b, 1 << 24);
	mime_write_text(&b, "Subject", v);
	mime_write_raw(&b, "X-Raw", v);
	mime_write_addresses(&b, "To", &addr, 1);
	mime_write_msgids(&b, "References", &v, 1);
	mime_write_content(&b, "Content-Type", v, &p);
	it = mime_header_iter(buf_slice(&b));
	while (mime_header_next(&it, &f)) {
		CHECK(f.name.n);
		n++;
	}
	CHECK(n == 5 && it.at == b.n);
	if (utf8_is_valid(v)) {
		slice got = mime_words_decode(a, mime_header_get(a, buf_slice(&b),
								 SL("subject")));
		char *want = arena_alloc(a, v.n);

		for (size_t i = 0; i < v.n; i++)
			want[i] = (unsigned char)v.p[i] < ' ' || v.p[i] == 0x7f ? ' '
										: v.p[i];
		CHECK(slice_eq(got, slice_trim((slice){ want, v.n })));
	}
	buf_reset(&b);
	mime_qp_encode(&b, v);
	mime_base64_encode(&b, v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	slice all = { (const char *)data, n }, rest = all, v;
	AUTO_ARENA a = { 0 };
	struct mime_content c;
	size_t at = 0;
	slice id, name;

	if (n > 65536)
		return 0;
	v = mime_unfold(&a, all);
	CHECK(slice_chr(v, '\n', 0) == v.n && slice_chr(v, '\r', 0) == v.n);
	addresses(&a, v);
	addresses(&a, all);
	dates(v);
	while (mime_msgid_next(v, &at, &a, &id))
		CHECK(id.n);
	if (mime_content_type_parse(&a, v, &c))
		CHECK(utf8_is_valid(mime_param_text(&a, c.params, "name")));
	if (mime_disposition_parse(&a, v, &c))
		CHECK(utf8_is_valid(mime_param_text(&a, c.params, "filename")));
	CHECK(utf8_is_valid(mime_words_decode(&a, v)));
	mime_base_subject(&a, v, NULL);
	decoders(all);
	charset(SL("utf-8"), all);
	name = slice_cut(&rest, '\n');
	charset(name, rest);
	writers(&a, all);
	return 0;
}
