/* Walking the tree that mime_parse.c made. */
#include "mime/mime_parse.h"
#include "base/utf8.h"
#include "mime/mime_header.h"

const struct mime_field *mime_field_next(const struct mime_summary *s,
					 const struct mime_field *after,
					 enum mime_field_kind kind)
{
	const struct mime_field *f = after ? after->next : s->fields;

	while (f && f->kind != kind)
		f = f->next;
	return f;
}

const struct mime_part *mime_part_next(const struct mime_part *p)
{
	if (p->first)
		return p->first;
	while (p && !p->next)
		p = p->parent;
	return p ? p->next : NULL;
}

bool mime_part_is(const struct mime_part *p, const char *type, const char *subtype)
{
	return slice_ieq(p->type, slice_str(type)) &&
	       slice_ieq(p->subtype, slice_str(subtype));
}

slice mime_param_get(const struct mime_param *list, const char *name)
{
	slice want = slice_str(name);

	for (; list; list = list->next)
		if (slice_ieq(list->name, want))
			return list->value;
	return (slice){ NULL, 0 };
}

/* RFC 2183 2.3: only the last component of a path, and nothing that could hide the
 * name's end. */
static slice safe_name(struct arena *a, slice name)
{
	size_t from = 0, n = 0, at = 0;
	char *out = arena_alloc(a, name.n + 1);

	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] == '/' || name.p[i] == '\\')
			from = i + 1;
	at = from;
	while (at < name.n) {
		size_t start = at;
		int32_t cp = utf8_next(name, &at);

		/* Controls, and the characters that reorder text: "exe.gpj" must not
		 * look like "jpg.exe". */
		if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0) ||
		    (cp >= 0x202a && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069) ||
		    cp == 0x200e || cp == 0x200f)
			continue;
		memcpy(out + n, name.p + start, at - start);
		n += at - start;
	}
	return slice_trim((slice){ out, n });
}

slice mime_part_filename(struct arena *a, const struct mime_part *p)
{
	slice name = mime_param_text(a, p->disposition_params, "filename");

	if (!name.n)
		name = mime_param_text(a, p->params, "name");
	return mime_has(name) ? safe_name(a, name) : name;
}
