/* imap_search_match.c — does a message match a key?  RFC 3501 6.4.4.
 *
 * Flags, dates and sizes come from the row; addresses, subject and Date from the digest;
 * other header fields and bodies are read, decoded (transfer encoding, charset, RFC 2047)
 * and compared without case, chunk by chunk. */
#include "imap/imap_search.h"
#include "base/alloc.h"
#include "imap/imap_text.h"
#include "mime/mime_digest.h"
#include "mime/mime_header.h"

static int64_t day_of(int64_t s)
{
	return s >= 0 ? s / 86400 : -((86399 - s) / 86400);
}

static bool get_email(struct imap_match *m)
{
	if (!m->has_email && m->err.code == ERR_NONE) {
		m->used += 10;
		m->has_email = store_email_get(m->im->ctx->store, m->im->account,
					       m->row->email, m->tmp, &m->email,
					       &m->err) == ST_OK;
	}
	return m->has_email;
}

/* --- the envelope --- */

/* address = "(" addr-name SP addr-adl SP addr-mailbox SP addr-host ")": as "Name
 * <mailbox@host>" */
static bool add_address(struct imap_parse *p, struct mime_charsets *cs, struct buf *text)
{
	slice name, route, mailbox, host;

	if (!imap_parse_char(p, '(') || !imap_parse_nstring(p, &name) ||
	    !imap_parse_sp(p) || !imap_parse_nstring(p, &route) || !imap_parse_sp(p) ||
	    !imap_parse_nstring(p, &mailbox) || !imap_parse_sp(p) ||
	    !imap_parse_nstring(p, &host) || !imap_parse_char(p, ')'))
		return false;
	if (name.n) {
		buf_add(text, mime_words_decode_in(cs, p->a, name));
		buf_addc(text, ' ');
	}
	buf_adds(text, host.n ? "<" : "");
	buf_add(text, mailbox);
	if (host.n) {
		buf_addc(text, '@');
		buf_add(text, host);
		buf_addc(text, '>');
	}
	buf_adds(text, ", ");
	return true;
}

static bool take_addresses(struct imap_parse *p, struct mime_charsets *cs,
			   struct buf *text)
{
	if (imap_parse_word(p, "NIL"))
		return true;
	if (!imap_parse_char(p, '('))
		return false;
	while (imap_parse_peek(p, '('))
		if (!add_address(p, cs, text))
			return false;
	return imap_parse_char(p, ')');
}

enum envelope_item {
	E_DATE,
	E_SUBJECT,
	E_FROM,
	E_SENDER,
	E_REPLY_TO,
	E_TO,
	E_CC,
	E_BCC,
	E_IN_REPLY_TO,
	E_MESSAGE_ID
};

/* envelope = "(" env-date SP env-subject SP env-from SP … SP env-message-id ")": one of
 * them as text. False: absent. */
static bool envelope_text(struct imap_match *m, enum envelope_item want,
			  struct mime_charsets *cs, struct buf *text)
{
	struct imap_parse p =
		imap_parse_init(mime_digest_envelope(m->email.digest), m->tmp);
	slice s = { NULL, 0 };

	if (!imap_parse_char(&p, '('))
		return false;
	for (int i = E_DATE; i <= (int)want; i++) {
		if (i > 0 && !imap_parse_sp(&p))
			return false;
		if (i >= E_FROM && i <= E_BCC) {
			buf_reset(text);
			if (!take_addresses(&p, cs, text))
				return false;
		} else if (!imap_parse_nstring(&p, &s)) {
			return false;
		}
	}
	if (want >= E_FROM && want <= E_BCC)
		return text->n > 0;
	if (!s.p)
		return false;
	buf_reset(text);
	buf_add(text, want == E_SUBJECT ? mime_words_decode_in(cs, m->tmp, s) : s);
	return true;
}

