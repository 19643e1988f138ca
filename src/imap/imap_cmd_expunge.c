/* imap_cmd_expunge.c — EXPUNGE and UID EXPUNGE.  RFC 3501 6.4.3, RFC 4315 2.1. */
#include "imap/imap_cmds.h"
#include "imap/imap_expunge.h"

/* uid-expunge = "UID" SP "EXPUNGE" SP sequence-set */
static bool parse_uid(struct imap_parse *p, struct imap_cmd *c)
{
	struct imap_seqset *set = ARENA_NEW(p->a, struct imap_seqset);

	c->arg = set;
	return imap_parse_sp(p) && imap_seqset_parse(p, set);
}

static enum step run(struct imap *im, struct imap_cmd *c, struct out *o)
{
	struct store_uids *among = NULL;
	struct err e = { .code = ERR_NONE };
	enum step st;

	(void)o;
	if (im->box->read_only)
		return imap_no_text(im, c,
				    "[READ-ONLY] The mailbox was opened with EXAMINE");
	if (c->phase == 0 && c->uid) {
		among = ARENA_NEW(&im->s.arena, struct store_uids);
		imap_box_uids(im, &im->s.arena, c->arg, true, among);
	}
	st = imap_expunge(im, c, among, &e);
	if (st == STEP_WAIT || st == STEP_MORE)
		return st;
	if (st == STEP_CLOSE)
		return imap_no(im, c, &e);
	return imap_ok(im, c, "Expunge completed");
}

const struct imap_cmd_def imap_cmd_expunge = {
	.name = S("EXPUNGE"),
	.states = IMAP_SELECTED,
	.run = run,
	.rfc = "RFC 3501 6.4.3",
};
const struct imap_cmd_def imap_cmd_uid_expunge = {
	.name = S("EXPUNGE"),
	.states = IMAP_SELECTED,
	.flags = CMD_ONLY_UID,
	.parse = parse_uid,
	.run = run,
	.rfc = "RFC 4315 2.1",
};
