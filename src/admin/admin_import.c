/* admin_import.c — user import: accounts in bulk, in Dovecot's passwd-file form.
 *
 * The command reads the file and sends its lines in parts: options.lines = [[number, "user@domain:{SCHEME}hash:…"], …].
 * Result: {"made": n, "refused": [{"line": n, "address": "…", "reason": "…"}, …]}. Fields behind the second colon
 * (uid, gid, home …) are Dovecot's own and are left out. */
#include "admin/admin_verbs.h"
#include "auth/auth.h"
#include "base/cleanup.h"
#include "store/store.h"

struct import {
	struct store_new_account *list;
	json_int_t *line;
	size_t n;
	json_t *refused;
};

static void refuse(struct import *im, json_int_t line, slice address, const char *reason)
{
	json_array_append_new(im->refused, json_pack("{s:I, s:o, s:o}", "line", line, "address", admin_text(address),
						     "reason", admin_text(slice_str(reason))));
}

static void take_line(const struct admin_ctx *ctx, struct import *im, json_int_t number, slice text, struct arena *a)
{
	struct err e = { 0 };
	slice rest = slice_trim(text), address = slice_cut(&rest, ':'), secret = rest;
	/* A crypt or argon2 hash holds no colon; a {PLAIN} password may, so it goes up to Dovecot's empty fields. */
	if (!slice_istarts(secret, SL("{PLAIN}")))
		secret = slice_cut(&rest, ':');
	else
		secret = slice_sub(secret, 0, slice_find(secret, SL("::"), 0));
	slice verifier;
	if (secret.n == 0)
		refuse(im, number, address, "no password: expected user@domain:{SCHEME}hash");
	else if (auth_import_verifier(ctx->auth, secret, true, a, &verifier, &e) != ST_OK)
		refuse(im, number, address, e.text);
	else {
		im->list[im->n] = (struct store_new_account){ .address = address, .verifier = verifier };
		im->line[im->n++] = number;
	}
}

static const char *refusal(enum err_code code)
{
	switch ((int)code) {
	case ERR_EXISTS: return "an account or alias has this address already";
	case ERR_NO_DOMAIN: return "its domain does not exist here: facteur domain add";
	case ERR_SYNTAX: return "not a mail address";
	default: return err_name(code);
	}
}

static json_t *import(const struct admin_ctx *ctx, const json_t *args, const json_t *options, struct err *e)
{
	(void)args;
	const json_t *lines = json_object_get(options, "lines"), *l;
	size_t n = json_array_size(lines), i, made = 0;
	AUTO_ARENA a;
	arena_init(&a);
	struct import im = {
		.list = arena_array(&a, n + 1, sizeof(*im.list)),
		.line = arena_array(&a, n + 1, sizeof(*im.line)),
		.refused = json_array(),
	};
	json_array_foreach(lines, i, l) {
		const json_t *text = json_array_get(l, 1);
		take_line(ctx, &im, json_integer_value(json_array_get(l, 0)),
			  slice_make(json_string_value(text), json_string_length(text)), &a);
	}
	if (im.n > 0 && store_account_add_many(ctx->store, im.list, im.n, e) != ST_OK) {
		json_decref(im.refused);
		return NULL;
	}
	for (i = 0; i < im.n; i++) {
		if (im.list[i].result == ERR_NONE)
			made++;
		else
			refuse(&im, im.line[i], im.list[i].address, refusal(im.list[i].result));
	}
	return json_pack("{s:I, s:o}", "made", (json_int_t)made, "refused", im.refused);
}

const struct admin_verb admin_user_import = {
	.noun = "user", .verb = "import", .args = "", .options = "lines", .run = import,
	.help = "make accounts from a file in Dovecot's passwd-file form",
};
