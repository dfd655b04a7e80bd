/* config.h - the config file, checked whole and turned into one immutable
 * snapshot that every worker may read.  Keys, units, ranges, defaults and help
 * stand in config.def; nothing else knows them. */
#ifndef PENSTOCK_CONFIG_CONFIG_H
#define PENSTOCK_CONFIG_CONFIG_H

#include <stdio.h>

#include "base/buffer.h"
#include "base/logging.h"
#include "base/rate.h"
#include "base/snapshot.h"
#include "base/tally.h"
#include "feed/settings.h"
#include "proxy/backend.h"
#include "config/pattern.h"

struct module;

enum transport_kind { /* as bits; their names: tally_transports */
    KIND_POLL,
    KIND_LONGPOLL,
    KIND_SSE,
    KIND_WEBSOCKET,
    KIND_N,
};

enum access_log { ACCESS_OFF, ACCESS_TEXT, ACCESS_JSON };

struct config_address { /* "127.0.0.1:8080", "[::1]:80", "*:80", ":80" */
    char *text;
    char *host; /* NULL for any; without brackets */
    uint16_t port; /* 0: any free one */
    char *cert, *key;        /* files' names, of what TLS is spoken with */
    struct tls_context *tls; /* NULL: it is spoken plainly */
};

/* Which web pages of other origins may read a route (Fetch, "CORS protocol"). */
struct cors_settings {
    char **origins;     /* NULL-ended, "*" is any; NULL: none, and no fields */
    bool credentials;   /* cookies and the like may be sent along */
    char *headers;      /* more request fields, "X-A, X-B", or NULL */
    uint64_t max_age_s; /* how long browsers may remember a preflight */
};

struct route {
    char *path;           /* as written */
    char *host;           /* NULL: any */
    struct pattern pattern;
    unsigned line;        /* in the file */
    tally_id tally;       /* where it is counted: set when it comes into force */
    struct cors_settings cors;
    struct rate rate;     /* of one client's requests */
    unsigned burst;       /* as written; 0: not */
    const struct backend *proxy; /* plain proxying; else NULL and: */
    bool multiplex;       /* its clients name the channels */
    char *channel_text;   /* template, as written or by default; NULL: those
                           * of other routes, multiplexed */
    struct pattern channel;
    bool per_connection;  /* the channel's name has {connection} */
    uint8_t transports[KIND_N]; /* enum transport_kind, in order of preference */
    unsigned transport_count;
    uint64_t acceptable_ms; /* how late an update may arrive; 0: not stated */
    struct history_limits history;
    struct reader_settings reader;
    struct source_settings source;
    struct pattern receive;     /* where clients' messages go: the channel of
                                 * RECEIVE_OTHER, the URL of RECEIVE_POST */
    struct pattern hooks[2];    /* the URLs of on_open and on_close; empty: none */
    struct pattern source_path; /* source.path, as a template; empty for none */
};

/* Whether it lists a transport (enum transport_kind). */
bool route_serves(const struct route *r, unsigned kind);
/* Where what r answers by that transport is counted; KIND_N: in another way. */
tally_id route_tally(const struct route *r, unsigned kind);
/* Whether clients may POST messages to it. */
bool route_takes_posts(const struct route *r);

struct route_entry;

struct config {
    struct snapshot snapshot; /* first */
    char *file;
    struct config_address *listen;
    unsigned listen_count;
    struct config_address *admin; /* NULL: no admin listener */
    char *admin_token;            /* bearer token, or NULL */
    const struct module **modules; /* those named in it */
    unsigned module_count;
    unsigned workers;             /* 0: one per core */
    bool client;                  /* /penstock.js is served */
    struct {
        enum log_level level;
        enum access_log access;
    } log;
    struct {
        size_t head_bytes, target_bytes;
        unsigned fields;
        uint64_t head_ms;      /* for a whole request head: 408 after */
        uint64_t idle_ms;      /* keep-alive between requests */
        uint64_t write_ms;     /* an answer that makes no progress */
        uint64_t drain_ms;     /* SIGTERM to the end */
        uint64_t spread_ms;    /* readers are let go within it */
        unsigned connections;  /* all workers; 503 beyond */
        unsigned per_address;  /* of one client address; 0: no limit */
        struct rate accept;    /* all workers; others wait */
        unsigned channels;     /* all routes; 503 beyond */
        size_t message_bytes;  /* one published message: 413 beyond */
    } limits;
    struct backend *backends;
    unsigned backend_count;
    struct route *routes; /* in the order of the file */
    unsigned route_count;
    struct route_entry *by_path;     /* route.c's: in the order of trying */
    const struct route **by_channel; /* without those of plain proxying */
    unsigned by_channel_count;
};

#define CONFIG_BYTES_MAX (16u << 20) /* no config file; most likely a mistake */
#define CONFIG_LISTEN_MAX 16             /* addresses, each once a worker */
#define CONFIG_TARGET_MAX 65536          /* the most that limits.target can be */

/* Reads and checks file.  0 and *out with one reference; or -EINVAL (or the
 * errno of reading it), and every fault found, a line each, in errors:
 *   FILE:LINE: routes[2].transports[0]: unknown transport "webscoket";
 *   allowed: websocket, sse, longpoll, poll.  Did you mean "websocket"? */
int config_load(struct config **out, const char *file, struct buffer *errors);
/* The same with the text given; file is for messages, and relative file names
 * in it start at file's directory.  text is scratched. */
int config_parse(struct config **out, const char *file, char *text, size_t len,
                 struct buffer *errors);
struct config *config_ref(struct config *c);
/* Drops *cp's reference and sets *cp to NULL.  The last one frees. */
void config_unref(struct config **cp);

/* The route that serves a request: the most specific path that matches, among
 * those for its host, or else among those for any.  NULL: none.  path is as
 * the client sent it, without its query; values (may be NULL) gets the {name}
 * parts, as slices of path, still percent-encoded.  Any thread, no lock, no
 * allocation. */
const struct route *config_route(const struct config *c, struct str host,
                                 struct str path, struct pattern_values *values);
/* Whether whoever decodes path further would find it to be another route's:
 * with escaped slashes and dots decoded, backslashes read as slashes, dot
 * segments removed and empty segments dropped (RFC 3986 5.2.4, 6.2.2).  Such
 * a request is answered 400: one route's rules must not be had by writing
 * another's path.  Nearly free for a path without any of these. */
bool config_route_ambiguous(const struct config *c, struct str host,
                            struct str path);
/* A channel whose source is one client's own (PER_CLIENT) has a name that ends
 * in this mark and so many hexadecimal digits. */
#define CONFIG_CLIENT_MARK   '~'
#define CONFIG_CLIENT_DIGITS 32
/* The name without that end; absent where it has none. */
struct str config_base_name(struct str name);

/* The route (not proxy) whose channel template fits name, the most specific
 * first and then the first in the file.  values as above. */
const struct route *config_route_of_channel(const struct config *c,
                                            struct str name,
                                            struct pattern_values *values);

/* Appends what the source of r's channel reads: source_path(), with values for
 * its {name}s.  0, -ENOENT for a name without a value, -ENOMEM. */
int config_source_path(const struct route *r,
                       const struct pattern_values *values,
                       struct buffer *out);

/* Writes the JSON Schema of the file, from config.def. */
void config_schema(FILE *out);
/* Writes the list of keys of penstock.json(5), in mdoc, from config.def. */
void config_manual(FILE *out);

#endif
