/* Files that the config file names. */
#include "config/config_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

char *config_file_beside(struct loading *l, const char *name)
{
    const char *slash = strrchr(l->file, '/');
    char *out;

    if (*name == '/' || slash == NULL)
        return copy_text(l, name);
    if (asprintf(&out, "%.*s/%s", (int)(slash - l->file), l->file, name) < 0) {
        l->no_memory = true;
        return NULL;
    }
    return out;
}

/* Up to cap octets and one more. */
static int read_open(int fd, size_t cap, struct buffer *out)
{
    while (out->len <= cap) {
        ssize_t n;

        if (buffer_reserve(out, 8192) < 0)
            return -ENOMEM;
        n = read(fd, out->data + out->len, 8192);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return 0;
        out->len += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* Non-blocking, so that a FIFO cannot hang the start. */
static int read_named(const char *name, size_t cap, struct buffer *out)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc;
    struct stat st;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0)
        rc = -errno;
    else if (S_ISDIR(st.st_mode))
        rc = -EISDIR;
    else if (!S_ISREG(st.st_mode))
        rc = -EINVAL;
    else
        rc = read_open(fd, cap, out);
    close(fd);
    return rc;
}

bool config_read_file(struct loading *l, const struct node *n,
                      const char *text, size_t cap, struct buffer *out)
{
    char *name = config_file_beside(l, text);
    int rc;

    if (name == NULL)
        return false;
    rc = read_named(name, cap, out);
    if (rc == -ENOMEM)
        l->no_memory = true;
    else if (rc < 0)
        fault_at(l, n, "cannot read \"%.200s\": %s", name,
                 rc == -EINVAL ? "not a regular file" : strerror(-rc));
    else if (out->len > cap)
        fault_at(l, n, "\"%.200s\" holds more than %zu octets", name, cap);
    free(name);
    return rc == 0 && out->len <= cap;
}

struct str config_one_line(const struct buffer *text)
{
    struct str s = buffer_str(text);

    if (s.n > 0 && s.p[s.n - 1] == '\n')
        s.n--;
    if (s.n > 0 && s.p[s.n - 1] == '\r')
        s.n--;
    return s;
}
