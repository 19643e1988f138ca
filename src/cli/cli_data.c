/* cli_data.c — the data directory: which it is when none is named, and who has it. */
#include "cli/cli.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

const char *cli_default_data(void)
{
	const char *d = getenv("FACTEUR_DATA");
	return d != NULL && d[0] != '\0' ? d : FACTEUR_DEFAULT_DATA;
}

enum status cli_data_lock(const char *dir, int *out_fd, struct err *e)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		int why = errno;
		err_set(e, why == EACCES ? ERR_DENIED : ERR_IO, "%s: %s", dir,
			strerror(why));
		return why == ENOENT ? ST_NOT_FOUND : why == EACCES ? ST_DENIED : ST_IO;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		enum status st =
			errno == EWOULDBLOCK
				? err_set(e, ERR_BUSY, "another facteur has %s open", dir)
				: err_set(e, ERR_IO, "%s: %s", dir, strerror(errno));
		close(fd);
		return st;
	}
	*out_fd = fd;
	return ST_OK;
}
