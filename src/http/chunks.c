#include "http/chunks.h"

#include "http/octet.h"

/* A size is at most 16 digits: 64 bits.  Extensions are thrown away, so all
 * they can do is to cost us; and trailers as well, though they are in use:
 * they get what a head may have. */
#define SIZE_DIGITS     16
#define EXTENSION_BYTES (16 * 1024)
#define TRAILER_BYTES   (16 * 1024)

void chunks_init(struct chunks *c)
{
    *c = (struct chunks){.state = CHUNKS_SIZE};
}

static enum chunks_state bad(struct chunks *c, int status, const char *reason)
{
    c->fault = (struct head_fault){status, reason};
    return CHUNKS_BAD;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* What may follow a size or an extension, whole. */
static enum chunks_state after_size(struct chunks *c, char octet)
{
    if (octet == '\r')
        return CHUNKS_SIZE_LF;
    if (octet == ';')
        return CHUNKS_EXT_NAME_START;
    return bad(c, 400, "malformed chunk size or extension");
}

static enum chunks_state on_size(struct chunks *c, char octet)
{
    int digit = hex_digit(octet);

    if (digit < 0)
        return c->digits > 0 ? after_size(c, octet)
                             : bad(c, 400, "malformed chunk size");
    if (++c->digits > SIZE_DIGITS)
        return bad(c, 400, "chunk size too long");
    c->size_bytes = c->size_bytes << 4 | (uint64_t)digit;
    if (c->size_bytes > INT64_MAX)
        return bad(c, 413, "absurd chunk size");
    return CHUNKS_SIZE;
}

/* RFC 9112 7.1.1, without the white space that it forgives: a size with a
 * space after it is what smugglers send. */
static enum chunks_state on_extension(struct chunks *c, char octet)
{
    bool token = octet_is(octet, OCTET_TOKEN);

    if (++c->extension_bytes > EXTENSION_BYTES)
        return bad(c, 400, "too many chunk extensions");
    switch (c->state) {
    case CHUNKS_EXT_NAME_START:
        return token ? CHUNKS_EXT_NAME : bad(c, 400, "malformed extension");
    case CHUNKS_EXT_NAME:
        if (octet == '=')
            return CHUNKS_EXT_VALUE_START;
        return token ? CHUNKS_EXT_NAME : after_size(c, octet);
    case CHUNKS_EXT_VALUE_START:
        if (octet == '"')
            return CHUNKS_EXT_QUOTED;
        return token ? CHUNKS_EXT_VALUE : bad(c, 400, "malformed extension");
    case CHUNKS_EXT_VALUE:
        return token ? CHUNKS_EXT_VALUE : after_size(c, octet);
    default:
        return after_size(c, octet); /* behind a quoted string */
    }
}

static enum chunks_state on_quoted(struct chunks *c, char octet)
{
    if (++c->extension_bytes > EXTENSION_BYTES)
        return bad(c, 400, "too many chunk extensions");
    if (!octet_is(octet, OCTET_TEXT))
        return bad(c, 400, "octet not allowed in an extension");
    if (c->state == CHUNKS_EXT_ESCAPE)
        return CHUNKS_EXT_QUOTED;
    if (octet == '\\')
        return CHUNKS_EXT_ESCAPE;
    return octet == '"' ? CHUNKS_EXT_QUOTED_END : CHUNKS_EXT_QUOTED;
}

/* CR and LF, exactly, wherever they are due. */
static enum chunks_state on_line_end(struct chunks *c, char octet)
{
    static const struct {
        char octet;
        enum chunks_state next;
    } due[] = {
        [CHUNKS_SIZE_LF] = {'\n', CHUNKS_DATA},
        [CHUNKS_DATA_CR] = {'\r', CHUNKS_DATA_LF},
        [CHUNKS_DATA_LF] = {'\n', CHUNKS_SIZE},
        [CHUNKS_TRAILER_LF] = {'\n', CHUNKS_TRAILER},
        [CHUNKS_LAST_LF] = {'\n', CHUNKS_END},
    };
    enum chunks_state next = due[c->state].next;

    if (octet != due[c->state].octet)
        return bad(c, 400, "no CRLF around a chunk");
    if (next == CHUNKS_DATA && c->size_bytes == 0)
        return CHUNKS_TRAILER;
    if (next == CHUNKS_SIZE)
        c->digits = 0;
    return next;
}

static enum chunks_state on_trailer(struct chunks *c, char octet)
{
    bool token = octet_is(octet, OCTET_TOKEN);

    if (++c->trailer_bytes > TRAILER_BYTES)
        return bad(c, 431, "trailers too long");
    switch (c->state) {
    case CHUNKS_TRAILER:
        if (octet == '\r')
            return CHUNKS_LAST_LF;
        return token ? CHUNKS_TRAILER_NAME : bad(c, 400, "malformed trailer");
    case CHUNKS_TRAILER_NAME:
        if (octet == ':')
            return CHUNKS_TRAILER_VALUE;
        return token ? CHUNKS_TRAILER_NAME : bad(c, 400, "malformed trailer");
    default:
        if (octet == '\r')
            return CHUNKS_TRAILER_LF;
        return octet_is(octet, OCTET_TEXT) ? CHUNKS_TRAILER_VALUE
                                           : bad(c, 400, "malformed trailer");
    }
}

static enum chunks_state on_octet(struct chunks *c, char octet)
{
    switch (c->state) {
    case CHUNKS_SIZE:
        return on_size(c, octet);
    case CHUNKS_EXT_NAME_START:
    case CHUNKS_EXT_NAME:
    case CHUNKS_EXT_VALUE_START:
    case CHUNKS_EXT_VALUE:
    case CHUNKS_EXT_QUOTED_END:
        return on_extension(c, octet);
    case CHUNKS_EXT_QUOTED:
    case CHUNKS_EXT_ESCAPE:
        return on_quoted(c, octet);
    case CHUNKS_TRAILER:
    case CHUNKS_TRAILER_NAME:
    case CHUNKS_TRAILER_VALUE:
        return on_trailer(c, octet);
    default:
        return on_line_end(c, octet);
    }
}

/* Chunk data is not looked at: it is stepped over. */
static size_t skip_data(struct chunks *c, size_t len)
{
    size_t n = len < c->size_bytes ? len : (size_t)c->size_bytes;

    c->size_bytes -= n;
    if (c->size_bytes == 0)
        c->state = CHUNKS_DATA_CR;
    return n;
}

/* Whether an octet belongs to an extension or to the trailer section.  The CR
 * that ends an extension ends the size's line as well, and is kept. */
static bool is_extra(const struct chunks *c, char octet)
{
    if (c->state == CHUNKS_SIZE)
        return octet == ';';
    if (c->state >= CHUNKS_EXT_NAME_START && c->state <= CHUNKS_EXT_QUOTED_END)
        return octet != '\r';
    return c->state >= CHUNKS_TRAILER && c->state <= CHUNKS_LAST_LF;
}

size_t chunks_judge(struct chunks *c, const char *data, size_t len, bool *kept)
{
    size_t i = 0;

    *kept = len > 0 && !is_extra(c, data[0]);
    while (i < len && c->state < CHUNKS_END && *kept != is_extra(c, data[i])) {
        if (c->state == CHUNKS_DATA) {
            i += skip_data(c, len - i);
            continue;
        }
        c->state = on_octet(c, data[i]);
        if (c->state != CHUNKS_BAD)
            i++;
    }
    return i;
}
