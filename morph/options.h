/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of slipway-morph. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include "base/error.h"
#include "morph/disk.h"
#include "morph/request.h"

struct options {
    struct disk_spec *disks;
    size_t disk_count;
    struct request request;
    const char *cache_dir; /* from the environment or the default */
    const char *accel;     /* "auto", "kvm" or "tcg"; static */
    const char *record; /* folder for the recipe of what is done; or NULL */
    const char *replay; /* folder with a recipe; or NULL */
    bool check; /* only the options are looked at */
    bool dry_run;
    bool wait; /* start the appliance, then wait on standard input */
    bool json;
    bool help;
    bool version;
    char *default_cache_dir;
};

/* argv → options.  -EINVAL with a sentence for wrong use.  options_done() in any case. */
int options_parse(int argc, char **argv, struct options *ret_options, struct error **err);
void options_done(struct options *options);

/* The text of --help. */
extern const char options_help[];
