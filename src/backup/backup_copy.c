/* backup_copy.c — one file copied, synced, and read back from the device. */
#include "backup/backup.h"
#include "base/cleanup.h"
#include "base/io.h"
#include <fcntl.h>
#include <openssl/evp.h>

#define PIECE (1u << 20)

void backup_progress_add(struct backup_progress *p, uint64_t n)
{
	if (!p)
		return;
	p->done += n;
	if (p->fn)
		p->fn(p->ctx, p->done, p->all);
}

static void free_md(EVP_MD_CTX **c)
{
	EVP_MD_CTX_free(*c);
}
#define AUTO_MD __attribute__((cleanup(free_md))) EVP_MD_CTX *

static EVP_MD_CTX *hash_start(struct err *e)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();

	if (c && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1)
		return c;
	EVP_MD_CTX_free(c);
	(void)err_set(e, ERR_IO, "SHA-256 is not available");
	return NULL;
}

/* n octets of from: hashed, and written to to when that is a file (≥ 0). */
static enum status pass(int from, int to, uint64_t n, struct backup_progress *p,
			unsigned char out_sha[32], struct err *e)
{
	AUTO_MD c = hash_start(e);
	AUTO_MEM char *piece = mem_new(PIECE);
	unsigned len = 0;

	if (!c)
		return ST_IO;
	for (uint64_t at = 0; at < n;) {
		size_t k = n - at < PIECE ? (size_t)(n - at) : PIECE;
		enum status st = io_pread(from, piece, k, at, e);

		if (st == ST_OK && to >= 0)
			st = io_pwrite(to, slice_make(piece, k), at, e);
		if (st != ST_OK)
			return st;
		EVP_DigestUpdate(c, piece, k);
		backup_progress_add(p, k);
		at += k;
	}
	EVP_DigestFinal_ex(c, out_sha, &len);
	return ST_OK;
}

enum status backup_copy_file(const char *from, uint64_t n, const char *to, mode_t mode,
			     struct backup_progress *p, unsigned char out_sha[32],
			     struct err *e)
{
	AUTO_FD in = -1;
	AUTO_FD out = -1;
	unsigned char wrote[32], is[32];
	enum status st = io_open(from, O_RDONLY | O_NOFOLLOW, 0, &in, e);

	if (st == ST_OK)
		st = io_open(to, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode, &out, e);
	if (st == ST_OK)
		st = pass(in, out, n, p, wrote, e);
	if (st == ST_OK)
		st = io_fdatasync(out, e);
	if (st != ST_OK)
		return st;
	io_forget(out);
	st = pass(out, -1, n, NULL, is, e);
	if (st == ST_OK && memcmp(wrote, is, sizeof(is)) != 0)
		st = err_set(e, ERR_CORRUPT,
			     "%s: what was read back is not what was written", to);
	if (st == ST_OK)
		memcpy(out_sha, is, sizeof(is));
	io_forget(out); /* what a backup reads must not push the mail out of the cache */
	return st;
}

enum status backup_hash_file(const char *path, uint64_t n, struct backup_progress *p,
			     unsigned char out_sha[32], struct err *e)
{
	AUTO_FD fd = -1;
	uint64_t size;
	enum status st = io_open(path, O_RDONLY | O_NOFOLLOW, 0, &fd, e);

	if (st == ST_OK)
		st = io_size(fd, &size, e);
	if (st == ST_OK && size != n)
		st = err_set(e, ERR_CORRUPT, "%s has %llu octets instead of %llu", path,
			     (unsigned long long)size, (unsigned long long)n);
	if (st != ST_OK)
		return st;
	io_forget(fd);
	st = pass(fd, -1, n, p, out_sha, e);
	io_forget(fd);
	return st;
}
