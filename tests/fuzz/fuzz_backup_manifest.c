/* fuzz_backup_manifest.c — what a backup says of itself: whatever MANIFEST and the list of secrets hold, no path leads
 * out, and what was taken is written back as a MANIFEST that is taken again. */
#include "backup/backup.h"
#include "base/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void must_stay_inside(slice path)
{
	must(path.n > 0 && path.p[0] != '/' && slice_chr(path, '\0', 0) == path.n);
	while (path.n > 0) {
		slice c = slice_cut(&path, '/');

		must(c.n > 0 && !slice_eq(c, SL(".")) && !slice_eq(c, SL("..")));
	}
}

static void again(const struct backup_manifest *m)
{
	AUTO_BUF text = { 0 };
	AUTO_BUF end = { 0 };
	struct backup_manifest r;

	buf_init(&text, 1u << 24);
	buf_init(&end, 1u << 10);
	backup_manifest_head(m, &text);
	for (size_t i = 0; i < m->n; i++)
		backup_manifest_line(&m->file[i], &text);
	backup_manifest_end(m, buf_slice(&text), &end);
	buf_add(&text, buf_slice(&end));
	must(!text.full);
	backup_manifest_init(&r);
	must(backup_manifest_parse(&r, buf_slice(&text), false, NULL) == ST_OK);
	must(r.finished && r.n == m->n && r.bytes == m->bytes && r.made == m->made);
	backup_manifest_done(&r);
}

static void manifest(slice s)
{
	struct backup_manifest m;

	backup_manifest_init(&m);
	if (backup_manifest_parse(&m, s, true, NULL) == ST_OK) {
		for (size_t i = 0; i < m.n; i++) {
			must_stay_inside(m.file[i].path);
			must(backup_manifest_find(&m, m.file[i].path) == &m.file[i]);
		}
		again(&m);
	}
	backup_manifest_done(&m);
}

static void secrets(slice s)
{
	struct rd r = rd_init(s);
	struct backup_secret x;
	bool bad;

	while (backup_secret_read(&r, &x, &bad)) {
		bool outside = x.kind == SECRET_OUTSIDE;

		must(!outside || x.path.p[0] == '/');
		must_stay_inside(outside ? slice_from(x.path, 1) : x.path);
		must(x.mode <= 0777);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	slice s = slice_make(data, n);

	manifest(s);
	secrets(s);
	return 0;
}
