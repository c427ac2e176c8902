/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network cards in a Windows guest's registry, their addresses, and as far as it tells the MAC
 * address each had.  What is read here ends in a script that the guest runs, so only well-formed
 * values are taken; they are written anew from their numbers.  Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include "morph/buffer.h"
#include "morph/windows.h"

#define WINNET_CARDS 64
#define WINNET_ADDRESSES 32
#define WINNET_SERVERS 8
#define WINNET_GUID 39
#define WINNET_IPV4 16
#define WINNET_NAME 64

struct wincard {
    char guid[WINNET_GUID];       /* "{…}" */
    char mac[18];                 /* "" when the registry does not tell */
    char connection[WINNET_NAME]; /* "Ethernet0"; "" when it has none or an odd one */
    struct {
        char ip[WINNET_IPV4], mask[WINNET_IPV4];
    } addresses[WINNET_ADDRESSES]; /* static ones; none: it asks by DHCP */
    size_t address_count;
    char gateways[WINNET_SERVERS][WINNET_IPV4];
    size_t gateway_count;
    char servers[WINNET_SERVERS][WINNET_IPV4]; /* of DNS, when they are static */
    size_t server_count;
    char suffix[256]; /* DNS suffix of this connection, or "" */
};

struct winnet {
    struct wincard cards[WINNET_CARDS]; /* physical ones, in the order of their driver keys */
    size_t count;
};

/* "10.0.0.1" → the same without leading zeros.  False for anything else. */
bool winnet_ipv4(const char *text, char ret_ip[static WINNET_IPV4]);

/* True when something of this card would be lost on new hardware. */
bool wincard_is_configured(const struct wincard *card);

void winnet_read(const struct windows *w, struct winnet *ret_net);

/*
 * The MAC address in the last part of a PCI device's instance name, where some cards put it
 * (vmxnet3, e1000e: "005056FFFF8A5EC300").  False when there is none.
 */
bool winnet_instance_mac(const char *instance, char ret_mac[static 18]);

/* A card of the VM and the configuration it gets. */
struct winpin {
    const char *mac;
    const struct wincard *card;
};

/* The script that gives the cards their addresses: for PowerShell 2 and later, or for the
 * Windows Script Host of older systems. */
void winnet_write_powershell(struct buffer *out, const struct winpin *pins, size_t count);
void winnet_write_vbscript(struct buffer *out, const struct winpin *pins, size_t count);
