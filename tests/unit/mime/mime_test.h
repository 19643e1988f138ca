#pragma once
/* mime_test.h — what the tests of mime/ share: corpus files, exact-size copies, digests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <dirent.h>
#include "base/alloc.h"
#include "base/cleanup.h"
#include "mime/mime_digest.h"
#include "mime/mime_header.h"
#include "mime/mime_imap.h"
#include "mime/mime_parse.h"
#include "mime/mime_write.h"

#define CORPUS "tests/corpus/mime"

/* A heap copy of exactly s.n octets: a read beyond it is seen by ASan (HAZARDS 13). */
static inline slice exact(slice s)
{
	char *p = malloc(s.n ? s.n : 1);

	assert_non_null(p);
	if (s.n)
		memcpy(p, s.p, s.n);
	return (slice){ p, s.n };
}

static inline void exact_free(slice s)
{
	free((void *)(uintptr_t)s.p);
}

static inline slice read_file(const char *dir, const char *name)
{
	char path[512];
	FILE *f;
	char *p = NULL;
	size_t n = 0, got;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "rb");
	assert_non_null(f);
	do {
		p = realloc(p, n + 65536);
		assert_non_null(p);
		got = fread(p + n, 1, 65536, f);
		n += got;
	} while (got);
	fclose(f);
	slice s = exact((slice){ p, n });

	free(p);
	return s;
}

/* Calls fn for every corpus file; returns how many there were. */
static inline size_t for_corpus(void (*fn)(const char *name, slice message))
{
	DIR *d = opendir(CORPUS);
	struct dirent *e;
	size_t n = 0;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		if (!slice_ends(slice_str(e->d_name), SL(".eml")))
			continue;
		slice s = read_file(CORPUS, e->d_name);

		fn(e->d_name, s);
		exact_free(s);
		n++;
	}
	closedir(d);
	return n;
}

/* The digest of a message fed in the chunks that end at cuts[0..n) and the end. */
static inline void digest_cut(slice message, const size_t *cuts, size_t n, struct buf *out)
{
	AUTO_ARENA a = { 0 };
	struct mime_parser *p = mime_parser_new(&a);
	size_t from = 0;

	for (size_t i = 0; i <= n; i++) {
		size_t to = i < n ? cuts[i] : message.n;
		slice chunk = exact(slice_sub(message, from, to - from));

		mime_parser_feed(p, chunk);
		exact_free(chunk); /* the tree must not borrow it */
		from = to;
	}
	assert_int_equal(mime_parser_octets(p), message.n);
	mime_digest_write(mime_parser_finish(p), out);
}

static inline void digest_of(slice message, struct buf *out)
{
	buf_init(out, MIME_DIGEST_MAX);
	digest_cut(message, NULL, 0, out);
	assert_false(out->full);
}

static inline void assert_slice(slice got, const char *want)
{
	if (!slice_eq(got, slice_str(want)))
		fail_msg("got  [%.*s]\n             want [%s]", FMT(got), want);
}
