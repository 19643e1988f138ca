/* imap_search_parse.c — the grammar of SEARCH.  RFC 3501 9: search, search-key. */
#include "imap/imap_search.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "imap/imap_text.h"

enum argument { NONE, TEXT, DATE, NUMBER, KEYWORD };
static const struct word {
	const char *word;
	enum imap_key_kind kind;
	uint32_t sys;
	enum argument arg;
} words[] = {
	{ "ALL", IMAP_KEY_ALL, 0, NONE },
	{ "ANSWERED", IMAP_KEY_FLAG, FLAG_ANSWERED, NONE },
	{ "BCC", IMAP_KEY_BCC, 0, TEXT },
	{ "BEFORE", IMAP_KEY_BEFORE, 0, DATE },
	{ "BODY", IMAP_KEY_BODY, 0, TEXT },
	{ "CC", IMAP_KEY_CC, 0, TEXT },
	{ "DELETED", IMAP_KEY_FLAG, FLAG_DELETED, NONE },
	{ "DRAFT", IMAP_KEY_FLAG, FLAG_DRAFT, NONE },
	{ "FLAGGED", IMAP_KEY_FLAG, FLAG_FLAGGED, NONE },
	{ "FROM", IMAP_KEY_FROM, 0, TEXT },
	{ "KEYWORD", IMAP_KEY_KEYWORD, 0, KEYWORD },
	{ "LARGER", IMAP_KEY_LARGER, 0, NUMBER },
	{ "NEW", IMAP_KEY_NEW, 0, NONE },
	{ "OLD", IMAP_KEY_OLD, 0, NONE },
	{ "ON", IMAP_KEY_ON, 0, DATE },
	{ "RECENT", IMAP_KEY_RECENT, 0, NONE },
	{ "SEEN", IMAP_KEY_FLAG, FLAG_SEEN, NONE },
	{ "SENTBEFORE", IMAP_KEY_SENTBEFORE, 0, DATE },
	{ "SENTON", IMAP_KEY_SENTON, 0, DATE },
	{ "SENTSINCE", IMAP_KEY_SENTSINCE, 0, DATE },
	{ "SINCE", IMAP_KEY_SINCE, 0, DATE },
	{ "SMALLER", IMAP_KEY_SMALLER, 0, NUMBER },
	{ "SUBJECT", IMAP_KEY_SUBJECT, 0, TEXT },
	{ "TEXT", IMAP_KEY_TEXT, 0, TEXT },
	{ "TO", IMAP_KEY_TO, 0, TEXT },
	{ "UNANSWERED", IMAP_KEY_UNFLAG, FLAG_ANSWERED, NONE },
	{ "UNDELETED", IMAP_KEY_UNFLAG, FLAG_DELETED, NONE },
	{ "UNDRAFT", IMAP_KEY_UNFLAG, FLAG_DRAFT, NONE },
	{ "UNFLAGGED", IMAP_KEY_UNFLAG, FLAG_FLAGGED, NONE },
	{ "UNKEYWORD", IMAP_KEY_UNKEYWORD, 0, KEYWORD },
	{ "UNSEEN", IMAP_KEY_UNFLAG, FLAG_SEEN, NONE },
};
#define WORDS (sizeof(words) / sizeof(words[0]))

static bool parse_key(struct imap_parse *p, struct imap_search *s, struct imap_key **out);

static struct imap_key *key_new(struct imap_parse *p, enum imap_key_kind kind)
{
	struct imap_key *k = ARENA_NEW(p->a, struct imap_key);

	k->kind = kind;
	k->kw_bit = -1;
	return k;
}

/* SP astring, in UTF-8 (US-ASCII is part of it). */
static bool parse_text(struct imap_parse *p, struct imap_search *s, struct imap_key *k)
{
	size_t at = p->at;

	if (!imap_parse_sp(p) || !imap_parse_astring(p, &k->text))
		return false;
	if (++s->n_texts > LIMIT_IMAP_SEARCH_TEXTS) {
		p->at = at;
		return imap_parse_fail(p, "more than 64 keys that look into text");
	}
	if (!s->bad_charset && !utf8_is_valid(k->text))
		return imap_parse_fail(p, "the string is not valid UTF-8");
	k->folded = imap_text_fold(p->a, k->text);
	return true;
}

