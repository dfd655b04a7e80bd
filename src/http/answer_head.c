#include "http/answer_head.h"

#include "base/clock.h"
#include "http/date.h"
#include "http/status.h"

/* What a head takes as a rule, so that its buffer need not grow. */
#define HEAD_BYTES 500

static void write_status(struct buffer *head, unsigned status)
{
    buffer_append_str(head, STR("HTTP/1.1 "));
    buffer_append_u64(head, status);
    buffer_append_byte(head, ' ');
    buffer_append_str(head, str_of(status_reason(status)));
    buffer_append_str(head, STR("\r\n"));
}

/* The Date line changes once a second. */
static struct str date_line(void)
{
    static _Thread_local char line[8 + HTTP_DATE_LEN + 3];
    static _Thread_local uint64_t made_s;
    uint64_t now_ms = clock_wall_ms();

    if (made_s != now_ms / 1000) {
        made_s = now_ms / 1000;
        memcpy(line, "Date: ", 6);
        http_date(line + 6, now_ms);
        memcpy(line + 6 + HTTP_DATE_LEN, "\r\n", 3);
    }
    return (struct str){line, 6 + HTTP_DATE_LEN + 2};
}

/* What ends the body, if anything but the connection's end does. */
static void write_framing(struct buffer *head, struct exchange *x,
                          unsigned status, enum exchange_body body,
                          uint64_t length)
{
    if (body == BODY_LENGTH) {
        buffer_append_str(head, STR("Content-Length: "));
        buffer_append_u64(head, length);
        buffer_append_str(head, STR("\r\n"));
    } else if (body == BODY_STREAM && !x->http10) {
        x->chunked = !x->is_head;
        buffer_append_str(head, STR("Transfer-Encoding: chunked\r\n"));
    } else if (body == BODY_NONE && status != 204 && status != 304 &&
               !x->is_head) {
        buffer_append_str(head, STR("Content-Length: 0\r\n"));
    }
}

/* RFC 9110 7.6.1; 7.8: who sends Upgrade names it in Connection as well. */
static void write_connection(struct buffer *head, const struct exchange *x,
                             unsigned status)
{
    bool upgrade = status == 426;

    if (!x->keep_alive)
        buffer_append_str(head, upgrade ? STR("Connection: close, Upgrade\r\n")
                                        : STR("Connection: close\r\n"));
    else if (upgrade)
        buffer_append_str(head, STR("Connection: Upgrade\r\n"));
    else if (x->http10)
        buffer_append_str(head, STR("Connection: keep-alive\r\n"));
}

static void write_fields(const struct exchange *x, struct buffer *head,
                         const struct headers *headers)
{
    bool dated = false;

    for (unsigned i = 0; headers != NULL && i < headers->count; i++) {
        if (exchange_replaces(x, headers->list[i].name))
            continue;
        header_write(head, headers->list[i].name, headers->list[i].value);
        dated |= str_eq_nocase(headers->list[i].name, STR("Date"));
    }
    for (unsigned i = 0; x->extra != NULL && i < x->extra->count; i++)
        if (x->extra->list[i].value.p != NULL)
            header_write(head, x->extra->list[i].name,
                         x->extra->list[i].value);
    if (!dated)
        buffer_append_str(head, date_line());
}

void answer_head_write(struct buffer *head, struct exchange *x,
                       unsigned status, const struct headers *headers,
                       enum exchange_body body, uint64_t length)
{
    buffer_reserve(head, HEAD_BYTES);
    write_status(head, status);
    write_fields(x, head, headers);
    write_framing(head, x, status, body, length);
    write_connection(head, x, status);
    buffer_append_str(head, STR("\r\n"));
}

void answer_head_write_upgrade(struct buffer *head, const struct exchange *x,
                               const struct headers *headers)
{
    buffer_append_str(head, STR("HTTP/1.1 101 Switching Protocols\r\n"
                                "Connection: Upgrade\r\n"));
    write_fields(x, head, headers);
    buffer_append_str(head, STR("\r\n"));
}

void answer_head_write_interim(struct buffer *head, unsigned status,
                               const struct headers *headers)
{
    write_status(head, status);
    for (unsigned i = 0; headers != NULL && i < headers->count; i++)
        header_write(head, headers->list[i].name, headers->list[i].value);
    buffer_append_str(head, STR("\r\n"));
}
