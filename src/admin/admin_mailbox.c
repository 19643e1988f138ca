/* admin_mailbox.c — mailbox list, queue list. */
#include "admin/admin_verbs.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "store/store.h"

#define QUEUE_LIST_MAX 10000

static json_t *mailbox_list(const struct admin_ctx *ctx, const json_t *args,
			    const json_t *options, struct err *e)
{
	(void)options;
	AUTO_ARENA a;
	arena_init(&a);
	struct store_account acct;
	struct store_mailbox *m;
	size_t n;
	if (store_account_get(ctx->store, admin_arg(args, 0), &a, &acct, e) != ST_OK ||
	    store_mailbox_list(ctx->store, acct.id, &a, &m, &n, e) != ST_OK)
		return NULL;
	json_t *out = json_array();
	for (size_t i = 0; i < n; i++) {
		if (!m[i].exists)
			continue;
		json_array_append_new(
			out,
			json_pack("{s:o, s:I, s:I, s:I, s:s, s:b, s:I, s:I, s:I, s:o}",
				  "mailbox", admin_text(m[i].name), "messages",
				  (json_int_t)m[i].messages, "unseen",
				  (json_int_t)m[i].unseen, "bytes",
				  (json_int_t)m[i].bytes, "role",
				  store_role_name(m[i].role), "subscribed",
				  m[i].subscribed, "uidvalidity",
				  (json_int_t)m[i].uidvalidity, "uidnext",
				  (json_int_t)m[i].uidnext, "highestmodseq",
				  (json_int_t)m[i].modseq, "expire",
				  m[i].expire ? json_integer(m[i].expire - 1)
					      : json_string("default")));
	}
	return out;
}

static json_t *iso_time(int64_t s)
{
	struct civil c = civil_from_unix(s, 0);
	return json_sprintf("%04d-%02d-%02dT%02d:%02d:%02dZ", c.year, c.month, c.day,
			    c.hour, c.minute, c.second);
}

static json_t *queue_list(const struct admin_ctx *ctx, const json_t *args,
			  const json_t *options, struct err *e)
{
	(void)args;
	(void)options;
	AUTO_ARENA a;
	arena_init(&a);
	struct store_queue_entry *q;
	size_t n;
	if (store_queue_list(ctx->store, QUEUE_LIST_MAX, &a, &q, &n, e) != ST_OK)
		return NULL;
	json_t *out = json_array();
	for (size_t i = 0; i < n; i++) {
		json_t *to = json_array();
		for (size_t k = 0; k < q[i].n_rcpt; k++)
			json_array_append_new(to, admin_text(q[i].rcpt[k]));
		json_array_append_new(
			out,
			json_pack("{s:o, s:o, s:o, s:I, s:o, s:o}", "id",
				  json_sprintf("%016llx", (unsigned long long)q[i].id),
				  "queued", iso_time(q[i].queued), "state",
				  admin_text(q[i].state), "size", (json_int_t)q[i].size,
				  "from", admin_text(q[i].sender), "to", to));
	}
	return out;
}

const struct admin_verb admin_mailbox_list = {
	.noun = "mailbox",
	.verb = "list",
	.args = "ADDRESS",
	.n_args = 1,
	.columns = "mailbox messages unseen bytes role subscribed expire",
	.run = mailbox_list,
	.help = "the mailboxes of an account",
};
const struct admin_verb admin_queue_list = {
	.noun = "queue",
	.verb = "list",
	.args = "",
	.columns = "id queued state size from to",
	.run = queue_list,
	.help = "messages waiting for other servers",
};
