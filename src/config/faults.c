#include "config/faults.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* A slot for one more, or NULL. */
static struct fault *grow(struct faults *f)
{
    if (f->count == FAULTS_MAX) {
        f->left_out++;
        return NULL;
    }
    if (f->count == f->cap) {
        size_t cap = f->cap == 0 ? 16 : f->cap * 2;
        struct fault *list = realloc(f->list, cap * sizeof(*list));

        if (list == NULL) {
            f->failed = true;
            return NULL;
        }
        f->list = list;
        f->cap = cap;
    }
    return &f->list[f->count];
}

static void put_on_one_line(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

void faults_add(struct faults *f, unsigned line, unsigned column,
                const char *path, const char *format, ...)
{
    struct fault *fault = grow(f);
    char *message, *text;
    va_list args;
    int n;

    if (fault == NULL)
        return;
    va_start(args, format);
    n = vasprintf(&message, format, args);
    va_end(args);
    if (n < 0)
        goto fail;
    if (path == NULL)
        path = "";
    n = asprintf(&text, "%s%s%s", path, *path == '\0' ? "" : ": ", message);
    free(message);
    if (n < 0)
        goto fail;
    put_on_one_line(text);
    *fault = (struct fault){line, column, (unsigned)f->count, text};
    f->count++;
    return;

fail:
    f->failed = true;
}

static int by_line(const void *a, const void *b)
{
    const struct fault *x = a, *y = b;

    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

void faults_write(struct faults *f, const char *file, struct buffer *out)
{
    if (f->count > 1)
        qsort(f->list, f->count, sizeof(*f->list), by_line);
    for (size_t i = 0; i < f->count; i++) {
        const struct fault *fault = &f->list[i];

        buffer_printf(out, "%s", file);
        if (fault->line > 0)
            buffer_printf(out, ":%u", fault->line);
        if (fault->column > 0)
            buffer_printf(out, ":%u", fault->column);
        buffer_printf(out, ": %s\n", fault->text);
    }
    if (f->left_out > 0)
        buffer_printf(out, "%s: and %zu more\n", file, f->left_out);
}

void faults_fini(struct faults *f)
{
    for (size_t i = 0; i < f->count; i++)
        free(f->list[i].text);
    free(f->list);
    *f = (struct faults){0};
}
