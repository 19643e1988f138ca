#include "mime/mime_parse.h"
#include "base/buf.h"
#include "mime/mime_field.h"
#include "mime/mime_header.h"

/* Values kept of one message, all headers together: beyond it they are dropped
 * (HAZARDS 16). */
#define KEPT_MAX     (2u * LIMIT_HEADER_ALL)
#define NAME_MAX_LEN 32u /* longer than every name we look for */
/* A delimiter line: "--" boundary "--"; padding beyond it is only checked for being
 * blank. */
#define DELIM_MAX (2u + LIMIT_MIME_BOUNDARY + 2u)
#define FRAMES	  (LIMIT_MIME_DEPTH + 1)

/* An open part. */
struct frame {
	struct mime_part *part;
	slice boundary;	       /* n is 0: no delimiter of its own is looked for */
	uint64_t lines_before; /* line ends before the body */
};

enum line_use {
	LINE_SKIP, /* bytes of this header line do not matter */
	LINE_NAME, /* collecting the field's name */
	LINE_VALUE /* collecting a value */
};

struct mime_parser {
	struct arena *a;
	uint64_t off;	   /* octets fed */
	uint64_t line_off; /* where the current line starts */
	uint64_t line_n;   /* its octets so far, without LF */
	uint64_t nl;	   /* line ends so far */
	unsigned prev_eol; /* length of the line end before line_off: 0, 1, 2 */
	char last;	   /* last octet of the current line */
	bool in_header;	   /* of the top frame's part */
	bool is_last;	   /* LIMIT_MIME_PARTS is reached: no more delimiters */
	bool candidate;	   /* the current line may be a delimiter */
	bool have_root_header;
	enum line_use use;
	uint32_t nframes, nactive, nparts; /* nactive: frames with a boundary */
	size_t kept;			   /* octets of arena used for values */
	/* the field at hand */
	enum mime_field_kind kind;
	bool keeping; /* its value is wanted */
	bool field_cut;
	uint32_t nfields; /* in this header */
	uint32_t seen;	  /* bits by kind, of this header */
	uint32_t name_n;
	uint32_t delim_n;
	struct buf value;
	struct mime_field *tail; /* of the current message's fields */
	struct mime_part *root;
	struct frame frames[FRAMES];
	char name[NAME_MAX_LEN];
	char delim[DELIM_MAX];
};

static struct frame *top(struct mime_parser *p)
{
	return &p->frames[p->nframes - 1];
}

/* A new part behind its siblings, open, its header starting at off. The caller has
 * checked depth and count. */
static void part_open(struct mime_parser *p, struct mime_part *parent, uint64_t off,
		      bool is_message)
{
	struct mime_part *part = ARENA_NEW(p->a, struct mime_part);

	part->header_off = off;
	part->parent = parent;
	if (parent) {
		part->depth = parent->depth + 1;
		if (parent->last)
			parent->last->next = part;
		else
			parent->first = part;
		parent->last = part;
		parent->nchildren++;
	}
	if (is_message) {
		part->summary = ARENA_NEW(p->a, struct mime_summary);
		p->tail = NULL;
	}
	if (++p->nparts >= LIMIT_MIME_PARTS)
		p->is_last = true; /* this one takes all that is left */
	p->frames[p->nframes++] = (struct frame){ .part = part };
	p->in_header = true;
	p->nfields = 0;
	p->seen = 0;
	p->kind = MIME_F_NONE;
	p->keeping = false;
}

struct mime_parser *mime_parser_new(struct arena *a)
{
	struct mime_parser *p = ARENA_NEW(a, struct mime_parser);

	p->a = a;
	buf_init(&p->value, LIMIT_HEADER_FIELD);
	part_open(p, NULL, 0, true);
	p->root = p->frames[0].part;
	return p;
}

void mime_parser_free(struct mime_parser *p)
{
	if (p)
		buf_done(&p->value);
}

