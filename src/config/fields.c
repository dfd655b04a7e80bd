/* The request fields that a source's backend gets: those of the file, and those
 * of its clients. */
#include "config/config_priv.h"

#include <stdlib.h>

/* RFC 9110 5.6.2. */
static bool is_token(const char *name)
{
    for (const char *c = name; *c != '\0'; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
              (*c >= '0' && *c <= '9') || strchr("!#$%&'*+-.^_`|~", *c)))
            return false;
    return *name != '\0';
}

/* What frames a request, or what penstock says there itself. */
static bool is_ours(const char *name)
{
    static const char *const names[] = {
        "Accept", "Accept-Encoding", "Cache-Control", "Connection",
        "Content-Length", "Expect", "Host", "If-Modified-Since",
        "If-None-Match", "Keep-Alive", "Last-Event-ID", "Proxy-Connection",
        "Range", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
    };
    struct str s = str_of(name), prefix = STR("Sec-WebSocket-");

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (str_eq_nocase(s, str_of(names[i])))
            return true;
    return s.n > prefix.n && str_eq_nocase((struct str){s.p, prefix.n}, prefix);
}

static bool check_name(struct loading *l, const struct node *n,
                       const char *name)
{
    if (!is_token(name))
        fault_at(l, n, "\"%.80s\" is not a field's name", name);
    else if (is_ours(name))
        fault_at(l, n, "\"%.80s\" is a field that penstock writes itself",
                 name);
    else
        return true;
    return false;
}

/* Values are secrets, and are not told (RFC 9110 5.5). */
static bool check_value(struct loading *l, const struct node *n,
                        struct str value)
{
    if (value.n == 0) {
        fault_at(l, n, "holds nothing");
        return false;
    }
    for (size_t i = 0; i < value.n; i++)
        if (((unsigned char)value.p[i] < ' ' && value.p[i] != '\t') ||
            value.p[i] == 0x7f) {
            fault_at(l, n, "holds a line end or another control character, "
                     "which a field cannot have");
            return false;
        }
    return true;
}

static void add_field(struct loading *l, const struct node *n, struct str value,
                      struct buffer *out)
{
    value = str_trim(value);
    if (check_value(l, n, value))
        header_write(out, str_of(n->key), value);
}

static bool is_agent(const char *name)
{
    return str_eq_nocase(str_of(name), STR("User-Agent"));
}

static void read_field_file(struct loading *l, const struct node *n,
                            struct buffer *out)
{
    const struct node *file = node_get(n, "file");
    const char *name;
    struct buffer text = {0};

    if (file == NULL || file->next != NULL || n->first != file) {
        fault_at(l, n, "is a string, or {\"file\": \"NAME\"} for what stands "
                 "in a file");
        return;
    }
    name = expect_text(l, file, "\"/etc/penstock/authorization\"");
    if (name != NULL &&
        config_read_file(l, file, name, SECRET_BYTES_MAX, &text))
        add_field(l, n, config_one_line(&text), out);
    buffer_fini(&text);
}

static void read_field(struct loading *l, const struct node *n,
                       struct buffer *out)
{
    const char *text;

    if (!check_name(l, n, n->key))
        return;
    for (const struct node *k = n->parent->first; k != n; k = k->next)
        if (str_eq_nocase(str_of(k->key), str_of(n->key)))
            fault_at(l, n, "stands there already, as \"%.80s\"", k->key);
    if (node_is(n, JSON_OBJECT)) {
        read_field_file(l, n, out);
        return;
    }
    text = expect_text(l, n, "\"Bearer ...\"");
    if (text != NULL)
        add_field(l, n, (struct str){text, json_string_length(n->value)}, out);
}

void read_source_headers(struct loading *l, const struct node *n, void *into)
{
    struct route *r = into;
    struct buffer fields = {0};

    if (!expect(l, n, JSON_OBJECT, "{\"Authorization\": \"Bearer ...\"}"))
        return;
    for (const struct node *f = n->first; f != NULL; f = f->next) {
        read_field(l, f, &fields);
        r->source.has_agent |= is_agent(f->key);
    }
    buffer_append_byte(&fields, '\0');
    if (fields.failed) {
        l->no_memory = true;
        buffer_fini(&fields);
        return;
    }
    r->source.fields = fields.data;
}

static bool is_passed(char *const *pass, const char *name)
{
    for (; *pass != NULL; pass++)
        if (str_eq_nocase(str_of(*pass), str_of(name)))
            return true;
    return false;
}

static void add_passed(struct loading *l, const struct node *n, char **pass,
                       unsigned *count)
{
    const struct node *headers = node_get(n->parent->parent, "headers");
    const char *name = expect_text(l, n, "\"Authorization\"");

    if (name == NULL || !check_name(l, n, name))
        return;
    if (is_passed(pass, name))
        fault_at(l, n, "\"%.80s\" is listed twice", name);
    for (const struct node *k = headers == NULL ? NULL : headers->first;
         k != NULL; k = k->next)
        if (str_eq_nocase(str_of(k->key), str_of(name)))
            fault_at(l, n, "\"%.80s\" stands in \"headers\", too", name);
    pass[(*count)++] = copy_text(l, name);
}

void read_pass(struct loading *l, const struct node *n, void *into)
{
    struct route *r = into;
    unsigned count = 0;

    if (!expect(l, n, JSON_ARRAY, "[\"Authorization\"]"))
        return;
    if (n->first == NULL)
        fault_at(l, n, "is empty; leave it out");
    r->source.pass = make_array(l, node_children(n) + 1,
                                sizeof(*r->source.pass));
    if (r->source.pass == NULL)
        return;
    for (const struct node *f = n->first; f != NULL; f = f->next)
        add_passed(l, f, r->source.pass, &count);
    r->source.has_agent |= is_passed(r->source.pass, "User-Agent");
}

void check_fields(struct loading *l, const struct node *source,
                  const struct route *r)
{
    if (r->source.pass != NULL && r->source.per != PER_CLIENT)
        fault_in(l, source, "pass", "goes with \"per\": \"client\" only: one "
                 "connection for all cannot have what each of them sends");
    if (r->source.per != PER_CLIENT)
        return;
    if (r->source.pass == NULL)
        fault_in(l, source, "per", "\"client\" needs \"pass\", which names "
                 "what tells clients apart, such as [\"Authorization\"]");
    if (r->source.when == WHEN_ALWAYS)
        fault_in(l, source, "when", "\"always\" does not go with \"per\": "
                 "\"client\": nobody is there to read for");
    if (r->multiplex)
        fault_in(l, source, "per", "\"client\" does not go with \"multiplex\"");
    if (r->reader.cache_s > 0 || r->reader.cache_auto)
        fault_in(l, source, "per", "\"client\" does not go with \"cache\": it "
                 "would give one client what is another's");
}
