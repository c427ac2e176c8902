/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"

struct fs_options {
    char *stores;         /* folder whose folders are the VMs' stores */
    char *mountpoint;
    char *mount_options;  /* for the kernel and libfuse, "a,b=c"; never NULL */
    bool foreground, allow_other, nonempty, debug;
    uint64_t wait_ns;     /* for an engine that is away */
    bool help, version;
};

/* EINVAL with a sentence. */
int fs_options_parse(int argc, char **argv, struct fs_options *ret_options, struct error **err);
void fs_options_done(struct fs_options *options);

void fs_options_usage(void);
