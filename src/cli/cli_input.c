/* cli_input.c — what the command reads: passwords, and the file of user import. */
#include "admin/admin.h"
#include "base/alloc.h"
#include "base/limits.h"
#include "cli/cli.h"
#include <errno.h>
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

#define CTRL_C 3

/* Without echo. Ctrl-C ends the line and counts as no answer, so that no signal can
 * leave the terminal without its echo. */
static bool ask_terminal(const char *prompt, const char *address, char *out, size_t max)
{
	struct termios old, quiet;
	if (tcgetattr(STDIN_FILENO, &old) != 0)
		return false;
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
	quiet.c_lflag |= ICANON;
	quiet.c_cc[VEOL] = CTRL_C;
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	fprintf(stderr, "%s %s: ", prompt, address);
	ssize_t n = read(STDIN_FILENO, out, max - 1);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
	fputc('\n', stderr);
	if (n <= 0 || out[n - 1] == CTRL_C || out[n - 1] != '\n')
		return false;
	while (n > 0 && (out[n - 1] == '\n' || out[n - 1] == '\r'))
		n--;
	out[n] = '\0';
	return true;
}

bool cli_read_passphrase(bool is_new, char *out, size_t max)
{
	char again[LIMIT_PASSPHRASE + 2];
	if (!isatty(STDIN_FILENO))
		return read_line(stdin, out, max) && out[0] != '\0';
	bool ok = ask_terminal("Passphrase of", "the backup", out, max) && out[0] != '\0';
	if (ok && is_new)
		ok = ask_terminal("Once more for", "the backup", again, sizeof(again));
	if (ok && is_new && strcmp(out, again) != 0) {
		fputs("facteur: the two are not equal\n", stderr);
		ok = false;
	}
	explicit_bzero(again, sizeof(again));
	return ok;
}

bool cli_read_password(const char *address, char *out, size_t max)
{
	if (!isatty(STDIN_FILENO))
		return read_line(stdin, out, max) && out[0] != '\0';
	char again[LIMIT_PASSWORD + 2];
	bool ok = ask_terminal("Password for", address, out, max) && out[0] != '\0' &&
		  ask_terminal("Once more for", address, again, sizeof(again));
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
	json_int_t made;
	off_t read, size;
	bool bar;
};

static int send_part(struct import_run *r)
{
	struct err e = { 0 };
	if (json_array_size(r->lines) == 0)
		return EX_OK;
	json_t *request = json_pack("{s:s, s:s, s:[], s:{s:o}}", "noun", "user", "verb",
				    "import", "args", "options", "lines", r->lines);
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
		fprintf(stderr, "\r%3d %%  %lld accounts",
			r->size > 0 ? (int)(r->read * 100 / r->size) : 100,
			(long long)r->made);
	return rc;
}

static void refuse_line(struct import_run *r, json_int_t number, const char *reason)
{
	json_array_append_new(r->refused, json_pack("{s:I, s:s, s:s}", "line", number,
						    "address", "", "reason", reason));
}

static void take_line(struct import_run *r, json_int_t number, slice line)
{
	slice s = slice_trim(line);
	if (number == 1 && slice_starts(s, SL("\xEF\xBB\xBF")))
		s = slice_from(s, 3);
	if (s.n == 0 || s.p[0] == '#')
		return;
	json_t *text = s.n <= IMPORT_LINE ? json_stringn(s.p, s.n) : NULL;
	if (s.n > IMPORT_LINE)
		refuse_line(r, number, "the line is longer than 4,096 octets");
	else if (text == NULL || slice_chr(s, '\0', 0) < s.n)
		refuse_line(r, number, "not UTF-8 text");
	else
		json_array_append_new(r->lines, json_pack("[I, O]", number, text));
	json_decref(text);
}

static int read_lines(struct import_run *r, FILE *f, const char *file)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	int rc = EX_OK;
	for (json_int_t number = 1; rc == EX_OK && (n = getline(&line, &room, f)) >= 0;
	     number++) {
		r->read += n;
		take_line(r, number, slice_make(line, (size_t)n));
		if (json_array_size(r->lines) == IMPORT_PART)
			rc = send_part(r);
	}
	if (rc == EX_OK && ferror(f)) {
		fprintf(stderr, "facteur: %s: %s\n", file, strerror(errno));
		rc = EX_IOERR;
	}
	if (line != NULL)
		explicit_bzero(line, room);
	free(line);
	return rc == EX_OK ? send_part(r) : rc;
}

static int by_line(const void *x, const void *y)
{
	json_int_t a = json_integer_value(json_object_get(*(json_t *const *)x, "line"));
	json_int_t b = json_integer_value(json_object_get(*(json_t *const *)y, "line"));
	return a < b ? -1 : a > b;
}

/* Lines refused here and those refused by the store, in the order of the file. */
static json_t *sorted(const json_t *list)
{
	size_t n = json_array_size(list), i;
	json_t *out = json_array();
	json_t **v = mem_array(n + 1, sizeof(*v));
	for (i = 0; i < n; i++)
		v[i] = json_array_get(list, i);
	qsort(v, n, sizeof(*v), by_line);
	for (i = 0; i < n; i++)
		json_array_append(out, v[i]);
	mem_free(v);
	return out;
}

static void print_import(const struct import_run *r)
{
	size_t i;
	const json_t *v;
	json_t *refused = sorted(r->refused);
	if (r->bar)
		fputc('\n', stderr);
	if (r->cli->json) {
		json_t *out =
			json_pack("{s:I, s:O}", "made", r->made, "refused", refused);
		json_dumpf(out, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(out);
	} else {
		printf("%lld accounts made, %zu lines refused\n", (long long)r->made,
		       json_array_size(refused));
		json_array_foreach(refused, i, v)
		{
			const char *address =
				json_string_value(json_object_get(v, "address"));
			printf("line %lld: %s%s%s\n",
			       (long long)json_integer_value(json_object_get(v, "line")),
			       address, address[0] != '\0' ? ": " : "",
			       json_string_value(json_object_get(v, "reason")));
		}
	}
	json_decref(refused);
}

int cli_import(const struct cli *c, const char *file)
{
	struct stat st = { 0 };
	bool is_stdin = strcmp(file, "-") == 0;
	FILE *f = is_stdin ? stdin : fopen(file, "re");
	if (f == NULL || fstat(fileno(f), &st) != 0 || S_ISDIR(st.st_mode)) {
		fprintf(stderr, "facteur: %s: %s\n", file,
			strerror(S_ISDIR(st.st_mode) ? EISDIR : errno));
		if (f != NULL && !is_stdin)
			fclose(f);
		return EX_NOINPUT;
	}
	struct import_run r = {
		.cli = c,
		.lines = json_array(),
		.refused = json_array(),
		.size = st.st_size,
		.bar = isatty(STDERR_FILENO) && !c->json,
	};
	int rc = read_lines(&r, f, file);
	if (!is_stdin)
		fclose(f);
	if (rc == EX_OK)
		print_import(&r);
	else
		fprintf(stderr,
			"facteur: stopped after %lld accounts were made; the same file may be "
			"imported again\n",
			(long long)r.made);
	if (rc == EX_OK && json_array_size(r.refused) > 0)
		rc = EX_DATAERR;
	json_decref(r.lines);
	json_decref(r.refused);
	return rc;
}
