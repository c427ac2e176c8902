/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The styles in which guests keep their network configuration, one file of ours each.  A style
 * knows where its files are, what they tell about interfaces, and how one is rewritten so that it
 * goes on working: matches by hardware that is left behind become matches by MAC address, MAC
 * addresses the VM no longer has become those it has, and with --dhcp fixed addresses become DHCP.
 * Every byte that need not change stays.  Pure: text in, text out.
 */
#pragma once

#include "morph/buffer.h"
#include "morph/facts.h"
#include "morph/netconfig.h"

/* What is to be, decided when all files were read. */
struct netwish {
    const struct netconfig *config;
    const struct nic *nics;
    size_t nic_count;
    const struct pin *pins;
    size_t pin_count;
    const char *heir; /* MAC of the only card that nothing configures, while files are for exactly
                         one card that is gone, and tell no name; or NULL */
    bool dhcp;        /* fixed addresses become DHCP */

    /* How names are kept when not by .link files: */
    bool rules;  /* udev rules */
    bool table;  /* /etc/mactab */
    bool hwaddr; /* HWADDR= in ifcfg files */
};

/* A file being rewritten. */
struct netedit {
    struct buffer out;
    struct buffer what;    /* what changed, for people; nothing changed while it is empty */
    struct buffer warning; /* what stays but should be looked at */
};

struct netstyle {
    const char *name;
    const char *directory;
    bool (*takes)(const char *file); /* is this name in the directory one of its files? */
    const char *only;                /* the only file, where there is but one: takes is NULL then */
    void (*read)(struct netconfig *config, const char *file,
                 const char *text); /* NULL: its files tell of no interface */
    void (*rewrite)(const struct netwish *wish, const char *file, const char *text,
                    struct netedit *edit); /* NULL: its files are only read */
};

extern const struct netstyle netstyle_interfaces;   /* /etc/network/interfaces */
extern const struct netstyle netstyle_interfaces_d; /* what it includes */
extern const struct netstyle netstyle_ifcfg;        /* Red Hat's */
extern const struct netstyle netstyle_ifcfg_suse;
extern const struct netstyle netstyle_sysconfig; /* /etc/sysconfig/network, the file */
extern const struct netstyle netstyle_routes;    /* Red Hat's route-NAME */
extern const struct netstyle netstyle_routes_suse;
extern const struct netstyle netstyle_wicked;
extern const struct netstyle netstyle_keyfile; /* NetworkManager */
extern const struct netstyle netstyle_network; /* systemd-networkd */
extern const struct netstyle netstyle_netdev;
extern const struct netstyle netstyle_link;
extern const struct netstyle netstyle_netctl;
extern const struct netstyle netstyle_netplan;
extern const struct netstyle netstyle_rules;  /* udev */
extern const struct netstyle netstyle_mactab; /* nameif */
extern const struct netstyle netstyle_mdev;

/* The files a line "source PATTERN" or "source-directory DIRECTORY" of an interfaces file names;
 * false at the end.  *ret_pattern is the caller's. */
bool interfaces_next_source(const char **text, char **ret_pattern);

/* Is the fixed address of this interface to become DHCP?  A name with wildcards or "" stands for
 * cards. */
bool netwish_dhcp(const struct netwish *wish, struct word name);

/* The MAC address to put where `old` is recorded for `name`; NULL when it can stay. */
const char *netwish_mac(const struct netwish *wish, struct word name, struct word old);

/* The MAC address whose card is called so; NULL when none is. */
const char *netwish_pinned(const struct netwish *wish, struct word name);

/* Is it a driver of cards that hypervisors show, other than virtio? */
bool netwish_is_source_driver(struct word driver);

void netedit_done(struct netedit *edit);
#define _cleanup_netedit_ _cleanup_(netedit_done)

/* Copies the line and its newline. */
void netedit_keep(struct netedit *edit, struct word line);

/* Copies the line behind "# before slipway-morph: ", with the blanks in front of it. */
void netedit_comment(struct netedit *edit, struct word line);

/* The line with what is between its `from` and `to` replaced. */
void netedit_replace(struct netedit *edit, struct word line, struct word old, const char *text);

/* Says what changed; the same sentence is told once. */
void netedit_what(struct netedit *edit, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void netedit_warn(struct netedit *edit, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A line NAME=VALUE of a file that a shell reads, quotes taken off; false for anything else. */
bool shellvar_parse(struct word line, struct word *ret_name, struct word *ret_value);

/* The last value of a variable; empty when it is not set. */
struct word shellvar_get(const char *text, const char *name);
