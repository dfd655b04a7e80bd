/* fuzz_websocket.c - frames give the same messages however they are cut, text
 * is UTF-8, nothing passes the limit, and a message written is read back. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LIMIT 200

static int on_message(void *arg, enum ws_opcode opcode, struct str data)
{
    if (data.n > LIMIT || (opcode == WS_TEXT && !str_utf8_valid(data)))
        abort();
    buffer_append_byte(arg, (char)opcode);
    buffer_append_str(arg, data);
    return 0;
}

static int on_control(void *arg, enum ws_opcode opcode, struct str data)
{
    if (data.n > 125)
        abort();
    if (opcode == WS_CLOSE && data.n > 0 &&
        !ws_close_code_ok(ws_close_body_code(data)))
        abort();
    buffer_append_byte(arg, (char)opcode);
    buffer_append_str(arg, data);
    return 0;
}

static const struct ws_parser_ops ops = {on_message, on_control};

/* step 0: all at once.  What failed, and why, belongs to what was seen. */
static struct buffer run(struct str input, enum ws_role role, bool deflate,
                         size_t step)
{
    struct buffer seen = {0};
    struct ws_parser p;
    int rc = 0;

    ws_parser_init(&p, &ops, &seen, role, LIMIT);
    p.fragment_limit = 8;
    p.deflate = deflate;
    while (rc == 0 && input.n > 0) {
        size_t n = step == 0 || step > input.n ? input.n : step;
        char *piece = malloc(n); /* exact, for the sanitizer */

        memcpy(piece, input.p, n);
        rc = ws_parser_feed(&p, piece, n);
        free(piece);
        input.p += n;
        input.n -= n;
    }
    if ((rc != 0) != (p.fail_code != 0))
        abort();
    if (rc != 0)
        buffer_printf(&seen, "%d %u %s", rc, p.fail_code, p.fail_reason);
    ws_parser_fini(&p);
    return seen;
}

static void write_and_read(struct str data)
{
    struct buffer frame = {0}, seen;

    ws_encode(&frame, WS_BINARY, data);
    seen = run(buffer_str(&frame), WS_CLIENT, true, 0);
    if (data.n <= LIMIT &&
        (seen.len != data.n + 1 || seen.data[0] != WS_BINARY ||
         (data.n > 0 && memcmp(seen.data + 1, data.p, data.n) != 0)))
        abort();
    buffer_fini(&frame);
    buffer_fini(&seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = {(const char *)data, size};

    for (int way = 0; way < 4; way++) {
        enum ws_role role = way & 1 ? WS_CLIENT : WS_SERVER;
        struct buffer whole = run(input, role, way & 2, 0);

        for (size_t step = 1; step < 4; step++) {
            struct buffer cut = run(input, role, way & 2, step);

            if (!str_eq(buffer_str(&whole), buffer_str(&cut)))
                abort();
            buffer_fini(&cut);
        }
        buffer_fini(&whole);
    }
    write_and_read(input);
    return 0;
}
