#include "pop3/pop3_parse.h"

enum status pop3_parse_keyword(slice line, slice *out_keyword, slice *out_rest,
			       struct err *e)
{
	size_t n = 0;

	for (size_t i = 0; i < line.n; i++)
		if (line.p[i] == 0 || line.p[i] == '\r' || line.p[i] == '\n')
			return err_set(e, ERR_SYNTAX, "NUL, CR or LF inside a line");
	while (n < line.n && is_alpha(line.p[n]))
		n++;
	if (n < 3 || n > 4 || (n < line.n && line.p[n] != ' '))
		return err_set(e, ERR_SYNTAX, "unknown command");
	*out_keyword = slice_sub(line, 0, n);
	*out_rest = slice_from(line, n);
	return ST_OK;
}

static slice without_blanks_behind(slice s)
{
	while (s.n > 0 && s.p[s.n - 1] == ' ')
		s.n--;
	return s;
}

/* SP 1*DIGIT at the front of *rest. */
static bool number(slice *rest, uint32_t *out)
{
	size_t n = 1;

	if (rest->n < 2 || rest->p[0] != ' ')
		return false;
	while (n < rest->n && is_digit(rest->p[n]))
		n++;
	if (!slice_u32(slice_sub(*rest, 1, n - 1), out))
		return false;
	*rest = slice_from(*rest, n);
	return true;
}

/* SP 1*VCHAR, and what is not ASCII: names are the directory's business. */
static bool word(slice *rest, slice *out)
{
	size_t n = 1;

	if (rest->n < 2 || rest->p[0] != ' ')
		return false;
	while (n < rest->n && (unsigned char)rest->p[n] > ' ' && rest->p[n] != 0x7f)
		n++;
	if (n == 1)
		return false;
	*out = slice_sub(*rest, 1, n - 1);
	*rest = slice_from(*rest, n);
	return true;
}

static enum status numbers(enum pop3_grammar g, slice rest, struct pop3_args *a,
			   struct err *e)
{
	rest = without_blanks_behind(rest);
	if (g == POP3_OPT_MSG && rest.n == 0)
		return ST_OK;
	if (!number(&rest, &a->msg))
		return err_set(e, ERR_SYNTAX, "a message number is needed");
	a->has_msg = true;
	if (g == POP3_MSG_LINES && !number(&rest, &a->lines))
		return err_set(e, ERR_SYNTAX, "a number of lines is needed");
	if (rest.n != 0)
		return err_set(e, ERR_SYNTAX, "too many arguments");
	return ST_OK;
}

enum status pop3_parse_args(enum pop3_grammar g, slice rest, struct pop3_args *out,
			    struct err *e)
{
	struct pop3_args a = { 0 };
	enum status st = ST_OK;

	switch (g) {
	case POP3_NO_ARGS:
		if (without_blanks_behind(rest).n != 0)
			st = err_set(e, ERR_SYNTAX, "this command takes no argument");
		break;
	case POP3_MSG:
	case POP3_OPT_MSG:
	case POP3_MSG_LINES:
		st = numbers(g, rest, &a, e);
		break;
	case POP3_TEXT:
		if (rest.n < 2)
			st = err_set(e, ERR_SYNTAX, "an argument is needed");
		else
			a.text = slice_from(rest, 1);
		break;
	case POP3_WORD:
		rest = without_blanks_behind(rest);
		if (!word(&rest, &a.text) || rest.n != 0)
			st = err_set(e, ERR_SYNTAX, "one argument is needed");
		break;
	case POP3_AUTH:
		/* RFC 5034 4: AUTH mechanism [initial-response] */
		rest = without_blanks_behind(rest);
		if (!word(&rest, &a.text))
			st = err_set(e, ERR_SYNTAX, "a mechanism is needed");
		else if (rest.n != 0 && (!word(&rest, &a.initial) || rest.n != 0))
			st = err_set(e, ERR_SYNTAX, "malformed initial response");
		else
			a.has_initial = a.initial.n > 0;
		break;
	}
	if (st == ST_OK)
		*out = a;
	return st;
}
