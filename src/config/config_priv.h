/* config_priv.h - what the files that read the config share: the table made
 * of config.def, the state of one loading, and who reads which key. */
#ifndef PENSTOCK_CONFIG_CONFIG_PRIV_H
#define PENSTOCK_CONFIG_CONFIG_PRIV_H

#include "config/config.h"
#include "config/document.h"
#include "http/headers.h"

#define SECOND 1000ull /* in ms */
#define HOUR   (3600 * SECOND)
#define DAY    (24 * HOUR)
#define KIB    (1ull << 10)
#define MIB    (1ull << 20)
#define GIB    (1ull << 30)
/* The largest message: written as JSON, with six octets for one, its length still
 * fits into 32 bits. */
#define MESSAGE_MOST (512 * MIB)

/* The objects of the file.  A route takes its own keys and those of a feed:
 * what only a route with a source has. */
enum scope {
    SCOPE_top,
    SCOPE_listen,
    SCOPE_listen_tls,
    SCOPE_admin,
    SCOPE_log,
    SCOPE_limits,
    SCOPE_backend,
    SCOPE_backend_tls,
    SCOPE_route,
    SCOPE_cors,
    SCOPE_client,
    SCOPE_feed,
    SCOPE_receive,
    SCOPE_presence,
    SCOPE_history,
    SCOPE_batch,
    SCOPE_compress,
    SCOPE_source,
    SCOPE_transform,
    SCOPE_backoff,
    SCOPE_N,
};

enum key_type {
    KEY_DURATION,
    KEY_SECONDS,
    KEY_SIZE,
    KEY_COUNT,
    KEY_ENUM,
    KEY_OBJECT,
    KEY_OWN,
    KEY_LATER,
    KEY_LATER_VALUE,
};

/* What one loading has at hand. */
struct loading {
    struct config *config;
    struct faults *faults;
    const char *file;
    json_t *seen_routes, *seen_channels; /* tables: text to index */
    bool no_memory;
};

/* Reads n into the struct that the key's object fills. */
typedef void read_fn(struct loading *l, const struct node *n, void *into);

struct config_key {
    enum scope scope;
    const char *name;
    enum key_type type;
    size_t offset;        /* of the field in the object's struct */
    const char *preset;   /* the default; NULL: all zero, or the reader's */
    uint64_t low, high;
    const char *values;   /* of an enum, in order: "a|b|c" */
    enum scope inner;     /* of an object */
    read_fn *read;        /* of one that is its own */
    bool needed;
    const char *schema;   /* of one that is its own: JSON */
    const char *help;
};

extern const struct config_key config_keys[];
extern const size_t config_key_count;
/* "routes[]", "routes[].history": where an object's keys are written. */
extern const char *const config_scope_paths[SCOPE_N];

