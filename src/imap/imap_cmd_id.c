/* imap_cmd_id.c — ID.  RFC 2971: at most 30 fields, names ≤ 30 octets, values ≤ 1,024.
 *
 * What the client says is logged; we tell our name and no version (3.3: it helps
 * attackers more than users). */
#include "imap/imap_cmds.h"

enum { ID_FIELDS = 30, ID_NAME = 30, ID_VALUE = 1024 };
struct id {
	slice name, version;
};

/* id_params_list = "(" *(string SP nstring) ")" / nil */
static bool parse(struct imap_parse *p, struct imap_cmd *c)
{
	struct id *id = ARENA_NEW(p->a, struct id);
	unsigned n = 0;

	c->arg = id;
	if (!imap_parse_sp(p))
		return false;
	if (imap_parse_word(p, "NIL"))
		return true;
	if (!imap_parse_char(p, '('))
		return false;
	if (imap_parse_accept(p, ')'))
		return true;
	do {
		slice name, value;

		if (!imap_parse_string(p, &name) || !imap_parse_sp(p) ||
		    !imap_parse_nstring(p, &value))
			return false;
		if (++n > ID_FIELDS || name.n > ID_NAME || value.n > ID_VALUE)
			return imap_parse_fail(
				p,
				"more than 30 fields, or a field that is too long (RFC 2971 3.3)");
		if (slice_ieq(name, SL("name")))
			id->name = value;
		else if (slice_ieq(name, SL("version")))
			id->version = value;
	} while (imap_parse_accept(p, ' '));
	return imap_parse_char(p, ')');
}

static enum step run(struct imap *im, struct imap_cmd *c, struct out *o)
{
	struct id *id = c->arg;
	struct log_line l;

	imap_log(im, &l, LOG_LEVEL_INFO, "imap.id");
	log_str(&l, "client", id->name);
	log_str(&l, "version", id->version);
	log_end(&l);
	out_adds(o, "* ID (\"name\" \"Facteur\")\r\n");
	return imap_ok(im, c, "ID completed");
}

const struct imap_cmd_def imap_cmd_id = {
	.name = S("ID"),
	.states = IMAP_ANY,
	.flags = CMD_HERE,
	.parse = parse,
	.run = run,
	.rfc = "RFC 2971 3.1",
};
