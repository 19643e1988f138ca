/* imap_fetch_parse.c — the grammar of FETCH.  RFC 3501 9: fetch, fetch-att, section. */
#include "imap/imap_fetch.h"

static struct imap_fetch_item *add(struct imap_parse *p, struct imap_fetch *f,
				   enum imap_fetch_kind kind)
{
	struct imap_fetch_item *it = ARENA_NEW(p->a, struct imap_fetch_item),
			       **at = &f->first;

	it->kind = kind;
	while (*at)
		at = &(*at)->next;
	*at = it;
	f->has_flags |= kind == IMAP_FETCH_FLAGS;
	f->has_uid |= kind == IMAP_FETCH_UID;
	f->needs_email |= kind >= IMAP_FETCH_ENVELOPE;
	/* RFC 3501 6.4.5: RFC822 and RFC822.TEXT set \Seen as BODY[…] does; RFC822.HEADER
	 * does not. */
	f->sets_seen |= kind == IMAP_FETCH_RFC822 || kind == IMAP_FETCH_RFC822_TEXT;
	return it;
}

/* header-fld-name = astring ; RFC 5322 3.6.8: printable ASCII. It is echoed: no line end
 * may be in it (DESIGN P6). */
static bool parse_field_name(struct imap_parse *p, slice *out)
{
	size_t at = p->at;

	if (!imap_parse_astring(p, out))
		return false;
	for (size_t i = 0; i < out->n; i++) {
		if ((unsigned char)out->p[i] >= 0x20 && (unsigned char)out->p[i] < 0x7f)
			continue;
		p->at = at;
		return imap_parse_fail(p, "a header field's name expected");
	}
	return true;
}

/* header-list = "(" header-fld-name *(SP header-fld-name) ")" */
static bool parse_header_list(struct imap_parse *p, struct imap_section *s)
{
	size_t cap = 0;

	if (!imap_parse_sp(p) || !imap_parse_char(p, '('))
		return false;
	do {
		slice name;

		if (!parse_field_name(p, &name))
			return false;
		if (s->n_fields == cap) {
			slice *more = arena_array(p->a, cap ? cap * 2 : 4, sizeof(*more));

			if (s->n_fields)
				memcpy(more, s->fields, s->n_fields * sizeof(*more));
			cap = cap ? cap * 2 : 4;
			s->fields = more;
		}
		s->fields[s->n_fields++] = name;
	} while (imap_parse_accept(p, ' '));
	return imap_parse_char(p, ')');
}

/* section-text = section-msgtext / "MIME"
 * section-msgtext = "HEADER" / "HEADER.FIELDS" [".NOT"] SP header-list / "TEXT" */
static bool parse_section_text(struct imap_parse *p, struct imap_section *s)
{
	if (imap_parse_word(p, "HEADER.FIELDS.NOT")) {
		s->which = IMAP_SECTION_FIELDS_NOT;
		return parse_header_list(p, s);
	}
	if (imap_parse_word(p, "HEADER.FIELDS")) {
		s->which = IMAP_SECTION_FIELDS;
		return parse_header_list(p, s);
	}
	if (imap_parse_word(p, "HEADER"))
		s->which = IMAP_SECTION_HEADER;
	else if (imap_parse_word(p, "TEXT"))
		s->which = IMAP_SECTION_TEXT;
	else if (s->depth && imap_parse_word(p, "MIME"))
		s->which = IMAP_SECTION_MIME;
	else
		return imap_parse_fail(
			p,
			"HEADER, HEADER.FIELDS, TEXT, a part number, or MIME behind one expected");
	return true;
}

/* section = "[" [section-spec] "]" ; section-spec = section-msgtext / (section-part ["."
 * section-text])
 * section-part = nz-number *("." nz-number) */
static bool parse_section(struct imap_parse *p, struct imap_section *s)
{
	uint32_t path[IMAP_SECTION_DEPTH];

	s->which = IMAP_SECTION_WHOLE;
	if (!imap_parse_char(p, '['))
		return false;
	if (imap_parse_accept(p, ']'))
		return true;
	while (p->at < p->s.n && is_digit(p->s.p[p->at])) {
		if (s->depth == IMAP_SECTION_DEPTH)
			return imap_parse_fail(p, "the part lies too deep");
		if (!imap_parse_nz_number(p, &path[s->depth++]))
			return false;
		if (!imap_parse_accept(p, '.'))
			goto done;
	}
	if (!parse_section_text(p, s))
		return false;
done:
	s->path = arena_array(p->a, s->depth ? s->depth : 1, sizeof(*s->path));
	memcpy(s->path, path, s->depth * sizeof(*path));
	return imap_parse_char(p, ']');
}

/* ["<" number "." nz-number ">"] */
static bool parse_partial(struct imap_parse *p, struct imap_fetch_item *it)
{
	if (!imap_parse_accept(p, '<'))
		return true;
	it->partial = true;
	if (!imap_parse_number(p, &it->off))
		return false;
	if (!imap_parse_accept(p, '.'))
		return imap_parse_fail(p, "\".\" and a length expected");
	return imap_parse_nz_number(p, &it->n) && imap_parse_char(p, '>');
}

