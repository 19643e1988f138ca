#pragma once
/* dir_test.h — directories of tests: made, copied, removed. Included behind cmocka.h. */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/io.h"
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

static inline void remove_tree(const char *path)
{
	DIR *d = opendir(path);
	if (d) {
		AUTO_ARENA arena = { 0 };
		for (struct dirent *de; (de = readdir(d));) {
			if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
				continue;
			remove_tree(arena_fmt(&arena, "%s/%s", path, de->d_name).p);
		}
		closedir(d);
		rmdir(path);
	} else {
		unlink(path);
	}
}

/* The engine's info log and lock are copied like everything else. */
static inline void copy_tree(const char *from, const char *to)
{
	DIR *d = opendir(from);
	struct err e;
	if (!d) {
		AUTO_BUF b = { 0 };
		buf_init(&b, 1u << 30);
		assert_int_equal(io_read_file(from, 1u << 30, &b, &e), ST_OK);
		assert_int_equal(io_write_file(to, buf_slice(&b), 0600, &e), ST_OK);
		return;
	}
	AUTO_ARENA arena = { 0 };
	mkdir(to, 0700);
	for (struct dirent *de; (de = readdir(d));) {
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		copy_tree(arena_fmt(&arena, "%s/%s", from, de->d_name).p,
			  arena_fmt(&arena, "%s/%s", to, de->d_name).p);
	}
	closedir(d);
}

static inline void temp_dir(char dst[64])
{
	snprintf(dst, 64, "/tmp/kv-test-XXXXXX");
	assert_non_null(mkdtemp(dst));
}
