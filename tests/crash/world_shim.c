/* world_shim.c — LD_PRELOAD: what the world around the server may do, without doing it to the machine.
 *
 * SHIM_CLOCK: a file whose first eight octets (little-endian, mapped) are seconds added to the wall clock; the monotonic
 * clock goes on undisturbed, as when an administrator or a time daemon sets the date. SHIM_ROOM set: statvfs sees plenty of
 * free space, so that no reserve protects anybody from ENOSPC. SHIM_NOSYNC set: syncs do nothing. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset;

__attribute__((constructor)) static void map_clock(void)
{
	const char *path = getenv("SHIM_CLOCK");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	void *p = mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);
	offset = p == MAP_FAILED ? NULL : p;
	close(fd);
}

int clock_gettime(clockid_t id, struct timespec *t)
{
	int rc = (int)syscall(SYS_clock_gettime, id, t);

	if (rc == 0 && offset && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		t->tv_sec += *offset;
	return rc;
}

time_t time(time_t *out)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (out)
		*out = t.tv_sec;
	return t.tv_sec;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec t;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &t);
	tv->tv_sec = t.tv_sec;
	tv->tv_usec = t.tv_nsec / 1000;
	return 0;
}

int statvfs(const char *restrict path, struct statvfs *restrict v)
{
	int (*real)(const char *, struct statvfs *) =
		(int (*)(const char *, struct statvfs *))dlsym(RTLD_NEXT, "statvfs");
	int rc = real(path, v);

	if (rc == 0 && getenv("SHIM_ROOM"))
		v->f_bfree = v->f_bavail = (fsblkcnt_t)(1u << 31);
	return rc;
}

static int sync_of(int fd, const char *name)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);

	return getenv("SHIM_NOSYNC") ? 0 : real(fd);
}

int fdatasync(int fd)
{
	return sync_of(fd, "fdatasync");
}

int fsync(int fd)
{
	return sync_of(fd, "fsync");
}
