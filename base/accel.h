/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether KVM really runs guests here.
 *
 * /dev/kvm may be there, answer every ioctl, and still no kernel gets through its boot (nested
 * virtualisation without the features that stock kernels use).  A VM that is moved onto such a host with
 * KVM hangs, and nothing says why.  So KVM is believed only after a kernel of this machine has
 * booted under it up to the point where it misses its root file system.
 */
#pragma once

#include <stdint.h>

/*
 * *ret_name becomes "kvm" or "tcg" (static text).  In this order: SLIPWAY_ACCEL=kvm|tcg; "tcg" when
 * /dev/kvm cannot be opened; the answer kept since this boot; a probe, up to 10 s; "tcg" when there
 * is no kernel to probe with (looked for: /boot/vmlinuz*, libguestfs' cached appliance).  The
 * answer of a probe that ran its course is kept, for root in /run/slipway/accel, for others in
 * XDG_RUNTIME_DIR.
 *
 * 0, or -EINVAL when SLIPWAY_ACCEL holds something else (*ret_name is "tcg" then).
 */
int accel_choose(const char **ret_name);

/* Boots the kernel image under KVM without disks and waits for its panic.  1 when it came; 0 when
 * the kernel hung until timeout_ns; -errno when QEMU ended otherwise (it refused, or is not there). */
int accel_probe(const char *kernel, uint64_t timeout_ns);

/* Reads and writes the kept answer: "BOOT-ID kvm|tcg" in the file.  NULL when there is none of this
 * boot; static text otherwise. */
const char *accel_cache_read(const char *path, const char *boot_id);
int accel_cache_write(const char *path, const char *boot_id, const char *name);
