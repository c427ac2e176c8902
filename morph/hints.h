/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What virtual hardware the guest wants on the destination, from what was found and done in it.
 * The caller decides; slipwayd builds the domain by them.
 */
#pragma once

#include "morph/facts.h"
#include "morph/plan.h"

struct hints {
    const char *machine;   /* "q35" or "pc"; NULL: any.  All static but osinfo */
    const char *firmware;  /* "bios" or "uefi"; NULL: not known */
    const char *disk_bus;  /* "virtio", "sata" or "ide" */
    const char *nic_model; /* "virtio", "e1000e", "e1000" or "rtl8139" */
    const char *video;     /* "virtio" or "vga" */
    const char *clock;     /* "utc" or "localtime" */
    bool secure_boot;      /* its boot loader is signed for it */
    bool tpm;              /* wants a TPM 2.0 */
    bool hyperv;           /* gains from Hyper-V enlightenments */
    char *osinfo;          /* libosinfo's id, "" when not known */
};

/* Fills *ret_hints (hints_done() frees), and warns in the plan where the guest cannot have the fast
 * devices. */
void hints_make(const struct facts *facts, struct plan *plan, struct hints *ret_hints);
void hints_done(struct hints *hints);
