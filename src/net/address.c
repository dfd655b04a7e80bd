#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static void from_v4(struct address *out, const struct in_addr *a)
{
    memcpy(out->octets, mapped, sizeof(mapped));
    memcpy(out->octets + sizeof(mapped), a, 4);
}

static void from_v6(struct address *out, const struct in6_addr *a)
{
    bool v4 = memcmp(a, mapped, sizeof(mapped)) == 0;

    memset(out, 0, sizeof(*out));
    memcpy(out->octets, a, v4 ? 16 : 8);
}

bool address_of_socket(const struct sockaddr_storage *from,
                       struct address *out)
{
    if (from->ss_family == AF_INET)
        from_v4(out, &((const struct sockaddr_in *)from)->sin_addr);
    else if (from->ss_family == AF_INET6)
        from_v6(out, &((const struct sockaddr_in6 *)from)->sin6_addr);
    else
        return false;
    return true;
}

bool address_of_peer(int fd, struct address *out)
{
    struct sockaddr_storage from = {0};
    socklen_t len = sizeof(from);

    return getpeername(fd, (struct sockaddr *)&from, &len) == 0 &&
           address_of_socket(&from, out);
}

bool address_of_text(const char *text, struct address *out)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (inet_pton(AF_INET, text, &v4) == 1)
        from_v4(out, &v4);
    else if (inet_pton(AF_INET6, text, &v6) == 1)
        from_v6(out, &v6);
    else
        return false;
    return true;
}
