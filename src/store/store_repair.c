/* store_repair.c — what every repair uses: rows put aside, hot rows made again.
 *
 * The file of what was put aside is text, so that nothing but a pager is needed to look at it: a
 * line "# sentence" and then one "HEXKEY HEXVALUE" for each row, in the order in which they were
 * taken out. It is written and synced before the transaction that takes them out. */
#include "base/io.h"
#include "store/store_check_int.h"
#include <fcntl.h>

struct aside {
	int fd;
	uint64_t at;
	bool dirty;
};

#define ASIDE_TRIES 100

static enum status aside_make(struct check *c, struct err *e)
{
	struct civil d = civil_from_unix(clock_now_s(c->s->clock), 0);
	AUTO_ARENA a = { 0 };
	enum status st;
	int fd = -1;

	arena_init(&a);
	st = io_mkdir(c->opt->aside_dir, 0700, e);
	for (int i = 0; i < ASIDE_TRIES && st == ST_OK && fd < 0; i++) {
		slice path = arena_fmt(&a, "%s/%04d%02d%02dT%02d%02d%02dZ-%d.rows",
				       c->opt->aside_dir, d.year, d.month, d.day, d.hour,
				       d.minute, d.second, i);

		if (path.n >= sizeof(c->res->aside_file))
			return err_set(e, ERR_CANNOT, "the path %s is too long",
				       c->opt->aside_dir);
		st = io_open(path.p, O_WRONLY | O_CREAT | O_EXCL, 0600, &fd, e);
		if (st == ST_EXISTS)
			st = ST_OK;
		else if (st == ST_OK)
			memcpy(c->res->aside_file, path.p, path.n + 1);
	}
	if (st == ST_OK && fd < 0)
		st = err_set(e, ERR_IO, "no new file can be made in %s",
			     c->opt->aside_dir);
	if (st == ST_OK)
		st = io_sync_dir(c->opt->aside_dir, e);
	if (st != ST_OK) {
		if (fd >= 0)
			close(fd);
		return st;
	}
	c->aside = mem_new(sizeof(*c->aside));
	c->aside->fd = fd;
	return aside_note(c,
			  SL("facteur check --repair: rows that were taken out; each "
			     "line is key and value in hexadecimal"),
			  e);
}

static enum status aside_write(struct check *c, slice s, struct err *e)
{
	enum status st = c->aside ? ST_OK : aside_make(c, e);

	if (st == ST_OK)
		st = io_pwrite(c->aside->fd, s, c->aside->at, e);
	if (st == ST_OK) {
		c->aside->at += s.n;
		c->aside->dirty = true;
	}
	return st;
}

enum status aside_note(struct check *c, slice text, struct err *e)
{
	AUTO_BUF b = { 0 };

	buf_init(&b, 4096 + text.n);
	buf_adds(&b, "# ");
	for (size_t i = 0; i < text.n; i++)
		buf_addc(&b, (unsigned char)text.p[i] < 0x20 ? '?' : text.p[i]);
	buf_addc(&b, '\n');
	return aside_write(c, buf_slice(&b), e);
}

static void add_hex(struct buf *b, slice s)
{
	static const char digit[] = "0123456789abcdef";

	for (size_t i = 0; i < s.n; i++) {
		buf_addc(b, digit[(unsigned char)s.p[i] >> 4]);
		buf_addc(b, digit[(unsigned char)s.p[i] & 15]);
	}
}

enum status repair_aside(struct look *l, slice key, slice value, struct err *e)
{
	AUTO_BUF b = { 0 };

	if (l->c->note[0]) {
		enum status told = aside_note(l->c, slice_str(l->c->note), e);

		if (told != ST_OK)
			return told;
		l->c->note[0] = '\0';
	}
	buf_init(&b, 2 * (key.n + value.n) + 16);
	add_hex(&b, key);
	buf_addc(&b, ' ');
	add_hex(&b, value);
	buf_addc(&b, '\n');
	enum status st = aside_write(l->c, buf_slice(&b), e);

	if (st == ST_OK)
		l->c->res->aside++;
	return st;
}

enum status repair_drop(struct look *l, slice key, slice value, struct err *e)
{
	enum status st = repair_aside(l, key, value, e);

	if (st == ST_OK)
		txn_del(l->t, key);
	return st;
}

enum status aside_sync(struct check *c, struct err *e)
{
	if (!c->aside || !c->aside->dirty)
		return ST_OK;
	enum status st = io_fdatasync(c->aside->fd, e);

	c->aside->dirty = false;
	return st;
}

void aside_free(struct check *c)
{
	if (!c->aside)
		return;
	close(c->aside->fd);
	mem_free(c->aside);
	c->aside = NULL;
}

void repair_recount(struct check *c, uint32_t mbox)
{
	struct check_box *b = check_box(c, mbox);

	if (b)
		b->recount = true;
}

enum status repair_account(struct look *l, struct txn_account **out, struct err *e)
{
	return txn_account(l->t, l->c->account, out, e);
}
