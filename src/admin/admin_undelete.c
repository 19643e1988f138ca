/* admin_undelete.c — mailbox expire | undelete, user undelete | removed. */
#include "admin/admin_verbs.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "store/store.h"

static json_t *iso_time(int64_t s)
{
	struct civil c = civil_from_unix(s, 0);
	return json_sprintf("%04d-%02d-%02dT%02d:%02d:%02dZ", c.year, c.month, c.day,
			    c.hour, c.minute, c.second);
}

/* --- mailbox expire ----------------------------------------------------------------- */
static bool take_days(slice v, int *out, struct err *e)
{
	uint64_t days = 0;
	if (slice_eq(v, SL("default")))
		*out = -1;
	else if (slice_eq(v, SL("off")) || slice_u64(v, LIMIT_RETENTION_DAYS, &days))
		*out = (int)days;
	else
		return err_set(e, ERR_SYNTAX,
			       "'%.*s': expected days (0 to %d), off or default", FMT(v),
			       LIMIT_RETENTION_DAYS) == ST_OK;
	return true;
}

static json_t *expire(const struct admin_ctx *ctx, const json_t *args,
		      const json_t *options, struct err *e)
{
	(void)options;
	AUTO_ARENA a;
	arena_init(&a);
	slice mailbox = admin_arg(args, 1), days = admin_arg(args, 2);
	struct store_account u;
	int n;
	if (!take_days(days, &n, e) ||
	    store_account_get(ctx->store, admin_arg(args, 0), &a, &u, e) != ST_OK ||
	    store_mailbox_set_expiry(ctx->store, u.id, mailbox, n, e) != ST_OK)
		return NULL;
	return json_pack("{s:o, s:o, s:o}", "address", admin_text(u.address), "mailbox",
			 admin_text(mailbox), "days",
			 n < 0 ? json_string("default") : json_integer(n));
}

/* --- mailbox undelete --------------------------------------------------------------- */
static bool digits(slice *s, size_t n, int *out)
{
	uint64_t v;
	if (s->n < n || !slice_u64(slice_sub(*s, 0, n), 9999, &v))
		return false;
	*s = slice_from(*s, n);
	*out = (int)v;
	return true;
}

static bool one_of(slice *s, const char *chars)
{
	if (s->n == 0 || slice_chr(slice_str(chars), s->p[0], 0) == strlen(chars))
		return false;
	*s = slice_from(*s, 1);
	return true;
}

/* 2026-11-22, 2026-11-22T10:30, 2026-11-22T10:30:15Z: UTC */
static bool take_date(slice s, int64_t *out)
{
	struct civil c = { 0 };
	if (!digits(&s, 4, &c.year) || !one_of(&s, "-") || !digits(&s, 2, &c.month) ||
	    !one_of(&s, "-") || !digits(&s, 2, &c.day))
		return false;
	if (s.n > 0 && (!one_of(&s, "Tt ") || !digits(&s, 2, &c.hour) ||
			!one_of(&s, ":") || !digits(&s, 2, &c.minute)))
		return false;
	if (s.n > 0 && s.p[0] == ':' && (!one_of(&s, ":") || !digits(&s, 2, &c.second)))
		return false;
	if (s.n > 0)
		one_of(&s, "Zz");
	if (s.n > 0 || c.year < 1970 || c.month < 1 || c.month > 12 || c.day < 1 ||
	    c.day > 31 || c.hour > 23 || c.minute > 59 || c.second > 60)
		return false;
	*out = civil_to_unix(&c);
	return true;
}

/* 30m, 2h, 3d, 1w: so long ago */
static bool take_ago(slice s, int64_t *out)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = { { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 } };
	struct clock clock;
	uint64_t n;
	if (s.n < 2 || !slice_u64(slice_sub(s, 0, s.n - 1), 100000, &n))
		return false;
	clock_init_real(&clock);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (units[i].unit == s.p[s.n - 1]) {
			*out = clock_now_s(&clock) - (int64_t)n * units[i].seconds;
			return true;
		}
	}
	return false;
}

static bool take_filter(const json_t *args, const json_t *options,
			struct store_undelete *u, struct err *e)
{
	slice since = admin_option(options, "since");
	*u = (struct store_undelete){ .mailbox = json_array_size(args) > 1
							 ? admin_arg(args, 1)
							 : SL(""),
				      .message_id = admin_option(options, "message-id") };
	if (slice_starts(u->message_id, SL("<")) && slice_ends(u->message_id, SL(">")))
		u->message_id = slice_sub(u->message_id, 1, u->message_id.n - 2);
	if (since.n == 0 || take_date(since, &u->since) || take_ago(since, &u->since))
		return true;
	err_set(e, ERR_SYNTAX,
		"--since %.*s: expected a time like 2026-11-22, 2026-11-22T10:30 (UTC), 2h or 3d",
		FMT(since));
	return false;
}