static bool parse_argument(struct imap_parse *p, struct imap_search *s,
			   const struct word *w, struct imap_key *k)
{
	switch (w->arg) {
	case TEXT:
		return parse_text(p, s, k);
	case DATE:
		return imap_parse_sp(p) && imap_parse_date(p, &k->day);
	case NUMBER:
		return imap_parse_sp(p) && imap_parse_number(p, &k->size);
	case KEYWORD:
		return imap_parse_sp(p) && imap_parse_atom(p, &k->text);
	case NONE:
		break;
	}
	return true;
}

static bool parse_word_key(struct imap_parse *p, struct imap_search *s,
			   struct imap_key **out)
{
	for (size_t i = 0; i < WORDS; i++) {
		if (!imap_parse_word(p, words[i].word))
			continue;
		*out = key_new(p, words[i].kind);
		(*out)->sys = words[i].sys;
		return parse_argument(p, s, &words[i], *out);
	}
	return imap_parse_fail(p, "a search key expected");
}

/* search-key *(SP search-key), the cheap ones first. */
static bool parse_list(struct imap_parse *p, struct imap_search *s, struct imap_key *list)
{
	struct imap_key *by_cost[4] = { 0 },
			**end[4] = { &by_cost[0], &by_cost[1], &by_cost[2], &by_cost[3] };
	struct imap_key **at = &list->kids, *k;

	do {
		int cost;

		if (!parse_key(p, s, &k))
			return false;
		cost = imap_key_cost(k);
		*end[cost] = k;
		end[cost] = &k->next;
	} while (imap_parse_accept(p, ' '));
	for (int i = 0; i < 4; i++) {
		*end[i] = NULL;
		*at = by_cost[i];
		if (by_cost[i])
			at = end[i];
	}
	return true;
}

/* "OR" SP search-key SP search-key: a second one that is an OR again goes on here,
 * without depth. */
static bool parse_or(struct imap_parse *p, struct imap_search *s, struct imap_key * or)
{
	struct imap_key **at = & or->kids;

	for (;;) {
		if (!imap_parse_sp(p) || !parse_key(p, s, at))
			return false;
		at = &(*at)->next;
		if (!imap_parse_sp(p))
			return false;
		if (!imap_parse_word(p, "OR"))
			return parse_key(p, s, at);
	}
}

static bool parse_set(struct imap_parse *p, enum imap_key_kind kind,
		      struct imap_key **out)
{
	*out = key_new(p, kind);
	return imap_seqset_parse(p, &(*out)->set);
}

static bool parse_nested(struct imap_parse *p, struct imap_search *s,
			 struct imap_key **out)
{
	if (imap_parse_accept(p, '(')) {
		*out = key_new(p, IMAP_KEY_AND);
		return parse_list(p, s, *out) && imap_parse_char(p, ')');
	}
	if (imap_parse_word(p, "NOT")) {
		*out = key_new(p, IMAP_KEY_NOT);
		return imap_parse_sp(p) && parse_key(p, s, &(*out)->kids);
	}
	if (imap_parse_word(p, "OR")) {
		*out = key_new(p, IMAP_KEY_OR);
		return parse_or(p, s, *out);
	}
	if (imap_parse_word(p, "UID"))
		return imap_parse_sp(p) && parse_set(p, IMAP_KEY_UID, out);
	if (imap_parse_word(p, "HEADER")) {
		*out = key_new(p, IMAP_KEY_HEADER);
		return imap_parse_sp(p) && imap_parse_astring(p, &(*out)->field) &&
		       parse_text(p, s, *out);
	}
	if (imap_parse_peek(p, '*') || (p->at < p->s.n && is_digit(p->s.p[p->at])))
		return parse_set(p, IMAP_KEY_SEQ, out);
	return parse_word_key(p, s, out);
}

static bool parse_key(struct imap_parse *p, struct imap_search *s, struct imap_key **out)
{
	bool ok;

	if (!imap_parse_enter(p))
		return false;
	ok = parse_nested(p, s, out);
	imap_parse_leave(p);
	return ok;
}

/* search = "SEARCH" [SP "CHARSET" SP astring] 1*(SP search-key) */
bool imap_search_parse(struct imap_parse *p, struct imap_search *out)
{
	slice charset;

	if (imap_parse_word(p, "CHARSET")) {
		if (!imap_parse_sp(p) || !imap_parse_astring(p, &charset) ||
		    !imap_parse_sp(p))
			return false;
		out->bad_charset = !slice_ieq(charset, SL("UTF-8")) &&
				   !slice_ieq(charset, SL("US-ASCII"));
	}
	out->key = key_new(p, IMAP_KEY_AND);
	return parse_list(p, out, out->key);
}

