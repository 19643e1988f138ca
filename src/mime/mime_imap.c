#include "mime/mime_imap.h"
#include "mime/mime_header.h"

/* In one writing, all fields and all messages inside together: keeps the output in
 * proportion (HAZARDS 16, 17). */
#define ADDRESSES_ALL	  (4u * LIMIT_ADDRESSES)
#define ADDRESS_BYTES_ALL (2u * LIMIT_HEADER_ALL)

struct writer {
	struct buf *b;
	struct arena scratch;
	uint32_t addresses; /* written so far, */
	size_t bytes;	    /* and how long they were */
	bool extended;	    /* BODYSTRUCTURE, not BODY */
};

void mime_imap_string(struct buf *b, slice s)
{
	bool is_quotable = true;

	for (size_t i = 0; i < s.n && is_quotable; i++) {
		unsigned char c = (unsigned char)s.p[i];

		is_quotable = c < 0x80 && c != '\r' && c != '\n' && c != '\0';
	}
	if (!is_quotable) {
		buf_addc(b, '{');
		buf_addu(b, s.n);
		buf_adds(b, "}\r\n");
		buf_add(b, s);
		return;
	}
	buf_addc(b, '"');
	for (size_t from = 0, i = 0; i <= s.n; i++) {
		if (i < s.n && s.p[i] != '"' && s.p[i] != '\\')
			continue;
		buf_add(b, slice_sub(s, from, i - from));
		if (i < s.n)
			buf_addc(b, '\\');
		from = i;
	}
	buf_addc(b, '"');
}

void mime_imap_nstring(struct buf *b, slice s)
{
	if (mime_has(s))
		mime_imap_string(b, s);
	else
		buf_adds(b, "NIL");
}

/* RFC 9051 9: address = "(" addr-name SP addr-adl SP addr-mailbox SP addr-host ")" */
static void address(struct buf *b, const struct mime_addr *a)
{
	static const slice nil = { NULL, 0 };
	bool is_mailbox = a->kind == MIME_ADDR_MAILBOX;

	buf_addc(b, '(');
	mime_imap_nstring(b, is_mailbox ? a->name : nil);
	buf_addc(b, ' ');
	mime_imap_nstring(b, is_mailbox ? a->route : nil);
	buf_addc(b, ' ');
	if (a->kind == MIME_ADDR_GROUP_START)
		mime_imap_string(b, a->name);
	else
		mime_imap_nstring(b, is_mailbox ? a->local : nil);
	buf_addc(b, ' ');
	/* NIL is the mark of a group (RFC 3501 7.4.2): a missing host is the empty
	 * string. */
	mime_imap_nstring(b, is_mailbox ? a->domain : nil);
	buf_addc(b, ')');
}

/* Appends the addresses of one field; false when there are no more to be written. */
static bool address_field(struct writer *w, slice value, uint32_t *n)
{
	struct mime_addr_iter it = mime_addr_iter(value);
	struct mime_addr a;
	bool open = false; /* a group must be closed, also when the limit cuts it */
	size_t start = w->b->n;

	while (mime_addr_next(&it, &w->scratch, &a)) {
		size_t before = w->b->n;
		bool is_over = *n >= LIMIT_ADDRESSES || w->addresses >= ADDRESSES_ALL ||
			       before - start > LIMIT_HEADER_FIELD ||
			       w->bytes > ADDRESS_BYTES_ALL;

		if (is_over && !open)
			return false;
		if (is_over && a.kind != MIME_ADDR_GROUP_END)
			continue;
		open = a.kind == MIME_ADDR_GROUP_START ||
		       (open && a.kind == MIME_ADDR_MAILBOX);
		if (!*n)
			buf_addc(w->b, '(');
		++*n;
		w->addresses++;
		address(w->b, &a);
		w->bytes += w->b->n - before;
		if (w->scratch.used > (64u << 10))
			arena_reset(&w->scratch);
	}
	return true;
}

