/* SPDX-License-Identifier: Apache-2.0 */
/* What was found out about the guest before anything is decided. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include "morph/tree.h"
#include "morph/volume.h"

/* A network card of the VM, as the caller knows it. */
struct nic {
    char mac[18]; /* lower case, colons */
    char *name;   /* the name it had in the source; NULL when the caller does not know */
};

/* A NIC whose name is to stay: decided by network_decide(). */
struct pin {
    char mac[18];
    char *name;
};

struct os {
    char *id;      /* os-release ID: debian */
    char *like;    /* ID_LIKE, or "" */
    char *version; /* VERSION_ID, or "" */
    char *pretty;  /* for people */
};

struct facts {
    struct tree tree;
    struct volume_list volumes;
    struct os os;
    char **kernels; /* version of each kernel in /lib/modules, NULL-terminated */
    const struct nic *nics;
    size_t nic_count;
    struct pin *pins;
    size_t pin_count;
    bool guest_agent; /* the QEMU guest agent will answer: decided by the change "agents" */
};

void facts_done(struct facts *facts);