/* "BODY" ["STRUCTURE"] / "BODY" section [partial] / "BODY.PEEK" section [partial] */
static bool parse_body(struct imap_parse *p, struct imap_fetch *f)
{
	bool peek = imap_parse_word(p, "BODY.PEEK");
	struct imap_fetch_item *it;

	if (!peek && !imap_parse_word(p, "BODY"))
		return imap_parse_fail(
			p, "a data item expected: FLAGS, UID, ENVELOPE, BODY[], ...");
	if (!peek && !imap_parse_peek(p, '[')) {
		add(p, f, IMAP_FETCH_BODY);
		return true;
	}
	it = add(p, f, IMAP_FETCH_SECTION);
	it->peek = peek;
	f->sets_seen |= !peek;
	return parse_section(p, &it->sec) && parse_partial(p, it);
}

static const struct {
	const char *word;
	enum imap_fetch_kind kind;
} simple[] = {
	{ "FLAGS", IMAP_FETCH_FLAGS },
	{ "UID", IMAP_FETCH_UID },
	{ "INTERNALDATE", IMAP_FETCH_INTERNALDATE },
	{ "RFC822.SIZE", IMAP_FETCH_SIZE },
	{ "ENVELOPE", IMAP_FETCH_ENVELOPE },
	{ "BODYSTRUCTURE", IMAP_FETCH_BODYSTRUCTURE },
	{ "RFC822.HEADER", IMAP_FETCH_RFC822_HEADER },
	{ "RFC822.TEXT", IMAP_FETCH_RFC822_TEXT },
	{ "RFC822", IMAP_FETCH_RFC822 },
};

static bool parse_att(struct imap_parse *p, struct imap_fetch *f)
{
	for (size_t i = 0; i < sizeof(simple) / sizeof(simple[0]); i++) {
		if (!imap_parse_word(p, simple[i].word))
			continue;
		if (simple[i].kind == IMAP_FETCH_UID && f->has_uid)
			return true;
		add(p, f, simple[i].kind);
		return true;
	}
	return parse_body(p, f);
}

/* "ALL" / "FULL" / "FAST" */
static bool parse_macro(struct imap_parse *p, struct imap_fetch *f)
{
	bool all = imap_parse_word(p, "ALL"), full = !all && imap_parse_word(p, "FULL");

	if (!all && !full && !imap_parse_word(p, "FAST"))
		return false;
	add(p, f, IMAP_FETCH_FLAGS);
	add(p, f, IMAP_FETCH_INTERNALDATE);
	add(p, f, IMAP_FETCH_SIZE);
	if (all || full)
		add(p, f, IMAP_FETCH_ENVELOPE);
	if (full)
		add(p, f, IMAP_FETCH_BODY);
	return true;
}

/* fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att
 * *(SP fetch-att) ")") */
bool imap_fetch_parse(struct imap_parse *p, struct imap_fetch *f)
{
	size_t n = 0;

	if (!imap_seqset_parse(p, &f->set) || !imap_parse_sp(p))
		return false;
	if (parse_macro(p, f))
		return true;
	if (!imap_parse_accept(p, '('))
		return parse_att(p, f);
	do {
		if (++n > 1000)
			return imap_parse_fail(p, "more than 1000 data items");
		if (!parse_att(p, f))
			return false;
	} while (imap_parse_accept(p, ' '));
	return imap_parse_char(p, ')');
}

static void write_field_name(struct buf *b, slice name)
{
	bool atom = name.n > 0;

	for (size_t i = 0; atom && i < name.n; i++)
		atom = imap_is_astring_char(name.p[i]);
	if (!atom)
		buf_addc(b, '"');
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] == '"' || name.p[i] == '\\')
			buf_addc(b, '\\');
		buf_addc(b, name.p[i]);
	}
	if (!atom)
		buf_addc(b, '"');
}

void imap_section_write(struct buf *b, const struct imap_section *s)
{
	static const char *const names[] = {
		[IMAP_SECTION_WHOLE] = "",
		[IMAP_SECTION_HEADER] = "HEADER",
		[IMAP_SECTION_TEXT] = "TEXT",
		[IMAP_SECTION_FIELDS] = "HEADER.FIELDS",
		[IMAP_SECTION_FIELDS_NOT] = "HEADER.FIELDS.NOT",
		[IMAP_SECTION_MIME] = "MIME",
	};

	for (size_t i = 0; i < s->depth; i++) {
		if (i)
			buf_addc(b, '.');
		buf_addu(b, s->path[i]);
	}
	if (s->depth && s->which != IMAP_SECTION_WHOLE)
		buf_addc(b, '.');
	buf_adds(b, names[s->which]);
	if (s->which != IMAP_SECTION_FIELDS && s->which != IMAP_SECTION_FIELDS_NOT)
		return;
	buf_adds(b, " (");
	for (size_t i = 0; i < s->n_fields; i++) {
		if (i)
			buf_addc(b, ' ');
		write_field_name(b, s->fields[i]);
	}
	buf_addc(b, ')');
}
