#include "http/intake.h"

#include <stdlib.h>

/* As many as are in use at once in a round of events on a busy worker; more
 * come and go with malloc. */
#define SPARE_MAX 64
/* What a spare one's buffer may have grown to. */
#define SPARE_BYTES 16384

static _Thread_local struct intake *spare;
static _Thread_local unsigned spare_count;

static struct intake *intake_new(void)
{
    struct intake *in = calloc(1, sizeof(*in));

    if (in == NULL)
        return NULL;
    in->parser = parser_new(HEAD_REQUEST, NULL, NULL, NULL);
    if (in->parser != NULL)
        return in;
    free(in);
    return NULL;
}

static void intake_free(struct intake *in)
{
    parser_free(in->parser);
    buffer_fini(&in->input);
    buffer_fini(&in->output);
    free(in);
}

struct intake *intake_take(const struct parser_ops *ops, void *arg,
                           const struct head_limits *limits)
{
    struct intake *in = spare;

    if (in == NULL) {
        in = intake_new();
        if (in == NULL)
            return NULL;
    } else {
        spare = in->next;
        spare_count--;
    }
    in->unwanted_bytes = 0;
    in->due_us = 0;
    in->owner = arg;
    parser_lend(in->parser, ops, arg, limits);
    return in;
}

void intake_next(struct intake *in)
{
    in->unwanted_bytes = 0;
    in->due_us = 0;
    parser_next(in->parser);
}

static void empty(struct buffer *b)
{
    b->len = 0;
    if (b->failed || b->cap > SPARE_BYTES)
        buffer_fini(b);
}

void intake_give(struct intake **ip)
{
    struct intake *in = *ip;

    *ip = NULL;
    if (in == NULL)
        return;
    if (spare_count == SPARE_MAX) {
        intake_free(in);
        return;
    }
    empty(&in->input);
    empty(&in->output);
    in->next = spare;
    spare = in;
    spare_count++;
}

void intake_thread_end(void)
{
    while (spare != NULL) {
        struct intake *in = spare;

        spare = in->next;
        intake_free(in);
    }
    spare_count = 0;
}
