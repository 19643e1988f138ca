/* fuzz_base_bytes.c — base/: whatever the bytes are, decoders stay inside them, and what they took is written back
 * the same. */
#include "base/base64.h"
#include "base/log.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void utf8(slice s)
{
	bool valid = true;

	for (size_t at = 0, start = 0; at < s.n; start = at) {
		char bytes[4];
		int32_t cp = utf8_next(s, &at);

		if (cp < 0) {
			valid = false;
			must(at == start + 1);
			continue;
		}
		must(utf8_encode((uint32_t)cp, bytes) == at - start);
		must(memcmp(bytes, s.p + start, at - start) == 0);
	}
	must(valid == utf8_is_valid(s));
}

static void base64(slice s)
{
	struct buf raw, text;

	buf_init(&raw, s.n);
	buf_init(&text, s.n);
	if (base64_decode(&raw, s)) {
		base64_encode(&text, buf_slice(&raw));
		must(slice_eq(buf_slice(&text), s));
	}
	buf_done(&raw);
	buf_done(&text);
}

static void fields(slice s)
{
	struct rd r = rd_init(s);

	while (!r.bad && rd_left(&r) > 0) {
		size_t left = rd_left(&r);

		switch (rd_u8(&r) % 6) {
		case 0:
			rd_u16(&r);
			break;
		case 1:
			rd_u32(&r);
			break;
		case 2:
			rd_u64(&r);
			break;
		case 3:
			rd_varint(&r);
			break;
		case 4:
			must(rd_bytes(&r).n < left);
			break;
		default:
			must(rd_raw(&r, rd_u8(&r)).n < left);
		}
		must(rd_left(&r) < left);
	}
	must(!r.bad || rd_left(&r) == 0);
}

static void one_line(slice s)
{
	struct log_line l;
	struct err e;

	log_begin(&l, LOG_LEVEL_ERROR, "fuzz");
	log_str(&l, "v", s);
	log_str(&l, "w", slice_from(s, s.n / 2));
	/* Not ended: only built. */
	slice text = slice_make(l.text, l.n);

	must(l.n < sizeof(l.text));
	must(utf8_is_valid(text));
	must(slice_chr(text, '\n', 0) == text.n && slice_chr(text, '\r', 0) == text.n);
	err_set(&e, ERR_SYNTAX, "%.*s", FMT(s));
	must(utf8_is_valid(slice_str(e.text)));
	must(strpbrk(e.text, "\r\n") == NULL);
}

static void words(slice s)
{
	slice left = slice_sub(s, 0, s.n / 4), right = slice_from(s, s.n / 4);
	size_t found = slice_ifind(right, left, 0), naive = right.n;

	for (size_t at = 0; at + left.n <= right.n && naive == right.n; at++)
		if (slice_ieq(slice_sub(right, at, left.n), left))
			naive = at;
	must(found == naive);
	uint64_t v;

	if (slice_u64(s, UINT64_MAX, &v) && s.n < 20 && s.p[0] != '0') {
		struct buf b;

		buf_init(&b, 20);
		buf_addu(&b, v);
		must(slice_eq(buf_slice(&b), s));
		buf_done(&b);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	slice s = slice_make(data, n);

	utf8(s);
	base64(s);
	fields(s);
	one_line(s);
	if (n < 1024)
		words(s);
	return 0;
}
