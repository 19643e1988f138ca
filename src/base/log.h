#pragma once
/* log.h — one line per event, logfmt, to stderr.
 *
 *	time=2026-11-22T19:44:08.123Z level=info event=smtp.rcpt.refused
 *		session=a1b2-7 to=x@y reason="no such account"
 *
 * Sessions and workers log, once, where the error is answered; library folders never
 * do. The line is built in the caller's stack and written with one write(2), any
 * thread; with a writer the lines of 20 ms leave together, and a warning or an error
 * at once, with all before it. Values are quoted when needed; control characters and invalid UTF-8 become
 * \xNN, so that a peer can never forge a line (HAZARDS 8). */
#include "base/slice.h"
#include "base/status.h"

enum log_level {
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_INFO,
	LOG_LEVEL_WARN,
	LOG_LEVEL_ERROR,
	LOG_LEVEL_NONE
};

struct log_line {
	enum log_level level;
	bool on;
	bool cut; /* no room: the rest is left out */
	size_t n;
	char text[2048]; /* longer lines are cut, marked with … */
};
void log_set_level(enum log_level level);
void log_set_fd(int fd); /* 2 at the start; tests capture */
/* The server's: from here on lines are gathered (a write is a tenth of what a delivery costs). A crash writes what is
 * left; only kill -9 takes it along. Stopped when no other thread logs any more. */
void log_start_writer(void);
void log_stop_writer(void);
bool log_on(enum log_level level);
void log_begin(struct log_line *l, enum log_level level, const char *event);
void log_str(struct log_line *l, const char *key, slice value); /* empty values are left out */
void log_cstr(struct log_line *l, const char *key, const char *value);
void log_int(struct log_line *l, const char *key, int64_t value);
void log_err(struct log_line *l, const struct err *e);          /* code=… reason="…" */
void log_end(struct log_line *l);
