/* document.h - a JSON text with comments, and where each value stands in it.
 * jansson judges and decodes the text but keeps no lines; a second, simple
 * pass over the same text finds them.  One owner, one thread. */
#ifndef PENSTOCK_CONFIG_DOCUMENT_H
#define PENSTOCK_CONFIG_DOCUMENT_H

#include <jansson.h>

#include "config/faults.h"

#define DOCUMENT_NODES_MAX 1000000 /* values; more is no config file */

struct node {
    struct node *parent, *next; /* next: among the same parent's */
    struct node *first, *last;  /* children, in the order of the text */
    struct node *older;         /* every node of the document, for freeing */
    const json_t *value;        /* the document's */
    char *key;                  /* of an object's member; else NULL */
    unsigned index;             /* of an array's element */
    unsigned line;              /* from 1 */
};

struct document {
    json_t *value;
    struct node *root, *newest;
    size_t node_count;
};

/* Reads len octets, blanking the comments in them.  0; -ENOMEM; or -EINVAL
 * with the reasons in faults.  A key that occurs twice is a fault, but no
 * reason to fail: the later one counts, so that the rest is checked too.
 * Whatever came back, d may be given to document_fini. */
int document_parse(struct document *d, char *text, size_t len,
                   struct faults *faults);
void document_fini(struct document *d);

/* The member with this key, or NULL. */
const struct node *node_get(const struct node *object, const char *key);
/* How many it has. */
size_t node_children(const struct node *n);
/* Whether it is that, as jansson types go. */
bool node_is(const struct node *n, json_type type);
/* The text of a string; NULL for everything else. */
const char *node_text(const struct node *n);
/* "a string", "a number"... */
const char *node_type_name(const struct node *n);
/* Appends "routes[2].transports[0]"; nothing for the root. */
void node_path(const struct node *n, struct buffer *out);

#endif