int imap_key_cost(const struct imap_key *k)
{
	int cost = IMAP_COST_ROW;

	switch (k->kind) {
	case IMAP_KEY_SENTBEFORE:
	case IMAP_KEY_SENTON:
	case IMAP_KEY_SENTSINCE:
	case IMAP_KEY_BCC:
	case IMAP_KEY_CC:
	case IMAP_KEY_FROM:
	case IMAP_KEY_SUBJECT:
	case IMAP_KEY_TO:
		return IMAP_COST_DIGEST;
	case IMAP_KEY_HEADER:
		return IMAP_COST_HEADER;
	case IMAP_KEY_BODY:
	case IMAP_KEY_TEXT:
		return IMAP_COST_BODY;
	case IMAP_KEY_NOT:
	case IMAP_KEY_AND:
	case IMAP_KEY_OR:
		for (const struct imap_key *kid = k->kids; kid; kid = kid->next)
			if (imap_key_cost(kid) > cost)
				cost = imap_key_cost(kid);
		return cost;
	case IMAP_KEY_ALL:
	case IMAP_KEY_FLAG:
	case IMAP_KEY_UNFLAG:
	case IMAP_KEY_KEYWORD:
	case IMAP_KEY_UNKEYWORD:
	case IMAP_KEY_NEW:
	case IMAP_KEY_OLD:
	case IMAP_KEY_RECENT:
	case IMAP_KEY_BEFORE:
	case IMAP_KEY_ON:
	case IMAP_KEY_SINCE:
	case IMAP_KEY_LARGER:
	case IMAP_KEY_SMALLER:
	case IMAP_KEY_SEQ:
	case IMAP_KEY_UID:
		break;
	}
	return cost;
}

/* --- writing: for tests, parse(write(x)) = x --- */

static void write_text(struct buf *b, slice s)
{
	buf_addc(b, ' ');
	buf_addc(b, '{');
	buf_addu(b, s.n);
	buf_adds(b, "}\r\n");
	buf_add(b, s);
}

static void write_date(struct buf *b, int64_t day)
{
	struct civil c = civil_from_unix(day * 86400, 0);

	buf_addf(b, " %d-%s-%04d", c.day, civil_months[c.month - 1], c.year);
}

static void write_kids(struct buf *b, const struct imap_key *k, const char *between)
{
	for (const struct imap_key *kid = k->kids; kid; kid = kid->next) {
		imap_key_write(b, kid);
		if (kid->next)
			buf_adds(b, between);
	}
}

/* Kids a, b, c of an OR are "OR a OR b c". */
static void write_or(struct buf *b, const struct imap_key *k)
{
	for (const struct imap_key *kid = k->kids; kid; kid = kid->next) {
		if (kid->next)
			buf_adds(b, "OR ");
		imap_key_write(b, kid);
		if (kid->next)
			buf_addc(b, ' ');
	}
}

static void write_word(struct buf *b, const struct imap_key *k)
{
	for (size_t i = 0; i < WORDS; i++) {
		if (words[i].kind != k->kind || words[i].sys != k->sys)
			continue;
		buf_adds(b, words[i].word);
		if (words[i].arg == TEXT)
			write_text(b, k->text);
		else if (words[i].arg == DATE)
			write_date(b, k->day);
		else if (words[i].arg == NUMBER)
			buf_addf(b, " %u", k->size);
		else if (words[i].arg == KEYWORD)
			buf_addf(b, " %.*s", FMT(k->text));
		return;
	}
}

void imap_key_write(struct buf *b, const struct imap_key *k)
{
	if (k->kind == IMAP_KEY_AND) {
		buf_addc(b, '(');
		write_kids(b, k, " ");
		buf_addc(b, ')');
	} else if (k->kind == IMAP_KEY_OR) {
		write_or(b, k);
	} else if (k->kind == IMAP_KEY_NOT) {
		buf_adds(b, "NOT ");
		write_kids(b, k, "");
	} else if (k->kind == IMAP_KEY_SEQ || k->kind == IMAP_KEY_UID) {
		buf_adds(b, k->kind == IMAP_KEY_UID ? "UID " : "");
		imap_seqset_write(b, &k->set);
	} else if (k->kind == IMAP_KEY_HEADER) {
		buf_adds(b, "HEADER");
		write_text(b, k->field);
		write_text(b, k->text);
	} else {
		write_word(b, k);
	}
}
