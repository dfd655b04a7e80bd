#include "bench/letter.h"

#include <errno.h>
#include <stdlib.h>

#define MARK       "PSB1-"
#define RUN_AT     5
#define CHANNEL_AT 14
#define NUMBER_AT  21
#define TIME_AT    30
#define FILL_AT    47
#define JSON_HEAD  "{\"m\":\""
#define JSON_TAIL  "\"}"

static void put_hex(char *out, uint64_t n, int digits)
{
    for (; digits-- > 0; n >>= 4)
        out[digits] = "0123456789abcdef"[n & 15];
}

static bool get_hex(const char *p, int digits, uint64_t *out)
{
    *out = 0;
    for (int i = 0; i < digits; i++) {
        char c = p[i];
        unsigned digit;

        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)(c - 'a' + 10);
        else
            return false;
        *out = *out << 4 | digit;
    }
    return true;
}

size_t letter_size_min(bool json)
{
    return LETTER_MIN +
           (json ? sizeof(JSON_HEAD) - 1 + sizeof(JSON_TAIL) - 1 : 0);
}

/* Padding that compresses about as well as text does, and not like zeroes: six
 * bits a letter, of a sequence that does not repeat soon. */
static void fill(char *out, size_t n)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.";
    uint32_t x = 1;

    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        out[i] = letters[x >> 26];
    }
}

int letter_form_init(struct letter_form *form, size_t size, bool json,
                     uint32_t run)
{
    char *at;

    *form = (struct letter_form){.size = size, .run = run};
    if (size < letter_size_min(json))
        return -EINVAL;
    form->text = malloc(size);
    if (form->text == NULL)
        return -ENOMEM;
    form->at = json ? sizeof(JSON_HEAD) - 1 : 0;
    form->letter_n = size - (letter_size_min(json) - LETTER_MIN);
    at = form->text + form->at;
    memset(at, '-', FILL_AT);
    memcpy(at, MARK, sizeof(MARK) - 1);
    put_hex(at + RUN_AT, run, 8);
    fill(at + FILL_AT, form->letter_n - FILL_AT - 1);
    at[form->letter_n - 1] = ';';
    if (json) {
        memcpy(form->text, JSON_HEAD, sizeof(JSON_HEAD) - 1);
        memcpy(at + form->letter_n, JSON_TAIL, sizeof(JSON_TAIL) - 1);
    }
    return 0;
}

void letter_form_fini(struct letter_form *form)
{
    free(form->text);
    form->text = NULL;
}

void letter_write(const struct letter_form *form, const struct letter *letter,
                  struct buffer *out)
{
    char *at;

    buffer_append(out, form->text, form->size);
    if (out->failed)
        return;
    at = out->data + out->len - form->size + form->at;
    put_hex(at + CHANNEL_AT, letter->channel, 6);
    put_hex(at + NUMBER_AT, letter->number, 8);
    put_hex(at + TIME_AT, letter->time_us, 16);
}

/* at: room for a whole letter of this form, beginning with the mark. */
static bool read_numbers(const char *at, struct letter *out)
{
    uint64_t channel, number;

    if (!get_hex(at + CHANNEL_AT, 6, &channel) ||
        !get_hex(at + NUMBER_AT, 8, &number) ||
        !get_hex(at + TIME_AT, 16, &out->time_us))
        return false;
    out->channel = (uint32_t)channel;
    out->number = (uint32_t)number;
    return true;
}

/* Whether it is a letter of this run as it was written. */
static bool is_whole(const struct letter_form *form, const char *at)
{
    static const int dashes[] = {13, 20, 29, 46};

    for (size_t i = 0; i < sizeof(dashes) / sizeof(dashes[0]); i++)
        if (at[dashes[i]] != '-')
            return false;
    return memcmp(at + FILL_AT, form->text + form->at + FILL_AT,
                  form->letter_n - FILL_AT) == 0;
}

static struct str after(struct str s, const char *p)
{
    return (struct str){p, s.n - (size_t)(p - s.p)};
}

enum letter_found letter_next(const struct letter_form *form, struct str *rest,
                              struct letter *out)
{
    const char *at =
        rest->n == 0 ? NULL : memmem(rest->p, rest->n, MARK, sizeof(MARK) - 1);
    uint64_t run;
    size_t left;

    if (at == NULL)
        return LETTER_NONE;
    left = rest->n - (size_t)(at - rest->p);
    if (left >= RUN_AT + 8 && get_hex(at + RUN_AT, 8, &run) &&
        run != form->run) {
        *rest = after(*rest, at + sizeof(MARK) - 1);
        return LETTER_FOREIGN;
    }
    if (left < form->letter_n || !is_whole(form, at) ||
        !read_numbers(at, out)) {
        *rest = after(*rest, at + sizeof(MARK) - 1);
        return LETTER_CORRUPT;
    }
    *rest = after(*rest, at + form->letter_n);
    return LETTER_OURS;
}
