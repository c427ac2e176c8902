/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A registry hive: what is read of its network cards cannot leave the quotes of a script, and a
 * value that was set is there when the hive is read again.
 */
#include <string.h>

#include "base/str.h"
#include "morph/winnet.h"
#include "tests/fuzz/fuzz.h"

#define HEADER 4096
#define SERVICE "ControlSet001\\Services\\viostor"

/* The header's checksum, so that there is more to find than that it is wrong. */
static void sign(unsigned char *header)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < 508; i += 4)
        sum ^= header[i] | (uint32_t)header[i + 1] << 8 | (uint32_t)header[i + 2] << 16 |
               (uint32_t)header[i + 3] << 24;
    sum = sum == 0 ? 1 : sum == 0xffffffff ? 0xfffffffe : sum;
    for (size_t i = 0; i < 4; i++)
        header[508 + i] = sum >> 8 * i & 0xff;
}

static bool is_safe(const char *text)
{
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:-_") ==
           strlen(text);
}

static void check_cards(struct hive *hive)
{
    const struct windows w = {.system = hive, .control_set = (char *)"ControlSet001"};
    struct winnet *net = mem_new(1, sizeof(*net));

    winnet_read(&w, net);
    FUZZ_ASSERT(net->count <= WINNET_CARDS);
    for (size_t i = 0; i < net->count; i++) {
        const struct wincard *c = &net->cards[i];
        const struct winpin pin = {.mac = c->mac, .card = c};
        _cleanup_buffer_ struct buffer script = {0};
        char ip[WINNET_IPV4];

        FUZZ_ASSERT(is_safe(c->mac) && is_safe(c->suffix));
        for (size_t a = 0; a < c->address_count; a++)
            FUZZ_ASSERT(winnet_ipv4(c->addresses[a].ip, ip) &&
                        winnet_ipv4(c->addresses[a].mask, ip));
        for (size_t a = 0; a < c->gateway_count; a++)
            FUZZ_ASSERT(winnet_ipv4(c->gateways[a], ip));
        for (size_t a = 0; a < c->server_count; a++)
            FUZZ_ASSERT(winnet_ipv4(c->servers[a], ip));
        winnet_write_powershell(&script, &pin, 1);
        winnet_write_vbscript(&script, &pin, 1);
    }
    free(net);
}

static void check_change(struct hive *hive)
{
    _cleanup_hive_ struct hive *again = NULL;
    _cleanup_free_ char *data = NULL;
    size_t length;
    uint32_t number = 0;

    if (hive_set_number(hive, SERVICE, "Start", 0x1234, NULL) < 0 ||
        hive_commit(hive, &data, &length, NULL) < 0)
        return;
    FUZZ_ASSERT(hive_open("SYSTEM", data, length, &again, NULL) == 0);
    FUZZ_ASSERT(hive_number(again, SERVICE, "Start", &number) && number == 0x1234);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_hive_ struct hive *hive = NULL;
    _cleanup_free_ unsigned char *bytes = mem_new(size + 1, 1);

    if (size > 0)
        memcpy(bytes, data, size);
    if (size > HEADER)
        sign(bytes);
    if (hive_open("SYSTEM", bytes, size, &hive, NULL) == 0) {
        check_cards(hive);
        check_change(hive);
    }
    return 0;
}
