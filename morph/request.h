/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the caller wants done to the guest beyond making it boot.  Filled by options.c, read by the
 * changes; strings live as long as the options.  Files named here are on the host and trusted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* A network card of the VM, as the caller knows it. */
struct nic {
    char mac[18]; /* lower case, colons */
    char *name;   /* the name it had in the source; NULL when the caller does not know */
};

/* A text given by --OPTION KEY=FILE or by --OPTION VALUE, as often as it came. */
struct words {
    char **items;
    size_t count;
};

/* When the guest's own program may make an initramfs. */
enum rebuild {
    REBUILD_AUTO,  /* where nothing else helps */
    REBUILD_NEVER,
    REBUILD_ALWAYS /* wherever something is missing */
};

/* What a file on the host holds. */
struct hostfile {
    char *name; /* what it is for: a user, or the file's own name */
    char *data; /* NUL behind it */
    size_t length;
};

struct hostfiles {
    struct hostfile *items;
    size_t count;
};

/* Who gives Windows its drivers. */
enum windows_engine {
    WINDOWS_ENGINE_AUTO, /* virt-v2v-in-place where it is installed with all it needs */
    WINDOWS_ENGINE_OWN,
    WINDOWS_ENGINE_V2V
};

struct request {
    struct hostfiles ssh_keys;    /* name: the user; data: public keys, checked */
    struct hostfiles script_pre;  /* run in the appliance before the changes; begin with #! */
    struct hostfiles script_post; /* and after them */
    struct hostfiles script_firstboot; /* run by the guest at its first boot */
    const char *packages;   /* directory with packages of the guest's system, or NULL */
    bool install_agent;     /* the guest fetches the QEMU guest agent at its first boot */
    bool drop_credentials;  /* passwords are locked */
    struct nic *nics;
    size_t nic_count;
    bool dhcp; /* fixed addresses become DHCP */
    bool no_serial;   /* the guest's consoles stay as they are */
    enum windows_engine windows_engine;
    const char *virtio_win; /* directory or ISO with drivers for Windows; NULL: the usual places */
    struct words keys; /* of encrypted volumes: [DEVICE=]FILE */
    const char *root; /* device, UUID=… or LABEL=… of the root filesystem; NULL: find it */
    enum rebuild rebuild;
};