static bool match_envelope(struct imap_match *m, enum envelope_item want, slice folded)
{
	struct mime_charsets cs;
	struct buf text;
	bool found;

	if (!get_email(m))
		return false;
	mime_charsets_init(&cs);
	buf_init(&text, 4 * LIMIT_HEADER_ALL);
	found = envelope_text(m, want, &cs, &text) &&
		imap_text_has(buf_slice(&text), folded);
	m->used += 2 + text.n / 200;
	buf_done(&text);
	mime_charsets_done(&cs);
	return found;
}

static bool match_sent(struct imap_match *m, const struct imap_key *k)
{
	struct mime_date d;
	int64_t day;

	if (!get_email(m))
		return false;
	/* RFC 3501 6.4.4: disregarding time and zone; without a Date field the message
	 * counts by its arrival. */
	day = mime_digest_sent(m->email.digest, &d) ? day_of(d.unix_s + d.zone * 60)
						    : day_of(m->row->internal_date);
	return k->kind == IMAP_KEY_SENTBEFORE ? day < k->day
	       : k->kind == IMAP_KEY_SENTON   ? day == k->day
					      : day >= k->day;
}

/* --- the header --- */

static bool read_octets(struct imap_match *m, uint64_t off, uint64_t n, slice *out)
{
	char *p = arena_alloc(m->tmp, n + 1);

	m->used += 5 + n / 300;
	if (n &&
	    store_email_read(m->im->ctx->store, &m->email, off, p, n, &m->err) != ST_OK)
		return false;
	*out = slice_make(p, n);
	return true;
}

static bool get_header(struct imap_match *m)
{
	uint64_t n;

	if (m->has_header)
		return true;
	if (!get_email(m))
		return false;
	n = mime_digest_header_len(m->email.digest);
	if (n > m->email.blob_size)
		n = m->email.blob_size;
	n += m->email.prefix.n;
	if (n > 2 * LIMIT_HEADER_ALL)
		n = 2 * LIMIT_HEADER_ALL;
	m->has_header = read_octets(m, 0, n, &m->header);
	return m->has_header;
}

/* TEXT, without a field, looks at all of the header. */
static bool has_field_text(slice header, slice field, slice folded, struct arena *tmp)
{
	struct mime_header_iter it = mime_header_iter(header);
	struct mime_header_field f;
	struct mime_charsets cs;
	bool found = false;

	mime_charsets_init(&cs);
	while (!found && mime_header_next(&it, &f)) {
		slice text;

		if (field.p && !slice_ieq(f.name, field))
			continue;
		text = mime_words_decode_in(&cs, tmp, mime_unfold(tmp, f.value));
		found = imap_text_has(text, folded) ||
			(!field.p && imap_text_has(f.name, folded));
	}
	mime_charsets_done(&cs);
	return found;
}

static bool match_header(struct imap_match *m, const struct imap_key *k)
{
	if (slice_ieq(k->field, SL("Message-ID")))
		return match_envelope(m, E_MESSAGE_ID, k->folded);
	if (slice_ieq(k->field, SL("In-Reply-To")))
		return match_envelope(m, E_IN_REPLY_TO, k->folded);
	if (!get_header(m))
		return false;
	m->used += m->header.n / 100;
	return has_field_text(m->header, k->field, k->folded, m->tmp);
}

/* --- bodies --- */

/* A scan that may stop inside a part and go on in a later step: one a session, on the
 * heap. */
struct imap_scan {
	const struct imap_key *key;
	uint32_t uid;
	size_t part; /* the one at hand; those before are done */
	uint64_t at; /* octets of it that are done */
	bool is_open;
	struct mime_decoder dec;
	struct mime_charset *cs;
	struct buf plain, utf8;
	struct imap_finder find;
};
enum { CHUNK = 32 << 10 };

static void part_open(struct imap_scan *s, const struct mime_digest_part *part)
{
	mime_decoder_init(&s->dec, part->encoding);
	s->cs = mime_charset_new(part->charset, NULL);
	buf_init(&s->plain, 4 * CHUNK);
	buf_init(&s->utf8, 16 * CHUNK);
	imap_finder_init(&s->find, s->key->folded);
	s->at = 0;
	s->is_open = true;
}

