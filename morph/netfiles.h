/* SPDX-License-Identifier: Apache-2.0 */
/* All network configuration files of a guest, of all styles, as they are on its disks. */
#pragma once

#include "morph/netstyle.h"
#include "morph/plan.h"

struct netfile {
    const struct netstyle *style;
    char *path;
    char *text;
};

struct netfiles {
    struct netfile *items;
    size_t count;
};

/* Reads them, naming files before those that configure.  What is no text goes into the plan as a
 * warning.  netfiles_done() in any case. */
int netfiles_read(struct facts *facts, struct plan *plan, struct netfiles *ret_files,
                  struct error **err);
void netfiles_done(struct netfiles *files);

/* The last part of the path. */
const char *netfile_name(const struct netfile *file);

/* The file with this path, or NULL. */
const struct netfile *netfiles_find(const struct netfiles *files, const char *path);

/* What they tell about interfaces, for the VM's cards. */
void netfiles_tell(const struct netfiles *files, const struct request *request,
                   struct netconfig *config);
