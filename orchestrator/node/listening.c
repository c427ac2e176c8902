/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/node/listening.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define LISTEN 0x0a

/* "0100007F", or "0000…0100007F" mapped and "…01000000" of IPv6: words in the machine's order. */
static bool is_loopback(const char *address)
{
    size_t length = strlen(address);

    if (length == 8)
        return strcmp(address + 6, "7F") == 0;
    return strcmp(address, "00000000000000000000000001000000") == 0 ||
           (length == 32 && strncmp(address, "0000000000000000FFFF0000", 24) == 0 &&
            strcmp(address + 30, "7F") == 0);
}

bool listening_on(const char *text, unsigned port)
{
    while (text && *text) {
        unsigned at = 0, state = 0;
        char address[40] = "";

        if (sscanf(text, " %*u: %39[0-9A-F]:%x %*[0-9A-F]:%*x %x", address, &at, &state) == 3 &&
            state == LISTEN && at == port && !is_loopback(address))
            return true;
        text = strchr(text, '\n');
        text = text ? text + 1 : NULL;
    }
    return false;
}

static int value_of(char c)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

char *listening_decode(const char *base64)
{
    char *text = mem_new(strlen(base64) / 4 * 3 + 4, 1);
    uint32_t bits = 0;
    size_t count = 0, length = 0;

    for (; value_of(*base64) >= 0; base64++) {
        bits = bits << 6 | (uint32_t)value_of(*base64);
        if (++count % 4 == 0) {
            text[length++] = (char)(bits >> 16);
            text[length++] = (char)(bits >> 8);
            text[length++] = (char)bits;
        }
    }
    if (count % 4 == 2)
        text[length++] = (char)(bits >> 4);
    if (count % 4 == 3) {
        text[length++] = (char)(bits >> 10);
        text[length++] = (char)(bits >> 2);
    }
    text[length] = '\0';
    return text;
}
