/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that run in the guest at its first boot on KVM.  Pure. */
#pragma once

#include "morph/init.h"

#define FIRSTBOOT "/var/lib/slipway"
#define FIRSTBOOT_RUNNER FIRSTBOOT "/firstboot"
#define FIRSTBOOT_STEPS FIRSTBOOT "/firstboot.d"
#define FIRSTBOOT_PACKAGES FIRSTBOOT "/packages"
#define FIRSTBOOT_UNIT "/etc/systemd/system/slipway-firstboot.service"
#define FIRSTBOOT_WANTED "/etc/systemd/system/multi-user.target.wants/slipway-firstboot.service"
#define FIRSTBOOT_SCRIPT "/etc/init.d/slipway-firstboot"
#define FIRSTBOOT_RUNLEVEL "/etc/runlevels/default/slipway-firstboot"

/*
 * The runner: starts every file of FIRSTBOOT_STEPS in order, once, and then removes what started it
 * and itself.  `local` is the rc.local that starts it, or NULL.  The caller frees.
 */
char *firstboot_runner(const char *local);

/* Installs what is in FIRSTBOOT_PACKAGES, without a network when that can be. */
extern const char firstboot_packages[];

/* Installs the QEMU guest agent from the guest's own package sources. */
extern const char firstboot_agent[];

extern const char firstboot_unit[];   /* systemd */
extern const char firstboot_script[]; /* OpenRC */

/*
 * What rc.local becomes so that it starts the runner: a line before its final "exit 0", or at its
 * end.  NULL when it does so already; text may be "".  The caller frees.
 */
char *firstboot_local(const char *text);
