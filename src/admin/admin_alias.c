/* admin_alias.c — alias add | list | remove. */
#include "admin/admin_verbs.h"
#include "base/cleanup.h"
#include "store/store.h"

static json_t *add(const struct admin_ctx *ctx, const json_t *args, const json_t *options,
		   struct err *e)
{
	(void)options;
	slice address = admin_arg(args, 0), target = admin_arg(args, 1);
	if (store_alias_add(ctx->store, address, target, e) != ST_OK)
		return NULL;
	return json_pack("{s:o, s:o}", "address", admin_text(address), "target",
			 admin_text(target));
}

static json_t *list(const struct admin_ctx *ctx, const json_t *args,
		    const json_t *options, struct err *e)
{
	(void)args;
	(void)options;
	AUTO_ARENA a;
	arena_init(&a);
	struct store_alias *aliases;
	size_t n;
	if (store_alias_list(ctx->store, &a, &aliases, &n, e) != ST_OK)
		return NULL;
	json_t *out = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(out,
				      json_pack("{s:o, s:o}", "address",
						admin_text(aliases[i].address), "target",
						admin_text(aliases[i].target)));
	return out;
}

static json_t *remove_alias(const struct admin_ctx *ctx, const json_t *args,
			    const json_t *options, struct err *e)
{
	(void)options;
	slice address = admin_arg(args, 0);
	if (store_alias_remove(ctx->store, address, e) != ST_OK)
		return NULL;
	return json_pack("{s:o}", "address", admin_text(address));
}

const struct admin_verb admin_alias_add = {
	.noun = "alias",
	.verb = "add",
	.args = "ADDRESS TARGET",
	.n_args = 2,
	.run = add,
	.help = "deliver mail for ADDRESS to the account TARGET",
};
const struct admin_verb admin_alias_list = {
	.noun = "alias",
	.verb = "list",
	.args = "",
	.columns = "address target",
	.run = list,
	.help = "all aliases",
};
const struct admin_verb admin_alias_remove = {
	.noun = "alias",
	.verb = "remove",
	.args = "ADDRESS",
	.n_args = 1,
	.run = remove_alias,
	.help = "remove an alias",
};