/* Adds a fault at n's line and path. */
void fault_at(struct loading *l, const struct node *n, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for a member that n lacks. */
void fault_in(struct loading *l, const struct node *n, const char *key,
              const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Appends `; allowed: a, b.  Did you mean "b"?` to what is told of wrong. */
void fault_choice(struct loading *l, const struct node *n, const char *what,
                  const char *wrong, const char *allowed_word,
                  const char *const names[], size_t count);

/* Whether n is of that type; a fault where not, with example as what to
 * write ("" for none). */
bool expect(struct loading *l, const struct node *n, json_type type,
            const char *example);
/* The text of a string, or NULL after telling. */
const char *expect_text(struct loading *l, const struct node *n,
                        const char *example);
/* The value of a boolean; false after telling. */
bool expect_boolean(struct loading *l, const struct node *n);
/* strdup and calloc that note a failure in l. */
char *copy_text(struct loading *l, const char *text);
void *make_array(struct loading *l, size_t count, size_t size);

/* A file that is named in the config file is meant from where that is: its
 * path, or NULL without memory. */
char *config_file_beside(struct loading *l, const char *name);

/* Sets a struct's fields to the defaults of an object and of those in it. */
void keys_preset(enum scope scope, void *into);
/* Reads an object's members, whatever their order, in the table's. */
void keys_read(struct loading *l, const struct node *object, enum scope scope,
               void *into);
/* Whether a route's key is for routes with a source only. */
bool key_is_feed(const char *name);

/* Splits "host:port" or "[v6]:port" in place.  *port is NULL where there is no
 * colon.  Returns what is wrong, or NULL. */
const char *config_split_host(char *text, char **host, char **port);
/* Whether it is a name or an address, without brackets. */
bool config_host_valid(const char *host);
/* Digits, at most 65535; low is 0 or 1. */
bool config_port_parse(struct loading *l, const struct node *n,
                       const char *text, unsigned low, uint16_t *out);

/* What an authorization takes; larger than any header field should be. */
#define SECRET_BYTES_MAX 8192

/* Reads the file named text, as n has it, found from the config file's
 * directory.  False, and told, where that cannot be, or where it holds more
 * than cap octets. */
bool config_read_file(struct loading *l, const struct node *n,
                      const char *text, size_t cap, struct buffer *out);
/* A file's text without one line end at its end. */
struct str config_one_line(const struct buffer *text);
/* Whether what a source says of request fields goes together. */
void check_fields(struct loading *l, const struct node *source,
                  const struct route *r);
/* What is left to do once a backend's servers and its "tls" are known. */
void finish_tls(struct loading *l, const struct node *n, struct backend *b);

const struct backend *config_find_backend(const struct config *c,
                                                 const char *name);
/* Reads "host:port" or "[v6]:port", in place.  False, and told, where it is
 * none. */
bool config_read_authority(struct loading *l, const struct node *n, char *copy,
                           uint16_t port_default, struct backend_server *out);
void backend_server_fini(struct backend_server *s);
/* The text of the file that n names, without one line end; NULL after
 * telling. */
char *config_read_secret(struct loading *l, const struct node *n);
/* redis://[user][:password@]host[:port][/db] and
 * redis+unix://[user][:password@]/path[?db=N]. */
bool config_is_redis_url(const char *url);
bool config_read_redis_server(struct loading *l, const struct node *n,
                              struct backend_server *out);
bool config_source_is_redis(const struct source_settings *s);
/* What "subscribe" and "from" are beside "redis". */
void config_read_redis_channel(struct loading *l, const struct node *n,
                               struct route *r);
void config_read_redis_id(struct loading *l, const struct node *n,
                          struct route *r);
/* Whether a redis source says what to read; told where not. */
void config_check_redis(struct loading *l, const struct node *source,
                        struct route *r);
/* "allowed" for names of backends: fault_choice with all of them. */
void fault_backend(struct loading *l, const struct node *n, const char *wrong);

/* Reads one origin, or an array of them: NULL-ended, the route's from then on;
 * NULL after telling, or without memory.  empty: what to do instead of writing
 * an empty array. */
char **config_read_origins(struct loading *l, const struct node *n,
                           const char *empty);
/* Whether what a route's "cors" says goes together; the origins it allows may
 * open WebSockets, too, unless "origins" stands there. */
void check_cors(struct loading *l, const struct node *route, struct route *r);
/* What is left to do once a route's rate and burst are known. */
void finish_rate(struct route *r);
/* Reads text as a pattern.  False, and told, where it is none. */
bool config_init_pattern(struct loading *l, const struct node *n,
                         const char *text, struct pattern *out);
/* The same for text that is no path: a * in it is a *. */
bool config_init_template(struct loading *l, const struct node *n,
                          const char *text, struct pattern *out);
/* Whether every % in text begins an escape; told where not. */
bool config_check_escapes(struct loading *l, const struct node *n,
                          const char *text);
/* Reads a channel's name as a template.  False, and told, where it is none. */
bool config_init_channel(struct loading *l, const struct node *n,
                         const char *text, struct pattern *out);
/* Reads "BACKEND/PATH", whose names in braces are of the channel or the path.
 * False, and told, where it is none; *path is l's to free. */
bool config_read_url(struct loading *l, const struct node *n,
                     const struct backend **backend, const char **path);
/* Whether a route's "receive", "echo" and {connection} go together. */
void check_receive(struct loading *l, const struct node *route,
                   struct route *r);

/* Sorts the routes for config_route.  0 or -ENOMEM. */
int config_index(struct config *c);

#define OWN(scope, key, read, needed, schema, help) read_fn read;
#define DURATION(...)
#define SECONDS(...)
#define SIZE(...)
#define COUNT(...)
#define ENUM(...)
#define OBJECT(...)
#define LATER(...)
#define LATER_VALUE(...)
#include "config/config.def"
#undef OWN
#undef DURATION
#undef SECONDS
#undef SIZE
#undef COUNT
#undef ENUM
#undef OBJECT
#undef LATER
#undef LATER_VALUE

#endif
