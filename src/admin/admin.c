/* admin.c — the table of verbs, and the check of a request against it. */
#include "admin/admin.h"
#include "admin/admin_verbs.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/utf8.h"

const struct admin_verb *const admin_verbs[] = {
	&admin_domain_add,
	&admin_domain_list,
	&admin_domain_remove,
	&admin_user_add,
	&admin_user_passwd,
	&admin_user_rename,
	&admin_user_disable,
	&admin_user_enable,
	&admin_user_list,
	&admin_user_remove,
	&admin_user_import,
	&admin_alias_add,
	&admin_alias_list,
	&admin_alias_remove,
	&admin_mailbox_list,
	&admin_queue_list,
	&admin_who,
	&admin_kick,
	NULL,
};

const struct admin_verb *admin_find(slice noun, slice verb)
{
	for (size_t i = 0; admin_verbs[i] != NULL; i++) {
		const struct admin_verb *v = admin_verbs[i];
		if (slice_eq(noun, slice_str(v->noun)) &&
		    slice_eq(verb, slice_str(v->verb)))
			return v;
	}
	return NULL;
}

slice admin_arg(const json_t *args, size_t i)
{
	const json_t *v = json_array_get(args, i);
	return slice_make(json_string_value(v), json_string_length(v));
}

slice admin_option(const json_t *options, const char *name)
{
	const json_t *v = json_object_get(options, name);
	if (!json_is_string(v))
		return SL("");
	return slice_make(json_string_value(v), json_string_length(v));
}

json_t *admin_text(slice s)
{
	if (utf8_is_valid(s))
		return json_stringn(s.n > 0 ? s.p : "",
				    s.n); /* NULL would give no value at all */
	AUTO_BUF b;
	buf_init(&b, 4 * s.n + 4);
	for (size_t at = 0; at < s.n;) {
		size_t from = at;
		if (utf8_next(s, &at) < 0)
			buf_adds(&b, "\xEF\xBF\xBD");
		else
			buf_add(&b, slice_sub(s, from, at - from));
	}
	return json_stringn(b.p ? b.p : "", b.n);
}

static json_t *reply_error(const struct err *e)
{
	return json_pack("{s:b, s:s, s:o}", "ok", 0, "code", err_name(e->code), "error",
			 admin_text(slice_str(e->text)));
}

/* Every argument is a string without control characters: they end in rows, logs and
 * tables. */
static bool args_are_clean(const json_t *args)
{
	size_t i;
	const json_t *v;
	json_array_foreach(args, i, v)
	{
		if (!json_is_string(v))
			return false;
		slice s = slice_make(json_string_value(v), json_string_length(v));
		for (size_t k = 0; k < s.n; k++)
			if ((unsigned char)s.p[k] < 32 || s.p[k] == 127)
				return false;
	}
	return true;
}

static bool options_are_known(const struct admin_verb *v, const json_t *options,
			      struct err *e)
{
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)options, key, value)
	{
		slice rest = slice_str(v->options);
		bool known = false;
		while (rest.n > 0 && !known)
			known = slice_eq(slice_cut(&rest, ' '), slice_str(key));
		if (!known) {
			err_set(e, ERR_SYNTAX, "%s %s has no option --%s", v->noun,
				v->verb, key);
			return false;
		}
	}
	return true;
}

json_t *admin_run(const struct admin_ctx *ctx, const json_t *request)
{
	struct err e = { 0 };
	const char *noun = json_string_value(json_object_get(request, "noun"));
	const char *verb = json_string_value(json_object_get(request, "verb"));
	const json_t *args = json_object_get(request, "args");
	const json_t *options = json_object_get(request, "options");
	const struct admin_verb *v = admin_find(slice_str(noun), slice_str(verb));
	if (v == NULL)
		err_set(&e, ERR_SYNTAX, "unknown command: %s %s", noun ? noun : "",
			verb ? verb : "");
	else if (!json_is_array(args) || json_array_size(args) != v->n_args ||
		 !args_are_clean(args))
		err_set(&e, ERR_SYNTAX, "usage: facteur %s %s %s", v->noun, v->verb,
			v->args);
	else if (options_are_known(v, options, &e)) {
		json_t *result = v->run(ctx, args, options, &e);
		if (result != NULL)
			return json_pack("{s:b, s:o}", "ok", 1, "result", result);
	}
	return reply_error(&e);
}
