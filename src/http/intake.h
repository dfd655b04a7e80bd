/* intake.h - what it takes to read requests and to begin their answers: a
 * parser, octets that it has not had, answers not yet sent.  Most
 * connections are idle, or only listen, and have none: it is lent, and given
 * back with all it has grown to, so the next request allocates nothing.
 * A thread's own. */
#ifndef PENSTOCK_HTTP_INTAKE_H
#define PENSTOCK_HTTP_INTAKE_H

#include "base/buffer.h"
#include "base/mailbox.h"
#include "http/parser.h"

struct intake {
    struct parser *parser;
    struct buffer input;   /* read, and not yet parsed */
    struct buffer output;  /* of answers: to be sent with what follows at once */
    size_t unwanted_bytes; /* of a body that nobody reads */
    uint64_t due_us;       /* the handler's deadline, while the body's is set;
                            * 0: none */
    struct note later;     /* its owner's, to send output a little later */
    void *owner;           /* what arg of intake_take() was */
    bool late;             /* the note is on its way: not to be given back */
    struct intake *next;   /* while nobody has it */
};

/* One whose parser tells ops and arg, and is new.  NULL when out of memory. */
struct intake *intake_take(const struct parser_ops *ops, void *arg,
                           const struct head_limits *limits);
/* Another request on the same connection; what was read ahead of it stays. */
void intake_next(struct intake *in);
/* Gives *ip back and sets it to NULL, which it may be already. */
void intake_give(struct intake **ip);
/* Frees those that nobody has: the thread ends. */
void intake_thread_end(void);

#endif