/* RFC 2045 5.2, and RFC 2046 5.1.5 for the parts of a digest. */
static void set_default_type(struct arena *a, struct mime_part *part, bool is_digest)
{
	part->params = NULL;
	if (is_digest) {
		part->type = SL("message");
		part->subtype = SL("rfc822");
		return;
	}
	part->type = SL("text");
	part->subtype = SL("plain");
	part->params = ARENA_NEW(a, struct mime_param);
	part->params->name = SL("charset");
	part->params->value = SL("us-ascii");
}

static slice usable_boundary(const struct mime_part *part)
{
	slice b = mime_param_get(part->params, "boundary");

	/* RFC 2046 5.1.1: it does not end with white space, padding on the line does
	 * not count. */
	while (b.n && (b.p[b.n - 1] == ' ' || b.p[b.n - 1] == '\t'))
		b.n--;
	return b.n <= LIMIT_MIME_BOUNDARY ? b : (slice){ NULL, 0 };
}

/* The header of the top frame is complete: decides what the body is. */
static void header_done(struct mime_parser *p, uint64_t end)
{
	struct frame *f = top(p);
	struct mime_part *part = f->part;
	bool deep = part->depth >= LIMIT_MIME_DEPTH || p->is_last;

	part->header_len = end - part->header_off;
	part->body_off = end;
	f->lines_before = p->nl;
	p->in_header = false;
	p->keeping = false;
	if (p->nframes == 1)
		p->have_root_header = true;
	if (!part->type.n)
		set_default_type(p->a, part,
				 part->parent &&
					 mime_part_is(part->parent, "multipart",
						      "digest") &&
					 !(p->seen & 1u << MIME_F_TYPE));
	if (slice_ieq(part->type, SL("multipart"))) {
		slice b = usable_boundary(part);

		if (!b.n) {
			set_default_type(
				p->a, part,
				false); /* RFC 2045 5.2: not a valid Content-Type */
		} else if (deep) {
			part->opaque = true;
		} else {
			part->kind = MIME_MULTIPART;
			f->boundary = b;
			p->nactive++;
		}
	} else if (mime_part_is(part, "message", "rfc822") ||
		   mime_part_is(part, "message", "global")) {
		if (deep)
			part->opaque = true;
		else
			part->kind = MIME_MESSAGE;
	}
}

static void field_done(struct mime_parser *p)
{
	struct mime_part *part = top(p)->part;

	if (!p->keeping)
		return;
	p->keeping = false;
	size_t before = p->a->used;

	mime_field_apply(p->a, part, &p->tail, p->kind, buf_slice(&p->value));
	p->kept += p->a->used - before;
	if (p->field_cut)
		part->cut = true;
}

/* The name of a field is complete: is its value wanted? */
static void name_done(struct mime_parser *p)
{
	struct mime_part *part = top(p)->part;
	struct mime_summary *s = part->summary;
	slice name = { p->name, p->name_n };

	p->use = LINE_SKIP;
	if (p->name_n > NAME_MAX_LEN)
		name.n = 0; /* longer than any that we know */
	while (name.n && (name.p[name.n - 1] == ' ' || name.p[name.n - 1] == '\t'))
		name.n--; /* RFC 5322 4.5: blanks before the colon */
	p->nfields++;
	p->kind = mime_field_kind_of(name);
	if (s) {
		s->field_count++;
		s->from_count += p->kind == MIME_F_FROM;
		s->received_count += p->kind == MIME_F_RECEIVED;
	}
	if (!mime_field_is_wanted(p->kind, part, p->seen))
		return;
	p->seen |= 1u << p->kind;
	if (p->nfields > LIMIT_HEADER_FIELDS || p->kept > KEPT_MAX ||
	    p->line_off - part->header_off > LIMIT_HEADER_ALL) {
		part->cut = true;
		return;
	}
	p->keeping = true;
	p->field_cut = false;
	buf_reset(&p->value);
	p->use = LINE_VALUE;
}

