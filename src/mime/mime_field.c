#include "mime/mime_field.h"
#include "mime/mime_header.h"

static const struct {
	slice name;
	enum mime_field_kind kind;
} names[] = {
	{ S("from"), MIME_F_FROM },
	{ S("sender"), MIME_F_SENDER },
	{ S("reply-to"), MIME_F_REPLY_TO },
	{ S("to"), MIME_F_TO },
	{ S("cc"), MIME_F_CC },
	{ S("bcc"), MIME_F_BCC },
	{ S("subject"), MIME_F_SUBJECT },
	{ S("date"), MIME_F_DATE },
	{ S("message-id"), MIME_F_MESSAGE_ID },
	{ S("in-reply-to"), MIME_F_IN_REPLY_TO },
	{ S("references"), MIME_F_REFERENCES },
	{ S("delivered-to"), MIME_F_DELIVERED_TO },
	{ S("received"), MIME_F_RECEIVED },
	{ S("content-type"), MIME_F_TYPE },
	{ S("content-transfer-encoding"), MIME_F_ENCODING },
	{ S("content-id"), MIME_F_ID },
	{ S("content-description"), MIME_F_DESCRIPTION },
	{ S("content-disposition"), MIME_F_DISPOSITION },
	{ S("content-language"), MIME_F_LANGUAGE },
	{ S("content-location"), MIME_F_LOCATION },
	{ S("content-md5"), MIME_F_MD5 },
};

enum mime_field_kind mime_field_kind_of(slice name)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (slice_ieq(name, names[i].name))
			return names[i].kind;
	return MIME_F_NONE;
}

/* Fields that may come more than once: obsolete syntax for address lists (RFC 5322
 * 4.5.3), and trace fields. */
static bool is_repeated(enum mime_field_kind kind)
{
	return kind == MIME_F_FROM || kind == MIME_F_REPLY_TO || kind == MIME_F_TO ||
	       kind == MIME_F_CC || kind == MIME_F_BCC || kind == MIME_F_DELIVERED_TO;
}

bool mime_field_is_wanted(enum mime_field_kind kind, const struct mime_part *part,
			  uint32_t seen)
{
	if (kind == MIME_F_NONE || kind == MIME_F_RECEIVED)
		return false;
	if (kind < MIME_F_RECEIVED && !part->summary)
		return false;
	return is_repeated(kind) || !(seen & 1u << kind);
}

/* A trimmed copy; CR and NUL inside become blanks, so that nobody writes them out
 * again (DESIGN P6). */
static slice clean_dup(struct arena *a, slice value)
{
	slice v = slice_trim(value);
	char *p = arena_alloc(a, v.n + 1);

	for (size_t i = 0; i < v.n; i++)
		p[i] = v.p[i] == '\0' || v.p[i] == '\r' || v.p[i] == '\n' ? ' ' : v.p[i];
	return slice_trim((slice){ p, v.n });
}

static slice *summary_slot(struct mime_summary *s, enum mime_field_kind kind)
{
	if (kind == MIME_F_FROM)
		return &s->from;
	if (kind == MIME_F_SENDER)
		return &s->sender;
	if (kind == MIME_F_SUBJECT)
		return &s->subject;
	if (kind == MIME_F_DATE)
		return &s->date;
	if (kind == MIME_F_MESSAGE_ID)
		return &s->message_id;
	if (kind == MIME_F_IN_REPLY_TO)
		return &s->in_reply_to;
	if (kind == MIME_F_REFERENCES)
		return &s->references;
	return NULL;
}

static void keep_field(struct arena *a, struct mime_summary *s, struct mime_field **tail,
		       enum mime_field_kind kind, slice value)
{
	struct mime_field *f = ARENA_NEW(a, struct mime_field);
	slice *slot = summary_slot(s, kind);

	f->kind = kind;
	f->value = value;
	if (*tail)
		(*tail)->next = f;
	else
		s->fields = f;
	*tail = f;
	if (slot && !mime_has(*slot))
		*slot = value;
}

/* RFC 2045 6.1: one token; comments and what follows do not count. */
static slice bare_token(slice value)
{
	size_t at = 0, from;

	mime_skip_cfws(value, &at);
	from = at;
	while (at < value.n && value.p[at] != ' ' && value.p[at] != '\t' &&
	       value.p[at] != '(' && value.p[at] != ';')
		at++;
	return slice_sub(value, from, at - from);
}

void mime_field_apply(struct arena *a, struct mime_part *part, struct mime_field **tail,
		      enum mime_field_kind kind, slice value)
{
	struct mime_content c = { 0 };
	slice v = clean_dup(a, value);

	if (kind < MIME_F_RECEIVED) {
		keep_field(a, part->summary, tail, kind, v);
		return;
	}
	switch (kind) {
	case MIME_F_TYPE:
		if (mime_content_type_parse(a, v, &c)) {
			part->type = c.type;
			part->subtype = c.subtype;
			part->params = c.params;
		}
		break;
	case MIME_F_DISPOSITION:
		if (mime_disposition_parse(a, v, &c)) {
			part->disposition = c.type;
			part->disposition_params = c.params;
		}
		break;
	case MIME_F_ENCODING:
		part->encoding = bare_token(v);
		break;
	case MIME_F_ID:
		part->id = v;
		break;
	case MIME_F_DESCRIPTION:
		part->description = v;
		break;
	case MIME_F_LANGUAGE:
		part->language = v;
		break;
	case MIME_F_LOCATION:
		part->location = v;
		break;
	case MIME_F_MD5:
		part->md5 = v;
		break;
	case MIME_F_NONE:
	case MIME_F_FROM:
	case MIME_F_SENDER:
	case MIME_F_REPLY_TO:
	case MIME_F_TO:
	case MIME_F_CC:
	case MIME_F_BCC:
	case MIME_F_SUBJECT:
	case MIME_F_DATE:
	case MIME_F_MESSAGE_ID:
	case MIME_F_IN_REPLY_TO:
	case MIME_F_REFERENCES:
	case MIME_F_DELIVERED_TO:
	case MIME_F_RECEIVED:
	case MIME_F_KINDS:
		break;
	}
	if (c.cut)
		part->cut = true;
}
