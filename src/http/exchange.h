/* exchange.h - one request and its answer, whatever the HTTP version under it.
 *
 * The protocol (http1.c) makes an exchange when a head is whole and calls the
 * service's dispatch, which answers at once or sets ops and answers later.
 * Everything happens on the connection's worker.  After exchange_finish(),
 * _respond(), _problem() or _fail(), and after ops->gone, the exchange is the
 * protocol's again and its handler must not touch it. */
#ifndef PENSTOCK_HTTP_EXCHANGE_H
#define PENSTOCK_HTTP_EXCHANGE_H

#include <sys/queue.h>
#include <sys/uio.h>

#include "base/buffer.h"
#include "base/snapshot.h"
#include "base/tally.h"
#include "http/head.h"
#include "http/headers.h"
#include "http/parser.h"

struct exchange;
struct worker;

/* What a handler is told.  NULL: nothing is done (body: read and dropped). */
struct exchange_ops {
    void (*body)(struct exchange *x, const char *data, size_t len);
    void (*body_end)(struct exchange *x);
    /* What was kept has gone out; exchange_writev() takes more again. */
    void (*drained)(struct exchange *x);
    /* Octets after exchange_upgrade(); writable, borrowed. */
    void (*raw)(struct exchange *x, char *data, size_t len);
    /* After exchange_upgrade(): the client sends no more, but may still read.
     * NULL: it has gone. */
    void (*raw_end)(struct exchange *x);
    /* The deadline that exchange_set_timer() set. */
    void (*timeout)(struct exchange *x);
    /* The server stops, or (if x->service does not drain) what x is about is
     * no more: end soon. */
    void (*drain)(struct exchange *x);
    /* Another configuration is in force, and settings are what those that x
     * began with are there; the old ones are about to go.  Of those that stay. */
    void (*renew)(struct exchange *x, const void *settings);
    /* The client went away, or sent what it must not, before the end. */
    void (*gone)(struct exchange *x);
};

enum exchange_body {
    BODY_NONE,   /* 204, 304, or an answer without one */
    BODY_LENGTH, /* exactly length octets */
    BODY_STREAM, /* until exchange_finish() */
};

/* How the version below does it. */
struct exchange_protocol {
    void (*start)(struct exchange *x, unsigned status,
                  const struct headers *headers, enum exchange_body body,
                  uint64_t length);
    void (*flush)(struct exchange *x);
    /* Appends the head of an answer with a body of length octets, as it would
     * be sent; may be NULL, and then exchange_send_whole() is not called. */
    void (*render)(struct exchange *x, struct buffer *out, unsigned status,
                   const struct headers *headers, uint64_t length);
    void (*send_whole)(struct exchange *x, struct str octets);
    void (*write)(struct exchange *x, const void *data, size_t len);
    size_t (*writev)(struct exchange *x, const struct iovec *iov, int n);
    void (*finish)(struct exchange *x);
    void (*fail)(struct exchange *x);
    void (*upgrade)(struct exchange *x, const struct headers *headers);
    void (*shut)(struct exchange *x);
    void (*interim)(struct exchange *x, unsigned status,
                    const struct headers *headers);
    void (*forget)(struct exchange *x); /* the request: it is not needed */
    void (*set_dead_after)(struct exchange *x, uint64_t ms);
    void (*set_prompt)(struct exchange *x);
    void (*read)(struct exchange *x, bool on);
    void (*set_timer)(struct exchange *x, uint64_t delay_ms);
    void (*set_tally)(struct exchange *x, tally_id tally);
    size_t (*pending)(const struct exchange *x);
    size_t (*unacked)(const struct exchange *x);
    const char *(*peer)(const struct exchange *x, char *out, size_t cap);
    bool (*secure)(const struct exchange *x);
};

LIST_HEAD(exchange_list, exchange);

/* Who answers on a listener, and within which limits.  Outlives its
 * connections; changed only on their worker. */
