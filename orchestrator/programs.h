/* SPDX-License-Identifier: Apache-2.0 */
/* Where our own helper programs and plugins are. */
#pragma once

/*
 * The path of "slipway-store", "slipway-morph", "nbdkit-slipway-plugin.so" or another name of ours:
 * $SLIPWAY_LIBEXEC/NAME when that is set; else in the build tree when this program runs from one;
 * else where `meson install` puts it.  The caller frees it.
 */
char *program_path(const char *name);
