/* admin_domain.c — domain add | list | remove. */
#include "admin/admin_verbs.h"
#include "base/cleanup.h"
#include "store/store.h"

static json_t *add(const struct admin_ctx *ctx, const json_t *args, const json_t *options,
		   struct err *e)
{
	(void)options;
	slice domain = admin_arg(args, 0);
	if (store_domain_add(ctx->store, domain, e) != ST_OK)
		return NULL;
	return json_pack("{s:o}", "domain", admin_text(domain));
}

static json_t *list(const struct admin_ctx *ctx, const json_t *args,
		    const json_t *options, struct err *e)
{
	(void)args;
	(void)options;
	AUTO_ARENA a;
	arena_init(&a);
	slice *domains;
	size_t n;
	if (store_domain_list(ctx->store, &a, &domains, &n, e) != ST_OK)
		return NULL;
	json_t *out = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(out, json_pack("{s:o}", "domain",
						     admin_text(domains[i])));
	return out;
}

static json_t *remove_domain(const struct admin_ctx *ctx, const json_t *args,
			     const json_t *options, struct err *e)
{
	(void)options;
	slice domain = admin_arg(args, 0);
	if (store_domain_remove(ctx->store, domain, e) != ST_OK)
		return NULL;
	return json_pack("{s:o}", "domain", admin_text(domain));
}

const struct admin_verb admin_domain_add = {
	.noun = "domain",
	.verb = "add",
	.args = "DOMAIN",
	.n_args = 1,
	.run = add,
	.help = "take mail for a domain",
};
const struct admin_verb admin_domain_list = {
	.noun = "domain",
	.verb = "list",
	.args = "",
	.columns = "domain",
	.run = list,
	.help = "the domains mail is taken for",
};
const struct admin_verb admin_domain_remove = {
	.noun = "domain",
	.verb = "remove",
	.args = "DOMAIN",
	.n_args = 1,
	.run = remove_domain,
	.help = "no longer take mail for a domain; it must have no accounts and aliases",
};
