/* cli_options.c — options of a command line against the table of verbs. */
#include "cli/cli.h"

const char *cli_option(const struct cli_call *call, const char *name)
{
	for (size_t i = 0; i < call->n_options; i++)
		if (slice_eq(call->option[i].name, slice_str(name)))
			return call->option[i].value;
	return NULL;
}

static bool find(const struct admin_verb *v, slice name, struct admin_option *out)
{
	slice rest = slice_str(v->options);
	while (admin_option_next(&rest, out))
		if (!out->is_internal && slice_eq(out->name, name))
			return true;
	return false;
}

/* Empty when none is near: a guess that shares nothing with the word misleads. */
static slice nearest(const struct admin_verb *v, slice name)
{
	slice rest = slice_str(v->options), best = SL("");
	size_t best_d = name.n / 2 + 1;
	struct admin_option o;
	while (admin_option_next(&rest, &o)) {
		size_t d = slice_distance(o.name, name);
		if (!o.is_internal && d < best_d) {
			best_d = d;
			best = o.name;
		}
	}
	return best;
}

static bool unknown(const struct admin_verb *v, slice name)
{
	slice near = nearest(v, name);
	const char *blank = v->verb[0] != '\0' ? " " : "";
	if (near.n > 0)
		fprintf(stderr,
			"facteur: %s%s%s has no option --%.*s; did you mean --%.*s?\n",
			v->noun, blank, v->verb, FMT(name), FMT(near));
	else
		fprintf(stderr,
			"facteur: %s%s%s has no option --%.*s (facteur %s%s%s --help)\n",
			v->noun, blank, v->verb, FMT(name), v->noun, blank, v->verb);
	return false;
}

static bool wrong(slice name, const char *why)
{
	fprintf(stderr, "facteur: --%.*s %s\n", FMT(name), why);
	return false;
}

bool cli_option_take(struct cli_call *call, const struct admin_verb *v, int argc,
		     char **argv, int *i)
{
	struct admin_option o;
	slice word = slice_str(argv[*i]);
	bool has_value = slice_chr(word, '=', 0) < word.n;
	if (v == NULL || !slice_starts(word, SL("--"))) {
		fprintf(stderr,
			"facteur: unknown option %s (facteur --help lists them; those of a "
			"command go behind it)\n",
			argv[*i]);
		return false;
	}
	slice rest = slice_from(word, 2), name = slice_cut(&rest, '=');
	if (!find(v, name, &o))
		return unknown(v, name);
	if (!o.takes_value && has_value)
		return wrong(name, "takes no value");
	if (o.takes_value && !has_value && *i + 1 >= argc)
		return wrong(name, "needs a value");
	for (size_t k = 0; k < call->n_options; k++)
		if (slice_eq(call->option[k].name, name))
			return wrong(name, "is given twice");
	if (call->n_options == CLI_OPTIONS)
		return wrong(name, "is one option too many");
	call->option[call->n_options].name = o.name;
	call->option[call->n_options++].value = !o.takes_value ? ""
						: has_value    ? rest.p
							       : argv[++*i];
	return true;
}

static json_t *option_value(const struct admin_option *o, const char *value)
{
	return o->takes_value ? json_string(value) : json_true();
}

json_t *cli_request(const struct cli_call *call)
{
	json_t *args = json_array(), *options = json_object();
	bool ok = true;
	struct admin_option o;
	for (size_t i = 0; i < call->n_args; i++)
		ok = json_array_append_new(args, json_string(call->args[i])) == 0 && ok;
	for (size_t i = 0; i < call->n_options; i++) {
		if (!find(call->verb, call->option[i].name, &o) || o.is_local)
			continue;
		ok = json_object_setn_new(options, o.name.p, o.name.n,
					  option_value(&o, call->option[i].value)) == 0 &&
		     ok;
	}
	json_t *request = json_pack("{s:s, s:s, s:o, s:o}", "noun", call->verb->noun,
				    "verb", call->verb->verb, "args", args, "options",
				    options);
	if (ok)
		return request;
	fputs("facteur: arguments must be UTF-8\n", stderr);
	json_decref(request);
	return NULL;
}
