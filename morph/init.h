/* SPDX-License-Identifier: Apache-2.0 */
/* How a Linux guest starts its services, and the edits that switch one off or on. */
#pragma once

#include "morph/facts.h"
#include "morph/plan.h"

enum init {
    INIT_SYSTEMD,
    INIT_UPSTART, /* beside it the links of SysV */
    INIT_OPENRC,
    INIT_SYSV
};

/* By what /sbin/init is, and by what is there where that does not tell. */
enum init init_of(const struct tree *tree);

/* A service of a guest, for edits. */
struct service {
    const char *name; /* of its unit, job and script; a unit that is no .service with its suffix */
    const char *change; /* which change proposes */
    const char *why;    /* sentence */
};

/* Path of its unit, job or script, or NULL when there is none; the caller frees.  A unit of the
 * administrator in /etc counts, a mask does not. */
char *service_file(const struct facts *facts, enum init init, const char *name);

/* Proposes what keeps it from starting: its links go, its unit is masked.  Nothing when it is
 * off or not installed. */
int service_disable(const struct facts *facts, struct plan *plan, enum init init,
                    const struct service *service, struct error **err);

/* Proposes what makes an installed service start at boot, for all but systemd, where what wants a
 * unit differs from unit to unit. */
int service_enable(const struct facts *facts, struct plan *plan, enum init init,
                   const struct service *service, struct error **err);

/* The directory of the links of a runlevel ('0' to '6', 'S'), or NULL; the caller frees. */
char *runlevel_directory(const struct tree *tree, char level);
