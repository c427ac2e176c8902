/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One kind of change to a guest, in a file of its own.  apply() proposes edits into the plan; it
 * reads the guest and writes nothing.  It must propose nothing when the guest already is as it
 * should be.
 */
#pragma once

#include <stdbool.h>
#include "morph/facts.h"
#include "morph/plan.h"

struct change_ops {
    const char *name; /* in reports: "fstab" */
    bool (*applies)(const struct facts *facts);
    int (*apply)(struct facts *facts, struct plan *plan, struct error **err);
    const char *(*describe)(void); /* one sentence for people: what it is for */
};

extern const struct change_ops change_linux_bootcheck; /* first: it may refuse */
extern const struct change_ops change_linux_fstab;
extern const struct change_ops change_linux_bootconfig;
extern const struct change_ops change_linux_lvm;
extern const struct change_ops change_linux_network;
extern const struct change_ops change_linux_cloudinit;
extern const struct change_ops change_linux_initramfs; /* after network: it copies the pins */
extern const struct change_ops change_linux_bootdefault; /* after initramfs: it says which */
extern const struct change_ops change_linux_uefi;
extern const struct change_ops change_linux_serial;
extern const struct change_ops change_linux_agents;
extern const struct change_ops change_linux_leftovers;
extern const struct change_ops change_linux_accounts;
extern const struct change_ops change_linux_firstboot; /* after agents */
extern const struct change_ops change_linux_selinux;   /* last: it labels what the others make */
extern const struct change_ops change_windows_v2v;
extern const struct change_ops change_windows_drivers;
extern const struct change_ops change_windows_network;
extern const struct change_ops change_windows_agents;
extern const struct change_ops change_windows_uefi;
extern const struct change_ops change_windows_firstboot; /* runs the steps of those before it */
extern const struct change_ops change_windows_registry;  /* writes what those before it have set */
