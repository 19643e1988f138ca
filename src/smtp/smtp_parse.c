#include "smtp/smtp_parse.h"
#include "base/limits.h"
#include "base/utf8.h"

static bool is_let_dig(char c)
{
	return is_alpha(c) || is_digit(c);
}

/* atext of RFC 5322 3.2.3, and UTF8-non-ascii (RFC 6531 3.3); the caller checks the
 * UTF-8 */
static bool is_atext(char c)
{
	static const char marks[] = "!#$%&'*+-/=?^_`{|}~";
	return is_let_dig(c) || (unsigned char)c >= 0x80 ||
	       (c != 0 && memchr(marks, c, sizeof marks - 1));
}

static bool take(slice *in, char c)
{
	if (in->n == 0 || in->p[0] != c)
		return false;
	*in = slice_from(*in, 1);
	return true;
}

/* The part of *was in front of *now, which is its tail. */
static slice taken(slice was, slice now)
{
	return slice_sub(was, 0, was.n - now.n);
}

void smtp_parse_verb(slice line, slice *out_verb, slice *out_rest)
{
	while (line.n > 0 && (line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\t'))
		line.n--;
	size_t sp = slice_chr(line, ' ', 0);
	*out_verb = slice_sub(line, 0, sp);
	slice rest = slice_from(line, sp);
	while (take(&rest, ' '))
		;
	*out_rest = rest;
}

/* --- domains ------------------------------------------------------------------------------------------------ */

/* sub-domain = Let-dig [Ldh-str]   RFC 5321 4.1.2;   sub-domain =/ U-label   RFC 6531 3.3
 * deviation: "_" is taken inside, since hosts with such names do send mail. */
static bool parse_sub_domain(slice *in)
{
	size_t i = 0;
	while (i < in->n && (is_let_dig(in->p[i]) || in->p[i] == '-' || in->p[i] == '_' ||
			     (in->p[i] & 0x80)))
		i++;
	/* a U-label of 63 octets as A-label may be longer in UTF-8 */
	if (i == 0 || in->p[0] == '-' || in->p[i - 1] == '-' ||
	    i > (utf8_is_ascii(slice_sub(*in, 0, i)) ? 63 : 252))
		return false;
	*in = slice_from(*in, i);
	return true;
}

/* Domain = sub-domain *("." sub-domain)   at most 255 octets (RFC 5321 4.5.3.1.2) */
bool smtp_parse_domain(slice *in, slice *out)
{
	slice rest = *in;
	if (!parse_sub_domain(&rest))
		return false;
	while (rest.n > 0 && rest.p[0] == '.') {
		rest = slice_from(rest, 1);
		if (!parse_sub_domain(&rest))
			return false;
	}
	slice name = taken(*in, rest);
	if (name.n > LIMIT_SMTP_DOMAIN || !utf8_is_valid(name))
		return false;
	*out = name;
	*in = rest;
	return true;
}

/* IPv4-address-literal = Snum 3("."  Snum);   Snum = 1*3DIGIT, 0 through 255 */
bool smtp_is_ipv4(slice s)
{
	for (int i = 0; i < 4; i++) {
		slice num = slice_sub(s, 0, slice_chr(s, '.', 0));
		uint64_t v;
		if (num.n > 3 || !slice_u64(num, 255, &v))
			return false;
		s = slice_from(s, num.n);
		if (i < 3 && !take(&s, '.'))
			return false;
	}
	return s.n == 0;
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* IPv6-addr = IPv6-full / IPv6-comp / IPv6v4-full / IPv6v4-comp
 * Groups of 1*4HEXDIG, eight of them, "::" for at least one (RFC 5321 says two; RFC
 * 5952 writers keep to it), the last two perhaps as IPv4. */
bool smtp_is_ipv6(slice s)
{
	unsigned groups = 0;
	bool has_gap = false;
	if (s.n >= 2 && s.p[0] == ':' && s.p[1] == ':') {
		has_gap = true;
		s = slice_from(s, 2);
	}
	while (s.n > 0) {
		if (groups <= 6 && slice_chr(s, ':', 0) == s.n && smtp_is_ipv4(s)) {
			groups += 2;
			break;
		}
		size_t n = 0;
		while (n < s.n && n < 5 && is_hex(s.p[n]))
			n++;
		if (n == 0 || n > 4 || ++groups > 8)
			return false;
		s = slice_from(s, n);
		if (s.n == 0)
			break;
		if (!take(&s, ':') || s.n == 0)
			return false;
		if (s.p[0] == ':') {
			if (has_gap)
				return false;
			has_gap = true;
			s = slice_from(s, 1);
		}
	}
	return has_gap ? groups <= 7 : groups == 8;
}

/* address-literal = "[" ( IPv4-address-literal / IPv6-address-literal /
 *                         General-address-literal ) "]"
 * General-address-literal = Standardized-tag ":" 1*dcontent
 * dcontent = %d33-90 / %d94-126
 * IPv6-address-literal = "IPv6:" IPv6-addr.  RFC 5321 4.1.3 */
bool smtp_parse_address_literal(slice *in, slice *out)
{
	size_t close = slice_chr(*in, ']', 0);
	if (in->n == 0 || in->p[0] != '[' || close == in->n ||
	    close + 1 > LIMIT_SMTP_DOMAIN)
		return false;
	slice inside = slice_sub(*in, 1, close - 1);
	if (!smtp_is_ipv4(inside)) {
		size_t colon = slice_chr(inside, ':', 0);
		slice tag = slice_sub(inside, 0, colon),
		      content = slice_from(inside, colon + 1);
		if (tag.n == 0 || content.n == 0 || tag.p[tag.n - 1] == '-')
			return false;
		for (size_t i = 0; i < tag.n; i++)
			if (!is_let_dig(tag.p[i]) && tag.p[i] != '-')
				return false;
		for (size_t i = 0; i < content.n; i++)
			if (content.p[i] < 33 || content.p[i] > 126 ||
			    content.p[i] == '[' || content.p[i] == '\\')
				return false;
		if (slice_ieq(tag, SL("IPv6")) && !smtp_is_ipv6(content))
			return false;
	}
	*out = slice_sub(*in, 0, close + 1);
	*in = slice_from(*in, close + 1);
	return true;
}

/* --- paths -------------------------------------------------------------------------------------------------- */

/* Quoted-string = DQUOTE *QcontentSMTP DQUOTE
 * QcontentSMTP = qtextSMTP / quoted-pairSMTP
 * qtextSMTP = %d32-33 / %d35-91 / %d93-126 / UTF8-non-ascii
 * quoted-pairSMTP = %d92 %d32-126 */
static bool parse_quoted_string(slice *in, slice *out)
{
	size_t i = 1;
	if (in->n == 0 || in->p[0] != '"')
		return false;
	for (; i < in->n && in->p[i] != '"'; i++) {
		if (in->p[i] == '\\' && (++i == in->n || (in->p[i] & 0x80)))
			return false;
		if ((unsigned char)in->p[i] < 32 || in->p[i] == 127)
			return false;
	}
	if (i == in->n)
		return false;
	*out = slice_sub(*in, 0, i + 1);
	*in = slice_from(*in, i + 1);
	return true;
}

/* Local-part = Dot-string / Quoted-string
 * Dot-string = Atom *("." Atom);   Atom = 1*atext
 * RFC 5321 4.5.3.1 deviation: longer than 64 octets is taken (VERP and SRS senders
 * are), up to LIMIT_USER with domain. */
bool smtp_parse_local_part(slice *in, slice *out, bool *out_quoted)
{
	slice rest = *in;
	bool is_quoted = rest.n > 0 && rest.p[0] == '"';
	if (is_quoted) {
		if (!parse_quoted_string(&rest, out))
			return false;
	} else {
		do {
			size_t i = 0;
			while (i < rest.n && is_atext(rest.p[i]))
				i++;
			if (i == 0)
				return false;
			rest = slice_from(rest, i);
		} while (take(&rest, '.'));
		*out = taken(*in, rest);
	}
	if (!utf8_is_valid(*out))
		return false;
	*out_quoted = is_quoted;
	*in = rest;
	return true;
}

/* A-d-l = At-domain *("," At-domain) ":";   At-domain = "@" Domain
 * RFC 5321 4.1.1.3, appendix C: taken and ignored. */
static bool skip_source_route(slice *in)
{
	slice domain;
	do {
		if (!take(in, '@') || !smtp_parse_domain(in, &domain))
			return false;
	} while (take(in, ','));
	return take(in, ':');
}

/* Path = "<" [ A-d-l ] Mailbox ">"
 * Mailbox = Local-part "@" ( Domain / address-literal )
 * Reverse-path = Path / "<>";   "<Postmaster>" of RCPT: the caller decides where which
 * may stand. */
enum smtp_syntax smtp_parse_path(slice *in, struct smtp_path *out)
{
	slice rest = *in;
	struct smtp_path p = { 0 };
	if (!take(&rest, '<'))
		return SMTP_SYNTAX_PATH;
	if (take(&rest, '>')) {
		p.is_null = true;
		p.address = p.local = p.domain = SL("");
		*out = p;
		*in = rest;
		return SMTP_SYNTAX_OK;
	}
	if (rest.n > 0 && rest.p[0] == '@' && !skip_source_route(&rest))
		return SMTP_SYNTAX_PATH;
	slice mailbox = rest;
	if (!smtp_parse_local_part(&rest, &p.local, &p.is_quoted))
		return SMTP_SYNTAX_PATH;
	if (take(&rest, '@')) {
		p.is_literal = rest.n > 0 && rest.p[0] == '[';
		if (!(p.is_literal ? smtp_parse_address_literal(&rest, &p.domain)
				   : smtp_parse_domain(&rest, &p.domain)))
			return SMTP_SYNTAX_PATH;
	} else if (slice_ieq(p.local, SL("postmaster"))) {
		p.is_postmaster = true;
		p.domain = SL("");
	} else {
		return SMTP_SYNTAX_PATH;
	}
	p.address = taken(mailbox, rest);
	p.is_utf8 = !utf8_is_ascii(p.address);
	if (p.address.n > LIMIT_USER || !take(&rest, '>'))
		return SMTP_SYNTAX_PATH;
	*out = p;
	*in = rest;
	return SMTP_SYNTAX_OK;
}

/* --- parameters --------------------------------------------------------------------------------------------- */

/* 1*DIGIT; what does not fit into 64 bits is UINT64_MAX: too much in any case */
static bool parse_digits(slice v, uint64_t *out)
{
	for (size_t i = 0; i < v.n; i++)
		if (!is_digit(v.p[i]))
			return false;
	if (v.n > 0 && !slice_u64(v, UINT64_MAX, out))
		*out = UINT64_MAX;
	return v.n > 0;
}

/* size-value = 1*20DIGIT   RFC 1870 3 */
static bool parse_size(slice v, uint64_t *out)
{
	return v.n <= 20 && parse_digits(v, out);
}

/* xtext = *( xchar / hexchar )
 * xchar = %d33-126 but "+" and "=";   hexchar = "+" 2HEXDIG upper case
 * RFC 3461 4, for AUTH= of RFC 4954 5. */
static bool is_xtext(slice v)
{
	for (size_t i = 0; i < v.n; i++) {
		if (v.p[i] == '+') {
			if (v.n - i < 3 || !is_hex(v.p[i + 1]) || !is_hex(v.p[i + 2]) ||
			    v.p[i + 1] >= 'a' || v.p[i + 2] >= 'a')
				return false;
			i += 2;
		} else if (v.p[i] < 33 || v.p[i] > 126 || v.p[i] == '=') {
			return false;
		}
	}
	return v.n > 0;
}

static bool once(bool *seen)
{
	bool first = !*seen;
	*seen = true;
	return first;
}

static enum smtp_syntax parse_param(slice keyword, slice value, bool has_value,
				    unsigned allowed, struct smtp_params *p)
{
	bool ok;
	if ((allowed & SMTP_PARAM_SIZE) && slice_ieq(keyword, SL("SIZE"))) {
		ok = once(&p->has_size) && parse_size(value, &p->size);
	} else if ((allowed & SMTP_PARAM_BODY) && slice_ieq(keyword, SL("BODY"))) {
		ok = once(&p->has_body);
		if (slice_ieq(value, SL("8BITMIME"))) /* RFC 6152 2 */
			p->body = SMTP_BODY_8BITMIME;
		else if (slice_ieq(value, SL("7BIT")))
			p->body = SMTP_BODY_7BIT;
		else
			ok = false; /* BINARYMIME is not announced */
	} else if ((allowed & SMTP_PARAM_UTF8) && slice_ieq(keyword, SL("SMTPUTF8"))) {
		ok = once(&p->has_smtputf8) && !has_value; /* RFC 6531 3.4: no value */
	} else if ((allowed & SMTP_PARAM_AUTH) && slice_ieq(keyword, SL("AUTH"))) {
		p->auth = value;
		ok = once(&p->has_auth) && (slice_eq(value, SL("<>")) || is_xtext(value));
	} else {
		return SMTP_SYNTAX_UNKNOWN;
	}
	return ok ? SMTP_SYNTAX_OK : SMTP_SYNTAX_PARAM;
}

/* esmtp-param = esmtp-keyword ["=" esmtp-value]
 * esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")
 * esmtp-value = 1*(%d33-60 / %d62-126)
 * deviation for AUTH=: "<>" and xtext hold no "=" either. */
static enum smtp_syntax split_param(slice word, slice *out_keyword, slice *out_value,
				    bool *out_has_value)
{
	size_t eq = slice_chr(word, '=', 0);
	slice keyword = slice_sub(word, 0, eq), value = slice_from(word, eq + 1);
	bool has_value = eq < word.n;
	if (keyword.n == 0 || keyword.p[0] == '-' || (has_value && value.n == 0))
		return SMTP_SYNTAX_PARAM;
	for (size_t i = 0; i < keyword.n; i++)
		if (!is_let_dig(keyword.p[i]) && keyword.p[i] != '-')
			return SMTP_SYNTAX_PARAM;
	for (size_t i = 0; i < value.n; i++)
		if (value.p[i] < 33 || value.p[i] > 126 || value.p[i] == '=')
			return SMTP_SYNTAX_PARAM;
	*out_keyword = keyword;
	*out_value = value;
	*out_has_value = has_value;
	return SMTP_SYNTAX_OK;
}

/* Mail-parameters = esmtp-param *(SP esmtp-param)   here with the SP in front, or
 * nothing at all */
enum smtp_syntax smtp_parse_params(slice in, unsigned allowed, struct smtp_params *out)
{
	struct smtp_params p = { 0 };
	while (in.n > 0) {
		if (!take(&in, ' '))
			return SMTP_SYNTAX_PARAM;
		while (take(&in, ' '))
			;
		slice word = slice_sub(in, 0, slice_chr(in, ' ', 0));
		slice keyword, value;
		bool has_value;
		in = slice_from(in, word.n);
		enum smtp_syntax r = split_param(word, &keyword, &value, &has_value);
		if (r == SMTP_SYNTAX_OK)
			r = parse_param(keyword, value, has_value, allowed, &p);
		if (r != SMTP_SYNTAX_OK)
			return r;
	}
	*out = p;
	return SMTP_SYNTAX_OK;
}

/* --- commands ----------------------------------------------------------------------------------------------- */

/* "FROM:" or "TO:". RFC 5321 3.3 deviation: blanks behind the colon are skipped, as
 * many clients send them. */
static bool skip_word(slice *in, slice word)
{
	if (!slice_istarts(*in, word))
		return false;
	*in = slice_from(*in, word.n);
	while (take(in, ' '))
		;
	return true;
}

/* mail = "MAIL FROM:" Reverse-path [SP Mail-parameters] CRLF   RFC 5321 4.1.1.2 */
enum smtp_syntax smtp_parse_mail(slice rest, unsigned allowed, struct smtp_path *out,
				 struct smtp_params *out_params)
{
	struct smtp_path p;
	if (!skip_word(&rest, SL("FROM:")))
		return SMTP_SYNTAX_ARGUMENT;
	enum smtp_syntax r = smtp_parse_path(&rest, &p);
	if (r == SMTP_SYNTAX_OK && p.is_postmaster) /* a sender needs a domain */
		r = SMTP_SYNTAX_PATH;
	if (r == SMTP_SYNTAX_OK)
		r = smtp_parse_params(rest, allowed, out_params);
	if (r == SMTP_SYNTAX_OK)
		*out = p;
	return r;
}

/* rcpt = "RCPT TO:" ( "<Postmaster@" Domain ">" / "<Postmaster>" / Forward-path ) [SP
 * Rcpt-parameters] CRLF
 * RFC 5321 4.1.1.3. No parameter is known here. */
enum smtp_syntax smtp_parse_rcpt(slice rest, struct smtp_path *out)
{
	struct smtp_path p;
	struct smtp_params none;
	if (!skip_word(&rest, SL("TO:")))
		return SMTP_SYNTAX_ARGUMENT;
	enum smtp_syntax r = smtp_parse_path(&rest, &p);
	if (r == SMTP_SYNTAX_OK && p.is_null)
		r = SMTP_SYNTAX_PATH;
	if (r == SMTP_SYNTAX_OK)
		r = smtp_parse_params(rest, 0, &none);
	if (r == SMTP_SYNTAX_OK)
		*out = p;
	return r;
}

/* bdat-cmd = "BDAT" SP chunk-size [ SP end-marker ] CRLF
 * chunk-size = 1*DIGIT;   end-marker = "LAST"
 * RFC 3030 2 */
enum smtp_syntax smtp_parse_bdat(slice rest, uint64_t *out_size, bool *out_has_size,
				 bool *out_last)
{
	slice size = slice_sub(rest, 0, slice_chr(rest, ' ', 0));
	slice marker = slice_from(rest, size.n);
	while (take(&marker, ' '))
		;
	*out_has_size = parse_digits(size, out_size);
	*out_last = slice_ieq(marker, SL("LAST"));
	return *out_has_size && (*out_last || marker.n == 0) ? SMTP_SYNTAX_OK
							     : SMTP_SYNTAX_ARGUMENT;
}

/* "AUTH" SP sasl-mech [SP initial-response]
 * sasl-mech = 1*20 (UPPER-ALPHA / DIGIT / HYPHEN / UNDERSCORE)
 * initial-response = base64 / "="   RFC 4954 4, 8 */
enum smtp_syntax smtp_parse_auth(slice rest, slice *out_mechanism, slice *out_initial,
				 bool *out_has_initial)
{
	slice mech = slice_sub(rest, 0, slice_chr(rest, ' ', 0));
	slice initial = slice_from(rest, mech.n);
	if (mech.n == 0 || mech.n > 20)
		return SMTP_SYNTAX_ARGUMENT;
	for (size_t i = 0; i < mech.n; i++)
		if (!is_let_dig(mech.p[i]) && mech.p[i] != '-' && mech.p[i] != '_')
			return SMTP_SYNTAX_ARGUMENT;
	while (take(&initial, ' '))
		;
	if (slice_chr(initial, ' ', 0) < initial.n)
		return SMTP_SYNTAX_ARGUMENT;
	*out_mechanism = mech;
	*out_initial = initial;
	*out_has_initial = initial.n > 0;
	return SMTP_SYNTAX_OK;
}

/* ehlo = "EHLO" SP ( Domain / address-literal ) CRLF   RFC 5321 4.1.1.1 */
enum smtp_syntax smtp_parse_hello(slice rest, slice *out_name, bool *out_is_name)
{
	if (rest.n == 0 || rest.n > LIMIT_SMTP_DOMAIN || !utf8_is_valid(rest))
		return SMTP_SYNTAX_ARGUMENT;
	for (size_t i = 0; i < rest.n; i++)
		if ((unsigned char)rest.p[i] < 32 || rest.p[i] == 127)
			return SMTP_SYNTAX_ARGUMENT;
	slice left = rest, name;
	*out_is_name = (smtp_parse_domain(&left, &name) ||
			smtp_parse_address_literal(&left, &name)) &&
		       left.n == 0;
	*out_name = rest;
	return SMTP_SYNTAX_OK;
}
