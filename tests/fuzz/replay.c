/* replay.c — main() of a fuzz target without libFuzzer: the corpus is fed once, for every compiler.
 *
 * The program's name says the corpus: fuzz_mime_parse reads tests/fuzz/corpus/mime_parse/. Each file is given
 * whole, and every prefix of it, in heap memory of exactly its size, so that the address sanitizer sees one byte
 * too many (HAZARDS 13). Prefixes of files above 4 KiB are taken in strides. */
#include "base/alloc.h"
#include "base/io.h"
#include <dirent.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void feed(slice s)
{
	uint8_t *exact = s.n ? mem_grow(NULL, s.n, 1) : NULL;

	if (s.n)
		memcpy(exact, s.p, s.n);
	LLVMFuzzerTestOneInput(exact, s.n);
	mem_free(exact);
}

static bool replay_file(const char *path)
{
	struct buf b;
	struct err e;

	buf_init(&b, 16u << 20);
	if (io_read_file(path, 16u << 20, &b, &e) != ST_OK) {
		fprintf(stderr, "%s\n", e.text);
		buf_done(&b);
		return false;
	}
	size_t stride = b.n / 4096 + 1;

	for (size_t n = 0; n < b.n; n += stride)
		feed(slice_sub(buf_slice(&b), 0, n));
	feed(buf_slice(&b));
	buf_done(&b);
	return true;
}

int main(int argc, char **argv)
{
	char dir[512], path[1024];
	slice name = slice_str(argv[0]);
	size_t files = 0;
	bool ok = true;

	name = slice_from(
		name, slice_find(name, SL("fuzz_"), slice_rchr(name, '/') % name.n) + 5);
	snprintf(dir, sizeof(dir), "tests/fuzz/corpus/%.*s", FMT(name));
	if (argc > 1)
		snprintf(dir, sizeof(dir), "%s", argv[1]);
	DIR *d = opendir(dir);

	if (!d) {
		fprintf(stderr, "no corpus: %s\n", dir);
		return 1;
	}
	for (struct dirent *ent; (ent = readdir(d)) != NULL;) {
		if (ent->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, ent->d_name);
		fprintf(stderr, "%s\n",
			path); /* the last one named is the one that crashed */
		ok = replay_file(path) && ok;
		files++;
	}
	closedir(d);
	if (files == 0)
		fprintf(stderr, "empty corpus: %s\n", dir);
	return ok && files > 0 ? 0 : 1;
}
