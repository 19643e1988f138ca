/* cli_input.c — what the command reads: passwords, and the file of user import. */
#include "admin/admin.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "cli/cli.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <termios.h>

#define IMPORT_PART 500
#define IMPORT_LINE 4096

/* One line without its end; false at the end of input or when it is too long. */
static bool read_line(FILE *f, char *out, size_t max)
{
	if (fgets(out, (int)max, f) == NULL)
		return false;
	size_t n = strlen(out);
	if (n > 0 && out[n - 1] != '\n' && !feof(f))
		return false;
	while (n > 0 && (out[n - 1] == '\n' || out[n - 1] == '\r'))
		out[--n] = '\0';
	return true;
}

static bool ask_terminal(FILE *tty, const char *prompt, const char *address, char *out, size_t max)
{
	struct termios old, quiet;
	if (tcgetattr(fileno(tty), &old) != 0)
		return false;
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(fileno(tty), TCSAFLUSH, &quiet);
	fprintf(stderr, "%s %s: ", prompt, address);
	bool ok = read_line(tty, out, max);
	fputc('\n', stderr);
	tcsetattr(fileno(tty), TCSAFLUSH, &old);
	return ok;
}

bool cli_read_password(const char *address, char *out, size_t max)
{
	if (!isatty(STDIN_FILENO))
		return read_line(stdin, out, max) && out[0] != '\0';
	char again[LIMIT_PASSWORD + 2];
	bool ok = ask_terminal(stdin, "Password for", address, out, max) && out[0] != '\0' &&
		  ask_terminal(stdin, "Once more for", address, again, sizeof(again));
	if (ok && strcmp(out, again) != 0) {
		fputs("facteur: the two are not equal\n", stderr);
		ok = false;
	}
	explicit_bzero(again, sizeof(again));
	return ok;
}

struct import_run {
	const struct cli *cli;
	json_t *lines, *refused;
	json_int_t made, sent;
	off_t read, size;
	bool bar;
};

static int send_part(struct import_run *r)
{
	struct err e = { 0 };
	if (json_array_size(r->lines) == 0)
		return EX_OK;
	r->sent += (json_int_t)json_array_size(r->lines);
	json_t *request = json_pack("{s:s, s:s, s:[], s:{s:o}}", "noun", "user", "verb", "import", "args", "options",
				    "lines", r->lines);
	r->lines = json_array();
	json_t *reply = cli_ask(r->cli, request, &e);
	int rc = cli_check_reply(r->cli, reply, &e);
	if (rc == EX_OK) {
		const json_t *result = json_object_get(reply, "result");
		r->made += json_integer_value(json_object_get(result, "made"));
		json_array_extend(r->refused, json_object_get(result, "refused"));
	}
	json_decref(request);
	json_decref(reply);
	if (r->bar)
		fprintf(stderr, "\r%3d %%  %lld accounts", r->size > 0 ? (int)(r->read * 100 / r->size) : 100,
			(long long)r->made);
	return rc;
}

static void refuse_line(struct import_run *r, json_int_t number, const char *reason)
{
	json_array_append_new(r->refused,
			      json_pack("{s:I, s:s, s:s}", "line", number, "address", "", "reason", reason));
}

static int read_file(struct import_run *r, FILE *f)
{
	char line[IMPORT_LINE];
	int rc = EX_OK;
	for (json_int_t number = 1; rc == EX_OK && fgets(line, sizeof(line), f) != NULL; number++) {
		size_t n = strlen(line);
		r->read += (off_t)n;
		if (n == sizeof(line) - 1 && line[n - 1] != '\n') {
			int c;
			while ((c = fgetc(f)) != EOF && c != '\n')
				r->read++;
			refuse_line(r, number, "the line is longer than 4,095 octets");
			continue;
		}
		slice s = slice_trim(slice_make(line, n));
		if (s.n == 0 || s.p[0] == '#')
			continue;
		json_t *text = json_stringn(s.p, s.n);
		if (text == NULL)
			refuse_line(r, number, "not UTF-8");
		else
			json_array_append_new(r->lines, json_pack("[I, o]", number, text));
		if (json_array_size(r->lines) == IMPORT_PART)
			rc = send_part(r);
	}
	return rc == EX_OK ? send_part(r) : rc;
}

static void print_import(const struct import_run *r)
{
	size_t i;
	const json_t *v;
	if (r->bar)
		fputc('\n', stderr);
	if (r->cli->json) {
		json_t *out = json_pack("{s:I, s:O}", "made", r->made, "refused", r->refused);
		json_dumpf(out, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(out);
		return;
	}
	printf("%lld accounts made, %zu lines refused\n", (long long)r->made, json_array_size(r->refused));
	json_array_foreach(r->refused, i, v) {
		printf("line %lld: %s %s\n", (long long)json_integer_value(json_object_get(v, "line")),
		       json_string_value(json_object_get(v, "address")), json_string_value(json_object_get(v, "reason")));
	}
}

int cli_import(const struct cli *c, const char *file)
{
	struct stat st;
	FILE *f = fopen(file, "re");
	if (f == NULL || fstat(fileno(f), &st) != 0) {
		fprintf(stderr, "facteur: %s: %s\n", file, strerror(errno));
		if (f != NULL)
			fclose(f);
		return EX_NOINPUT;
	}
	struct import_run r = {
		.cli = c, .lines = json_array(), .refused = json_array(), .size = st.st_size,
		.bar = isatty(STDERR_FILENO) && !c->json,
	};
	int rc = read_file(&r, f);
	fclose(f);
	if (rc == EX_OK)
		print_import(&r);
	if (rc == EX_OK && json_array_size(r.refused) > 0)
		rc = EX_DATAERR;
	json_decref(r.lines);
	json_decref(r.refused);
	return rc;
}