/* All fields of a kind, as one list; NIL (and false) when there is no address. */
static bool addresses(struct writer *w, const struct mime_summary *s,
		      enum mime_field_kind kind)
{
	const struct mime_field *f = NULL;
	uint32_t n = 0;

	while ((f = mime_field_next(s, f, kind)) != NULL)
		if (!address_field(w, f->value, &n))
			break;
	arena_reset(&w->scratch);
	if (n)
		buf_addc(w->b, ')');
	return n > 0;
}

static void address_list(struct writer *w, const struct mime_summary *s,
			 enum mime_field_kind kind)
{
	if (!addresses(w, s, kind))
		buf_adds(w->b, "NIL");
}

/* A list as it stands in the output, and what it took of the limits. */
struct written {
	size_t at, n;
	uint32_t addresses;
	size_t bytes;
};

static struct written from_list(struct writer *w, const struct mime_summary *s)
{
	struct written f = { w->b->n, 0, w->addresses, w->bytes };

	address_list(w, s, MIME_F_FROM);
	f.n = w->b->n - f.at;
	f.addresses = w->addresses - f.addresses;
	f.bytes = w->bytes - f.bytes;
	return f;
}

/* RFC 3501 7.4.2: Sender and Reply-To that are absent or empty are written as From: as it
 * stands there, unless that would be more than the limits still let in. */
static void address_list_or_from(struct writer *w, const struct mime_summary *s,
				 enum mime_field_kind kind, const struct written *f)
{
	if (addresses(w, s, kind))
		return;
	if (w->addresses + f->addresses > ADDRESSES_ALL ||
	    w->bytes + f->bytes > ADDRESS_BYTES_ALL) {
		address_list(w, s, MIME_F_FROM);
		return;
	}
	if (buf_reserve(w->b, f->n)) /* first: it may move */
		buf_add(w->b, slice_make(w->b->p + f->at, f->n));
	w->addresses += f->addresses;
	w->bytes += f->bytes;
}

static void envelope(struct writer *w, const struct mime_summary *s)
{
	struct buf *b = w->b;
	struct written from;

	buf_addc(b, '(');
	mime_imap_nstring(b, s->date);
	buf_addc(b, ' ');
	mime_imap_nstring(b, s->subject);
	buf_addc(b, ' ');
	from = from_list(w, s);
	buf_addc(b, ' ');
	address_list_or_from(w, s, MIME_F_SENDER, &from);
	buf_addc(b, ' ');
	address_list_or_from(w, s, MIME_F_REPLY_TO, &from);
	buf_addc(b, ' ');
	address_list(w, s, MIME_F_TO);
	buf_addc(b, ' ');
	address_list(w, s, MIME_F_CC);
	buf_addc(b, ' ');
	address_list(w, s, MIME_F_BCC);
	buf_addc(b, ' ');
	mime_imap_nstring(b, s->in_reply_to);
	buf_addc(b, ' ');
	mime_imap_nstring(b, s->message_id);
	buf_addc(b, ')');
}

/* body-fld-param */
static void params(struct buf *b, const struct mime_param *p)
{
	if (!p) {
		buf_adds(b, "NIL");
		return;
	}
	for (char c = '('; p; p = p->next, c = ' ') {
		buf_addc(b, c);
		mime_imap_string(b, p->name);
		buf_addc(b, ' ');
		mime_imap_string(b, p->value);
	}
	buf_addc(b, ')');
}

/* body-fld-lang: one tag as a string, several as a list (RFC 3282). */
static void language(struct buf *b, slice raw)
{
	size_t n = 0;

	for (slice rest = raw; rest.n;)
		n += slice_trim(slice_cut(&rest, ',')).n > 0;
	if (!n) {
		buf_adds(b, "NIL");
		return;
	}
	if (n > 1)
		buf_addc(b, '(');
	for (bool first = true; raw.n;) {
		slice tag = slice_trim(slice_cut(&raw, ','));

		if (!tag.n)
			continue;
		if (!first)
			buf_addc(b, ' ');
		mime_imap_string(b, tag);
		first = false;
	}
	if (n > 1)
		buf_addc(b, ')');
}

