#include "http/coding.h"

/* A qvalue (RFC 9110 12.4.2) in thousandths; 0 for what is none, since a
 * client that cannot say what it takes gets what everybody can read. */
static unsigned weight(struct str q)
{
    unsigned value = 0, unit = 1000;

    if (q.n == 0 || q.n > 5 || q.p[0] < '0' || q.p[0] > '1' ||
        (q.n > 1 && q.p[1] != '.'))
        return 0;
    for (size_t i = 0; i < q.n; i++) {
        if (i == 1)
            continue;
        if (q.p[i] < '0' || q.p[i] > '9')
            return 0;
        value += unit * (unsigned)(q.p[i] - '0');
        unit /= 10;
    }
    return value <= 1000 ? value : 0;
}

/* Splits "gzip;q=0.5"; without a weight it is 1000. */
static struct str split(struct str element, unsigned *q)
{
    struct str coding, params = str_split(element, ';', &coding), p;

    *q = 1000;
    while (params.n > 0) {
        params = str_split(params, ';', &p);
        p = str_trim(p);
        if (p.n >= 2 && (p.p[0] | 0x20) == 'q' && p.p[1] == '=')
            *q = weight((struct str){p.p + 2, p.n - 2});
    }
    return str_trim(coding);
}

bool coding_gzip_accepted(const struct headers *h)
{
    int gzip = -1, any = 0, identity = -1;
    struct str list, element;
    unsigned at = 0, q;

    while (headers_next(h, "Accept-Encoding", &at, &list))
        while (str_list_next(&list, &element)) {
            struct str coding = split(element, &q);

            if (str_eq_nocase(coding, STR("gzip")) ||
                str_eq_nocase(coding, STR("x-gzip")))
                gzip = (int)q;
            else if (str_eq_nocase(coding, STR("identity")))
                identity = (int)q;
            else if (str_eq(coding, STR("*")))
                any = (int)q;
        }
    if (gzip < 0)
        gzip = any;
    return gzip > 0 && gzip >= identity;
}
