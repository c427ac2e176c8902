/* SPDX-License-Identifier: Apache-2.0 */
/* Windows guests in memory, and virtio-win trees on the disk, for tests of morph/. */
#pragma once

#include <stdbool.h>
#include "minihive.h"
#include "morph-tree.h"
#include "morph/windows.h"

struct phony_version {
    const char *product, *version, *build, *type, *arch; /* as the registry has them */
    unsigned major;                                      /* 10, or 0 for older ones */
};

extern const struct phony_version phony_2003, phony_7, phony_10, phony_2019, phony_11;

struct phony {
    struct fake_tree tree;
    struct facts facts;
    struct request request;
    struct nic nics[3];
    struct hive *system, *software; /* to be filled further until phony_boot() */
    bool upper;                     /* file names as old Windows writes them */
};

/* A guest with VMware Tools, a vmxnet3 card with a static address, and nothing of virtio. */
void phony_make(struct phony *p, const struct phony_version *version);

/* A second card, "Ethernet1", with this instance name and static address. */
void phony_add_card(struct phony *p, const char *number, const char *guid, const char *instance,
                    const char *ip);

/* Writes the hives into the tree. */
void phony_write(struct phony *p);

/* Reads the guest and makes a plan; ends the test with the sentence on failure. */
void phony_plan(struct phony *p, struct plan *ret_plan);

/* Reads the guest, plans, applies; returns the number of edits. */
size_t phony_morph(struct phony *p);

/* The guest as it is now, read anew. */
struct windows *phony_read(struct phony *p);
const char *phony_text(struct phony *p, const char *path); /* "(none)" when it is not there */
void phony_done(struct phony *p);

/* A virtio-win tree in a new directory below TMPDIR, as on the ISO; removed by phony_remove(). */
char *phony_drivers(void);
void phony_remove(char *directory);
