/* admin.c — the table of verbs, and the check of a request against it. */
#include "admin/admin.h"
#include "admin/admin_verbs.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/utf8.h"
#include "transfer/frame.h"

const struct admin_verb *const admin_verbs[] = {
	&admin_domain_add,     &admin_domain_list,
	&admin_domain_remove,  &admin_user_add,
	&admin_user_passwd,    &admin_user_rename,
	&admin_user_disable,   &admin_user_enable,
	&admin_user_list,      &admin_user_language,
	&admin_user_remove,    &admin_user_removed,
	&admin_user_undelete,  &admin_user_import,
	&admin_alias_add,      &admin_alias_list,
	&admin_alias_remove,   &admin_mailbox_list,
	&admin_mailbox_expire, &admin_mailbox_undelete,
	&admin_quota_set,      &admin_quota_show,
	&admin_quota_list,     &admin_queue_list,
	&admin_backup,	       &admin_backup_list,
	&admin_backup_verify,  &admin_restore,
	&admin_check_verb,     &admin_export,
	&admin_import,	       &admin_who,
	&admin_kick,	       NULL,
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

bool admin_switch(const json_t *options, const char *name)
{
	return json_is_true(json_object_get(options, name));
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

json_t *admin_error_reply(const struct err *e)
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

size_t admin_args_max(const struct admin_verb *v)
{
	size_t n = 0;
	for (slice rest = slice_str(v->args); rest.n > 0; n++) {
		slice word = slice_cut(&rest, ' ');
		if (slice_ends(word, SL("...")) || slice_ends(word, SL("...]")))
			return SIZE_MAX;
	}
	return n;
}

bool admin_option_next(slice *rest, struct admin_option *out)
{
	if (rest->n == 0)
		return false;
	slice word = slice_cut(rest, ' ');
	bool is_needed = slice_starts(word, SL("!"));
	if (is_needed)
		word = slice_from(word, 1);
	*out = (struct admin_option){ .is_needed = is_needed,
				      .is_internal = slice_starts(word, SL("@")),
				      .is_local = slice_starts(word, SL(":")) };
	if (out->is_internal || out->is_local)
		word = slice_from(word, 1);
	out->takes_value = slice_chr(word, '=', 0) < word.n;
	out->name = slice_cut(&word, '=');
	out->value = word;
	return true;
}

static bool option_is_fair(const struct admin_verb *v, slice name, const json_t *value)
{
	slice rest = slice_str(v->options);
	struct admin_option o;
	while (admin_option_next(&rest, &o))
		if (slice_eq(o.name, name) && !o.is_local)
			return o.is_internal   ? true
			       : o.takes_value ? json_is_string(value)
					       : json_is_boolean(value);
	return false;
}

static bool options_are_fair(const struct admin_verb *v, const json_t *options,
			     struct err *e)
{
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)options, key, value)
	{
		if (!option_is_fair(v, slice_str(key), value)) {
			err_set(e, ERR_SYNTAX, "%s%s%s has no option --%s of that kind",
				v->noun, v->verb[0] ? " " : "", v->verb, key);
			return false;
		}
	}
	return true;
}

const struct admin_verb *admin_check(const json_t *request, struct err *e)
{
	const char *noun = json_string_value(json_object_get(request, "noun"));
	const char *verb = json_string_value(json_object_get(request, "verb"));
	const json_t *args = json_object_get(request, "args");
	const struct admin_verb *v = admin_find(slice_str(noun), slice_str(verb));
	if (v == NULL) {
		err_set(e, ERR_SYNTAX, "unknown command: %s %s", noun ? noun : "",
			verb ? verb : "");
		return NULL;
	}
	if (!json_is_array(args) || json_array_size(args) < v->n_args ||
	    json_array_size(args) > admin_args_max(v) || !args_are_clean(args)) {
		err_set(e, ERR_SYNTAX, "usage: facteur %s %s %s", v->noun, v->verb,
			v->args);
		return NULL;
	}
	return options_are_fair(v, json_object_get(request, "options"), e) ? v : NULL;
}

json_t *admin_run(const struct admin_ctx *ctx, const json_t *request)
{
	struct err e = { 0 };
	const struct admin_verb *v = admin_check(request, &e);
	if (v != NULL && v->run == NULL)
		err_set(&e, ERR_CANNOT, "%s speaks in frames", v->noun);
	else if (v != NULL) {
		json_t *result = v->run(ctx, json_object_get(request, "args"),
					json_object_get(request, "options"), &e);
		if (result != NULL)
			return json_pack("{s:b, s:o}", "ok", 1, "result", result);
	}
	return admin_error_reply(&e);
}

json_t *admin_stream_reply(void)
{
	return json_pack("{s:b, s:{s:b}}", "ok", 1, "result", "stream", 1);
}

enum status admin_serve(const struct admin_ctx *ctx, const struct admin_verb *v,
			const json_t *request, int fd, const _Atomic bool *stop,
			struct err *e)
{
	struct err why = { 0 };
	enum status st = v->serve(ctx, json_object_get(request, "args"),
				  json_object_get(request, "options"), fd, stop, &why);
	if (st != ST_OK) {
		frame_send_error(fd, &why);
		*e = why;
	}
	return st;
}
