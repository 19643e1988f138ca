/* admin_user.c — user add | passwd | rename | disable | enable | list | remove.
 *
 * Passwords come in options.password; without one, a random password is made and given
 * back once. */
#include "admin/admin_verbs.h"
#include "auth/auth.h"
#include "base/cleanup.h"
#include "base/hash.h"
#include "store/store.h"
#include "work/session.h"

/* 20 of 32 characters that are not mistaken for each other: 100 bits. */
static slice random_password(struct arena *a)
{
	static const char alphabet[] = "abcdefghijkmnpqrstuvwxyz23456789";
	unsigned char r[20];
	random_bytes(r, sizeof(r));
	char *p = arena_alloc(a, sizeof(r) + 4);
	size_t n = 0;
	for (size_t i = 0; i < sizeof(r); i++) {
		if (i > 0 && i % 5 == 0)
			p[n++] = '-';
		p[n++] = alphabet[r[i] & 31];
	}
	return slice_make(p, n);
}

/* The verifier for a given or made password; *out_made is empty when it was given. */
static enum status make_verifier(const struct admin_ctx *ctx, const json_t *options,
				 struct arena *a, slice *out_made, slice *out_verifier,
				 struct err *e)
{
	slice password = admin_option(options, "password");
	slice made = SL("");
	if (json_object_get(options, "password") == NULL)
		password = made = random_password(a);
	enum status st = auth_hash(ctx->auth, password, a, out_verifier, e);
	if (st == ST_OK)
		*out_made = made;
	return st;
}

/* The address as it is kept, whatever way it was written in the request. */
static json_t *account_result(const struct admin_ctx *ctx, slice address,
			      slice made_password, struct err *e)
{
	AUTO_ARENA a;
	arena_init(&a);
	struct store_account acct;
	if (store_account_get(ctx->store, address, &a, &acct, e) != ST_OK)
		return NULL;
	json_t *r = json_pack("{s:o}", "address", admin_text(acct.address));
	if (made_password.n > 0)
		json_object_set_new(r, "password", admin_text(made_password));
	return r;
}

static void kick_account(const struct admin_ctx *ctx, uint32_t account)
{
	if (ctx->workers != NULL)
		worker_kick(ctx->workers, SL(""), account);
}

static json_t *add(const struct admin_ctx *ctx, const json_t *args, const json_t *options,
		   struct err *e)
{
	AUTO_ARENA a;
	arena_init(&a);
	slice address = admin_arg(args, 0), made, verifier;
	uint32_t id;
	if (make_verifier(ctx, options, &a, &made, &verifier, e) != ST_OK)
		return NULL;
	if (store_account_add(ctx->store, address, verifier, &id, e) != ST_OK)
		return NULL;
	return account_result(ctx, address, made, e);
}

static json_t *passwd(const struct admin_ctx *ctx, const json_t *args,
		      const json_t *options, struct err *e)
{
	AUTO_ARENA a;
	arena_init(&a);
	slice address = admin_arg(args, 0), made, verifier;
	struct store_account acct;
	if (store_account_get(ctx->store, address, &a, &acct, e) != ST_OK)
		return NULL;
	if (make_verifier(ctx, options, &a, &made, &verifier, e) != ST_OK)
		return NULL;
	if (store_account_set_verifier(ctx->store, address, verifier, e) != ST_OK)
		return NULL;
	kick_account(ctx, acct.id); /* whoever holds the old password is out */
	return account_result(ctx, address, made, e);
}

static json_t *rename_user(const struct admin_ctx *ctx, const json_t *args,
			   const json_t *options, struct err *e)
{
	(void)options;
	slice from = admin_arg(args, 0), to = admin_arg(args, 1);
	if (store_account_rename(ctx->store, from, to, e) != ST_OK)
		return NULL;
	return account_result(ctx, to, SL(""), e);
}

static json_t *set_disabled(const struct admin_ctx *ctx, const json_t *args,
			    bool disabled, struct err *e)
{
	AUTO_ARENA a;
	arena_init(&a);
	slice address = admin_arg(args, 0);
	struct store_account acct;
	if (store_account_get(ctx->store, address, &a, &acct, e) != ST_OK)
		return NULL;
	if (store_account_set_disabled(ctx->store, address, disabled, e) != ST_OK)
		return NULL;
	if (disabled)
		kick_account(ctx, acct.id);
	return account_result(ctx, address, SL(""), e);
}

