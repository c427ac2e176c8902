/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold for any bytes in a network configuration file. */
#pragma once

#include <stddef.h>

#define NETCHECK_STYLES 17

/* Reads the text in style `number` and rewrites it, for two cards, as the bits of `wishes` say (1:
 * DHCP; 2: rules; 4: mactab; 8: HWADDR; 16: one card only).  Ends the program when the names it
 * tells could not be interfaces, or when rewriting what was rewritten changes it again. */
void netcheck(unsigned number, unsigned wishes, const char *text);
