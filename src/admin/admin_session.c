/* admin_session.c — who, kick. */
#include "admin/admin_verbs.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "store/store.h"
#include "work/session.h"

static bool has_server(const struct admin_ctx *ctx, struct err *e)
{
	if (ctx->workers == NULL)
		err_set(e, ERR_BUSY, "no server is running on this data directory");
	return ctx->workers != NULL;
}

static json_t *who(const struct admin_ctx *ctx, const json_t *args, const json_t *options,
		   struct err *e)
{
	(void)args;
	(void)options;
	if (!has_server(ctx, e))
		return NULL;
	AUTO_ARENA a;
	arena_init(&a);
	struct worker_session_info *s;
	size_t n = worker_who(ctx->workers, &a, &s);
	struct clock clock;
	clock_init_real(&clock);
	json_t *out = json_array();
	for (size_t i = 0; i < n; i++) {
		int64_t seconds = (clock_now_us(&clock) - s[i].since_us) / 1000000;
		json_array_append_new(
			out,
			json_pack("{s:s, s:s, s:o, s:s, s:b, s:I}", "session", s[i].id,
				  "service", s[i].service, "user",
				  admin_text(slice_str(s[i].user)), "address", s[i].addr,
				  "tls", s[i].is_tls, "seconds", (json_int_t)seconds));
	}
	return out;
}

static json_t *kick(const struct admin_ctx *ctx, const json_t *args,
		    const json_t *options, struct err *e)
{
	(void)options;
	if (!has_server(ctx, e))
		return NULL;
	AUTO_ARENA a;
	arena_init(&a);
	struct store_account acct = { 0 };
	struct err absent = { 0 };
	/* However its address is written; what is no account may be a session. */
	if (store_account_get(ctx->store, admin_arg(args, 0), &a, &acct, &absent) !=
	    ST_OK)
		acct.id = 0;
	size_t n = worker_kick(ctx->workers, admin_arg(args, 0), acct.id);
	if (n == 0) {
		err_set(e, ERR_NO_ACCOUNT,
			"no session of that user, and no session with that id");
		return NULL;
	}
	return json_pack("{s:I}", "closed", (json_int_t)n);
}

const struct admin_verb admin_who = {
	.noun = "who",
	.verb = "",
	.args = "",
	.columns = "session service user address tls seconds",
	.run = who,
	.needs_server = true,
	.help = "who is connected",
};
const struct admin_verb admin_kick = {
	.noun = "kick",
	.verb = "",
	.args = "ADDRESS|SESSION",
	.n_args = 1,
	.run = kick,
	.needs_server = true,
	.help = "close the sessions of a user, or one session",
};
