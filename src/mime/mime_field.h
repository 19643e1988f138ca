#pragma once
/* mime_field.h — inside mime/: what the parser does with one complete header field.
 * Pure. */
#include "mime/mime_parse.h"

/* ASCII case ignored; MIME_F_NONE for names that do not matter. */
enum mime_field_kind mime_field_kind_of(slice name);
/* Whether the value is to be collected: envelope fields of messages, Content-* of
 * every part; of most only the first (seen: bits by kind, of this header). */
bool mime_field_is_wanted(enum mime_field_kind kind, const struct mime_part *part,
			  uint32_t seen);
/* Files the value: without line ends, not yet trimmed. *tail is the end of
 * part->summary->fields. */
void mime_field_apply(struct arena *a, struct mime_part *part, struct mime_field **tail,
		      enum mime_field_kind kind, slice value);
