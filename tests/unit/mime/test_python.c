/* The corpus as another parser reads it: python.facts is written by compare_python.py from Python's email package. */
#include "mime_test.h"

static void lower(struct buf *b, slice s)
{
	for (size_t i = 0; i < s.n; i++)
		buf_addc(b, ascii_lower(s.p[i]));
}

static void open_part(struct buf *b, const struct mime_part *p)
{
	if (p->parent && p != p->parent->first)
		buf_addc(b, ' ');
	lower(b, p->type);
	buf_addc(b, '/');
	lower(b, p->subtype);
	if (p->kind == MIME_LEAF)
		buf_addf(b, "[%llu]", (unsigned long long)p->body_len);
	else
		buf_addc(b, '(');
}

static void shape(struct buf *b, const struct mime_part *root)
{
	for (const struct mime_part *p = root, *next; p; p = next) {
		open_part(b, p);
		next = mime_part_next(p);
		/* close what ends between this part and the next */
		for (const struct mime_part *up = p;
		     !p->first && up && up->parent && !up->next; up = up->parent)
			buf_addc(b, ')');
	}
}

static void people(struct buf *b, const struct mime_summary *s, enum mime_field_kind kind)
{
	const struct mime_field *f = NULL;

	while ((f = mime_field_next(s, f, kind)) != NULL) {
		AUTO_ARENA a = { 0 };
		struct mime_addr_iter it = mime_addr_iter(f->value);
		struct mime_addr x;

		while (mime_addr_next(&it, &a, &x)) {
			if (x.kind != MIME_ADDR_MAILBOX || !x.domain.n)
				continue;
			if (b->p[b->n - 2] != '|')
				buf_addc(b, ' ');
			mime_addr_spec_write(b, &x);
		}
	}
}

static void facts(struct buf *b, slice name, slice m)
{
	AUTO_ARENA a = { 0 };
	const struct mime_part *root = mime_parse(&a, m);

	buf_add(b, name);
	buf_addc(b, ' ');
	shape(b, root);
	buf_adds(b, " | ");
	buf_add(b, root->summary->subject);
	buf_adds(b, " | ");
	people(b, root->summary, MIME_F_FROM);
	people(b, root->summary, MIME_F_TO);
}

static void structure_and_addresses_agree_with_python(void **state)
{
	slice all = read_file(CORPUS, "python.facts"), rest = all;
	size_t n = 0;

	(void)state;
	while (rest.n) {
		slice line = slice_cut(&rest, '\n');
		slice name = slice_sub(line, 0, slice_chr(line, ' ', 0));
		char file[256];
		AUTO_BUF b;

		snprintf(file, sizeof(file), "%.*s.eml", FMT(name));
		slice m = read_file(CORPUS, file);

		buf_init(&b, 1 << 20);
		facts(&b, name, m);
		if (!slice_eq(buf_slice(&b), line))
			fail_msg("\n we: %.*s\n py: %.*s", FMT(buf_slice(&b)), FMT(line));
		exact_free(m);
		n++;
	}
	assert_true(n >= 10);
	exact_free(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(structure_and_addresses_agree_with_python),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