static json_t *disable(const struct admin_ctx *ctx, const json_t *args,
		       const json_t *options, struct err *e)
{
	(void)options;
	return set_disabled(ctx, args, true, e);
}

static json_t *enable(const struct admin_ctx *ctx, const json_t *args,
		      const json_t *options, struct err *e)
{
	(void)options;
	return set_disabled(ctx, args, false, e);
}

static json_t *list(const struct admin_ctx *ctx, const json_t *args,
		    const json_t *options, struct err *e)
{
	(void)args;
	(void)options;
	AUTO_ARENA a;
	arena_init(&a);
	struct store_account *accounts;
	size_t n;
	if (store_account_list(ctx->store, &a, &accounts, &n, e) != ST_OK)
		return NULL;
	json_t *out = json_array();
	for (size_t i = 0; i < n; i++) {
		const struct store_account *u = &accounts[i];
		json_array_append_new(out,
				      json_pack("{s:o, s:I, s:I, s:b, s:b}", "address",
						admin_text(u->address), "messages",
						(json_int_t)u->messages, "bytes",
						(json_int_t)u->bytes, "admin",
						u->is_admin, "disabled", u->disabled));
	}
	return out;
}

static json_t *remove_user(const struct admin_ctx *ctx, const json_t *args,
			   const json_t *options, struct err *e)
{
	AUTO_ARENA a;
	arena_init(&a);
	slice address = admin_arg(args, 0);
	struct store_account acct;
	bool now = json_is_true(json_object_get(options, "now"));
	if (store_account_get(ctx->store, address, &a, &acct, e) != ST_OK)
		return NULL;
	if ((now ? store_account_purge(ctx->store, address, e)
		 : store_account_remove(ctx->store, address, e)) != ST_OK)
		return NULL;
	kick_account(ctx, acct.id);
	return json_pack("{s:o}", "address", admin_text(acct.address));
}

static json_t *language(const struct admin_ctx *ctx, const json_t *args,
			const json_t *options, struct err *e)
{
	(void)options;
	slice address = admin_arg(args, 0), word = admin_arg(args, 1);
	slice wanted = slice_eq(word, SL("default")) ? SL("") : word;
	if (store_account_set_language(ctx->store, address, wanted, e) != ST_OK)
		return NULL;
	json_t *r = account_result(ctx, address, SL(""), e);
	if (r != NULL)
		json_object_set_new(r, "language", admin_text(word));
	return r;
}

const struct admin_verb admin_user_language = {
	.noun = "user",
	.verb = "language",
	.args = "ADDRESS LANGUAGE",
	.n_args = 2,
	.run = language,
	.help = "the language of mail the server writes: en, fr, default",
};
const struct admin_verb admin_user_add = {
	.noun = "user",
	.verb = "add",
	.args = "ADDRESS",
	.n_args = 1,
	.options = "password=WORD :generate",
	.run = add,
	.help = "make an account; its domain must exist",
};
const struct admin_verb admin_user_passwd = {
	.noun = "user",
	.verb = "passwd",
	.args = "ADDRESS",
	.n_args = 1,
	.options = "password=WORD :generate",
	.run = passwd,
	.help = "set a new password and end the account's sessions",
};
const struct admin_verb admin_user_rename = {
	.noun = "user",
	.verb = "rename",
	.args = "ADDRESS NEW-ADDRESS",
	.n_args = 2,
	.run = rename_user,
	.help = "give an account another address; mail and password stay",
};
const struct admin_verb admin_user_disable = {
	.noun = "user",
	.verb = "disable",
	.args = "ADDRESS",
	.n_args = 1,
	.run = disable,
	.help = "no login and no new mail; what is there stays",
};
const struct admin_verb admin_user_enable = {
	.noun = "user",
	.verb = "enable",
	.args = "ADDRESS",
	.n_args = 1,
	.run = enable,
	.help = "undo disable",
};
const struct admin_verb admin_user_list = {
	.noun = "user",
	.verb = "list",
	.args = "",
	.columns = "address messages bytes admin disabled",
	.run = list,
	.help = "all accounts",
};
const struct admin_verb admin_user_remove = {
	.noun = "user",
	.verb = "remove",
	.args = "ADDRESS",
	.n_args = 1,
	.options = "now",
	.run = remove_user,
	.help = "remove an account with all its mail; --now: not kept for undelete",
};
