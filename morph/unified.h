/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unified kernel images: an EFI program (PE format) whose sections hold the kernel, its command
 * line and, in ".initrd", the initramfs.  They are often signed and measured, so nothing is changed
 * in them; but what they hold can be read.  Pure.
 */
#pragma once

#include <stddef.h>

/* Where the initramfs is in the image, into *ret_data.  -ENOENT when there is no such section,
 * -EBADMSG for what is no EFI program. */
int unified_initramfs(const void *image, size_t length, const void **ret_data, size_t *ret_length);