static bool part_close(struct imap_scan *s)
{
	bool found = s->is_open && s->find.found;

	if (s->is_open) {
		mime_charset_free(s->cs);
		buf_done(&s->plain);
		buf_done(&s->utf8);
		imap_finder_done(&s->find);
	}
	s->is_open = false;
	return found;
}

void imap_scan_free(struct imap *im)
{
	if (im->scan)
		part_close(im->scan);
	mem_free(im->scan);
	im->scan = NULL;
}

static void scan_chunk(struct imap_scan *s, slice raw, bool last)
{
	buf_reset(&s->plain);
	buf_reset(&s->utf8);
	mime_decoder_feed(&s->dec, raw, &s->plain);
	if (last)
		mime_decoder_finish(&s->dec, &s->plain);
	mime_charset_feed(s->cs, buf_slice(&s->plain), &s->utf8);
	if (last)
		mime_charset_finish(s->cs, &s->utf8);
	imap_finder_feed(&s->find, buf_slice(&s->utf8));
}

/* One text part, decoded as it is read. */
static bool match_part(struct imap_match *m, struct imap_scan *s,
		       const struct mime_digest_part *part)
{
	char *chunk = arena_alloc(m->tmp, CHUNK);
	bool moved = false; /* every step gets further, whatever it had to do before */

	if (part->body_off > m->email.blob_size ||
	    part->body_len > m->email.blob_size - part->body_off)
		return false;
	if (!s->is_open)
		part_open(s, part);
	while (s->at < part->body_len && !s->find.found) {
		uint64_t left = part->body_len - s->at, n = left < CHUNK ? left : CHUNK;

		if (moved && m->used > m->budget) {
			m->is_yielding = true;
			return false;
		}
		if (store_email_read(m->im->ctx->store, &m->email,
				     m->email.prefix.n + part->body_off + s->at, chunk, n,
				     &m->err) != ST_OK)
			break;
		s->at += n;
		moved = true;
		scan_chunk(s, slice_make(chunk, n), s->at == part->body_len);
		m->used += 2 + n / 100;
	}
	return part_close(s);
}

static bool has_inner_header_text(struct imap_match *m,
				  const struct mime_digest_part *part, slice folded)
{
	slice header;

	return part->header_len <= LIMIT_HEADER_ALL &&
	       part->header_off <= m->email.blob_size &&
	       part->header_len <= m->email.blob_size - part->header_off &&
	       read_octets(m, m->email.prefix.n + part->header_off, part->header_len,
			   &header) &&
	       has_field_text(header, (slice){ NULL, 0 }, folded, m->tmp);
}

static struct imap_scan *get_scan(struct imap_match *m, const struct imap_key *k)
{
	struct imap_scan *s = m->im->scan;

	if (s && s->key == k && s->uid == m->row->uid)
		return s;
	imap_scan_free(m->im);
	m->im->scan = s = mem_new(sizeof(*s));
	s->key = k;
	s->uid = m->row->uid;
	return s;
}

/* The text of the body: text parts, and the headers of messages inside. */
static bool match_body(struct imap_match *m, const struct imap_key *k)
{
	struct imap_scan *s;
	struct mime_digest_iter it;
	struct mime_digest_part part;
	bool in_message = false, found = false;

	if (!get_email(m))
		return false;
	s = get_scan(m, k);
	it = mime_digest_iter(m->email.digest);
	for (size_t i = 0; mime_digest_next(&it, &part) && m->err.code == ERR_NONE; i++) {
		bool inner = in_message;

		in_message = part.kind == MIME_MESSAGE && !part.opaque;
		if (i < s->part)
			continue;
		s->part = i;
		if (inner && !s->is_open && has_inner_header_text(m, &part, k->folded))
			found = true;
		if (!found && part.kind == MIME_LEAF && slice_ieq(part.type, SL("text")))
			found = match_part(m, s, &part);
		if (m->is_yielding)
			return false;
		if (found)
			break;
	}
	imap_scan_free(m->im);
	return found;
}