static void value_add(struct mime_parser *p, slice s)
{
	size_t room = LIMIT_HEADER_FIELD - p->value.n;

	if (s.n > room) {
		p->field_cut = true;
		s.n = room;
	}
	buf_add(&p->value, s);
}

static void header_bytes(struct mime_parser *p, slice s)
{
	if (p->use == LINE_NAME) {
		size_t colon = slice_chr(s, ':', 0);

		for (size_t i = 0; i < colon && p->name_n <= NAME_MAX_LEN; i++) {
			if (p->name_n < NAME_MAX_LEN)
				p->name[p->name_n] = s.p[i];
			p->name_n++;
		}
		if (colon == s.n)
			return;
		name_done(p);
		s = slice_from(s, colon + 1);
	}
	if (p->use == LINE_VALUE)
		value_add(p, s);
}

/* The first octet of a line: what can the line be? */
static void line_start(struct mime_parser *p, char c)
{
	p->candidate = c == '-' && p->nactive > 0 && !p->is_last;
	p->delim_n = 0;
	if (!p->in_header)
		return;
	if (c == ' ' || c == '\t') {
		p->use = p->keeping ? LINE_VALUE : LINE_SKIP;
		return;
	}
	field_done(p);
	p->name_n = 0;
	/* A line that starts with CR is the blank line, or junk; no name that matters
	 * starts with "-". */
	p->use = c == '\r' || c == '-' ? LINE_SKIP : LINE_NAME;
}

/* Collects what may become a delimiter line. */
static void candidate_bytes(struct mime_parser *p, slice s)
{
	size_t take = DELIM_MAX - p->delim_n;

	if (take > s.n)
		take = s.n;
	memcpy(p->delim + p->delim_n, s.p, take);
	p->delim_n += (uint32_t)take;
	if (p->delim_n >= 2 && p->delim[1] != '-')
		p->candidate = false;
	for (size_t i = take; i < s.n && p->candidate; i++)
		if (s.p[i] != ' ' && s.p[i] != '\t' && s.p[i] != '\r')
			p->candidate = false;
}

static void line_bytes(struct mime_parser *p, slice s)
{
	if (!p->line_n)
		line_start(p, s.p[0]);
	if (p->candidate)
		candidate_bytes(p, s);
	if (p->in_header && p->use != LINE_SKIP)
		header_bytes(p, s);
	p->line_n += s.n;
	p->last = s.p[s.n - 1];
}

/* Closes the top frame: its body ends at end. */
static void frame_close(struct mime_parser *p, uint64_t end, bool at_delimiter)
{
	struct frame *f;
	struct mime_part *part;

	if (p->in_header) {
		field_done(p);
		header_done(p, end);
	}
	f = top(p);
	part = f->part;
	if (f->boundary.n)
		p->nactive--;
	part->body_len = end - part->body_off;
	if (part->body_len)
		part->lines = p->nl - f->lines_before -
			      (at_delimiter && end < p->line_off ? 1 : 0);
	if (part->kind == MIME_MULTIPART && !part->nchildren) {
		/* Its boundary never came: what there is, is shown as text (RFC 3501 9
		 * wants a part). */
		part->kind = MIME_LEAF;
		set_default_type(p->a, part, false);
	}
	p->nframes--;
	if (part->kind != MIME_MESSAGE || part->nchildren)
		return;
	/* Ended inside its own header: the message in it is empty, but BODYSTRUCTURE
	 * needs one. */
	if (p->nparts + 1 >= LIMIT_MIME_PARTS) {
		part->kind = MIME_LEAF;
		part->opaque = true;
		return;
	}
	p->nframes++;
	part_open(p, part, end, true);
	header_done(p, end);
	top(p)->part->body_len = 0;
	p->nframes -= 2;
}

