/* intake.c — receiving a message, tap by tap: repair → strip → gather → sink (size, hash,
 * blob, MIME). */
#include "mime/mime_digest.h"
#include "mime/mime_parse.h"
#include "store/store_int.h"

/* Small pieces are put together, so that a message of empty lines costs no call a line. */
#define GATHER 8192

enum strip_state { STRIP_START, STRIP_NAME, STRIP_LINE };

struct intake {
	struct store *s;
	unsigned flags;
	uint64_t max;
	struct arena arena; /* the MIME tree */
	struct buf digest;
	struct kv_upload *body, *digest_body;
	struct mime_parser *parser;
	struct mime_part *root;
	struct err failed; /* sticky */
	bool ended;
	bool cr; /* the last chunk ended in CR */
	bool in_header, dropping;
	enum strip_state strip;
	char name[64]; /* of a line that may be Return-Path */
	size_t n_name;
	char *gathered;
	size_t n_gathered;
	struct blob_id digest_blob;
	uint64_t digest_size;
	struct intake_info info;
};

struct intake *intake_new(struct store *s, unsigned flags, uint64_t max_size)
{
	struct intake *in = mem_new(sizeof(*in));

	in->s = s;
	in->flags = flags;
	in->max = max_size;
	arena_init(&in->arena);
	buf_init(&in->digest, MIME_DIGEST_MAX);
	in->body = kv_upload_new(s->kv);
	in->parser = mime_parser_new(&in->arena);
	in->in_header = flags & INTAKE_STRIP_TRACE;
	in->gathered = mem_grow(NULL, GATHER, 1);
	in->info.message_id = in->info.digest = slice_make("", 0);
	return in;
}

void intake_free(struct intake *in)
{
	if (!in)
		return;
	if (!in->ended)
		mime_parser_free(in->parser);
	kv_upload_free(in->body);
	kv_upload_free(in->digest_body);
	buf_done(&in->digest);
	arena_release(&in->arena);
	mem_free(in->gathered);
	mem_free(in);
}

/* --- sink --------------------------------------------------------------------------- */
enum { BLOCK = 256 }; /* fixed, so that the compiler makes vectors of it */

static void look_at(struct intake *in, slice s)
{
	unsigned char all = 0, nul = 0;
	size_t i = 0;

	for (; i + BLOCK <= s.n; i += BLOCK) {
		for (size_t k = 0; k < BLOCK; k++) {
			all |= (unsigned char)s.p[i + k];
			nul |= s.p[i + k] == 0;
		}
	}
	for (; i < s.n; i++) {
		all |= (unsigned char)s.p[i];
		nul |= s.p[i] == 0;
	}
	in->info.has_8bit |= all >= 0x80;
	in->info.had_nul |= nul != 0;
}

static void sink(struct intake *in, slice s)
{
	uint64_t size;

	if (s.n == 0)
		return;
	if (!CHECKED_ADD(in->info.size, (uint64_t)s.n, &size))
		size = UINT64_MAX;
	in->info.size = size; /* counted also when it is dropped */
	if (in->failed.code != ERR_NONE)
		return;
	if (size > in->max) {
		(void)err_set(&in->failed, ERR_LIMIT,
			      "the message is longer than %llu octets",
			      (unsigned long long)in->max);
		return;
	}
	look_at(in, s);
	mime_parser_feed(in->parser, s);
	if (kv_upload_write(in->body, s, &in->failed) != ST_OK &&
	    in->failed.code == ERR_NONE)
		(void)err_set(&in->failed, ERR_IO, "the message cannot be written");
}

static void gather_flush(struct intake *in)
{
	sink(in, slice_make(in->gathered, in->n_gathered));
	in->n_gathered = 0;
}

static void gather(struct intake *in, slice s)
{
	if (s.n >= GATHER / 8) {
		gather_flush(in);
		sink(in, s);
		return;
	}
	if (s.n > GATHER - in->n_gathered)
		gather_flush(in);
	if (s.n)
		memcpy(in->gathered + in->n_gathered, s.p, s.n);
	in->n_gathered += s.n;
}

