/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of physical network cards in a guest's configuration, and the MAC addresses recorded
 * beside them.  Pure: each function reads the text of one kind of file into the same list.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define NETNAME_MAX 16
#define NETNAMES_MAX 256

struct netname {
    char name[NETNAME_MAX];
    char mac[18];    /* "" when the file does not tell */
    bool pins;       /* the file itself makes the card get this name */
    bool is_virtual; /* a bridge, bond, VLAN … */
};

struct netconfig {
    struct netname items[NETNAMES_MAX]; /* in the order of the files */
    size_t count;
};

/* True for what the kernel takes as an interface name and is safe as part of a file name. */
bool netname_is_valid(const char *name, size_t length);

/* "00:11:22:AA:BB:CC" (or with hyphens) to lower case with colons.  False for anything else. */
bool mac_parse(const char *text, size_t length, char ret_mac[18]);

void netconfig_read_interfaces(struct netconfig *config, const char *text); /* ifupdown */
void netconfig_read_rules(struct netconfig *config, const char *text);      /* 70-persistent-net */
void netconfig_read_link(struct netconfig *config, const char *text);       /* systemd .link */
void netconfig_read_network(struct netconfig *config, const char *text);    /* systemd .network */
void netconfig_read_keyfile(struct netconfig *config, const char *text);    /* NetworkManager */
