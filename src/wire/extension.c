#include "wire/extension.h"

#include <errno.h>
#include <stdio.h>

enum parameter {
    SERVER_NO_TAKEOVER,
    CLIENT_NO_TAKEOVER,
    SERVER_BITS,
    CLIENT_BITS,
    PARAMETERS,
};

static const char *const names[PARAMETERS] = {
    [SERVER_NO_TAKEOVER] = "server_no_context_takeover",
    [CLIENT_NO_TAKEOVER] = "client_no_context_takeover",
    [SERVER_BITS] = "server_max_window_bits",
    [CLIENT_BITS] = "client_max_window_bits",
};

#define BITS_MIN 8
#define BITS_MAX 15

/* One extension of a list. */
struct offer {
    bool ours;                /* it is permessage-deflate */
    bool wrong;               /* a parameter unknown, twice, or of a value that
                               * it cannot have */
    bool given[PARAMETERS];
    uint8_t bits[PARAMETERS]; /* 0: no value was given */
};

/* ---- the grammar (RFC 6455 9.1) -------------------------------------------- */

static bool is_token_octet(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static void drop(struct str *rest, size_t n)
{
    rest->p += n;
    rest->n -= n;
}

static void skip_space(struct str *rest)
{
    while (rest->n > 0 && (rest->p[0] == ' ' || rest->p[0] == '\t'))
        drop(rest, 1);
}

/* Takes c and the space around it. */
static bool take(struct str *rest, char c)
{
    skip_space(rest);
    if (rest->n == 0 || rest->p[0] != c)
        return false;
    drop(rest, 1);
    skip_space(rest);
    return true;
}

/* Empty where none is there. */
static struct str take_token(struct str *rest)
{
    struct str token = {rest->p, 0};

    while (token.n < rest->n && is_token_octet(rest->p[token.n]))
        token.n++;
    drop(rest, token.n);
    return token;
}

/* A value; what does not fit is longer than any that has a meaning. */
struct value {
    char text[8];
    size_t n;
};

static void value_add(struct value *v, char c)
{
    if (v->n < sizeof(v->text))
        v->text[v->n++] = c;
}

/* Behind its first quote.  What is quoted has to be a token once its escapes
 * are undone. */
static int take_quoted(struct str *rest, struct value *v)
{
    while (rest->n > 0 && rest->p[0] != '"') {
        if (rest->p[0] == '\\')
            drop(rest, 1);
        if (rest->n == 0 || !is_token_octet(rest->p[0]))
            return -EINVAL;
        value_add(v, rest->p[0]);
        drop(rest, 1);
    }
    if (rest->n == 0 || v->n == 0)
        return -EINVAL;
    drop(rest, 1);
    return 0;
}

static int take_value(struct str *rest, struct value *v)
{
    struct str token;

    v->n = 0;
    if (rest->n > 0 && rest->p[0] == '"') {
        drop(rest, 1);
        return take_quoted(rest, v);
    }
    token = take_token(rest);
    for (size_t i = 0; i < token.n; i++)
        value_add(v, token.p[i]);
    return token.n > 0 ? 0 : -EINVAL;
}

/* ---- parameters (RFC 7692 7.1) --------------------------------------------- */

/* 8 to 15, in decimal without a leading zero; else 0. */
static uint8_t bits_of(const struct value *v)
{
    uint64_t bits;

    if (v->n == 0 || v->n > 2 || v->text[0] == '0' ||
        !str_to_u64((struct str){v->text, v->n}, &bits))
        return 0;
    return bits >= BITS_MIN && bits <= BITS_MAX ? (uint8_t)bits : 0;
}

/* value is NULL where there is none. */
static void note_parameter(struct offer *o, struct str name,
                           const struct value *value)
{
    int i = 0;

    while (i < PARAMETERS && !str_eq(name, str_of(names[i])))
        i++;
    if (i == PARAMETERS || o->given[i]) {
        o->wrong = true;
        return;
    }
    o->given[i] = true;
    if (value == NULL)
        return;
    o->bits[i] = bits_of(value);
    if (i < SERVER_BITS || o->bits[i] == 0)
        o->wrong = true;
}

static int take_extension(struct str *rest, struct offer *o)
{
    struct str name = take_token(rest);

    *o = (struct offer){.ours = str_eq(name, STR("permessage-deflate"))};
    if (name.n == 0)
        return -EINVAL;
    while (take(rest, ';')) {
        struct value value;
        bool valued;

        name = take_token(rest);
        if (name.n == 0)
            return -EINVAL;
        valued = take(rest, '=');
        if (valued && take_value(rest, &value) < 0)
            return -EINVAL;
        note_parameter(o, name, valued ? &value : NULL);
    }
    return 0;
}

/* The next of a list; 0 at its end, 1, or -EINVAL.  Empty elements are passed
 * over (RFC 9110 5.6.1.2). */
static int next_extension(struct str *rest, struct offer *o)
{
    while (take(rest, ','))
        ;
    if (rest->n == 0)
        return 0;
    if (take_extension(rest, o) < 0)
        return -EINVAL;
    skip_space(rest);
    return rest->n == 0 || rest->p[0] == ',' ? 1 : -EINVAL;
}

/* ---- the server ------------------------------------------------------------ */

/* A client's own window does not matter: we read with the largest. */
static bool is_good(const struct offer *o)
{
    if (!o->ours || o->wrong)
        return false;
    return !o->given[SERVER_BITS] || o->bits[SERVER_BITS] > BITS_MIN;
}

int extension_choose(struct deflate_terms *terms, struct str offers)
{
    struct offer o;
    int rc;

    while ((rc = next_extension(&offers, &o)) > 0) {
        if (terms->agreed || !is_good(&o))
            continue;
        terms->agreed = true;
        terms->bits_asked = o.given[SERVER_BITS];
        terms->window_bits = o.given[SERVER_BITS] ? o.bits[SERVER_BITS]
                                                  : BITS_MAX;
    }
    return rc;
}

/* Both may be said to a client that did not ask (7.1.1): it then has to keep
 * them. */
size_t extension_answer(const struct deflate_terms *terms,
                        char out[EXTENSION_ANSWER_MAX])
{
    int n = snprintf(out, EXTENSION_ANSWER_MAX, "%s", EXTENSION_OFFER);

    if (terms->bits_asked)
        n += snprintf(out + n, EXTENSION_ANSWER_MAX - (size_t)n, "; %s=%u",
                      names[SERVER_BITS], terms->window_bits);
    return (size_t)n;
}

/* ---- the client ------------------------------------------------------------ */

int extension_accept(struct deflate_terms *terms, struct str answer)
{
    struct offer o, second;
    int rc;

    *terms = (struct deflate_terms){0};
    if (answer.p == NULL)
        return 0;
    rc = next_extension(&answer, &o);
    if (rc <= 0 || next_extension(&answer, &second) != 0)
        return -EPROTO; /* nothing, garbage, or more than was offered */
    /* What was asked for has to come back, and no demand on us that we did not
     * say we could meet (7.1.2.2). */
    if (!o.ours || o.wrong || !o.given[SERVER_NO_TAKEOVER] ||
        o.given[CLIENT_BITS] ||
        (o.given[SERVER_BITS] && o.bits[SERVER_BITS] == 0))
        return -EPROTO;
    terms->agreed = true;
    terms->bits_asked = o.given[SERVER_BITS];
    terms->window_bits = o.given[SERVER_BITS] ? o.bits[SERVER_BITS] : BITS_MAX;
    return 0;
}
