/* backup_manifest.c — MANIFEST: written line by line, read with suspicion.
 *
 *	facteur backup 1
 *	made 1795390200
 *	program 0.1.0
 *	life 32 hex digits, or -
 *	ids EPOCH UIDVALIDITY
 *	holds ACCOUNTS MESSAGES
 *	user NAME, or -
 *	file SHA256 SIZE MTIME_NS PATH
 *	end FILES OCTETS SHA256-of-all-above */
#include "backup/backup.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/limits.h"
#include <openssl/evp.h>

#define FIRST	  "facteur backup 1"
#define FIRST_ANY "facteur backup "
#define PATH_MOST 200

void backup_manifest_init(struct backup_manifest *m)
{
	*m = (struct backup_manifest){ 0 };
	arena_init(&m->a);
}

void backup_manifest_done(struct backup_manifest *m)
{
	mem_free(m->file);
	mem_free(m->order);
	arena_release(&m->a);
	*m = (struct backup_manifest){ 0 };
}

static bool is_name(slice s)
{
	if (s.n == 0 || s.n > PATH_MOST || s.p[0] == '.')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_alpha(s.p[i]) && !is_digit(s.p[i]) && s.p[i] != '.' &&
		    s.p[i] != '-' && s.p[i] != '_')
			return false;
	return true;
}

bool backup_path_is_ok(slice path)
{
	slice rest = path;

	if (slice_eq(path, SL("FORMAT")) || slice_eq(path, SL(BACKUP_SECRETS)))
		return true;
	slice dir = slice_cut(&rest, '/');

	return (slice_eq(dir, SL("meta")) || slice_eq(dir, SL("bodies"))) &&
	       is_name(rest);
}

/* --- writing -------------------------------------------------------------------------- */
static void put_hex(struct buf *b, const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_addf(b, "%02x", p[i]);
}

void backup_manifest_head(const struct backup_manifest *m, struct buf *out)
{
	buf_addf(out, FIRST "\nmade %lld\nprogram %.*s\nlife %s\n", (long long)m->made,
		 FMT(m->program), m->life[0] ? m->life : "-");
	buf_addf(out, "ids %u %u\nholds %llu %llu\nuser %.*s\n", m->epoch, m->uidvalidity,
		 (unsigned long long)m->accounts, (unsigned long long)m->messages,
		 FMT(m->user.n ? m->user : SL("-")));
}

void backup_manifest_line(const struct backup_file *f, struct buf *out)
{
	buf_adds(out, "file ");
	put_hex(out, f->sha, sizeof(f->sha));
	buf_addf(out, " %llu %llu %.*s\n", (unsigned long long)f->size,
		 (unsigned long long)(f->mtime_ns < 0 ? 0 : f->mtime_ns), FMT(f->path));
}

static void hash_of(slice s, unsigned char out[32])
{
	unsigned n = 0;

	if (EVP_Digest(s.p, s.n, out, &n, EVP_sha256(), NULL) != 1 || n != 32)
		abort(); /* OpenSSL without SHA-256: nothing of this program would work */
}

void backup_manifest_end(const struct backup_manifest *m, slice text, struct buf *out)
{
	unsigned char sha[32];

	hash_of(text, sha);
	buf_addf(out, "end %zu %llu ", m->n, (unsigned long long)m->bytes);
	put_hex(out, sha, sizeof(sha));
	buf_addc(out, '\n');
}

void backup_manifest_add(struct backup_manifest *m, const struct backup_file *f)
{
	if (m->n == m->cap) {
		m->cap = m->cap ? m->cap * 2 : 64;
		m->file = mem_grow(m->file, m->cap, sizeof(*m->file));
	}
	m->file[m->n] = *f;
	m->file[m->n++].path = arena_dup(&m->a, f->path);
	m->bytes += f->size;
	mem_free(m->order);
	m->order = NULL;
}

/* --- finding -------------------------------------------------------------------------- */
static int by_path(const void *x, const void *y, void *files)
{
	const struct backup_file *f = files;

	return slice_cmp(f[*(const size_t *)x].path, f[*(const size_t *)y].path);
}

static void sort(struct backup_manifest *m)
{
	m->order = mem_array(m->n + 1, sizeof(*m->order));
	for (size_t i = 0; i < m->n; i++)
		m->order[i] = i;
	qsort_r(m->order, m->n, sizeof(*m->order), by_path, m->file);
}