/* What body-ext-1part and body-ext-mpart have in common: disposition, language,
 * location. */
static void extension(struct buf *b, const struct mime_part *p)
{
	buf_addc(b, ' ');
	if (mime_has(p->disposition)) {
		buf_addc(b, '(');
		mime_imap_string(b, p->disposition);
		buf_addc(b, ' ');
		params(b, p->disposition_params);
		buf_addc(b, ')');
	} else {
		buf_adds(b, "NIL");
	}
	buf_addc(b, ' ');
	language(b, p->language);
	buf_addc(b, ' ');
	mime_imap_nstring(b, p->location);
}

/* type, subtype and body-fields */
static void single_fields(struct buf *b, const struct mime_part *p)
{
	/* A container that was not looked into: its wire form would need what is not
	 * known. */
	mime_imap_string(b, p->opaque ? SL("application") : p->type);
	buf_addc(b, ' ');
	mime_imap_string(b, p->opaque ? SL("octet-stream") : p->subtype);
	buf_addc(b, ' ');
	params(b, p->params);
	buf_addc(b, ' ');
	mime_imap_nstring(b, p->id);
	buf_addc(b, ' ');
	mime_imap_nstring(b, p->description);
	buf_addc(b, ' ');
	mime_imap_string(b, p->encoding.n ? p->encoding : SL("7bit"));
	buf_addc(b, ' ');
	buf_addu(b, p->body_len);
}

static void part_enter(struct writer *w, const struct mime_part *p)
{
	struct buf *b = w->b;

	buf_addc(b, '(');
	if (p->kind == MIME_MULTIPART)
		return;
	single_fields(b, p);
	if (p->kind == MIME_MESSAGE) {
		buf_addc(b, ' ');
		envelope(w, p->first->summary);
		buf_addc(b, ' ');
	} else if (slice_ieq(p->type, SL("text"))) {
		buf_addc(b, ' ');
		buf_addu(b, p->lines);
	}
}

static void part_leave(struct writer *w, const struct mime_part *p)
{
	struct buf *b = w->b;

	if (p->kind == MIME_MULTIPART) {
		buf_addc(b, ' ');
		mime_imap_string(b, p->subtype);
	} else if (p->kind == MIME_MESSAGE) {
		buf_addc(b, ' ');
		buf_addu(b, p->lines);
	}
	if (w->extended) {
		buf_addc(b, ' ');
		if (p->kind == MIME_MULTIPART)
			params(b, p->params);
		else
			mime_imap_nstring(b, p->md5);
		extension(b, p);
	}
	buf_addc(b, ')');
}

/* Down to the first child, else to the next sibling, else up: the tree's own pointers
 * are the stack. */
static void body(struct buf *b, const struct mime_part *root, bool extended)
{
	struct writer w = { .b = b, .extended = extended };
	const struct mime_part *p = root;

	arena_init(&w.scratch);
	for (;;) {
		part_enter(&w, p);
		if (p->first) {
			p = p->first;
			continue;
		}
		part_leave(&w, p);
		while (p != root && !p->next) {
			p = p->parent;
			part_leave(&w, p);
		}
		if (p == root)
			break;
		p = p->next;
	}
	arena_release(&w.scratch);
}

void mime_imap_envelope(struct buf *b, const struct mime_summary *s)
{
	struct writer w = { .b = b };

	arena_init(&w.scratch);
	envelope(&w, s);
	arena_release(&w.scratch);
}

void mime_imap_body(struct buf *b, const struct mime_part *root)
{
	body(b, root, false);
}

void mime_imap_bodystructure(struct buf *b, const struct mime_part *root)
{
	body(b, root, true);
}
