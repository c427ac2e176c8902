/* SPDX-License-Identifier: Apache-2.0 */
/* What was found out about the guest before anything is decided. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include "morph/bootsector.h"
#include "morph/request.h"
#include "morph/tree.h"
#include "morph/volume.h"

/* Systems that keep their configuration in the same places. */
enum family {
    FAMILY_OTHER,
    FAMILY_DEBIAN, /* Debian, Ubuntu */
    FAMILY_REDHAT, /* RHEL, CentOS, Alma, Rocky, Oracle, Fedora */
    FAMILY_SUSE,   /* SLES, openSUSE */
    FAMILY_ARCH,
    FAMILY_ALPINE,
    FAMILY_WINDOWS
};

const char *family_name(enum family family); /* "debian"; static */

/* A NIC whose name is to stay: decided by the change "network". */
struct pin {
    char mac[18];
    char *name;
    char *settings; /* more lines for [Link], from a .link file that no longer counts; or NULL */
};

struct os {
    char *id;      /* os-release ID: debian */
    char *like;    /* ID_LIKE, or "" */
    char *version; /* VERSION_ID, or "" */
    char *pretty;  /* for people */
};

/* An installed Linux kernel. */
struct kernel {
    char *version;    /* its directory below /lib/modules */
    char *image;      /* path of the kernel itself */
    char **initramfs; /* paths, ended by NULL: the usual one, then those to fall back to */
    char *unified;    /* path of an image (.efi) that holds kernel and initramfs; NULL: none */
};

/* What can start the guest from its disks as they are. */
enum firmware {
    FIRMWARE_UNKNOWN,
    FIRMWARE_BIOS, /* boot code in a first sector */
    FIRMWARE_UEFI, /* a loader in an EFI system partition */
    FIRMWARE_BOTH  /* an image made for both */
};

const char *firmware_name(enum firmware firmware); /* "uefi"; static */

struct windows; /* windows.h */

struct facts {
    struct tree tree;
    struct volume_list volumes;
    enum family family;
    struct os os;
    struct kernel *kernels; /* oldest first: the last one is what boots by default */
    size_t kernel_count;
    enum boot_code boot_code;      /* the best that the first sectors of the disks have */
    const struct request *request; /* never NULL */
    struct windows *windows;       /* of FAMILY_WINDOWS only; owned */
    char **mounted; /* besides the root; facts_mounted() */
    size_t mounted_count;
    struct pin *pins;
    size_t pin_count;

    /* Set by the change "initramfs" when the kernel that would boot cannot get virtio drivers: the
     * version that has to boot instead; NULL: the guest's own choice stays.  Owned. */
    char *wanted_kernel;

    /* Decided by changes, for the hints: */
    enum firmware firmware;
    bool secure_boot; /* the loader that firmware starts is a shim, which Secure Boot accepts */
    bool clock_utc;   /* Windows: its hardware clock runs in UTC (RealTimeIsUniversal) */
    bool guest_agent; /* the QEMU guest agent will answer */
    bool virtio_disk; /* the guest reaches a virtio disk */
    bool virtio_net;  /* the guest has a driver for a virtio card */
};

void facts_done(struct facts *facts);

/* Remembers a directory that a filesystem of its own is mounted on. */
void facts_mounted(struct facts *facts, const char *directory);
bool facts_is_mounted(const struct facts *facts, const char *directory);
void facts_forget_kernels(struct facts *facts);

/* For struct change_ops.applies. */
bool facts_is_linux(const struct facts *facts);
bool facts_is_windows(const struct facts *facts);