const struct backup_file *backup_manifest_find(struct backup_manifest *m, slice path)
{
	size_t lo = 0, hi = m->n;

	if (!m->order)
		sort(m);
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		const struct backup_file *f = &m->file[m->order[mid]];
		int c = slice_cmp(path, f->path);

		if (c == 0)
			return f;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

static bool has_doubles(struct backup_manifest *m)
{
	if (!m->order)
		sort(m);
	for (size_t i = 1; i < m->n; i++)
		if (slice_eq(m->file[m->order[i - 1]].path, m->file[m->order[i]].path))
			return true;
	return false;
}

/* --- reading -------------------------------------------------------------------------- */
static int hex_digit(char c)
{
	return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool get_hex(slice s, unsigned char *out, size_t n)
{
	if (s.n != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		int hi = hex_digit(s.p[2 * i]), lo = hex_digit(s.p[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		out[i] = (unsigned char)(hi << 4 | lo);
	}
	return true;
}

/* Two numbers behind a word; max 0: no bound but that of the type. */
static bool two_numbers(slice rest, uint64_t max, uint64_t *x, uint64_t *y)
{
	slice first = slice_cut(&rest, ' ');

	return slice_u64(first, max, x) && slice_u64(rest, max, y);
}

static bool read_file_line(struct backup_manifest *m, slice rest)
{
	struct backup_file f;
	uint64_t mtime;
	slice sha = slice_cut(&rest, ' '), size = slice_cut(&rest, ' '),
	      time = slice_cut(&rest, ' ');

	if (!get_hex(sha, f.sha, sizeof(f.sha)) || !slice_u64(size, INT64_MAX, &f.size) ||
	    !slice_u64(time, INT64_MAX, &mtime) || !backup_path_is_ok(rest))
		return false;
	f.mtime_ns = (int64_t)mtime;
	f.path = rest;
	if (f.size > INT64_MAX - m->bytes)
		return false;
	backup_manifest_add(m, &f);
	return true;
}

static bool read_life(struct backup_manifest *m, slice s)
{
	unsigned char raw[(BACKUP_LIFE_ROOM - 1) / 2];

	if (slice_eq(s, SL("-")))
		return true;
	if (!get_hex(s, raw, sizeof(raw)))
		return false;
	memcpy(m->life, s.p, s.n);
	return true;
}

/* Line `no` of the head; every one at its place. */
static bool read_head_line(struct backup_manifest *m, size_t no, slice line)
{
	static const char *const words[] = { "",    "made",  "program", "life",
					     "ids", "holds", "user" };
	slice rest = line;
	uint64_t x, y;

	if (no == 0)
		return slice_eq(line, SL(FIRST));
	if (!slice_eq(slice_cut(&rest, ' '), slice_str(words[no])) || rest.n == 0 ||
	    rest.n > PATH_MOST)
		return false;
	switch (no) {
	case 1:
		if (!slice_u64(rest, INT64_MAX, &x))
			return false;
		m->made = (int64_t)x;
		return true;
	case 2:
		m->program = arena_dup(&m->a, rest);
		return true;
	case 3:
		return read_life(m, rest);
	case 4:
		if (!two_numbers(rest, UINT32_MAX, &x, &y))
			return false;
		m->epoch = (uint32_t)x;
		m->uidvalidity = (uint32_t)y;
		return true;
	case 5:
		return two_numbers(rest, INT64_MAX, &m->accounts, &m->messages);
	default:
		if (!slice_eq(rest, SL("-")) && !is_name(rest))
			return false;
		m->user = slice_eq(rest, SL("-")) ? SL("") : arena_dup(&m->a, rest);
		return true;
	}
}

static bool read_end(const struct backup_manifest *m, slice rest, slice above)
{
	uint64_t files, bytes;
	unsigned char want[32], is[32];
	slice n = slice_cut(&rest, ' '), all = slice_cut(&rest, ' ');

	if (!slice_u64(n, INT64_MAX, &files) || !slice_u64(all, INT64_MAX, &bytes) ||
	    !get_hex(rest, want, sizeof(want)))
		return false;
	hash_of(above, is);
	return files == m->n && bytes == m->bytes && memcmp(want, is, sizeof(is)) == 0;
}

#define HEAD_LINES 7

/* One line; above: what stands before it. */
static bool read_line(struct backup_manifest *m, size_t no, slice line, slice above)
{
	slice rest = line;

	if (m->finished)
		return false; /* nothing comes behind the end */
	if (no < HEAD_LINES)
		return read_head_line(m, no, line);
	slice word = slice_cut(&rest, ' ');

	if (slice_eq(word, SL("file")))
		return read_file_line(m, rest);
	if (!slice_eq(word, SL("end")) || !read_end(m, rest, above))
		return false;
	m->finished = true;
	return true;
}

enum status backup_manifest_parse(struct backup_manifest *m, slice text, bool partial,
				  struct err *e)
{
	size_t at = 0, no = 0;

	if (slice_starts(text, SL(FIRST_ANY)) && !slice_starts(text, SL(FIRST "\n")))
		return err_set(e, ERR_CANNOT,
			       "this backup was made by a newer Facteur, which has to "
			       "restore it");
	for (; at < text.n; no++) {
		size_t end = slice_chr(text, '\n', at);

		if (end == text.n && partial)
			break; /* torn */
		if (end == text.n || !read_line(m, no, slice_sub(text, at, end - at),
						slice_sub(text, 0, at)))
			return err_set(e, ERR_CORRUPT, "MANIFEST is damaged (line %zu)",
				       no + 1);
		at = end + 1;
	}
	if (no < HEAD_LINES || (!partial && !m->finished))
		return err_set(e, ERR_CORRUPT,
			       "MANIFEST has no end: the backup was not finished");
	if (has_doubles(m))
		return err_set(e, ERR_CORRUPT,
			       "MANIFEST is damaged: it names a file twice");
	return ST_OK;
}

enum status backup_manifest_read(struct backup_manifest *m, const char *dir, bool partial,
				 struct err *e)
{
	AUTO_BUF b = { 0 };
	AUTO_ARENA a = { 0 };
	const char *path = arena_fmt(&a, "%s/" BACKUP_MANIFEST, dir).p;
	struct err why = { 0 };

	buf_init(&b, LIMIT_BACKUP_MANIFEST);
	enum status st = io_read_file(path, LIMIT_BACKUP_MANIFEST, &b, e);

	if (st != ST_OK)
		return st;
	st = backup_manifest_parse(m, buf_slice(&b), partial, &why);
	return st == ST_OK ? ST_OK : err_set(e, why.code, "%s: %s", dir, why.text);
}
