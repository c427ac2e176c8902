/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files of a virtio-win tree belong to which Windows.  The ISO has DRIVER/SYSTEM/ARCH/file
 * (NetKVM/2k12R2/amd64/netkvm.sys), the RPM drivers/by-os/ARCH/SYSTEM/file; both are understood by
 * looking at the file's name and the directories above it.  Pure.
 */
#pragma once

#include <stdbool.h>
#include "morph/windows.h"

/* The guest agent's installer is among them, as the driver of this name. */
#define DRIVER_AGENT "qemu-ga"

struct drivermatch {
    const char *driver; /* "viostor", "vioscsi", "netkvm", …; static */
    unsigned rank;      /* 0: made for this Windows; larger: for a relative of it */
};

/* True when the file may be needed by this Windows. */
bool drivertable_match(const char *path, const struct windows *w, struct drivermatch *ret_match);

/* The directory that drivers made for this Windows are in ("2k12r2"); static. */
const char *drivertable_system(const struct windows *w);
