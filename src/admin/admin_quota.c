/* admin_quota.c — quota set | show | list.
 *
 * Sizes: 50M, 2G, octets without a letter; "none": no limit; "default": what the
 * configuration says (facteur.conf(5) quota, quota-messages). */
#include "admin/admin_verbs.h"
#include "base/cleanup.h"
#include "store/store.h"

static bool take_limit(const json_t *options, const char *name, bool is_size,
		       uint64_t *out, struct err *e)
{
	slice v = admin_option(options, name);
	*out = STORE_QUOTA_KEEP;
	if (json_object_get(options, name) == NULL)
		return true;
	if (slice_eq(v, SL("none")) || slice_eq(v, SL("default"))) {
		*out = v.p[0] == 'n' ? 0 : STORE_QUOTA_DEFAULT;
		return true;
	}
	if (is_size ? slice_size(v, out) : slice_u64(v, INT64_MAX, out))
		return true;
	err_set(e, ERR_SYNTAX, "--%s %.*s: expected %s, none or default", name, FMT(v),
		is_size ? "a size like 50M or 2G" : "a number");
	return false;
}

static bool is_address(slice s)
{
	return slice_chr(s, '@', 0) < s.n;
}

static json_t *limit(uint64_t n)
{
	return n ? json_integer((json_int_t)n) : json_null();
}

static json_t *percent(uint64_t used, uint64_t of)
{
	return of ? json_integer((json_int_t)((double)used * 100 / (double)of))
		  : json_null();
}

static json_t *show_account(const struct admin_ctx *ctx, slice address, struct err *e)
{
	AUTO_ARENA a;
	arena_init(&a);
	struct store_account u;
	if (store_account_get(ctx->store, address, &a, &u, e) != ST_OK)
		return NULL;
	return json_pack("{s:o, s:I, s:o, s:o, s:I, s:o, s:o, s:s, s:I, s:I}", "address",
			 admin_text(u.address), "bytes", (json_int_t)u.bytes,
			 "bytes-limit", limit(u.quota_bytes), "bytes-percent",
			 percent(u.bytes, u.quota_bytes), "messages",
			 (json_int_t)u.messages, "messages-limit",
			 limit(u.quota_messages), "messages-percent",
			 percent(u.messages, u.quota_messages), "limit-from",
			 u.has_own_quota ? "account" : "default", "kept-bytes",
			 (json_int_t)u.held_bytes, "kept-messages",
			 (json_int_t)u.held_messages);
}

static json_t *show_domain(const struct admin_ctx *ctx, slice domain, struct err *e)
{
	struct store_domain_quota q;
	if (store_quota_domain(ctx->store, domain, &q, e) != ST_OK)
		return NULL;
	return json_pack("{s:o, s:I, s:o, s:o, s:I, s:o, s:o}", "domain",
			 admin_text(domain), "bytes", (json_int_t)q.bytes, "bytes-limit",
			 limit(q.quota_bytes), "bytes-percent",
			 percent(q.bytes, q.quota_bytes), "messages",
			 (json_int_t)q.messages, "messages-limit",
			 limit(q.quota_messages), "messages-percent",
			 percent(q.messages, q.quota_messages));
}

static json_t *show(const struct admin_ctx *ctx, const json_t *args,
		    const json_t *options, struct err *e)
{
	(void)options;
	slice what = admin_arg(args, 0);
	return is_address(what) ? show_account(ctx, what, e) : show_domain(ctx, what, e);
}

static json_t *set(const struct admin_ctx *ctx, const json_t *args, const json_t *options,
		   struct err *e)
{
	slice what = admin_arg(args, 0);
	uint64_t bytes, messages;
	if (!take_limit(options, "bytes", true, &bytes, e) ||
	    !take_limit(options, "messages", false, &messages, e))
		return NULL;
	if (bytes == STORE_QUOTA_KEEP && messages == STORE_QUOTA_KEEP) {
		err_set(e, ERR_SYNTAX, "give --bytes, --messages, or both");
		return NULL;
	}
	enum status st =
		is_address(what)
			? store_quota_set(ctx->store, what, bytes, messages, e)
			: store_quota_set_domain(ctx->store, what, bytes, messages, e);
	return st == ST_OK ? show(ctx, args, options, e) : NULL;
}

static json_t *list_row(slice name, uint64_t bytes, uint64_t bytes_limit,
			uint64_t messages, uint64_t messages_limit, uint64_t kept)
{
	return json_pack("{s:o, s:I, s:o, s:I, s:o, s:I}", "address", admin_text(name),
			 "bytes", (json_int_t)bytes, "bytes-limit", limit(bytes_limit),
			 "messages", (json_int_t)messages, "messages-limit",
			 limit(messages_limit), "kept-bytes", (json_int_t)kept);
}

/* Domains that have limits, then all accounts. */
static json_t *list(const struct admin_ctx *ctx, const json_t *args,
		    const json_t *options, struct err *e)
{
	(void)args;
	(void)options;
	AUTO_ARENA a;
	arena_init(&a);
	struct store_account *u;
	slice *domain;
	size_t n, n_domains;
	if (store_domain_list(ctx->store, &a, &domain, &n_domains, e) != ST_OK ||
	    store_account_list(ctx->store, &a, &u, &n, e) != ST_OK)
		return NULL;
	json_t *out = json_array();
	for (size_t i = 0; i < n_domains; i++) {
		struct store_domain_quota q;
		if (store_quota_domain(ctx->store, domain[i], &q, NULL) == ST_OK &&
		    (q.quota_bytes || q.quota_messages))
			json_array_append_new(out,
					      list_row(domain[i], q.bytes, q.quota_bytes,
						       q.messages, q.quota_messages, 0));
	}
	for (size_t i = 0; i < n; i++)
		json_array_append_new(out,
				      list_row(u[i].address, u[i].bytes, u[i].quota_bytes,
					       u[i].messages, u[i].quota_messages,
					       u[i].held_bytes));
	return out;
}

const struct admin_verb admin_quota_set = {
	.noun = "quota",
	.verb = "set",
	.args = "ADDRESS|DOMAIN",
	.n_args = 1,
	.options = "bytes=SIZE messages=N",
	.run = set,
	.help = "limit an account, or all accounts of a domain together (2G, none, default)",
};
const struct admin_verb admin_quota_show = {
	.noun = "quota",
	.verb = "show",
	.args = "ADDRESS|DOMAIN",
	.n_args = 1,
	.run = show,
	.help = "what is used, the limits, and what is kept for undelete",
};
const struct admin_verb admin_quota_list = {
	.noun = "quota",
	.verb = "list",
	.args = "",
	.columns = "address bytes bytes-limit messages messages-limit kept-bytes",
	.run = list,
	.help = "the same of all accounts and of domains with limits",
};