static json_t *deleted_list(const struct admin_ctx *ctx, uint32_t account,
			    const struct store_undelete *u, struct arena *a,
			    struct err *e)
{
	struct store_deleted *d;
	size_t n;
	if (store_undelete_list(ctx->store, account, u, a, &d, &n, e) != ST_OK)
		return NULL;
	json_t *out = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(
			out, json_pack("{s:o, s:s, s:o, s:I, s:I, s:o, s:o}", "deleted",
				       iso_time(d[i].deleted), "what",
				       d[i].is_mailbox ? "mailbox" : "message", "mailbox",
				       admin_text(d[i].mailbox), "messages",
				       (json_int_t)d[i].messages, "bytes",
				       (json_int_t)d[i].bytes, "subject",
				       admin_text(d[i].subject), "message-id",
				       admin_text(d[i].message_id)));
	return out;
}

static json_t *undelete(const struct admin_ctx *ctx, const json_t *args,
			const json_t *options, struct err *e)
{
	AUTO_ARENA a;
	arena_init(&a);
	struct store_account acct;
	struct store_undelete u;
	size_t messages, mailboxes;
	if (!take_filter(args, options, &u, e) ||
	    store_account_get(ctx->store, admin_arg(args, 0), &a, &acct, e) != ST_OK)
		return NULL;
	if (json_is_true(json_object_get(options, "list")))
		return deleted_list(ctx, acct.id, &u, &a, e);
	if (store_undelete(ctx->store, acct.id, &u, &messages, &mailboxes, e) != ST_OK)
		return NULL;
	return json_pack("{s:o, s:I, s:I}", "address", admin_text(acct.address),
			 "messages", (json_int_t)messages, "mailboxes",
			 (json_int_t)mailboxes);
}

/* --- accounts ----------------------------------------------------------------------- */
static json_t *user_undelete(const struct admin_ctx *ctx, const json_t *args,
			     const json_t *options, struct err *e)
{
	(void)options;
	AUTO_ARENA a;
	arena_init(&a);
	struct store_account u;
	if (store_account_undelete(ctx->store, admin_arg(args, 0), e) != ST_OK ||
	    store_account_get(ctx->store, admin_arg(args, 0), &a, &u, e) != ST_OK)
		return NULL;
	return json_pack("{s:o, s:I, s:I}", "address", admin_text(u.address), "messages",
			 (json_int_t)u.messages, "bytes", (json_int_t)u.bytes);
}

static json_t *user_removed(const struct admin_ctx *ctx, const json_t *args,
			    const json_t *options, struct err *e)
{
	(void)args;
	(void)options;
	AUTO_ARENA a;
	arena_init(&a);
	struct store_removed *r;
	size_t n;
	if (store_account_removed(ctx->store, &a, &r, &n, e) != ST_OK)
		return NULL;
	json_t *out = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(out, json_pack("{s:o, s:o, s:I, s:I}", "address",
						     admin_text(r[i].address), "removed",
						     iso_time(r[i].removed), "messages",
						     (json_int_t)r[i].messages, "bytes",
						     (json_int_t)r[i].bytes));
	return out;
}

const struct admin_verb admin_mailbox_expire = {
	.noun = "mailbox",
	.verb = "expire",
	.args = "ADDRESS MAILBOX DAYS",
	.n_args = 3,
	.run = expire,
	.help = "delete what came into a mailbox so many days ago (0: never; default)",
};
const struct admin_verb admin_mailbox_undelete = {
	.noun = "mailbox",
	.verb = "undelete",
	.args = "ADDRESS [MAILBOX]",
	.n_args = 1,
	.options = "since=TIME message-id=ID list",
	.columns = "deleted what mailbox messages bytes subject message-id",
	.run = undelete,
	.help = "bring back deleted messages and mailboxes, or --list them",
};
const struct admin_verb admin_user_undelete = {
	.noun = "user",
	.verb = "undelete",
	.args = "ADDRESS",
	.n_args = 1,
	.run = user_undelete,
	.help = "bring back a removed account with its mail, password and aliases",
};
const struct admin_verb admin_user_removed = {
	.noun = "user",
	.verb = "removed",
	.args = "",
	.columns = "address removed messages bytes",
	.run = user_removed,
	.help = "removed accounts that can be brought back",
};
