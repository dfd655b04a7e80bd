#include "config/document.h"

#include <errno.h>
#include <stdlib.h>

/* Places in the text ------------------------------------------------------ */

struct place {
    unsigned line, column;
};

/* Columns count characters, as editors do. */
static struct place place_of(const char *text, size_t offset)
{
    struct place at = {1, 1};

    for (size_t i = 0; i < offset; i++) {
        if (text[i] == '\n')
            at = (struct place){at.line + 1, 1};
        else if (((unsigned char)text[i] & 0xc0) != 0x80)
            at.column++;
    }
    return at;
}

/* Before jansson ---------------------------------------------------------- */

static bool check_encoding(const char *text, size_t len, struct faults *faults)
{
    struct str rest = {text, len}, line;

    if (str_starts(rest, STR("\xef\xbb\xbf"))) {
        faults_add(faults, 1, 0, NULL,
                   "begins with a byte order mark; save it as UTF-8 without "
                   "one");
        return false;
    }
    if (str_starts(rest, STR("\xff\xfe")) ||
        str_starts(rest, STR("\xfe\xff"))) {
        faults_add(faults, 1, 0, NULL, "is UTF-16; save it as UTF-8");
        return false;
    }
    for (unsigned n = 1; rest.p != NULL; n++) {
        rest = str_split(rest, '\n', &line);
        if (!str_utf8_valid(line)) {
            faults_add(faults, n, 0, NULL, "is not UTF-8");
            return false;
        }
    }
    return true;
}

/* The offset after the string whose quote is at i.  A line's end ends it too:
 * jansson will complain about that. */
static size_t string_end(const char *text, size_t len, size_t i)
{
    for (i++; i < len && text[i] != '"' && text[i] != '\n'; i++)
        if (text[i] == '\\')
            i++;
    return i < len ? i + 1 : len;
}

static size_t comment_end(const char *text, size_t len, size_t i)
{
    const char *end;

    if (text[i + 1] == '/') {
        end = memchr(text + i, '\n', len - i);
        return end == NULL ? len : (size_t)(end - text);
    }
    end = memmem(text + i + 2, len - i - 2, "*/", 2);
    return end == NULL ? 0 : (size_t)(end - text) + 2;
}

/* Comments become spaces, so that every place stays what it was. */
static bool blank_comments(char *text, size_t len, struct faults *faults)
{
    for (size_t i = 0; i < len;) {
        size_t end;

        if (text[i] == '"') {
            i = string_end(text, len, i);
            continue;
        }
        if (text[i] != '/' || i + 1 == len ||
            (text[i + 1] != '/' && text[i + 1] != '*')) {
            i++;
            continue;
        }
        end = comment_end(text, len, i);
        if (end == 0) {
            struct place at = place_of(text, i);

            faults_add(faults, at.line, at.column, NULL,
                       "a comment begins here and is never closed with */");
            return false;
        }
        for (; i < end; i++)
            if (text[i] != '\n')
                text[i] = ' ';
    }
    return true;
}

/* jansson's complaint ----------------------------------------------------- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The offset of the last octet before offset that is no space; offset itself
 * where there is none. */
static size_t before(const char *text, size_t offset)
{
    for (size_t i = offset; i > 0; i--)
        if (!is_space(text[i - 1]))
            return i - 1;
    return offset;
}

static const struct wording {
    const char *jansson, *ours;
    const char *before_token; /* NULL: the token is not worth telling */
} wordings[] = {
    {"string or '}' expected", "a key in double quotes is expected", ", not "},
    {"'}' expected", "a comma or } is expected", ", not "},
    {"']' expected", "a comma or ] is expected", ", not "},
    {"':' expected", "a : is expected after the key", ", not "},
    {"'[' or '{' expected", "an object, { ... }, is expected", ", not "},
    {"end of file expected", "nothing more is expected", ", not "},
    {"unexpected token", "a value is expected", ", not "},
    {"invalid token", "not JSON", ": "},
    {"unexpected newline", "a string is not closed on its line", ": "},
    {"premature end of input", "the file ends in the middle of this", NULL},
    {"control character", "a tab or another control character in a string; "
                          "write it as an escape such as \\t", NULL},
    {"\\u0000 is not allowed", "a string must not hold \\u0000", NULL},
    {"", "not JSON", NULL}, /* and then jansson's own words */
};

static const struct wording *reword(const char *jansson)
{
    const struct wording *w = wordings;

    while (strncmp(jansson, w->jansson, strlen(w->jansson)) != 0)
        w++;
    return w;
}

/* jansson's position is the end of the token that it tripped over, and its
 * text ends in "near 'TOKEN'". */