struct service {
    void (*dispatch)(struct exchange *x);
    /* A connection has, whose http1_accept() was given guest; or NULL. */
    void (*closed)(const struct service *s, void *guest);
    void *arg;
    struct head_limits head;
    uint64_t head_ms; /* for a whole head: 408 after */
    uint64_t idle_ms; /* between requests */
    uint64_t body_ms; /* without any octet of a body: 408 after */
    uint64_t write_ms; /* an answer that makes no progress; 0: 60 s */
    bool draining;    /* answers close their connections */
    struct exchange_list *readers; /* where exchange_stay() lists them */
};

struct exchange {
    const struct exchange_protocol *protocol;
    const struct exchange_ops *ops; /* NULL until the handler sets it */
    void *handler;                  /* the handler's */
    const struct service *service;
    union {
        const struct http_message *request; /* NULL once it follows */
        char *logged;               /* parked: "METHOD TARGET" for the log; NULL
                                     * where there is none */
    };
    LIST_ENTRY(exchange) link;      /* while it stays */
    struct snapshot *snapshot;      /* a reference, or NULL: what the handler's
                                     * settings are part of */
    const void *about;              /* the service's: what of its settings */
    const char *route;              /* for the log: the path as configured */
    struct headers *extra;          /* exchange_add(); NULL: none */
    uint64_t started_us;            /* 0: it is not to be logged */
    uint64_t sent_bytes;            /* of the body, as the handler wrote it */
    uint16_t status;                /* 0 until the head is sent */
    tally_id tally;                 /* where it is counted: exchange_count() */
    uint8_t kind;                   /* the service's: how it is answered */
    bool busy : 1;                  /* made, and not yet finished */
    bool chunked : 1;               /* the body is sent in chunks */
    bool hold_head : 1;             /* set before exchange_start(): see there */
    bool is_head : 1;               /* HEAD: bodies are not sent */
    bool http10 : 1;                /* the client knows neither chunks nor interim
                                     * answers */
    bool keep_alive : 1;
    bool upgraded : 1;
    bool following : 1;
    bool parked : 1;                /* exchange_park() */
    bool staying : 1;               /* exchange_stay() */
    bool request_done : 1;          /* its body has been read whole */
    bool continue_due : 1;          /* the client waits for 100 Continue */
    bool patient : 1;               /* the handler's: the body may take as long
                                     * as it likes */
    /* The protocol's own. */
    bool processing : 1;            /* the request's octets are being read */
    bool paused : 1;                /* exchange_read(): the handler has enough */
    bool finished : 1;              /* the answer is complete, the request's
                                     * body perhaps not */
};

/* What x is about: it is counted there, and so is what comes and goes over its
 * connection from now on. */
void exchange_count(struct exchange *x, tally_id tally);

/* Sends the head; or, with x->hold_head, keeps it so that it goes out together
 * with what follows at once: a write, exchange_flush() or the end.  Fields of the connection (Connection, Transfer-Encoding,
 * Content-Length, Date) are the protocol's and must not be given. */
void exchange_start(struct exchange *x, unsigned status,
                    const struct headers *headers, enum exchange_body body,
                    uint64_t length);
/* Sends a head that was held. */
void exchange_flush(struct exchange *x);
/* Sends some of the body; what the socket does not take is kept: look at
 * exchange_pending() and wait for drained before sending much. */
void exchange_write(struct exchange *x, const void *data, size_t len);
/* Sends octets that are framed already (exchange_framed()), keeping nothing:
 * returns how many were taken; drained follows where that is not all. */
size_t exchange_writev(struct exchange *x, const struct iovec *iov, int n);
/* Fetches what the next such write will look at: x, and its protocol's own,
 * which stands around it. */
static inline void exchange_prefetch(const struct exchange *x)
{
    __builtin_prefetch((const char *)x - 64);
    __builtin_prefetch(x);
    __builtin_prefetch((const char *)x + 64);
}
/* Whether exchange_writev() wants chunk frames around a body's octets. */
static inline bool exchange_framed(const struct exchange *x)
{
    return x->chunked;
}
/* The answer is complete. */
void exchange_finish(struct exchange *x);
/* The answer cannot be completed, and the client must see that. */
void exchange_fail(struct exchange *x);
/* start, write and finish. */
void exchange_respond(struct exchange *x, unsigned status,
                      const struct headers *headers, const void *body,
                      size_t len);