/* --- strip: Return-Path fields of the header; final delivery writes its own (RFC 5321 4.4) */
static const char return_path[] =
	"return-path"; /* then blanks (RFC 5322 4.5), then a colon */
#define RETURN_PATH_LEN (sizeof(return_path) - 1)

/* Could name + c still become "Return-Path:"? */
static bool name_goes_on(const struct intake *in, char c)
{
	if (in->n_name < RETURN_PATH_LEN)
		return ascii_lower(c) == return_path[in->n_name];
	return (c == ' ' || c == '\t') && in->n_name < sizeof(in->name);
}

static void line_is_kept(struct intake *in)
{
	gather(in, slice_make(in->name, in->n_name));
	in->n_name = 0;
	in->dropping = false;
	in->strip = STRIP_LINE;
}

/* One step of the header; returns how much of s it has taken. */
static size_t strip_step(struct intake *in, slice s)
{
	char c = s.p[0];

	if (in->strip == STRIP_LINE) {
		size_t nl = slice_chr(s, '\n', 0);
		size_t n = nl < s.n ? nl + 1 : s.n;

		if (!in->dropping)
			gather(in, slice_sub(s, 0, n));
		if (nl < s.n)
			in->strip = STRIP_START;
		return n;
	}
	if (in->strip == STRIP_START) {
		if (c == '\r') { /* the blank line: every CR has its LF here */
			in->in_header = false;
			return 0;
		}
		in->strip = c == ' ' || c == '\t'
				    ? STRIP_LINE
				    : STRIP_NAME; /* a folded line goes with its field */
		return 0;
	}
	if (c == ':' && in->n_name >= RETURN_PATH_LEN) {
		in->n_name = 0;
		in->dropping = true;
		in->strip = STRIP_LINE;
		return 1;
	}
	if (name_goes_on(in, c)) {
		in->name[in->n_name++] = c;
		return 1;
	}
	line_is_kept(in);
	return 0;
}

static void strip(struct intake *in, slice s)
{
	while (in->in_header && s.n)
		s = slice_from(s, strip_step(in, s));
	gather(in, s);
}

/* --- repair: every line ends in CRLF ------------------------------------------------ */
static const slice crlf = S("\r\n");

static void repair_line_end(struct intake *in)
{
	in->info.had_bare_cr_or_lf = true;
	strip(in, crlf);
}

/* Each CR stands before a LF, and each LF behind a CR, here and at both ends. */
static bool is_clean(slice s)
{
	unsigned char bad = s.p[0] == '\n' || s.p[s.n - 1] == '\r';
	size_t i = 0;

	for (; i + BLOCK < s.n; i += BLOCK)
		for (size_t k = 0; k < BLOCK; k++)
			bad |= (s.p[i + k] == '\r') ^ (s.p[i + k + 1] == '\n');
	for (; i + 1 < s.n; i++)
		bad |= (s.p[i] == '\r') ^ (s.p[i + 1] == '\n');
	return !bad;
}

static void repair(struct intake *in, slice s)
{
	size_t start = 0, at = 0, lf = 0;
	bool know_lf = false;

	if (!in->cr && is_clean(s)) { /* nearly always */
		strip(in, s);
		return;
	}
	if (in->cr && s.n) {
		in->cr = false;
		if (s.p[0] == '\n') {
			strip(in, crlf);
			start = at = 1;
		} else {
			repair_line_end(in);
		}
	}
	while (at < s.n) {
		if (!know_lf || lf < at)
			lf = slice_chr(s, '\n', at);
		know_lf = true;
		size_t cr = slice_chr(slice_sub(s, 0, lf), '\r', at);

		if (cr < lf && cr + 1 == lf && lf < s.n) { /* CRLF */
			at = lf + 1;
		} else if (cr < lf && cr + 1 == s.n) { /* the next chunk tells */
			strip(in, slice_sub(s, start, cr - start));
			in->cr = true;
			return;
		} else if (cr < lf || lf < s.n) { /* alone */
			size_t bare = cr < lf ? cr : lf;

			strip(in, slice_sub(s, start, bare - start));
			repair_line_end(in);
			start = at = bare + 1;
		} else {
			break;
		}
	}
	strip(in, slice_from(s, start));
}

