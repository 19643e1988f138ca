/* sync_shim.c — LD_PRELOAD: a kill leaves the page cache alive, so this stands in for the disk.
 *
 * Every fdatasync and fsync takes SHIM_DELAY_MS longer, appends "start-us end-us result" (monotonic) to SHIM_LOG, and
 * fails with EIO as soon as the file SHIM_FAIL exists. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static long long now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int delayed(int fd, const char *name)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
	const char *delay = getenv("SHIM_DELAY_MS"), *fail = getenv("SHIM_FAIL"),
		   *log = getenv("SHIM_LOG");
	long long start = now_us();
	long ms = delay ? strtol(delay, NULL, 10) : 50;
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
	nanosleep(&t, NULL);
	int rc = -1, saved = EIO;
	if (fail == NULL || access(fail, F_OK) != 0) {
		rc = real(fd);
		saved = errno;
	}
	int out = log ? open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
	if (out >= 0) {
		dprintf(out, "%lld %lld %d\n", start, now_us(), rc);
		close(out);
	}
	errno = saved;
	return rc;
}

int fdatasync(int fd)
{
	return delayed(fd, "fdatasync");
}

int fsync(int fd)
{
	return delayed(fd, "fsync");
}