static struct str near_token(const json_error_t *error)
{
    const char *token = strstr(error->text, " near '");
    size_t n;

    if (token == NULL)
        return STR_NONE;
    token += strlen(" near '");
    n = strlen(token);
    return (struct str){token, n > 0 ? n - 1 : 0};
}

static void complain(const char *text, size_t len, const json_error_t *error,
                     struct faults *faults)
{
    struct str token = near_token(error);
    size_t end = error->position < 0 ? 0 : (size_t)error->position;
    const struct wording *w = reword(error->text);
    size_t start, comma;
    struct place at;

    if (end > len)
        end = len;
    start = token.n <= end ? end - token.n : 0;
    at = place_of(text, start);
    comma = before(text, start);
    if (start < len && (text[start] == ']' || text[start] == '}') &&
        text[comma] == ',') {
        at = place_of(text, comma);
        faults_add(faults, at.line, at.column, NULL,
                   "a comma before the closing %c: leave it out",
                   text[start]);
    } else if (*w->jansson == '\0') {
        faults_add(faults, at.line, at.column, NULL, "%s: %s", w->ours,
                   error->text);
    } else if (token.n == 0 || w->before_token == NULL) {
        faults_add(faults, at.line, at.column, NULL, "%s", w->ours);
    } else {
        faults_add(faults, at.line, at.column, NULL, "%s%s%.*s", w->ours,
                   w->before_token, (int)(token.n > 60 ? 60 : token.n),
                   token.p);
    }
}

/* After jansson ----------------------------------------------------------- */

/* Where the scan of a text that jansson took has come to. */
struct scan {
    struct document *document;
    struct faults *faults;
    struct node *in;  /* the innermost open object or array */
    struct str key;   /* read, its value not yet */
    bool wants_key;
    unsigned line;
};

static char *key_decode(struct str quoted)
{
    json_t *value;
    char *key = NULL;

    if (memchr(quoted.p, '\\', quoted.n) == NULL)
        return strndup(quoted.p + 1, quoted.n - 2);
    value = json_loadb(quoted.p, quoted.n, JSON_DECODE_ANY, NULL);
    if (value != NULL)
        key = strdup(json_string_value(value));
    json_decref(value);
    return key;
}

static void link_child(struct node *parent, struct node *n)
{
    n->parent = parent;
    if (parent->last == NULL)
        parent->first = n;
    else
        parent->last->next = n;
    n->index = parent->last == NULL ? 0 : parent->last->index + 1;
    parent->last = n;
}

static int add_node(struct scan *s)
{
    struct document *d = s->document;
    struct node *n;

    if (++d->node_count > DOCUMENT_NODES_MAX) {
        faults_add(s->faults, s->line, 0, NULL, "more than %d values",
                   DOCUMENT_NODES_MAX);
        return -EINVAL;
    }
    n = calloc(1, sizeof(*n));
    if (n == NULL)
        return -ENOMEM;
    n->line = s->line;
    n->older = d->newest;
    d->newest = n;
    if (s->in == NULL) {
        d->root = n;
        n->value = d->value;
        return 0;
    }
    link_child(s->in, n);
    if (s->key.p == NULL) {
        n->value = json_array_get(s->in->value, n->index);
        return 0;
    }
    n->key = key_decode(s->key);
    if (n->key == NULL)
        return -ENOMEM;
    n->value = json_object_get(s->in->value, n->key);
    s->key = STR_NONE;
    return 0;
}

static void unlink_child(struct node *parent, struct node *gone)
{
    struct node **at = &parent->first, *last = NULL;

    while (*at != gone) {
        last = *at;
        at = &(*at)->next;
    }
    *at = gone->next;
    if (parent->last == gone)
        parent->last = last;
}

static void fault_twice(struct faults *faults, const struct node *n,
                        const struct node *first)
{
    struct buffer path = {0};

    node_path(n, &path);
    buffer_append_byte(&path, '\0');
    faults_add(faults, n->line, 0, path.data,
               "the same key twice; the first is on line %u", first->line);
    buffer_fini(&path);
}

/* jansson kept the last of several equal keys: so do we, after telling.  An
 * object of jansson's serves as the table of what was seen. */
static int drop_duplicates(struct scan *s, struct node *object)
{
    json_t *seen = json_object();
    struct node *next;
    int rc = seen == NULL ? -ENOMEM : 0;

    for (struct node *n = object->first; n != NULL && rc == 0; n = next) {
        json_t *first = json_object_get(seen, n->key);
        struct node *earlier;

        next = n->next;
        if (first != NULL) {
            earlier = (struct node *)(intptr_t)json_integer_value(first);
            fault_twice(s->faults, n, earlier);
            unlink_child(object, earlier);
        }
        if (json_object_set_new(seen, n->key,
                                json_integer((intptr_t)n)) < 0)
            rc = -ENOMEM;
    }
    json_decref(seen);
    return rc;
}

