/* imap_cmd_status.c — STATUS.  RFC 3501 6.3.10, 7.2.4. */
#include "imap/imap_cmds.h"

enum { MESSAGES = 1, RECENT = 2, UIDNEXT = 4, UIDVALIDITY = 8, UNSEEN = 16 };
static const struct {
	const char *name;
	unsigned bit;
} items[] = {
	{ "MESSAGES", MESSAGES },	{ "RECENT", RECENT }, { "UIDNEXT", UIDNEXT },
	{ "UIDVALIDITY", UIDVALIDITY }, { "UNSEEN", UNSEEN },
};
#define ITEMS (sizeof(items) / sizeof(items[0]))
struct status_arg {
	slice name;
	unsigned items;
};

/* status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")" */
static bool parse(struct imap_parse *p, struct imap_cmd *c)
{
	struct status_arg *x = ARENA_NEW(p->a, struct status_arg);

	c->arg = x;
	if (!imap_parse_sp(p) || !imap_parse_mailbox(p, &x->name) || !imap_parse_sp(p) ||
	    !imap_parse_char(p, '('))
		return false;
	do {
		size_t i = 0;

		while (i < ITEMS && !imap_parse_word(p, items[i].name))
			i++;
		if (i == ITEMS)
			return imap_parse_fail(
				p,
				"MESSAGES, RECENT, UIDNEXT, UIDVALIDITY or UNSEEN expected");
		x->items |= items[i].bit;
	} while (imap_parse_accept(p, ' '));
	return imap_parse_char(p, ')');
}

static bool count_row(void *ctx, const struct store_row *row)
{
	(void)row;
	++*(uint32_t *)ctx;
	return true;
}

static uint32_t value_of(struct imap *im, const struct store_mailbox *m, unsigned bit)
{
	uint32_t recent = 0;
	struct err e;

	switch (bit) {
	case MESSAGES:
		return m->messages;
	case UIDNEXT:
		return m->uidnext;
	case UIDVALIDITY:
		return m->uidvalidity;
	case UNSEEN:
		return m->unseen;
	default:
		break;
	}
	if (m->first_recent >= m->uidnext)
		return 0;
	if (store_rows(im->ctx->store, im->account, m->id, m->first_recent, UINT32_MAX,
		       count_row, &recent, &e) != ST_OK)
		return 0;
	return recent;
}

static enum step run(struct imap *im, struct imap_cmd *c, struct out *o)
{
	struct status_arg *x = c->arg;
	struct store_mailbox m;
	bool first = true;
	struct err e;

	if (store_mailbox_find(im->ctx->store, im->account, x->name, &im->s.arena, &m,
			       &e) != ST_OK)
		return imap_no(im, c, &e);
	if (!m.exists)
		return imap_no_text(
			im, c, "[NONEXISTENT] A name without a mailbox (\\Noselect)");
	out_adds(o, "* STATUS ");
	imap_write_mailbox(o, m.name);
	for (size_t i = 0; i < ITEMS; i++) {
		if (!(x->items & items[i].bit))
			continue;
		out_adds(o, first ? " (" : " ");
		first = false;
		out_adds(o, items[i].name);
		out_addc(o, ' ');
		out_addu(o, value_of(im, &m, items[i].bit));
	}
	out_adds(o, ")\r\n");
	return imap_ok(im, c, "Status completed");
}

const struct imap_cmd_def imap_cmd_status = {
	.name = S("STATUS"),
	.states = IMAP_INSIDE,
	.parse = parse,
	.run = run,
	.rfc = "RFC 3501 6.3.10",
};
