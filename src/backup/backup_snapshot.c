/* backup_snapshot.c — where in the data directory a snapshot stands while it is copied. */
#include "backup/backup.h"
#include "base/cleanup.h"
#include "base/io.h"

#define ROOM "store/snapshots"

/* One at a time: whoever has the lock may clear away what a crash has left. */
enum status backup_snapshot_room(const char *data, int *out_lock, struct err *e)
{
	AUTO_ARENA a = { 0 };
	const char *room = arena_fmt(&a, "%s/" ROOM, data).p;
	int lock;
	enum status st = io_mkdir(room, 0700, e);

	if (st == ST_OK)
		st = backup_lock(room, false, &lock, e);
	if (st != ST_OK)
		return st;
	st = io_remove_tree(arena_fmt(&a, "%s/" BACKUP_SNAPSHOT_ROWS, data).p, e);
	if (st != ST_OK) {
		close(lock);
		return st;
	}
	*out_lock = lock;
	return ST_OK;
}

enum status backup_snapshot_clear(const char *data, struct err *e)
{
	AUTO_ARENA a = { 0 };
	AUTO_FD lock = -1;
	struct io_stat s;
	enum status st = io_stat_path(arena_fmt(&a, "%s/" ROOM, data).p, &s, e);

	if (st == ST_NOT_FOUND)
		return ST_OK;
	return st == ST_OK ? backup_snapshot_room(data, &lock, e) : st;
}
