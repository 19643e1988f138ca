/* cli_print.c — results as tables, lines or JSON. */
#include "base/cleanup.h"
#include "base/utf8.h"
#include "cli/cli.h"

#define COLUMNS_MAX 12

/* Names of mailboxes and addresses come from outside; a terminal obeys control
 * characters. */
static void add_clean(struct buf *out, slice s)
{
	for (size_t at = 0; at < s.n;) {
		size_t from = at;
		int32_t c = utf8_next(s, &at);
		if (c < 32 || (c >= 127 && c < 160))
			buf_addc(out, '?');
		else
			buf_add(out, slice_sub(s, from, at - from));
	}
}

void cli_put_clean(FILE *f, slice s)
{
	AUTO_BUF b;
	buf_init(&b, 4 * s.n + 4);
	add_clean(&b, s);
	fprintf(f, "%.*s", FMT(buf_slice(&b)));
}

static void value_text(const json_t *v, struct buf *out)
{
	buf_reset(out);
	if (json_is_string(v))
		add_clean(out, slice_make(json_string_value(v), json_string_length(v)));
	else if (json_is_boolean(v))
		buf_adds(out, json_is_true(v) ? "yes" : "-");
	else if (json_is_integer(v))
		buf_addf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	else if (json_is_array(v)) {
		size_t i;
		const json_t *item;
		json_array_foreach(v, i, item)
		{
			buf_adds(out, i > 0 ? ", " : "");
			add_clean(out, slice_make(json_string_value(item),
						  json_string_length(item)));
		}
	}
	if (out->n == 0)
		buf_adds(out, "-");
}

/* Code points: good enough for a column's width. */
static size_t width_of(slice s)
{
	size_t n = 0;
	for (size_t at = 0; at < s.n; n++)
		utf8_next(s, &at);
	return n;
}

static void print_cell(slice text, size_t width, bool right, bool last)
{
	size_t w = width_of(text), pad = w < width ? width - w : 0;
	if (right)
		printf("%*s", (int)pad, "");
	printf("%.*s", FMT(text));
	if (last)
		putchar('\n');
	else
		printf("%*s", (int)(right ? 2 : pad + 2), "");
}

static void print_table(const json_t *rows, const char *columns)
{
	slice names[COLUMNS_MAX], rest = slice_str(columns);
	size_t width[COLUMNS_MAX], n = 0, i;
	bool right[COLUMNS_MAX] = { false };
	const json_t *row;
	AUTO_BUF b;
	buf_init(&b, 1u << 20);
	while (rest.n > 0 && n < COLUMNS_MAX)
		names[n++] = slice_cut(&rest, ' ');
	for (size_t c = 0; c < n; c++) {
		width[c] = names[c].n;
		json_array_foreach(rows, i, row)
		{
			const json_t *v = json_object_getn(row, names[c].p, names[c].n);
			value_text(v, &b);
			right[c] |= json_is_integer(v);
			size_t w = width_of(buf_slice(&b));
			width[c] = w > width[c] ? w : width[c];
		}
	}
	for (size_t c = 0; c < n; c++)
		print_cell(names[c], width[c], right[c], c + 1 == n);
	json_array_foreach(rows, i, row)
	{
		for (size_t c = 0; c < n; c++) {
			value_text(json_object_getn(row, names[c].p, names[c].n), &b);
			print_cell(buf_slice(&b), width[c], right[c], c + 1 == n);
		}
	}
}

void cli_print(const struct cli *c, const json_t *result, const char *columns)
{
	const char *key;
	json_t *v;
	if (c->json) {
		json_dumpf(result, stdout, JSON_COMPACT);
		putchar('\n');
		return;
	}
	if (columns != NULL && json_is_array(result)) {
		print_table(result, columns);
		return;
	}
	AUTO_BUF b;
	buf_init(&b, 1u << 20);
	json_object_foreach((json_t *)(uintptr_t)result, key, v)
	{
		value_text(v, &b);
		printf("%s: %.*s\n", key, FMT(buf_slice(&b)));
	}
}