static void close_down_to(struct mime_parser *p, uint32_t nframes, bool at_delimiter)
{
	uint64_t end = p->line_off;

	/* RFC 2046 5.1.1: the line end before a delimiter belongs to it — unless it
	 * ends the header. */
	if (!at_delimiter)
		end = p->off;
	else if (!p->in_header && end - p->prev_eol >= top(p)->part->body_off)
		end -= p->prev_eol;
	while (p->nframes > nframes)
		frame_close(p, end, at_delimiter);
}

/* The frame whose delimiter the collected line is, innermost first; FRAMES when none.
 * RFC 2046 5.1.1 deviation: the whole line is compared ("--", boundary, perhaps "--",
 * blanks), not its beginning: boundaries that are prefixes of each other stay apart,
 * as in most readers. */
static uint32_t delimiter_frame(struct mime_parser *p, bool *out_closes)
{
	slice line = { p->delim + 2, p->delim_n - 2 };

	while (line.n && (line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\t' ||
			  line.p[line.n - 1] == '\r'))
		line.n--;
	for (uint32_t i = p->nframes; i-- > 0;) {
		slice b = p->frames[i].boundary;

		if (!b.n || line.n < b.n || memcmp(line.p, b.p, b.n) != 0)
			continue;
		if (line.n == b.n) {
			*out_closes = false;
			return i;
		}
		if (line.n == b.n + 2 && line.p[b.n] == '-' && line.p[b.n + 1] == '-') {
			*out_closes = true;
			return i;
		}
	}
	return FRAMES;
}

/* The current line is complete. True when it was a delimiter; next is the offset
 * behind it. */
static bool try_delimiter(struct mime_parser *p, uint64_t next)
{
	bool closes = false;
	uint32_t at;

	if (!p->candidate || !p->line_n || p->delim_n < 2)
		return false;
	at = delimiter_frame(p, &closes);
	if (at == FRAMES)
		return false;
	if (p->nframes > at + 1)
		close_down_to(p, at + 1, true);
	if (closes) {
		p->frames[at].boundary.n = 0;
		p->nactive--;
	} else {
		part_open(p, p->frames[at].part, next, false);
	}
	return true;
}

static void line_end(struct mime_parser *p, uint64_t next)
{
	unsigned eol = p->line_n && p->last == '\r' ? 2 : 1;
	bool is_delimiter = try_delimiter(p, next);

	p->nl++;
	if (!is_delimiter && p->in_header) {
		if (p->line_n + 1 == eol) {
			field_done(p);
			header_done(p, next);
			if (top(p)->part->kind == MIME_MESSAGE)
				part_open(p, top(p)->part, next, true);
		} else if (p->use == LINE_VALUE && eol == 2 && !p->field_cut &&
			   p->value.n) {
			p->value.n--; /* the CR */
		}
	}
	p->line_off = next;
	p->line_n = 0;
	p->prev_eol = eol;
	p->candidate = false;
	p->use = LINE_SKIP;
}

void mime_parser_feed(struct mime_parser *p, slice chunk)
{
	while (chunk.n) {
		size_t n = slice_chr(chunk, '\n', 0);

		if (n)
			line_bytes(p, slice_sub(chunk, 0, n));
		p->off += n;
		if (n == chunk.n)
			return;
		p->off++;
		line_end(p, p->off);
		chunk = slice_from(chunk, n + 1);
	}
}

struct mime_part *mime_parser_finish(struct mime_parser *p)
{
	if (p->line_n && try_delimiter(p, p->off))
		p->line_off = p->off;
	close_down_to(p, 0, false);
	mime_parser_free(p);
	return p->root;
}

uint64_t mime_parser_octets(const struct mime_parser *p)
{
	return p->off;
}

bool mime_parser_has_header(const struct mime_parser *p)
{
	return p->have_root_header;
}

const struct mime_summary *mime_parser_summary(const struct mime_parser *p)
{
	return p->root->summary;
}

struct mime_part *mime_parse(struct arena *a, slice message)
{
	struct mime_parser *p = mime_parser_new(a);

	mime_parser_feed(p, message);
	return mime_parser_finish(p);
}
