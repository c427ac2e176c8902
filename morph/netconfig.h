/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest's network configuration says about its interfaces, whatever the style of its files:
 * names, the MAC addresses beside them, and which interface is made of which.  Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include "morph/request.h"

#define NETNAME_MAX 16
#define NETNAMES_MAX 256
#define NETPATTERNS_MAX 8

enum netkind {
    NET_CARD,   /* a network card, unless something says otherwise */
    NET_LABEL,  /* a card that is told by its MAC address or its driver: it needs no name */
    NET_BRIDGE, /* bridges, bonds and teams carry the addresses of the cards below them */
    NET_VLAN,
    NET_OTHER /* tunnels, dummies, what containers use, wireless */
};

struct netname {
    char name[NETNAME_MAX];
    char mac[18];   /* "" when no file tells */
    char uuid[37];  /* a connection of NetworkManager, or "" */
    char upper[37]; /* the name or UUID of the bridge or bond it is a member of, or "" */
    enum netkind kind;
    bool configured; /* it is given addresses or made part of something, not only named */
    bool pins;       /* the guest itself makes the card of this MAC get this name, */
    bool rule;       /* by a udev rule, */
    bool table;      /* by /etc/mactab */
};

struct netconfig {
    struct netname items[NETNAMES_MAX]; /* in the order of the files; entries never move */
    size_t count;
    char patterns[NETPATTERNS_MAX][NETNAME_MAX]; /* names with wildcards: "ens*" */
    size_t pattern_count;
    bool configuring;       /* the files now read configure interfaces */
    const struct nic *nics; /* the VM's: files may tell of cards that are long gone */
    size_t nic_count;
};

/* A piece of the text being read. */
struct word {
    const char *at;
    size_t length;
};

#define WORD(text) ((struct word){(text), __builtin_strlen(text)})

bool word_is(struct word w, const char *text);
bool word_is_any(struct word w, const char *const *texts, size_t count);

/* The next blank-separated word before `end`; empty at the end. */
struct word word_next(const char **at, const char *end);

/* Without the blanks around it. */
struct word word_trim(struct word w);

/* The next line of *text without its newline; false at the end. */
bool line_next(const char **text, struct word *ret_line);

/* True for what the kernel takes as an interface name and is safe as part of a file name. */
bool netname_is_valid(const char *name, size_t length);

/* "00:11:22:AA:BB:CC" (or with hyphens) to lower case with colons.  False for anything else. */
bool mac_parse(const char *text, size_t length, char ret_mac[18]);

/* The entry for a name, made when it is new; eth0.5 is a VLAN on eth0 and eth0:1 an alias, both
 * give eth0's entry.  NULL for names that cannot be, for lo, and when there are too many. */
struct netname *netconfig_entry(struct netconfig *config, struct word name);

/* Puts the MAC address beside the name; the first one stays unless only the new one is a card of
 * the VM.  True when it is there afterwards, false also when it is no MAC address. */
bool netname_set_mac(const struct netconfig *config, struct netname *n, struct word mac);

/* Records that a file is for the card with this MAC address (empty: for one that is told by other
 * means), whatever its name; the entry has no name.  NULL when it is no MAC address. */
struct netname *netconfig_by_mac(struct netconfig *config, struct word mac);

/* Records a name that has wildcards; others are left alone. */
void netconfig_pattern(struct netconfig *config, struct word name);

/* The entry for exactly this name, or NULL. */
const struct netname *netconfig_find(const struct netconfig *config, const char *name);

/* Says that the interfaces named in `members`, separated by blanks, are below `upper`. */
void netconfig_members(struct netconfig *config, const struct netname *upper, struct word members);

/* True when the interface is a card, or a bridge, bond or team over one, and not itself part of
 * another: these are what has an address in the network the cards are plugged into. */
bool netconfig_is_lan(const struct netconfig *config, const char *name);