/* --- the whole ---------------------------------------------------------------------- */
static enum status answer(const struct intake *in, struct err *e)
{
	if (in->failed.code == ERR_NONE)
		return ST_OK;
	if (e)
		*e = in->failed;
	return err_status(in->failed.code);
}

enum status intake_write(struct intake *in, slice chunk, struct err *e)
{
	if (in->ended)
		return err_set(e, ERR_CANNOT, "the message has ended");
	if (chunk.n)
		repair(in, chunk);
	return answer(in, e);
}

static void digest_make(struct intake *in)
{
	mime_digest_write(in->root, &in->digest);
	in->info.digest = buf_slice(&in->digest);
	in->info.message_id = mime_digest_message_id(in->info.digest);
	in->info.received_fields = in->root->summary->received_count;
	in->info.from_fields = in->root->summary->from_count;
}

/* A digest too long for the email's row is a blob of its own. */
static enum status digest_upload(struct intake *in, struct err *e)
{
	if (in->digest.full)
		return err_set(e, ERR_LIMIT, "the structure of the message is too large");
	if (in->digest.n <= SCHEMA_DIGEST_INLINE)
		return ST_OK;
	in->digest_body = kv_upload_new(in->s->kv);
	enum status st = kv_upload_write(in->digest_body, in->info.digest, e);

	return st == ST_OK ? kv_upload_end(in->digest_body, &in->digest_blob,
					   &in->digest_size, e)
			   : st;
}

enum status intake_end(struct intake *in, struct err *e)
{
	uint64_t size;

	if (in->ended)
		return answer(in, e);
	if (in->cr)
		repair_line_end(in);
	if (in->in_header && in->strip == STRIP_NAME)
		line_is_kept(in);
	gather_flush(in);
	in->ended = true;
	in->root = mime_parser_finish(in->parser);
	in->parser = NULL;
	if (in->failed.code != ERR_NONE)
		return answer(in, e);
	digest_make(in);
	if (kv_upload_end(in->body, &in->info.blob, &size, &in->failed) != ST_OK ||
	    digest_upload(in, &in->failed) != ST_OK)
		if (in->failed.code == ERR_NONE)
			(void)err_set(&in->failed, ERR_IO,
				      "the message cannot be written");
	return answer(in, e);
}

const struct intake_info *intake_get(const struct intake *in)
{
	return &in->info;
}

bool intake_was_delivered_to(const struct intake *in, slice address)
{
	const struct mime_field *f = NULL;

	if (!in->root)
		return false;
	while ((f = mime_field_next(in->root->summary, f, MIME_F_DELIVERED_TO)))
		if (slice_ieq(slice_trim(f->value), address))
			return true;
	return false;
}

void intake_source(const struct intake *in, struct message_source *out)
{
	bool is_long = in->digest_size > 0;

	*out = (struct message_source){
		.message_id = in->info.message_id,
		.digest = in->info.digest,
		.email = {
			.blob = in->info.blob, .blob_size = in->info.size,
			.digest_kind = is_long ? DIGEST_BLOB : DIGEST_INLINE,
			.digest_blob = in->digest_blob, .digest_size = in->digest_size,
			.digest = is_long ? slice_make("", 0) : in->info.digest,
			.preview = slice_make("", 0),
		},
	};
}

enum status intake_attach(struct intake *in, struct store_txn *t, struct err *e)
{
	if (!in->ended)
		return err_set(e, ERR_CANNOT, "the message has not ended");
	if (in->failed.code != ERR_NONE)
		return answer(in, e);
	if (in->body)
		kv_txn_blob(t->kt, in->body);
	if (in->digest_body)
		kv_txn_blob(t->kt, in->digest_body);
	in->body = in->digest_body = NULL;
	return ST_OK;
}
