/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text files of a guest's SELinux policy, see file_contexts(5), made safe for libselinux: it
 * compiles each line's pattern with PCRE, and the guest wrote them.  Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include "morph/buffer.h"

/* From /etc/selinux/config: the name of the policy ("targeted", the caller frees) when SELinux is
 * enforcing or permissive; NULL when it is disabled, or the file is of no use. */
char *selinux_policy(const char *config);

/* Adds the lines that are what a policy has: a pattern of bounded length without back references,
 * look-around and counted repeats, perhaps a file type, a context.  Returns how many. */
size_t filecontexts_filter(const char *text, struct buffer *out);

/* The same for lines of two paths, as in file_contexts.subs_dist. */
size_t filecontexts_filter_subs(const char *text, struct buffer *out);

/* True for user:role:type[:range] in letters that contexts have. */
bool selinux_context_is_sane(const char *context, size_t length);
