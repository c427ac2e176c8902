/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's network files in memory, changed by the changes "network" and "cloud-init" alone. */
#pragma once

#include "morph-tree.h"
#include "morph/facts.h"

struct net {
    struct fake_tree guest;
    struct nic nics[8];
    struct request request;
    struct facts facts;
    char *notes; /* all of them, one a line */
    size_t edits;
    char *paths; /* of the edits, each with a blank behind it */
};

/* For cmocka: *state is the struct net. */
int net_set_up(void **state);
int net_tear_down(void **state);

/* A card of the VM, as --nic tells it. */
void net_nic(struct net *net, const char *mac, const char *name);

/* Plans and does it, then checks that a second plan is empty, that a dry run was the same, and that
 * nothing touched hostname, resolver and machine id. */
void net_morph(struct net *net);

/* "(none)" for a file that is not there. */
const char *net_text(struct net *net, const char *path);

/* The file says exactly this. */
#define net_expect(net, path, text) assert_string_equal(net_text(net, path), text)
