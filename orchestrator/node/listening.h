/* SPDX-License-Identifier: Apache-2.0 */
/* What a Linux guest's /proc/net/tcp and tcp6 say (proc(5)); pure functions on text of a guest, which
 * is not to be trusted. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* True when a line tells of a socket that listens (state 0A) on this port, on whatever address that
 * others can reach: not only on the loopback. */
bool listening_on(const char *text, unsigned port);

/* Decodes base64 (RFC 4648), as the guest agent sends files; stops at what is none.  The caller frees;
 * the text ends with a zero byte. */
char *listening_decode(const char *base64);