/* BODY, or TEXT: header and body. What came out is kept, as the other keys of the message
 * may need several steps. */
static bool match_texts(struct imap_match *m, struct imap_key *k)
{
	bool match = false;

	if (k->done_uid == m->row->uid)
		return k->done_match;
	if (k->kind == IMAP_KEY_TEXT && get_header(m)) {
		m->used += m->header.n / 100;
		match = has_field_text(m->header, (slice){ NULL, 0 }, k->folded, m->tmp);
	}
	match = match || match_body(m, k);
	if (!m->is_yielding) {
		k->done_uid = m->row->uid;
		k->done_match = match;
	}
	return match;
}

/* --- keys --- */

bool imap_match_key(struct imap_match *m, struct imap_key *k)
{
	const struct store_row *r = m->row;
	bool seen = r->flags.sys & FLAG_SEEN,
	     recent = imap_box_is_recent(m->im->box, r->uid);

	m->used++;
	switch (k->kind) {
	case IMAP_KEY_ALL:
		return true;
	case IMAP_KEY_FLAG:
		return r->flags.sys & k->sys;
	case IMAP_KEY_UNFLAG:
		return !(r->flags.sys & k->sys);
	case IMAP_KEY_KEYWORD:
		return k->kw_bit >= 0 && r->flags.kw >> k->kw_bit & 1;
	case IMAP_KEY_UNKEYWORD:
		return k->kw_bit < 0 || !(r->flags.kw >> k->kw_bit & 1);
	case IMAP_KEY_NEW:
		return recent && !seen;
	case IMAP_KEY_OLD:
		return !recent;
	case IMAP_KEY_RECENT:
		return recent;
	case IMAP_KEY_BEFORE:
		return day_of(r->internal_date) < k->day;
	case IMAP_KEY_ON:
		return day_of(r->internal_date) == k->day;
	case IMAP_KEY_SINCE:
		return day_of(r->internal_date) >= k->day;
	case IMAP_KEY_SENTBEFORE:
	case IMAP_KEY_SENTON:
	case IMAP_KEY_SENTSINCE:
		return match_sent(m, k);
	case IMAP_KEY_LARGER:
		return r->size > k->size;
	case IMAP_KEY_SMALLER:
		return r->size < k->size;
	case IMAP_KEY_SEQ:
		return imap_seqset_has(&k->resolved, m->seq);
	case IMAP_KEY_UID:
		return imap_seqset_has(&k->resolved, r->uid);
	case IMAP_KEY_BCC:
		return match_envelope(m, E_BCC, k->folded);
	case IMAP_KEY_CC:
		return match_envelope(m, E_CC, k->folded);
	case IMAP_KEY_FROM:
		return match_envelope(m, E_FROM, k->folded);
	case IMAP_KEY_SUBJECT:
		return match_envelope(m, E_SUBJECT, k->folded);
	case IMAP_KEY_TO:
		return match_envelope(m, E_TO, k->folded);
	case IMAP_KEY_HEADER:
		return match_header(m, k);
	case IMAP_KEY_BODY:
	case IMAP_KEY_TEXT:
		return match_texts(m, k);
	case IMAP_KEY_NOT: /* not known yet is not "no": the next key would take the scan */
		return !imap_match_key(m, k->kids) && !m->is_yielding &&
		       m->err.code == ERR_NONE;
	case IMAP_KEY_AND:
		for (struct imap_key *kid = k->kids; kid; kid = kid->next)
			if (!imap_match_key(m, kid))
				return false;
		return true;
	case IMAP_KEY_OR:
		for (struct imap_key *kid = k->kids; kid; kid = kid->next)
			if (imap_match_key(m, kid) || m->is_yielding)
				return !m->is_yielding;
		return false;
	}
	return false;
}