/* The same with what the protocol has rendered for another one: see alike.h. */
void exchange_send_whole(struct exchange *x, unsigned status,
                         struct str octets, uint64_t body_bytes);
/* Answers with a problem document (RFC 9457): title is the status's name,
 * detail says what is wrong and what to do.  headers may be NULL. */
void exchange_problem(struct exchange *x, unsigned status,
                      const struct headers *headers, const char *detail, ...)
    __attribute__((format(printf, 4, 5)));

/* An interim answer (RFC 9110 15.2) before the real one; not 101.  Clients of
 * HTTP/1.0 do not get to see it. */
void exchange_interim(struct exchange *x, unsigned status,
                      const struct headers *headers);
/* 101 with these fields; from then on octets go both ways raw: exchange_write
 * and exchange_writev out, ops->raw in, exchange_finish() to end. */
void exchange_upgrade(struct exchange *x, const struct headers *headers);
/* After exchange_upgrade(): no more will be written, and the client is told so,
 * while what it sends is still wanted. */
void exchange_shutdown(struct exchange *x);
/* The body may come: sends 100 Continue if the client waits for it. */
void exchange_proceed(struct exchange *x);
/* From here on the answer follows a stream: the request is forgotten
 * (x->request is NULL) and its memory freed, and x stays.  A client that acknowledges
 * nothing for dead_after_ms is taken for gone. */
void exchange_follow(struct exchange *x, uint64_t dead_after_ms);
/* x waits for what may take long: unless the request's body is still being read,
 * its memory is freed but for what the answer and the log need.  x->request is
 * not to be used after this. */
void exchange_park(struct exchange *x);
/* Another such time. */
void exchange_set_dead_after(struct exchange *x, uint64_t ms);
/* What is written is to wait here rather than in the kernel: writes are taken
 * only while all earlier ones have left.  For answers that go stale. */
void exchange_set_prompt(struct exchange *x);
/* From here on x waits for what may never come, so it has to be let go where
 * there is a reason to: it is listed in the service's readers until it is
 * finished.  Its ops have drain and renew. */
void exchange_stay(struct exchange *x);
/* Unlists x and tells it to end soon (ops->drain). */
void exchange_let_go(struct exchange *x);
/* Stops or resumes reading from the client: backpressure. */
void exchange_read(struct exchange *x, bool on);
void exchange_set_timer(struct exchange *x, uint64_t delay_ms);
size_t exchange_pending(const struct exchange *x);
/* Octets that the client has not acknowledged: see conn_unacked(). */
size_t exchange_unacked(const struct exchange *x);
/* The client's address, without port. */
const char *exchange_peer(const struct exchange *x, char *out, size_t cap);
/* The scheme of the URL that the client has asked for: "https" or "http". */
struct str exchange_scheme(const struct exchange *x);

/* Adds a field to whatever answer x gets, in place of the handler's of that
 * name (without a value: in place of it there is none).  name and value are
 * borrowed until the head is sent.  0 or -ENOMEM. */
int exchange_add(struct exchange *x, struct str name, struct str value);

/* For protocols, which write x->extra behind the handler's own fields: whether
 * a field of this name is left out there, since an extra one stands in its
 * place (or, if that has no value, none).  Vary and the like are lists and
 * stand beside each other. */
bool exchange_replaces(const struct exchange *x, struct str name);
/* For protocols: an exchange begins; ends (it is logged). */
void exchange_begin(struct exchange *x, const struct service *service,
                    const struct http_message *request);
void exchange_end(struct exchange *x);

/* Headers on the stack of whoever answers. */
#define HEADERS_ON_STACK 16
struct answer_headers {
    struct headers headers;
    struct header list[HEADERS_ON_STACK];
};
static inline void answer_init(struct answer_headers *a)
{
    a->headers = (struct headers){a->list, 0, HEADERS_ON_STACK};
}
/* Adds; name is a literal, value is borrowed until the head is sent. */
void answer_add(struct answer_headers *a, const char *name, struct str value);

#endif
