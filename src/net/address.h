/* address.h - whose connection it is, as far as limits are about: an IPv4
 * address, or an IPv6 network of 64 bits, which is what one customer gets and
 * may roam in. */
#ifndef PENSTOCK_NET_ADDRESS_H
#define PENSTOCK_NET_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

struct sockaddr_storage;

struct address {
    uint8_t octets[16]; /* IPv4 as ::ffff:a.b.c.d */
};

/* False where it is neither, as with a Unix socket. */
bool address_of_socket(const struct sockaddr_storage *from,
                       struct address *out);
/* The other end of a connected socket. */
bool address_of_peer(int fd, struct address *out);
/* As inet_ntop() writes it. */
bool address_of_text(const char *text, struct address *out);

#endif
