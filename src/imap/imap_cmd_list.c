/* imap_cmd_list.c — LIST and LSUB.  RFC 3501 6.3.8, 6.3.9, 7.2.2; RFC 3348 (children);
 * RFC 6154 2 (special uses). */
#include "imap/imap_cmds.h"
#include "imap/imap_match.h"

enum { WORK_STEP = 4 << 20 }; /* octets times states */
struct list {
	slice reference, pattern;
	struct imap_pattern compiled;
	struct store_mailbox *m; /* sorted by name, INBOX first */
	size_t n, i;
	size_t work;
	slice before; /* the subscribed name before */
};

/* list = "LIST" SP mailbox SP list-mailbox */
static bool parse(struct imap_parse *p, struct imap_cmd *c)
{
	struct list *x = ARENA_NEW(p->a, struct list);

	c->arg = x;
	return imap_parse_sp(p) && imap_parse_mailbox(p, &x->reference) &&
	       imap_parse_sp(p) && imap_parse_list_mailbox(p, &x->pattern);
}

static const char *role_attribute(enum store_role role)
{
	switch (role) {
	case ROLE_DRAFTS:
		return " \\Drafts";
	case ROLE_SENT:
		return " \\Sent";
	case ROLE_JUNK:
		return " \\Junk";
	case ROLE_TRASH:
		return " \\Trash";
	case ROLE_ARCHIVE:
		return " \\Archive";
	case ROLE_NONE:
	case ROLE_INBOX:
		break;
	}
	return "";
}

static void write_list(struct out *o, const struct store_mailbox *m)
{
	out_adds(o, m->exists ? "* LIST (" : "* LIST (\\Noselect ");
	out_adds(o, m->has_children ? "\\HasChildren" : "\\HasNoChildren");
	out_adds(o, role_attribute(m->role));
	out_adds(o, ") \"/\" ");
	imap_write_mailbox(o, m->name);
	out_adds(o, "\r\n");
}

static void write_lsub(struct out *o, slice name, bool noselect)
{
	out_adds(o, noselect ? "* LSUB (\\Noselect) \"/\" " : "* LSUB () \"/\" ");
	imap_write_mailbox(o, name);
	out_adds(o, "\r\n");
}

/* The pattern as it counts: reference and pattern joined. A pattern that begins with the
 * separator is taken as it is. */
static struct imap_pattern make_pattern(struct imap *im, const struct list *x)
{
	struct arena *a = &im->s.arena;
	slice whole = arena_join(a, x->reference, x->pattern);

	if (slice_istarts(whole, SL("INBOX")) &&
	    (whole.n == 5 || memchr("/*%", whole.p[5], 3)))
		whole = arena_join(a, SL("INBOX"),
				   slice_from(whole, 5)); /* RFC 3501 5.1: in any case */
	return imap_pattern_make(a, whole);
}

static bool is_subscribed(const struct store_mailbox *m, size_t n, slice name)
{
	for (size_t i = 0; i < n; i++)
		if (m[i].subscribed && slice_eq(m[i].name, name))
			return true;
	return false;
}

/* RFC 3501 6.3.9: with "%", a subscribed name below what matches shows its superior as
 * \Noselect. Names are sorted, so all below one superior stand together: it is new when
 * the subscribed name before is not below it. */
static void lsub_superiors(struct imap_pattern *pattern, const struct list *all,
			   slice name, slice before, struct out *o)
{
	for (size_t at = slice_chr(name, '/', 0); at < name.n;
	     at = slice_chr(name, '/', at + 1)) {
		slice superior = slice_sub(name, 0, at);

		if (slice_starts(before, slice_sub(name, 0, at + 1)))
			continue;
		if (imap_pattern_matches(pattern, superior, '/') &&
		    !is_subscribed(all->m, all->n, superior))
			write_lsub(o, superior, true);
	}
}

/* Reads the names once. STEP_MORE: go on; otherwise the command has ended. */
static enum step begin(struct imap *im, struct imap_cmd *c, struct list *x)
{
	struct err e;

	if (store_mailbox_list(im->ctx->store, im->account, &im->s.arena, &x->m, &x->n,
			       &e) != ST_OK)
		return imap_no(im, c, &e);
	x->compiled = make_pattern(im, x);
	x->before = SL("");
	c->phase = 1;
	return STEP_MORE;
}

/* A hostile pattern over ten thousand long names does not hold a worker: slices of some milliseconds. */
static bool is_enough(struct list *x, const struct out *o)
{
	x->work += (x->compiled.text.n + 1) * (x->m[x->i].name.n + 1);
	if (x->work < WORK_STEP && o->bytes < LIMIT_OUT_STEP)
		return false;
	x->work = 0;
	return true;
}

static enum step run_list(struct imap *im, struct imap_cmd *c, struct out *o)
{
	struct list *x = c->arg;

	if (x->pattern.n ==
	    0) { /* RFC 3501 6.3.8: the separator, and the root of the reference */
		out_adds(o, "* LIST (\\Noselect) \"/\" \"\"\r\n");
		return imap_ok(im, c, "List completed");
	}
	if (c->phase == 0 && begin(im, c, x) != STEP_MORE)
		return STEP_DONE;
	while (x->i < x->n) {
		const struct store_mailbox *m = &x->m[x->i];
		bool enough = is_enough(x, o);

		x->i++;
		/* A name that is only subscribed is for LSUB. */
		if ((m->exists || m->has_children) &&
		    imap_pattern_matches(&x->compiled, m->name, '/'))
			write_list(o, m);
		if (enough)
			return STEP_MORE;
	}
	return imap_ok(im, c, "List completed");
}

static enum step run_lsub(struct imap *im, struct imap_cmd *c, struct out *o)
{
	struct list *x = c->arg;
	bool percent;

	if (c->phase == 0 && begin(im, c, x) != STEP_MORE)
		return STEP_DONE;
	percent = slice_chr(x->compiled.text, '%', 0) < x->compiled.text.n;
	while (x->i < x->n) {
		const struct store_mailbox *m = &x->m[x->i];
		bool enough = is_enough(x, o);

		x->i++;
		if (m->subscribed) {
			if (imap_pattern_matches(&x->compiled, m->name, '/'))
				write_lsub(o, m->name, false);
			else if (percent)
				lsub_superiors(&x->compiled, x, m->name, x->before, o);
			x->before = m->name;
		}
		if (enough)
			return STEP_MORE;
	}
	return imap_ok(im, c, "Lsub completed");
}

const struct imap_cmd_def imap_cmd_list = {
	.name = S("LIST"),
	.states = IMAP_INSIDE,
	.parse = parse,
	.run = run_list,
	.rfc = "RFC 3501 6.3.8",
};
const struct imap_cmd_def imap_cmd_lsub = {
	.name = S("LSUB"),
	.states = IMAP_INSIDE,
	.parse = parse,
	.run = run_lsub,
	.rfc = "RFC 3501 6.3.9",
};