static size_t children(const struct node *parent)
{
    size_t count = 0;

    for (const struct node *n = parent->first; n != NULL; n = n->next)
        count++;
    return count;
}

static int open_container(struct scan *s, bool object)
{
    int rc = add_node(s);

    if (rc < 0)
        return rc;
    s->in = s->in == NULL ? s->document->root : s->in->last;
    s->wants_key = object;
    return 0;
}

static int close_container(struct scan *s, bool object)
{
    struct node *closed = s->in;

    s->in = closed->parent;
    s->wants_key = false;
    if (object && children(closed) != json_object_size(closed->value))
        return drop_duplicates(s, closed);
    return 0;
}

/* A number, true, false or null goes on to the next of these. */
static size_t word_end(const char *text, size_t len, size_t i)
{
    while (i < len && !is_space(text[i]) && text[i] != ',' &&
           text[i] != ']' && text[i] != '}')
        i++;
    return i;
}

/* One token of text at i; *end is the offset after it. */
static int scan_token(struct scan *s, const char *text, size_t len, size_t i,
                      size_t *end)
{
    char c = text[i];

    *end = i + 1;
    if (c == '\n')
        s->line++;
    if (c == ',')
        s->wants_key = s->in != NULL && s->in->first != NULL &&
                       s->in->first->key != NULL;
    if (is_space(c) || c == ',' || c == ':')
        return 0;
    if (c == '{' || c == '[')
        return open_container(s, c == '{');
    if (c == '}' || c == ']')
        return close_container(s, c == '}');
    if (c != '"') {
        *end = word_end(text, len, i);
        return add_node(s);
    }
    *end = string_end(text, len, i);
    if (!s->wants_key)
        return add_node(s);
    s->key = (struct str){text + i, *end - i};
    s->wants_key = false;
    return 0;
}

static int find_places(struct document *d, const char *text, size_t len,
                       struct faults *faults)
{
    struct scan s = {.document = d, .faults = faults, .line = 1};
    size_t i = 0;
    int rc = 0;

    while (i < len && rc == 0)
        rc = scan_token(&s, text, len, i, &i);
    return rc;
}

int document_parse(struct document *d, char *text, size_t len,
                   struct faults *faults)
{
    json_error_t error;

    *d = (struct document){0};
    if (!check_encoding(text, len, faults) ||
        !blank_comments(text, len, faults))
        return -EINVAL;
    if (before(text, len) == len) {
        faults_add(faults, 1, 0, NULL, "is empty");
        return -EINVAL;
    }
    d->value = json_loadb(text, len, 0, &error);
    if (d->value == NULL) {
        /* jansson seldom says that memory ran out: it may have no words at
         * all, or blame a token. */
        if (json_error_code(&error) == json_error_out_of_memory ||
            error.text[0] == '\0')
            return -ENOMEM;
        complain(text, len, &error, faults);
        return -EINVAL;
    }
    return find_places(d, text, len, faults);
}

void document_fini(struct document *d)
{
    while (d->newest != NULL) {
        struct node *n = d->newest;

        d->newest = n->older;
        free(n->key);
        free(n);
    }
    json_decref(d->value);
    *d = (struct document){0};
}

/* Asking nodes ------------------------------------------------------------ */

const struct node *node_get(const struct node *object, const char *key)
{
    for (const struct node *n = object->first; n != NULL; n = n->next)
        if (n->key != NULL && strcmp(n->key, key) == 0)
            return n;
    return NULL;
}

size_t node_children(const struct node *n)
{
    return n->last == NULL ? 0 : n->last->index + 1;
}

bool node_is(const struct node *n, json_type type)
{
    return n->value != NULL && json_typeof(n->value) == type;
}

const char *node_text(const struct node *n)
{
    return json_string_value(n->value);
}

const char *node_type_name(const struct node *n)
{
    switch (json_typeof(n->value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "a number";
    case JSON_REAL:
        return "a number with a point";
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    default:
        return "null";
    }
}

static bool is_plain_key(const char *key)
{
    return *key != '\0' &&
           key[strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                           "0123456789_-$")] == '\0';
}

void node_path(const struct node *n, struct buffer *out)
{
    if (n->parent == NULL)
        return;
    node_path(n->parent, out);
    if (n->key == NULL)
        buffer_printf(out, "[%u]", n->index);
    else if (is_plain_key(n->key))
        buffer_printf(out, "%s%s", out->len > 0 ? "." : "", n->key);
    else
        buffer_printf(out, "[\"%.80s\"]", n->key);
}
