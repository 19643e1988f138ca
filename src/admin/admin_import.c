/* admin_import.c — user import: accounts in bulk, in Dovecot's passwd-file form.
 *
 * The command reads the file and sends its lines in parts: options.lines = [[number,
 * "user@domain:{SCHEME}hash:…"], …]. Result: {"made": n, "refused": [{"line": n,
 * "address": "…", "reason": "…"}, …]}, in the order of the lines. Fields behind the
 * password (uid, gid, home …) are Dovecot's own and are left out. */
#include "admin/admin_verbs.h"
#include "auth/auth.h"
#include "base/cleanup.h"
#include "store/store.h"

struct line {
	json_int_t number;
	slice address;
	slice verifier;	    /* empty: refused */
	const char *reason; /* then: why; NULL: the store decides */
	struct store_new_account *account;
};

/* As Dovecot reads it, a password ends at the colon. A {PLAIN} one that was meant to
 * hold a colon would be cut off silently, so what follows must look like Dovecot's uid
 * field. */
static bool has_fair_rest(slice secret, slice rest, bool has_rest)
{
	bool plain = slice_istarts(secret, SL("{PLAIN}")) ||
		     slice_istarts(secret, SL("{CLEAR}")) ||
		     slice_istarts(secret, SL("{CLEARTEXT}"));
	slice uid = slice_cut(&rest, ':');
	uint64_t v;
	return !plain || !has_rest || uid.n == 0 || slice_u64(uid, UINT32_MAX, &v);
}

static void take_line(const struct admin_ctx *ctx, struct line *l, slice text,
		      struct arena *a)
{
	struct err e = { 0 };
	slice rest = slice_trim(text);
	l->address = slice_cut(&rest, ':');
	bool has_rest = slice_chr(rest, ':', 0) < rest.n;
	slice secret = slice_cut(&rest, ':');
	if (secret.n == 0)
		l->reason = "no password: expected user@domain:{SCHEME}hash";
	else if (!has_fair_rest(secret, rest, has_rest))
		l->reason = "a {PLAIN} password cannot hold a colon here: use a hash";
	else if (auth_import_verifier(ctx->auth, secret, true, a, &l->verifier, &e) !=
		 ST_OK) {
		l->reason = arena_dup(a, slice_str(e.text)).p;
		l->verifier = SL("");
	}
}

static const char *refusal(enum err_code code)
{
	switch ((int)code) {
	case ERR_EXISTS:
		return "an account or alias has this address already";
	case ERR_NO_DOMAIN:
		return "its domain does not exist here: facteur domain add";
	case ERR_SYNTAX:
		return "not a mail address";
	default:
		return err_name(code);
	}
}

static json_t *report(const struct line *lines, size_t n)
{
	json_t *refused = json_array();
	size_t made = 0;
	for (size_t i = 0; i < n; i++) {
		const struct line *l = &lines[i];
		const char *reason = l->reason;
		if (l->account != NULL && l->account->result != ERR_NONE)
			reason = refusal(l->account->result);
		if (reason == NULL) {
			made++;
			continue;
		}
		json_array_append_new(refused,
				      json_pack("{s:I, s:o, s:o}", "line", l->number,
						"address", admin_text(l->address),
						"reason", admin_text(slice_str(reason))));
	}
	return json_pack("{s:I, s:o}", "made", (json_int_t)made, "refused", refused);
}

static json_t *import(const struct admin_ctx *ctx, const json_t *args,
		      const json_t *options, struct err *e)
{
	(void)args;
	const json_t *given = json_object_get(options, "lines"), *l;
	size_t n = json_array_size(given), i, wanted = 0;
	AUTO_ARENA a;
	arena_init(&a);
	struct line *lines = arena_array(&a, n + 1, sizeof(*lines));
	struct store_new_account *list = arena_array(&a, n + 1, sizeof(*list));
	json_array_foreach(given, i, l)
	{
		const json_t *text = json_array_get(l, 1);
		lines[i].number = json_integer_value(json_array_get(l, 0));
		take_line(ctx, &lines[i],
			  slice_make(json_string_value(text), json_string_length(text)),
			  &a);
		if (lines[i].reason != NULL)
			continue;
		list[wanted] = (struct store_new_account){ lines[i].address,
							   lines[i].verifier, ERR_NONE };
		lines[i].account = &list[wanted++];
	}
	if (wanted > 0 && store_account_add_many(ctx->store, list, wanted, e) != ST_OK)
		return NULL;
	return report(lines, n);
}

const struct admin_verb admin_user_import = {
	.noun = "user",
	.verb = "import",
	.args = "",
	.options = "@lines",
	.run = import,
	.help = "make accounts from a file in Dovecot's passwd-file form (- is stdin)",
};
